"""Runs the program that a function traces to, with a rule that may answer for single equations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal


@dataclasses.dataclass(frozen=True)
class Step:
    """One equation on its way to be evaluated.

    Attributes:
        name: Of its primitive, e.g. ``"add"``.
        values: Its operands.
        literals: The operands that are floating-point constants of the program, as numbers; None
            for the others.
        makers: The steps that made the operands; None for inputs and constants.
        params: The equation's parameters.
        index: Its place in the order of evaluation.
    """

    name: str
    values: tuple[Any, ...]
    literals: tuple[float | None, ...]
    makers: tuple[Step | None, ...]
    params: dict[str, Any]
    index: int


Rule = Callable[[Step], Any]
"""The equation's result, or a Step to be evaluated in its place, or None: leave it as it is."""


@dataclasses.dataclass(frozen=True)
class Rewritten:
    """A function whose program is evaluated under a rule.

    Attributes:
        fn: The function; it is traced, so its control flow must not depend on values.
        rule: What is done with its equations.
    """

    fn: Callable[..., Any]
    rule: Rule

    def __call__(self, *inputs: Any) -> Any:
        """Traces the function and evaluates its program."""
        call, arrays = close_over_statics(self.fn, inputs)
        program, shapes = jax.make_jaxpr(call, return_shape=True)(*arrays)
        results = _Evaluation(self.rule).run(program, arrays)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)


def close_over_statics(
    fn: Callable[..., Any], inputs: tuple[Any, ...]
) -> tuple[Callable[..., Any], list[Any]]:
    """A function of the arrays in the inputs alone, and these arrays."""
    leaves, structure = jax.tree.flatten(inputs)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

    def call(*arrays: Any) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        return fn(*jax.tree.unflatten(structure, filled))

    return call, [leaves[place] for place in places]


def read_steps(fn: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Step]:
    """The equations of the program that a function traces to, with empty arrays for values."""
    steps: dict[int, Step] = {}

    def note(step: Step) -> None:
        steps[step.index] = dataclasses.replace(
            step,
            values=tuple(np.broadcast_to(np.float32(0), np.shape(v)) for v in step.values),
            makers=tuple(steps[maker.index] if maker else None for maker in step.makers),
        )

    call, arrays = close_over_statics(fn, inputs)
    program = jax.make_jaxpr(call)(*arrays)
    jax.eval_shape(lambda *args: _Evaluation(note).run(program, list(args)), *arrays)
    return list(steps.values())


class _Evaluation:
    """One pass over a program; inner programs are passed over where they are called."""

    def __init__(self, rule: Rule) -> None:
        self._rule, self._count = rule, 0

    def run(
        self, program: ClosedJaxpr, args: list[Any], makers: tuple[Step | None, ...] = ()
    ) -> list[Any]:
        return self._run(program, args, makers)[0]

    def _run(
        self, program: ClosedJaxpr, args: list[Any], makers: tuple[Step | None, ...]
    ) -> tuple[list[Any], list[Step | None]]:
        jaxpr = program.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, program.consts, strict=True))
        values |= dict(zip(jaxpr.invars, args, strict=True))
        made: dict[Any, Step | None] = dict(zip(jaxpr.invars, makers, strict=False))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else values[atom]

        def maker(atom: Any) -> Step | None:
            return None if isinstance(atom, Literal) else made.get(atom)

        for equation in jaxpr.eqns:
            self._count += 1
            step = Step(
                name=equation.primitive.name,
                values=tuple(map(read, equation.invars)),
                literals=tuple(map(_read_literal, equation.invars)),
                makers=tuple(map(maker, equation.invars)),
                params=equation.params,
                index=self._count,
            )
            answer = self._rule(step)
            origins: list[Step | None] = [step] * len(equation.outvars)
            if isinstance(answer, Step):
                step, answer = answer, None
            if answer is not None:
                results = [answer]
            elif step.name in ("jit", "pjit", "closed_call", "core_call"):
                results, origins = self._run(step.params["jaxpr"], list(step.values), step.makers)
            else:
                results = self._bind(equation, step)
            values |= dict(zip(equation.outvars, results, strict=True))
            made |= dict(zip(equation.outvars, origins, strict=True))
        return list(map(read, jaxpr.outvars)), list(map(maker, jaxpr.outvars))

    def _bind(self, equation: Any, step: Step) -> list[Any]:
        params = dict(step.params)
        if step.name in ("scan", "while", "cond"):
            for name, value in params.items():
                if isinstance(value, ClosedJaxpr):
                    params[name] = self._retrace(value)
                elif isinstance(value, tuple) and value and isinstance(value[0], ClosedJaxpr):
                    params[name] = tuple(map(self._retrace, value))
        params = equation.primitive.get_bind_params(params)
        result = equation.primitive.bind(*step.values, **params)
        return list(result) if equation.primitive.multiple_results else [result]

    def _retrace(self, program: ClosedJaxpr) -> ClosedJaxpr:
        """The body of a loop or branch, rewritten."""
        shapes = [
            jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
            for aval in program.in_avals
        ]
        return jax.make_jaxpr(lambda *args: self.run(program, list(args)))(*shapes)


def _read_literal(atom: Any) -> float | None:
    if not isinstance(atom, Literal):
        return None
    value: Any = atom.val
    return float(value) if jnp.issubdtype(jnp.result_type(value), jnp.floating) else None
