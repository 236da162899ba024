"""Trees of either framework as dictionaries from path to leaf, and the inputs of the runs."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Leaves = dict[str, np.ndarray[Any, Any]]


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by slash-separated path; a tensor of either framework is a leaf.

    Raises:
        ValueError: Two leaves have one path, as in ``{"a": {"b": 1}, "a/b": 2}``.
    """
    import jax

    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    leaves: dict[str, Any] = {}
    for path, leaf in pairs:
        written = jax.tree_util.keystr(path, simple=True, separator="/")
        if written in leaves:
            raise ValueError(
                f"Two leaves have the path {written!r}, so they cannot be told apart.\n"
                f"Rename the key that has a slash in it."
            )
        leaves[written] = leaf
    return leaves


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
        if isinstance(leaf, bool | str):
            return leaf
        array = _copy(leaf)
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
            return array.astype(dtype)
        if array.dtype.kind not in "biu":
            raise TypeError(
                f"`compare(inputs=...)` must hold real, integer and boolean arrays, Python numbers "
                f"and strings.\n  expected: an array with such a dtype\n"
                f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
                f"Split a complex input into its real and imaginary parts; close over what is no "
                f"array."
            )
        narrow = {"i": np.int32, "u": np.uint32}.get(array.dtype.kind, np.bool_)
        if array.dtype.itemsize == 8 and not (array == array.astype(narrow)).all():
            raise ValueError(
                f"`compare(inputs=...)` must hold integers of 32 bits, JAX's widest at float32.\n"
                f"  expected: values that fit {narrow.__name__}\n"
                f"  got:      {array.dtype} from {array.min()} to {array.max()}\n"
                f"JAX would cut them without a word; pass smaller ones."
            )
        return leaf if isinstance(leaf, int) else array

    return map_leaves(prepare, inputs)


def _copy(leaf: Any) -> np.ndarray[Any, Any]:
    """A new NumPy array: nothing that happens to it reaches the caller's."""
    if hasattr(leaf, "detach"):  # a tensor, on whatever device
        leaf = leaf.detach().cpu()
        leaf = (leaf.float() if "bfloat16" in str(leaf.dtype) else leaf).numpy()
    try:
        return np.array(leaf)
    except TypeError:  # a PRNG key, which NumPy has no dtype for
        return np.array(None)


def widen(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same numbers at float64, the referee's dtype."""
    return map_leaves(lambda leaf: leaf.astype(np.float64) if is_floating(leaf) else leaf, inputs)


def perturb(inputs: tuple[Any, ...], probe: int) -> tuple[Any, ...]:
    """Moves each nonzero floating element one place up or down, by seed."""
    positions = itertools.count()

    def move(leaf: Any) -> Any:
        position = next(positions)
        return _move(leaf, (probe, position)) if is_floating(leaf) else leaf

    return map_leaves(move, inputs)


def _move(array: np.ndarray[Any, Any], seed: tuple[int, ...]) -> np.ndarray[Any, Any]:
    directions = np.random.default_rng(seed).choice(np.array([-np.inf, np.inf]), size=array.shape)
    moved = np.nextafter(array, directions.astype(array.dtype))
    return np.where(array == 0, array, moved)


def is_floating(leaf: Any) -> bool:
    """Whether a prepared input or an output is a floating-point array."""
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"


def seed_cotangents(shapes: dict[str, tuple[int, ...]], probe: int | None = None) -> Leaves:
    """The cotangents of the floating outputs: 1 for the only one if it is a scalar, else normal.

    Not ones: they would hide every difference that cancels in a sum, over the elements of an output
    or over several outputs. They depend on the paths only, so both sides and all runs get the same:
    float32 numbers. For a probe they are off by a last bit, as its inputs are.
    """
    alone = list(shapes.values()) == [()]
    seeds = {
        path: np.ones((), np.float32) if alone else _draw(path, shape)
        for path, shape in shapes.items()
    }
    if probe is None:
        return seeds
    return {path: _move(seed, (probe, zlib.crc32(path.encode()))) for path, seed in seeds.items()}


@functools.lru_cache(maxsize=64)
def _draw(path: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Float32 numbers, so that the float64 run pulls back the same ones."""
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    return np.asarray(rng.normal(size=shape), np.float32)


def to_array(side: str, path: str, leaf: Any, dtype: str) -> np.ndarray[Any, Any]:
    """An output leaf as a NumPy array; a Python float takes the dtype of the run."""
    if isinstance(leaf, float) and not isinstance(leaf, np.generic):
        return np.asarray(leaf, dtype)
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf":
        advice = {"c": "Return its real and imaginary parts.", "V": "Cast it to float32 first."}
        raise TypeError(
            f"The {side} side must return a tree of real, integer or boolean arrays.\n"
            f"  expected: such an array at {path!r}\n"
            f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
            + advice.get(array.dtype.kind, "Return the arrays in it.")
        )
    return array
