"""Entries of the catalogue that are rows of the gradient atlas: their words, and their substitutes.

Where the frameworks chose differently in one operation, the atlas says so, tests the line of JAX
that does as PyTorch does, and keeps both true with each release. The catalogue takes it from there.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Collection
from typing import Any, TypedDict

from comparisons._causes._known import Calls, Known
from comparisons._causes._patch import Call
from comparisons.cases.atlas import OPS, Axis, Op, Remark

_PACKAGES = {"jnp": "jax.numpy", "lax": "jax.lax", "nn": "jax.nn", "jsp": "jax.scipy"}
_NAMED = {op.name: op for op in OPS}


class Words(TypedDict):
    """What an entry says."""

    title: str
    fix: str
    source: str


def say_as_atlas(name: str, axis: Axis = "edges") -> Words:
    """The words of a row of the atlas.

    Args:
        name: The operation's name.
        axis: The axis that the entry is about.

    Example:
        >>> say_as_atlas("std", "ordinary")["fix"]
        'Write jnp.std(x, ddof=1) for jnp.std(x).'
    """
    return _write(_NAMED[name], (axis,))


def do_as_atlas(name: str) -> Callable[[Call], Any]:
    """What a row has in place of a call, PyTorch's derivatives with it."""
    return functools.partial(_substitute, _NAMED[name])


def list_choices(claimed: Collection[str]) -> tuple[Known, ...]:
    """An entry for each row where JAX can do as PyTorch does, and has one function for it.

    Args:
        claimed: The rows that have an entry already.
    """
    found: dict[tuple[str | None, str], Known] = {}
    for op in OPS:
        known = make_choice(op) if op.name not in claimed else None
        if known is not None:  # one row of those that say the same
            found.setdefault((_find_target(op), op.torch_like), known)
    return tuple(found.values())


def make_choice(op: Op) -> Known | None:
    """The entry that a row is; None if it has no remark, no substitute, or no single call."""
    target = _find_target(op)
    if target is None or not op.torch_like or not op.remarks:
        return None
    slug = re.sub(r"[^a-z0-9]+", "-", op.name.lower()).strip("-")
    axes: tuple[Axis, ...] = ("edges", "nonfinite", "ordinary")
    return Known(
        name=f"atlas-{slug}",
        **_write(op, axes),
        kind="mistake" if _find_remark(op, axes).wrong else "convention",
        rows=(op.name,),
        how=Calls(
            (target,),
            functools.partial(_substitute, op),
            when=lambda call: len(call.args) == op.arity and not call.kwargs,
        ),
    )


def _substitute(op: Op, call: Call) -> Any:
    from comparisons.cases.atlas._expressions import make_torch_like

    return make_torch_like(op)(*call.args)


def _find_target(op: Op) -> str | None:
    """The full name of the function that an expression calls with the arguments as they come."""
    tree = ast.parse(op.jax, mode="eval").body
    if not isinstance(tree, ast.Call) or tree.keywords:
        return None
    given = [arg.id if isinstance(arg, ast.Name) else None for arg in tree.args]
    module, _, name = ast.unparse(tree.func).rpartition(".")
    first, _, rest = module.partition(".")
    if given != op.args.split() or first not in (*_PACKAGES, "jax", "optax"):
        return None
    return ".".join(part for part in (_PACKAGES.get(first, first), rest, name) if part)


def _write(op: Op, axes: tuple[Axis, ...]) -> Words:
    said = _find_remark(op, axes)
    fix = f"Write {_spell_out(op.torch_like)} for {_spell_out(op.jax)}"
    return {
        "title": _end(said.text),
        "fix": _end(fix if op.torch_like else f"See `comparisons explain` of {op.name!r}"),
        "source": said.link or op.torch_docs,
    }


def _find_remark(op: Op, axes: tuple[Axis, ...]) -> Remark:
    """What is said first of the first of the axes that something is said of.

    Of PyTorch's bugs, and of a dtype alone, only if there is nothing else: JAX's line is for the
    choices, and for what PyTorch has right.
    """
    remarks = [
        remark
        for remark in op.remarks
        if remark.wrong != "PyTorch" and "float64" in (remark.dtypes or ("float64",))
    ]
    for axis in axes:
        for remark in remarks:
            if not remark.axes or axis in remark.axes:
                return remark
    return next(iter(op.remarks), Remark(text=f"{op.jax} is not {op.torch}"))


def _end(text: str) -> str:
    """A sentence; braces stand for themselves."""
    return text.rstrip(".").replace("{", "{{").replace("}", "}}") + "."


def _spell_out(expression: str) -> str:
    """The expression with the modules' full names, but for ``jnp``, which everybody has."""
    names = "|".join(name for name in _PACKAGES if name != "jnp")
    return re.sub(rf"(?<![\w.])({names})\.", lambda found: f"{_PACKAGES[found[1]]}.", expression)
