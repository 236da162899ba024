"""PyTorch's rule on a jaxpr: which values require a gradient, and which lie on a gradient's path.

A result requires a gradient if it is floating-point or complex, one of the inputs does, and the
operation is not ``stop_gradient``. Nothing is said of derivatives that are zero: as in PyTorch,
rounding passes the flag on. Regions, such as the body of a loop, are gone into, value by value; a
function with a derivative rule of its own is one operation, as a ``torch.autograd.Function`` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal

from functional_ad._regions import Body, has_own_rule, list_bodies

Flags = Mapping[Any, bool]
"""A flag for each variable. A literal has none, which means False."""


def find_required(equations: Iterable[JaxprEqn], given: Flags) -> dict[Any, bool]:
    """Says of every value whether it requires a gradient.

    Args:
        equations: In the order in which they run.
        given: The flags of the values that they start from.
    """
    flags = dict(given)
    for equation in equations:
        inputs = [read(flags, atom) for atom in equation.invars]
        flags |= zip(equation.outvars, _require(equation, inputs), strict=True)
    return flags


def find_reached(equations: Sequence[JaxprEqn], required: Flags, ends: Sequence[Any]) -> Flags:
    """Says of every value whether a gradient passes it on its way back from ``ends``.

    Args:
        equations: In the order in which they run.
        required: What ``find_required`` said.
        ends: The values whose gradients are given.
    """
    reached = dict.fromkeys(required, False)
    reached |= {atom: True for atom in ends if read(required, atom)}
    for equation in reversed(equations):
        hits = reach_inputs(equation, required, reached)
        reached |= {atom: True for atom, hit in zip(equation.invars, hits, strict=True) if hit}
    return reached


def find_required_inside(body: Body, given: Sequence[bool]) -> dict[Any, bool]:
    """``find_required`` in a region, after as many iterations as change anything.

    Args:
        body: The region.
        given: The flags of the equation's inputs.
    """
    inputs = [given[place] for place in body.inputs]
    constants = dict.fromkeys(body.jaxpr.constvars, False)
    while True:
        start = constants | dict(zip(body.jaxpr.invars, inputs, strict=True))
        flags = find_required(body.jaxpr.eqns, start)
        fed = list(inputs)
        for output, place in body.feedback.items():
            fed[place] |= read(flags, body.jaxpr.outvars[output])
        if fed == inputs:
            return flags
        inputs = fed


def find_reached_inside(body: Body, required: Flags, outputs: Sequence[bool]) -> Flags:
    """``find_reached`` in a region, after as many iterations as change anything.

    Args:
        body: The region.
        required: What ``find_required_inside`` said.
        outputs: The flags of the equation's outputs.
    """
    wanted = [outputs[place] for place in body.outputs]
    while True:
        pairs = zip(body.jaxpr.outvars, wanted, strict=False)
        reached = find_reached(body.jaxpr.eqns, required, [atom for atom, want in pairs if want])
        fed = list(wanted)
        for output, place in body.feedback.items():
            fed[output] |= reached[body.jaxpr.invars[place]]
        if fed == wanted:
            return reached
        wanted = fed


def reach_inputs(equation: JaxprEqn, required: Flags, reached: Flags) -> list[bool]:
    """Which inputs of one equation the gradients of its outputs are passed on to."""
    inputs = [read(required, atom) for atom in equation.invars]
    outputs = [reached[variable] for variable in equation.outvars]
    flags = [False for _ in inputs]
    if not any(outputs):
        return flags
    bodies = [] if has_own_rule(equation) else list_bodies(equation)
    if not bodies:
        return list(inputs)
    for body in bodies:
        required = find_required_inside(body, inputs)
        reached = find_reached_inside(body, required, outputs)
        for variable, place in zip(body.jaxpr.invars, body.inputs, strict=True):
            flags[place] |= reached[variable]
        if body.may_be_skipped:
            for output, place in body.feedback.items():
                flags[body.inputs[place]] |= outputs[body.outputs[output]]
    return [hit and given for hit, given in zip(flags, inputs, strict=True)]


def read(flags: Flags, atom: Any) -> bool:
    """The flag of a variable; False for a literal."""
    return False if isinstance(atom, Literal) else flags[atom]


def _require(equation: JaxprEqn, inputs: Sequence[bool]) -> list[bool]:
    """Which outputs of one equation require a gradient."""
    flags = [False for _ in equation.outvars]
    if not any(inputs) or equation.primitive.name == "stop_gradient":
        return flags
    bodies = [] if has_own_rule(equation) else list_bodies(equation)
    if not bodies:
        return [_is_floating(variable) for variable in equation.outvars]
    for body in bodies:
        required = find_required_inside(body, inputs)
        for output, place in enumerate(body.outputs):
            flags[place] |= read(required, body.jaxpr.outvars[output])
            if body.may_be_skipped:
                flags[place] |= required[body.jaxpr.invars[body.feedback[output]]]
    return flags


def _is_floating(variable: Any) -> bool:
    return hasattr(variable.aval, "dtype") and jnp.issubdtype(variable.aval.dtype, jnp.inexact)
