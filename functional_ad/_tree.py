"""Paths, names and kinds of the leaves of a pytree: what checks and error texts are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath
from jaxtyping import PyTree

from functional_ad._errors import LeafTypeError, explain

ROOT = "(the tree itself)"


def write_path(path: KeyPath[Any]) -> str:
    """A path as users write it: ``"encoder/0/w"``; empty for a tree that is one leaf."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def flatten_paths(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[str, Any]]:
    """The leaves of a tree with their written paths, in the order of ``jax.tree.leaves``."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return [(write_path(path), leaf) for path, leaf in pairs]


def is_none(leaf: Any) -> bool:
    """Whether a node is None, for trees in which None holds the place of a leaf."""
    return leaf is None


def is_differentiable(leaf: Any) -> bool:
    """Whether a leaf can have a gradient: a Python float or complex, or an array of such a dtype.

    A ``jax.Ref`` cannot: what is written to it is no function of what it held.

    Raises:
        LeafTypeError: The leaf has a dtype that JAX does not know, as a tensor of PyTorch has.

    Example:
        >>> is_differentiable(1.0), is_differentiable(1), is_differentiable(np.float16(1))
        (True, False, True)
    """
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, jax.Ref):
        return isinstance(leaf, float | complex)
    try:
        inexact = jnp.issubdtype(dtype, jnp.inexact)
    except TypeError:
        inexact = None
    if inexact is None or (inexact and dtype in (np.longdouble, np.clongdouble)):
        raise LeafTypeError(
            explain(
                "A leaf has a dtype that JAX does not know.",
                expected="arrays of JAX or NumPy, of a dtype that both have",
                got=f"{type(leaf).__module__}.{type(leaf).__name__} with dtype {dtype}",
                fix="Convert it first, e.g. with `jnp.asarray(tensor.numpy())`.",
            )
        )
    return inexact


def is_complex(leaf: Any) -> bool:
    """Whether a differentiable leaf is complex."""
    return jnp.issubdtype(getattr(leaf, "dtype", type(leaf)), jnp.complexfloating)


def widen(dtype: Any) -> Any:
    """float32 for a narrower floating dtype, any other as it is.

    Not ``jnp.promote_types``, which JAX's strict mode forbids.

    Example:
        >>> [str(widen(np.dtype(name))) for name in ("float16", "float64", "complex64")]
        ['float32', 'float64', 'complex64']
    """
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype


def describe(leaf: Any) -> str:
    """A leaf in a few characters, as JAX writes avals: ``float32[3,2]``; else its type's name.

    Example:
        >>> describe(np.ones((3, 2), np.float32)), describe(3), describe("relu"), describe(None)
        ('float32[3,2]', 'int', 'str', 'None')
    """
    if leaf is None or isinstance(leaf, type):
        return str(leaf)
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return type(leaf).__name__
    return f"{dtype}[{','.join(map(str, np.shape(leaf)))}]"


def name_leaf(path: str, leaf: Any) -> str:
    """A leaf's path and kind, for the "got" line of an error: ``'encoder/w': float32[3]``."""
    return f"{path!r}: {describe(leaf)}" if path else describe(leaf)


def describe_value(value: Any) -> str:
    """A wrong value and its type, for an error text."""
    return f"{value!r} ({type(value).__name__})"


def list_paths(paths: Sequence[str], limit: int = 12) -> str:
    """The paths of a tree for an error text, cut if there are very many."""
    if not paths:
        return "(the tree has no leaves)"
    shown = ", ".join(repr(path) if path else ROOT for path in paths[:limit])
    return shown + (f", ... ({len(paths)} leaves)" if len(paths) > limit else "")
