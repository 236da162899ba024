"""Trees of either framework as dictionaries from path to leaf, and the inputs of the runs."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Leaves = dict[str, np.ndarray[Any, Any]]


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by slash-separated path; a tensor of either framework is a leaf."""
    import jax

    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in pairs}


def map_leaves(change: Callable[[Any], Any], tree: Any) -> Any:
    """``jax.tree.map``, whichever framework the leaves are from."""
    import jax

    return jax.tree.map(change, tree)


def prepare_inputs(inputs: tuple[Any, ...], dtype: str) -> tuple[Any, ...]:
    """The numbers that both sides get: floating leaves as new NumPy arrays of the working dtype.

    Later runs at float64 start from these, so that the same numbers are compared, not the same
    decimal fractions. Integer and boolean arrays become NumPy arrays; Python integers, booleans,
    strings and None stay what they are.
    """

    def prepare(leaf: Any) -> Any:
        if isinstance(leaf, bool | int | str):
            return leaf
        if hasattr(leaf, "detach"):  # a tensor, on whatever device
            leaf = leaf.detach().cpu().numpy()
        array = np.array(leaf)  # a copy: nothing that happens below reaches the caller's arrays
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
            return array.astype(dtype)
        if array.dtype.kind in "biu":
            return array
        raise TypeError(
            f"`compare(inputs=...)` must hold real, integer and boolean arrays, Python numbers and "
            f"strings.\n  expected: an array with such a dtype\n"
            f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
            f"Split a complex input into its real and imaginary parts."
        )

    return map_leaves(prepare, inputs)


def widen(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same numbers at float64, the referee's dtype."""
    return map_leaves(lambda leaf: leaf.astype(np.float64) if is_floating(leaf) else leaf, inputs)


def perturb(inputs: tuple[Any, ...], probe: int) -> tuple[Any, ...]:
    """Moves each nonzero floating element one place up, one down, or not at all, by seed."""

    def move(leaf: Any) -> Any:
        if not is_floating(leaf):
            return leaf
        rng = np.random.default_rng((probe, leaf.size))
        towards = rng.choice(np.array([-np.inf, 0, np.inf]), size=leaf.shape).astype(leaf.dtype)
        moved = np.nextafter(leaf, np.where(towards == 0, leaf, towards))
        return np.where(leaf == 0, leaf, moved)

    return map_leaves(move, inputs)


def is_floating(leaf: Any) -> bool:
    """Whether a prepared input or an output is a floating-point array."""
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"


def seed_cotangent(path: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """The cotangent of an output: 1 for a scalar, else normal numbers that depend on its path only.

    Not ones: they would hide every difference that cancels in a sum.
    """
    if shape == ():
        return np.ones((), dtype)
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    # Drawn at float32 in every run, so that all runs pull back the same numbers.
    return rng.normal(size=shape).astype(np.float32).astype(dtype)


def to_array(side: str, path: str, leaf: Any, dtype: str) -> np.ndarray[Any, Any]:
    """An output leaf as a NumPy array; a Python float takes the dtype of the run."""
    if isinstance(leaf, float) and not isinstance(leaf, np.generic):
        return np.asarray(leaf, dtype)
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"The {side} side must return real, integer or boolean arrays.\n"
            f"  expected: such an array at {path!r}\n"
            f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
            f"Return its real and imaginary parts, or a number that stands for it."
        )
    return array
