"""Gradients of values inside of a function (retain_grad, non-leaf nodes)."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._control import require_grad_enabled
from functional_ad._errors import (
    ArgumentError,
    LeafTypeError,
    PrimitiveError,
    SelectionError,
    explain,
)
from functional_ad._gradients import check_argnum, differentiate, find_position
from functional_ad._leaves import Where, combine, partition, select_for
from functional_ad._program import trace_arrays
from functional_ad._tags import Tag, evaluate_with_slots, find_tags

_NAMES = "`functional_ad.intermediate_grads(names=...)`"


def intermediate_grads(
    fun: Callable[..., Any],
    names: str | Sequence[str] | None = None,
    *,
    where: Where = None,
    argnum: int = 0,
    has_aux: bool = False,
) -> Callable[..., tuple[Any, PyTree, dict[str, Any]]]:
    """Makes a function that returns a loss, its gradient, and those of values inside of it.

    PyTorch keeps the gradient of a leaf only; a non-leaf's needs ``tensor.retain_grad()`` before
    ``backward``. Here a value is tagged in ``fun``, ``h = jax.ad_checkpoint.checkpoint_name(h,
    "h")``, which changes nothing by itself, and its gradient comes back by that name. It costs no
    more than the plain gradient: what is returned has been computed on the way.

    Values in a ``jit``, ``scan``, ``cond``, ``checkpoint`` or ``vmap`` are reached; those in a
    ``scan`` have a leading axis of its length, nested ones an axis each, outermost first. The
    gradient is of zeros where the value does not reach the loss, or is in a branch not taken;
    PyTorch has None there. ``fun`` is traced, so Python control flow that looks at the values of
    the argument to differentiate raises, as under ``jax.jit``.

    Args:
        fun: Returns a real scalar loss; ``(loss, aux)`` if ``has_aux``.
        names: Which tagged values; None means every floating-point and complex one.
        where: The leaves of the argument to differentiate, as for ``value_and_grad``.
        argnum: Position of the argument to differentiate; negative counts from the end.
        has_aux: Whether ``fun`` returns a pair of the loss and anything else.

    Returns:
        A function with the arguments of ``fun`` that returns ``(loss, grads, intermediates)``, or
        ``((loss, aux), grads, intermediates)``. ``intermediates`` has, for each name, an array of
        the shape and dtype of the value.

    Raises:
        SelectionError: No value has a name that was asked for, or several have; or ``where`` does
            not fit the argument.
        PrimitiveError: A value is in a function that cannot be passed: the body of a ``while``, a
            ``shard_map``, or one with a derivative rule of its own.
        LeafTypeError: A value that was asked for, or a selected leaf, is not floating-point.
        OutputError: The loss is not a real scalar, or not a pair though ``has_aux`` is set.
        ArgumentError: ``names`` is of another kind, or ``argnum`` no position of an argument.
        GradModeError: Gradients are off.

    Example:
        >>> from jax.ad_checkpoint import checkpoint_name
        >>> def loss(w, x):
        ...     h = checkpoint_name(w * x, "h")
        ...     return h**2
        >>> value, grad, intermediates = intermediate_grads(loss)(3.0, 2.0)
        >>> float(value), float(grad), {name: float(g) for name, g in intermediates.items()}
        (36.0, 24.0, {'h': 12.0})

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.retain_grad.html
        https://docs.jax.dev/en/latest/_autosummary/jax.ad_checkpoint.checkpoint_name.html
    """
    index = check_argnum("intermediate_grads", argnum)
    wanted = _check_names(names)

    @functools.wraps(fun)
    def with_intermediates(*args: Any, **kwargs: Any) -> tuple[Any, PyTree, dict[str, Any]]:
        require_grad_enabled("intermediate_grads")
        position = find_position("intermediate_grads", index, len(args))
        mask = select_for("functional_ad.intermediate_grads(where=...)", args[position], where)
        diff, rest = partition(args[position], mask)
        leaves, tree = jax.tree.flatten(diff)
        fixed: list[Any] = []  # what `fun` returns: its tree, and what of it is no array

        def call(leaves: list[Any]) -> list[Any]:
            argument = combine(jax.tree.unflatten(tree, leaves), rest)
            output = fun(*args[:position], argument, *args[position + 1 :], **kwargs)
            values, out_tree = jax.tree.flatten(output)
            traced = [isinstance(value, jax.Array) for value in values]
            fixed[:] = [out_tree, [None if t else v for v, t in zip(values, traced, strict=True)]]
            fixed.append(traced)
            return [value for value, is_traced in zip(values, traced, strict=True) if is_traced]

        program, _ = trace_arrays(call, leaves)
        tags = _select_tags(find_tags(program.jaxpr), wanted)
        out_tree, others, traced = fixed

        def of_slots(given: tuple[PyTree, dict[str, Any]]) -> Any:
            diff, slots = given
            outputs = iter(evaluate_with_slots(program.jaxpr, jax.tree.leaves(diff), slots))
            values = [
                next(outputs) if is_traced else other
                for other, is_traced in zip(others, traced, strict=True)
            ]
            return jax.tree.unflatten(out_tree, values)

        chosen = diff, {tag.name: tag.make_slot() for tag in tags}
        nothing = jax.tree.map(lambda _: None, chosen)
        value, (grads, intermediates) = differentiate(
            "intermediate_grads", of_slots, chosen, nothing, has_aux=has_aux
        )
        return value, grads, intermediates

    return with_intermediates


def _check_names(names: Any) -> list[str] | None:
    if names is None:
        return None
    listed = [names] if isinstance(names, str) else names
    if isinstance(listed, Sequence) and all(isinstance(name, str) for name in listed):
        return list(dict.fromkeys(listed))
    raise ArgumentError(
        explain(
            f"{_NAMES} must say which tagged values are meant.",
            expected="a name, or a list of names",
            got=_tree.describe_value(names),
            fix="Write the names that `jax.ad_checkpoint.checkpoint_name` was given.",
        )
    )


def _select_tags(tags: list[Tag], wanted: list[str] | None) -> list[Tag]:
    """The tags that are wanted, each of which must be there once, and where it can be reached."""
    there = sorted({tag.name for tag in tags})
    listed = _tree.list_paths(there) if there else "none: the function tags no value"
    if wanted is None:
        chosen = [tag for tag in tags if _tree.is_differentiable(tag.kind)]
    else:
        chosen = [tag for tag in tags if tag.name in wanted]
    missing = [repr(name) for name in wanted or () if name not in there]
    if missing or not chosen:
        raise SelectionError(
            explain(
                f"{_NAMES} must be names of values that the function tags.",
                expected=f"one of {listed}" if there else "at least one tagged value",
                got=", ".join(missing) or listed,
                fix="Tag a value with `h = jax.ad_checkpoint.checkpoint_name(h, 'h')`.",
            )
        )
    if hidden := dict.fromkeys(f"{t.name!r} in `{t.within}`" for t in chosen if t.within):
        raise PrimitiveError(
            explain(
                "`functional_ad.intermediate_grads(fun)` cannot reach a value in this operation.",
                expected="tagged values in `jit`, `scan`, `cond`, `checkpoint` or `vmap`",
                got=hidden,
                fix="Tag the operation's result instead, or leave the name out of `names`.",
            )
        )
    counts = collections.Counter(tag.name for tag in chosen)
    if double := [f"{name!r}, {count} times" for name, count in counts.items() if count > 1]:
        raise SelectionError(
            explain(
                f"{_NAMES} must be names of one value each.",
                expected=f"each name once; there are {listed}",
                got=double,
                fix="Give each value a name of its own, e.g. with the layer's number; for a tree, "
                "tag each leaf.",
            )
        )
    if integers := [
        _tree.name_leaf(tag.name, tag.kind)
        for tag in chosen
        if not _tree.is_differentiable(tag.kind)
    ]:
        raise LeafTypeError(
            explain(
                f"{_NAMES} selects a value that cannot have a gradient.",
                expected="floating-point or complex values",
                got=integers,
                fix="Leave it out of `names`.",
            )
        )
    return chosen
