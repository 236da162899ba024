"""Mistakes that can be made on purpose in a JAX function: mutation testing on its program.

A defect is found in the program of one run and made again in every other, at whatever dtype: a step
is known by its operation and its place among those of the same operation.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from comparisons._trees import flatten
from functional_ad._program import CUSTOM_RULES, Program, Step, evaluate, trace, walk

EPS_RANGE = (1e-12, 1e-2)  # constants of this size are there to avoid a division by zero
SLIGHTLY = 1e-3
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin", "cumsum"}

Change = Callable[[Step, list[Any]], list[Any]]


@dataclasses.dataclass(frozen=True)
class Defect:
    """One mistake in one place.

    Attributes:
        kind: What is done, e.g. ``"transposed operand"``.
        where: The line, or the input.
        make: Turns a function into one that makes this mistake.
    """

    kind: str
    where: str
    make: Callable[[Callable[..., Any]], Callable[..., Any]]


def find_defects(
    fn: Callable[..., Any], args: tuple[Any, ...], *, differentiated: bool, limit: int
) -> list[Defect]:
    """Up to ``limit`` defects of a function, of as many kinds as there are.

    Args:
        fn: The function.
        args: Its arguments; they are read for their shapes and structure only.
        differentiated: Whether derivatives are compared, so that mistakes in them count, and so
            that functions with a derivative rule of their own must be left whole.
        limit: How many at most.
    """
    found: dict[str, list[Defect]] = defaultdict(list)
    for defect in _change_inputs(args, differentiated):
        found[defect.kind].append(defect)
    program = trace(fn, args)
    if program is not None:
        for defect in _change_steps(program, differentiated):
            found[defect.kind].append(defect)
    return _spread(list(found.values()), limit)


def _spread(groups: list[list[Defect]], limit: int) -> list[Defect]:
    """Takes from each group in turn, and within a group first, last, middle and so on."""
    orders = [iter(_order_outside_in(group)) for group in groups]
    chosen: list[Defect] = []
    while orders and len(chosen) < limit:
        for order in list(orders):
            defect = next(order, None)
            if defect is None:
                orders.remove(order)
            elif len(chosen) < limit:
                chosen.append(defect)
    return chosen


def _order_outside_in(group: Sequence[Defect]) -> Iterator[Defect]:
    """The first, the last, then the middle of what lies between, breadth first."""
    if not group:
        return
    seen = {0, len(group) - 1}
    yield from (group[index] for index in sorted(seen))
    spans = [(0, len(group) - 1)]
    while spans:
        low, high = spans.pop(0)
        middle = (low + high) // 2
        if middle not in seen:
            seen.add(middle)
            yield group[middle]
            spans += [(low, middle), (middle, high)]


def _change_inputs(args: tuple[Any, ...], differentiated: bool) -> Iterator[Defect]:
    for path, leaf in flatten(args).items():
        if not (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)):
            continue
        where = f"input {path}"
        yield Defect("input replaced by zeros", where, _on_input(path, jnp.zeros_like))
        if leaf.ndim == 2 and leaf.shape[0] == leaf.shape[1] > 1:
            yield Defect("transposed input", where, _on_input(path, jnp.transpose))
        if differentiated:
            yield Defect("gradient scaled by 1.001", where, _on_input(path, _scale_gradient))


def _scale_gradient(x: Any) -> Any:
    return x + SLIGHTLY * (x - jax.lax.stop_gradient(x))


def _on_input(
    path: str, change: Callable[[Any], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(fn: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            leaves = flatten(args)
            leaves[path] = change(leaves[path])
            return fn(*jax.tree.unflatten(jax.tree.structure(args), list(leaves.values())))

        return changed

    return make


def _change_steps(program: Program, differentiated: bool) -> Iterator[Defect]:
    stretched = {
        step.equation.outvars[0]
        for step in walk(program)
        if step.op == "broadcast_in_dim" and step.in_types[0].size < step.out_types[0].size
    }
    for number, step in _number_steps(program, into_custom=not differentiated):
        if step.is_entered and not (differentiated and step.op in CUSTOM_RULES):
            continue
        where = step.line or step.op
        for kind, change in _find_changes(step, stretched, differentiated):
            make = _on_step(step.op, number, change, into_custom=not differentiated)
            yield Defect(kind, where, make)


def _number_steps(program: Program, *, into_custom: bool) -> Iterator[tuple[int, Step]]:
    """Steps with their place among those of the same operation, which no dtype changes."""
    counts: dict[str, int] = defaultdict(int)
    for step in walk(program, into_custom=into_custom):
        yield counts[step.op], step
        counts[step.op] += 1


def _on_step(
    op: str, number: int, change: Change, *, into_custom: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(fn: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            program = trace(fn, args)
            if program is None:
                raise TypeError("The function cannot be traced for these arguments.")
            steps = _number_steps(program, into_custom=into_custom)
            path = next(s.path for n, s in steps if s.op == op and n == number)

            def hook(step: Step, inputs: list[Any]) -> list[Any]:
                return change(step, inputs) if step.path == path else step.run(inputs)

            return evaluate(program, args, hook, into_custom=into_custom)

        return changed

    return make


def _find_changes(
    step: Step, stretched: set[Any], differentiated: bool
) -> Iterator[tuple[str, Change]]:
    """The kinds of defects that one step allows."""
    if not all(hasattr(kind, "dtype") for kind in step.out_types):
        return
    floating = jnp.issubdtype(step.out_types[0].dtype, jnp.inexact)
    if step.op in ("add", "sub") and floating:
        yield "wrong sign", _swap_sign
        second = step.equation.invars[1]
        for index in (0, 1):
            operand = step.equation.invars[index]
            if not isinstance(operand, Literal) and (operand in stretched or operand is second):
                yield "dropped addition", _drop(1 - index)
                break
    if step.op == "neg" and floating:
        yield "wrong sign", lambda _, inputs: inputs
    if step.op == "dot_general":
        for index, axes in enumerate(_find_square_axes(step)):
            if axes:
                yield "transposed operand", _transpose_operand(index, axes)
    if step.op in ("add", "sub", "mul", "div", "pow"):
        yield from _change_constants(step)
    if step.op in REDUCTIONS and (axes := _find_other_axis(step)):
        yield "wrong axis", _transpose_operand(0, axes)
    if step.op == "reduce_sum" and floating and (count := _count_summed(step)) > 1:
        yield "mean for a sum", lambda s, i: [out / count for out in s.run(i)]
    if differentiated and floating and step.op not in ("stop_gradient", "broadcast_in_dim"):
        yield "gradient stopped", lambda s, i: [jax.lax.stop_gradient(out) for out in s.run(i)]


def _swap_sign(step: Step, inputs: list[Any]) -> list[Any]:
    second = inputs[1]
    return step.run([inputs[0], -jnp.asarray(second)])


def _drop(kept: int) -> Change:
    """The operand that is kept, with the sign that it has in the result."""

    def change(step: Step, inputs: list[Any]) -> list[Any]:
        value = jnp.asarray(inputs[kept])
        sign = -1 if step.op == "sub" and kept == 1 else 1
        return [sign * jnp.broadcast_to(value, step.out_types[0].shape)]

    return change


def _find_square_axes(step: Step) -> list[tuple[int, int] | None]:
    """For each operand of a product, two axes to swap that leave the shapes as they are."""
    contracted, batch = step.equation.params["dimension_numbers"]
    found: list[tuple[int, int] | None] = []
    for kind, over, along in zip(step.in_types, contracted, batch, strict=True):
        free = [axis for axis in range(len(kind.shape)) if axis not in (*over, *along)]
        pairs = [(a, b) for a in over for b in free if kind.shape[a] == kind.shape[b] > 1]
        found.append(pairs[0] if pairs else None)
    return found


def _transpose_operand(index: int, axes: tuple[int, int]) -> Change:
    def change(step: Step, inputs: list[Any]) -> list[Any]:
        swapped = list(inputs)
        swapped[index] = jnp.swapaxes(inputs[index], *axes)
        return step.run(swapped)

    return change


def _find_other_axis(step: Step) -> tuple[int, int] | None:
    """The axis that is reduced and another of the same length; None if there is none."""
    params, shape = step.equation.params, step.in_types[0].shape
    axes = params["axes"] if "axes" in params else (params["axis"],)
    pairs = [
        (a, b)
        for a in axes
        for b in range(len(shape))
        if b not in axes and shape[a] == shape[b] > 1
    ]
    return pairs[0] if pairs else None


def _count_summed(step: Step) -> int:
    return math.prod(step.in_types[0].shape[axis] for axis in step.equation.params["axes"])


def _change_constants(step: Step) -> Iterator[tuple[str, Change]]:
    for index, operand in enumerate(step.equation.invars):
        if not isinstance(operand, Literal) or np.ndim(operand.val):
            continue
        if not jnp.issubdtype(step.in_types[index].dtype, jnp.floating):
            continue
        value = float(operand.val)
        if not math.isfinite(value) or value == 0:
            continue
        if EPS_RANGE[0] <= abs(value) <= EPS_RANGE[1]:
            yield f"constant {value:.3g} times 10", _scale_operand(index, 10.0)
        else:
            yield "constant off by 0.1 %", _scale_operand(index, 1 + SLIGHTLY)


def _scale_operand(index: int, factor: float) -> Change:
    def change(step: Step, inputs: list[Any]) -> list[Any]:
        scaled = list(inputs)
        scaled[index] = inputs[index] * np.asarray(factor, step.in_types[index].dtype)
        return step.run(scaled)

    return change
