"""Whether a tree that a caller gives fits another: cotangents an output, tangents a primal."""

from __future__ import annotations

from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree


class Misfit(TypedDict):
    """Why a tree does not fit: the arguments of ``explain``."""

    rule: str
    expected: str
    got: str | list[str]
    fix: str


def find_misfit(
    tree: PyTree, given: PyTree, *, argument: str, whole: str, name: str
) -> Misfit | None:
    """Why a tree does not fit another, as an error says it; None if it does.

    Args:
        tree: What is to be fitted.
        given: A tree like it: an array of the same shape and dtype at each floating-point or
            complex leaf, None at the others. A Python number fits a scalar.
        argument: What was given, as the subject of the error's first sentence.
        whole: What ``tree`` is, for the error.
        name: What a leaf of it is called there.
    """
    expected = jax.tree.structure(tree, is_leaf=_tree.is_none)
    got = jax.tree.structure(given, is_leaf=_tree.is_none)
    if expected != got:
        return Misfit(
            rule=f"{argument} must have the tree of {whole}.",
            expected=str(expected),
            got=str(got),
            fix=f"Build it with `jax.tree.map` over the {name}, with None at leaves that are not "
            "floating-point.",
        )
    leaves = jax.tree.leaves(given, is_leaf=_tree.is_none)
    wrong = [
        (
            _tree.name_leaf(path, leaf if _tree.is_differentiable(leaf) else None),
            _tree.name_leaf(path, value),
        )
        for (path, leaf), value in zip(
            _tree.flatten_paths(tree, _tree.is_none), leaves, strict=True
        )
        if not _fits(leaf, value)
    ]
    if not wrong:
        return None
    return Misfit(
        rule=f"{argument} must have the shape and dtype of the {name}.",
        expected=", ".join(expected for expected, _ in wrong[:8]),
        got=[got for _, got in wrong],
        fix=f"Build it with `jnp.ones_like({name})`, or cast it with `.astype`.",
    )


def take_floats(tree: PyTree, given: PyTree) -> list[Any]:
    """The leaves of a tree that fits, where the other has floating-point ones, in their dtypes."""
    leaves = jax.tree.leaves(tree, is_leaf=_tree.is_none)
    values = jax.tree.leaves(given, is_leaf=_tree.is_none)
    return [
        jnp.asarray(value, jax.typeof(leaf).dtype)
        for leaf, value in zip(leaves, values, strict=True)
        if _tree.is_differentiable(leaf)
    ]


def _fits(leaf: Any, value: Any) -> bool:
    """Whether a value belongs to a leaf; a Python number takes the leaf's dtype."""
    if not _tree.is_differentiable(leaf):
        return value is None
    if isinstance(value, bool) or not hasattr(value, "dtype"):
        weak = (int, float, complex) if _tree.is_complex(leaf) else (int, float)
        return np.shape(leaf) == () and isinstance(value, weak) and not isinstance(value, bool)
    if not isinstance(value, jax.Array | np.ndarray | np.generic):
        return False
    # Also as JAX sees the leaf: a Python float, or NumPy's float64, is float32 without x64.
    dtypes = (getattr(leaf, "dtype", None), jax.typeof(leaf).dtype)
    return value.dtype in dtypes and value.shape == np.shape(leaf)
