"""Which leaves are differentiated: select, partition, combine (requires_grad and leaf nodes)."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import jax
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, LeafTypeError, SelectionError, explain

Where: TypeAlias = str | Sequence[str] | Callable[[str, Any], bool] | PyTree | None


def select(tree: PyTree, where: Where = None) -> PyTree:
    """Says which leaves of a tree are to be differentiated, as a tree of booleans.

    PyTorch keeps this in each tensor (``requires_grad``, False unless asked for) and changes it in
    place with ``requires_grad_``. Here it is a value beside the parameters: nothing is marked, and
    a misspelt name or an integer leaf is an error, where PyTorch code silently skips it.

    A path is written with slashes, as ``jax.tree_util.keystr(path, simple=True, separator="/")``
    gives it. A pattern is the path of a leaf or of a subtree; if there is none of that path, it is
    a glob for such paths, in which ``*`` matches slashes too. So ``"encoder"`` selects everything
    below ``encoder``, and ``"*/bias"`` every bias that is not at the top.

    Args:
        tree: A pytree of arrays, scalars, ``jax.ShapeDtypeStruct``, strings...
        where: What to select:

            - None: every floating-point or complex leaf, and no other;
            - a pattern or a sequence of patterns: the leaves that one of them matches;
            - a predicate ``(path, leaf) -> bool``. Under ``jax.jit`` the leaf is a tracer: use its
              shape and dtype, not its value;
            - a tree of booleans of the structure of ``tree``, or a prefix of it.

    Returns:
        A tree of Python booleans with the structure of ``tree``.

    Raises:
        SelectionError: A pattern matches no leaf, the booleans have another structure, or nothing
            is selected at all.
        LeafTypeError: A selected leaf is not floating-point or complex.
        ArgumentError: ``where`` is of none of these kinds.

    Example:
        >>> params = {"emb": np.ones((4, 2)), "out": {"w": np.ones(2), "bias": 0.5}, "step": 7}
        >>> select(params)
        {'emb': True, 'out': {'bias': True, 'w': True}, 'step': False}
        >>> select(params, ["emb", "*/bias"])
        {'emb': True, 'out': {'bias': True, 'w': False}, 'step': False}
        >>> select(params, lambda path, leaf: np.ndim(leaf) == 1)
        {'emb': False, 'out': {'bias': False, 'w': True}, 'step': False}

    Source:
        https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """
    return select_for("functional_ad.select(where=...)", tree, where)


def select_for(argument: str, tree: PyTree, where: Where) -> PyTree:
    """``select`` on behalf of a caller, whose argument the error texts name."""
    pairs = _tree.flatten_paths(tree)
    flags = _match(argument, tree, pairs, where)
    wrong = [
        _tree.name_leaf(path, leaf)
        for (path, leaf), flag in zip(pairs, flags, strict=True)
        if flag and not _tree.is_differentiable(leaf)
    ]
    if wrong:
        raise LeafTypeError(
            explain(
                f"`{argument}` selects a leaf that cannot have a gradient.",
                expected="floating-point or complex leaves",
                got=wrong,
                fix="Leave it out of `where`, or cast it to a floating dtype.",
            )
        )
    if not any(flags):
        raise SelectionError(
            explain(
                f"`{argument}` selects no leaf, so there is nothing to differentiate.",
                expected="at least one floating-point leaf",
                got=[_tree.name_leaf(path, leaf) for path, leaf in pairs]
                or "a tree with no leaves",
                fix="Select a floating-point leaf; cast one if there is none.",
            )
        )
    return jax.tree.unflatten(jax.tree.structure(tree), flags)


def partition(tree: PyTree, mask: PyTree) -> tuple[PyTree, PyTree]:
    """Splits a tree in two of the same shape: the leaves to differentiate, and the rest.

    PyTorch has no counterpart: ``[p for p in model.parameters() if p.requires_grad]`` loses the
    tree. Here both halves keep it, with None where the other half has the leaf, so an optimizer's
    state made from the first half holds nothing for frozen leaves.

    Args:
        tree: A pytree.
        mask: Python booleans in the structure of ``tree`` or a prefix of it, as ``select`` gives.

    Returns:
        The leaves where ``mask`` is True, and the leaves where it is False.

    Raises:
        SelectionError: ``mask`` has another structure.
        ArgumentError: A leaf of ``mask`` is not a boolean.

    Example:
        >>> params = {"w": 1.0, "b": 2.0, "step": 3}
        >>> diff, rest = partition(params, select(params, "w"))
        >>> diff, rest
        ({'b': None, 'step': None, 'w': 1.0}, {'b': 2.0, 'step': 3, 'w': None})
    """
    flags = _broadcast("functional_ad.partition(mask=...)", tree, mask)
    leaves, treedef = jax.tree.flatten(tree)
    chosen = [leaf if flag else None for leaf, flag in zip(leaves, flags, strict=True)]
    others = [None if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)]
    return jax.tree.unflatten(treedef, chosen), jax.tree.unflatten(treedef, others)


def combine(diff: PyTree, rest: PyTree) -> PyTree:
    """Puts two halves of a partition together again.

    PyTorch has no counterpart, since nothing is ever taken apart.

    Args:
        diff: A tree with None where ``rest`` has the leaf.
        rest: The other half. A None in both stays None.

    Returns:
        The whole tree.

    Raises:
        SelectionError: The two have different structures, or both have a leaf at one place.

    Example:
        >>> combine({"w": 1.0, "b": None}, {"w": None, "b": 2.0})
        {'b': 2.0, 'w': 1.0}
    """
    ours, treedef = jax.tree.flatten(diff, is_leaf=_tree.is_none)
    theirs = _tree.flatten_paths(rest, _tree.is_none)
    other = jax.tree.structure(rest, is_leaf=_tree.is_none)
    if treedef != other:
        raise SelectionError(
            explain(
                "`functional_ad.combine(diff, rest)` must get two halves of one tree.",
                expected=str(treedef),
                got=str(other),
                fix="Pass the two results of one `partition`, changed leaf by leaf only.",
            )
        )
    both = [
        path
        for mine, (path, leaf) in zip(ours, theirs, strict=True)
        if not (mine is None or leaf is None)
    ]
    if both:
        raise SelectionError(
            explain(
                "`functional_ad.combine(diff, rest)` must get each leaf from one half only.",
                expected="None in one of the two halves at each leaf",
                got=f"a leaf in both at {_tree.list_paths(both)}",
                fix="Pass the two results of one `partition`, in any order.",
            )
        )
    whole = [leaf if mine is None else mine for mine, (_, leaf) in zip(ours, theirs, strict=True)]
    return jax.tree.unflatten(treedef, whole)


def _match(argument: str, tree: PyTree, pairs: list[tuple[str, Any]], where: Where) -> list[bool]:
    """One flag per leaf, for each kind of ``where``."""
    if where is None:
        return [_tree.is_differentiable(leaf) for _, leaf in pairs]
    if isinstance(where, str):
        return _match_patterns(argument, [path for path, _ in pairs], [where])
    if isinstance(where, list | tuple) and not where:
        return [False for _ in pairs]
    if isinstance(where, list | tuple) and all(isinstance(w, str) for w in where):
        return _match_patterns(argument, [path for path, _ in pairs], cast("list[str]", where))
    if callable(where) and jax.tree_util.all_leaves([where]):  # a mask may be a callable module
        predicate = cast("Callable[[str, Any], object]", where)
        return [_ask(argument, predicate, path, leaf) for path, leaf in pairs]
    return _broadcast(argument, tree, where)


def _match_patterns(argument: str, paths: list[str], patterns: Sequence[str]) -> list[bool]:
    hits = [_match_pattern(paths, pattern) for pattern in patterns]
    missed = [repr(p) for p, hit in zip(patterns, hits, strict=True) if not any(hit)]
    if missed:
        example = next((f", e.g. {path!r}" for path in paths if path), "")
        raise SelectionError(
            explain(
                f"`{argument}` has a pattern that matches no leaf.",
                expected=f"a prefix or glob of: {_tree.list_paths(paths)}",
                got=", ".join(missed),
                fix=f"Write the path of a leaf or of a subtree{example}.",
            )
        )
    return [any(column) for column in zip(*hits, strict=True)]


def _match_pattern(paths: list[str], pattern: str) -> list[bool]:
    """As a path or the beginning of one; as a glob only if it is neither."""
    literal = [path == pattern or path.startswith(pattern + "/") for path in paths]
    if any(literal):
        return literal
    globs = (pattern, pattern + "/*")
    return [any(fnmatch.fnmatchcase(path, glob) for glob in globs) for path in paths]


def _ask(argument: str, predicate: Callable[[str, Any], object], path: str, leaf: Any) -> bool:
    answer = predicate(path, leaf)
    if not isinstance(answer, bool | np.bool_):
        raise ArgumentError(
            explain(
                f"`{argument}` must be a predicate that returns a bool.",
                expected="True or False",
                got=f"{_tree.describe_value(answer)} for the leaf {path!r}",
                fix="Decide by the path, the shape or the dtype; values are unknown under jit.",
            )
        )
    return bool(answer)


def _broadcast(argument: str, tree: PyTree, mask: PyTree) -> list[bool]:
    """One flag per leaf from a tree of booleans, or a prefix of one."""
    wrong = [
        _tree.name_leaf(path, leaf)
        for path, leaf in _tree.flatten_paths(mask)
        if not isinstance(leaf, bool | np.bool_)
    ]
    if wrong:
        raise ArgumentError(
            explain(
                f"`{argument}` must say statically which leaves are meant.",
                expected="a path, a glob, a list of them, a predicate, or a tree of True and False",
                got=wrong,
                fix="Make a tree of booleans with `functional_ad.select(tree, where)`.",
            )
        )
    try:
        return [bool(flag) for flag in jax.tree.leaves(jax.tree.broadcast(mask, tree))]
    except ValueError:
        raise SelectionError(
            explain(
                f"`{argument}` must have the structure of the tree, or of a prefix of it.",
                expected=str(jax.tree.structure(tree)),
                got=str(jax.tree.structure(mask)),
                fix="Make it with `functional_ad.select(tree, where)`.",
            )
        ) from None
