"""Trees of either framework as dictionaries from path to leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = np.ndarray[Any, Any]
Leaves = dict[str, Array]


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by slash-separated path; a tensor of either framework is a leaf.

    Raises:
        ValueError: Two leaves have one path, as in ``{"a": {"b": 1}, "a/b": 2}``.
    """
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
    return jax.tree.map(change, tree)


def is_inexact(leaf: Any) -> bool:
    """Whether a leaf is a NumPy array of real or complex floating-point numbers."""
    return isinstance(leaf, np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def to_array(side: str, path: str, leaf: Any, dtype: str) -> Array:
    """An output leaf as a NumPy array; a Python float takes the dtype of the run."""
    if isinstance(leaf, float) and not isinstance(leaf, np.generic):
        return np.asarray(leaf, np.float64 if dtype == "float64" else jnp.finfo(dtype).dtype)
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufc" and array.dtype != jnp.bfloat16:
        raise TypeError(
            f"The {side} side must return a tree of numeric or boolean arrays.\n"
            f"  expected: such an array at {path!r}\n"
            f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
            f"Return the arrays in it."
        )
    return array
