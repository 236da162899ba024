"""Values that a program tags with ``checkpoint_name``, and its evaluation with a slot at each.

A slot is added to the derivative, not to the value: its cotangent is the gradient of the tagged
value, and the program computes what it did. Slots are handed into the regions that hold tags;
everything else is left as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params

from functional_ad._compat import scan_counts
from functional_ad._mesh import make_zero
from functional_ad._program import CALLS, Step, evaluate_equations, match_types, open_jaxpr
from functional_ad._regions import has_own_rule

_REMATERIALISED = ("checkpoint", "remat2")


@dataclasses.dataclass(frozen=True)
class Tag:
    """A tagged value.

    Attributes:
        name: Its name.
        kind: Its shape and dtype.
        lengths: Of the loops that it is in, outermost first.
        within: The primitive that it is in and that cannot be passed, if there is one.
    """

    name: str
    kind: Any
    lengths: tuple[int, ...]
    within: str | None

    def make_slot(self) -> Any:
        """Zeros of the shape of its gradient."""
        zero = make_zero(self.kind)
        return jnp.broadcast_to(zero, (*self.lengths, *zero.shape)) if self.lengths else zero


def find_tags(jaxpr: Any) -> list[Tag]:
    """Every value that a program tags, in order, those that cannot be reached too."""
    return _find_tags(open_jaxpr(jaxpr)[0], (), None)


def _find_tags(jaxpr: Jaxpr, lengths: tuple[int, ...], within: str | None) -> list[Tag]:
    tags: list[Tag] = []
    for equation in jaxpr.eqns:
        op, params = equation.primitive.name, equation.params
        if op == "name":
            tags.append(Tag(params["name"], equation.outvars[0].aval, lengths, within))
            continue
        inside = within or (None if _can_pass(equation) else op)
        around = (*lengths, params["length"]) if op == "scan" else lengths
        for body in jaxprs_in_params(params):
            tags += _find_tags(open_jaxpr(body)[0], around, inside)
    return tags


def _can_pass(equation: JaxprEqn) -> bool:
    op = equation.primitive.name
    return op in ("scan", "cond") or (op in CALLS and not has_own_rule(equation))


def evaluate_with_slots(jaxpr: Any, inputs: Sequence[Any], slots: Mapping[str, Any]) -> list[Any]:
    """Evaluates a program whose tagged values depend on slots, as far as derivatives go.

    Args:
        jaxpr: The program.
        inputs: Values of its inputs.
        slots: For each tag, what ``make_slot`` made of it.
    """

    def compute(_: int, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
        inner = _choose(equation, slots)
        if not inner:
            return Step(equation, ()).run(inputs)
        op, params = equation.primitive.name, equation.params
        if op == "name":
            return [_tap(Step(equation, ()).run(inputs)[0], inner[params["name"]])]
        if op == "scan":
            return _scan(equation, inputs, inner)
        if op == "cond":
            branches = [_make_call(branch) for branch in params["branches"]]
            return list(lax.switch(inputs[0], branches, inputs[1:], inner))
        call = _make_call(params[CALLS[op]])
        if op in _REMATERIALISED:
            call = jax.checkpoint(call, policy=params["policy"], prevent_cse=params["prevent_cse"])
        elif op in ("jit", "pjit"):
            call = _compile(call, params)
        return list(call(inputs, inner))

    return evaluate_equations(jaxpr, inputs, compute)


def _choose(equation: JaxprEqn, slots: Mapping[str, Any]) -> dict[str, Any]:
    """The slots of the values that an equation tags, or the functions in it."""
    if equation.primitive.name == "name":
        names = {equation.params["name"]}
    else:
        bodies = jaxprs_in_params(equation.params)
        names = {tag.name for body in bodies for tag in find_tags(body)}
    return {name: slot for name, slot in slots.items() if name in names}


def _make_call(jaxpr: Any) -> Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]:
    return lambda inputs, slots: evaluate_with_slots(jaxpr, inputs, slots)


def _scan(equation: JaxprEqn, inputs: list[Any], slots: dict[str, Any]) -> list[Any]:
    """The loop, with a slice of each slot in each iteration."""
    params = equation.params
    constants, carried = scan_counts(equation)
    start = constants + carried
    body, _ = open_jaxpr(params["jaxpr"])

    def step(carry: list[Any], slices: tuple[list[Any], dict[str, Any]]) -> tuple[Any, Any]:
        given = [*inputs[:constants], *carry, *slices[0]]
        outputs = evaluate_with_slots(params["jaxpr"], given, slices[1])
        return match_types(outputs[:carried], body.outvars), outputs[carried:]

    carry, stacked = lax.scan(
        step,
        match_types(inputs[constants:start], body.outvars),
        (inputs[start:], slots),
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*carry, *stacked]


def _compile(call: Callable[..., list[Any]], params: Mapping[str, Any]) -> Callable[..., Any]:
    """``jax.jit`` with the shardings that the function was compiled with."""

    def constrain(values: Sequence[Any], shardings: Sequence[Any]) -> list[Any]:
        return [
            lax.with_sharding_constraint(value, sharding)
            if isinstance(sharding, jax.sharding.Sharding)
            else value
            for value, sharding in zip(values, shardings, strict=True)
        ]

    def compiled(inputs: list[Any], slots: Mapping[str, Any]) -> list[Any]:
        outputs = call(constrain(inputs, params["in_shardings"]), slots)
        return constrain(outputs, params["out_shardings"])

    compiled.__name__ = params["name"]
    return jax.jit(compiled)


@jax.custom_jvp
def _tap(value: Any, slot: Any) -> Any:
    """The value; its derivative is that of ``value + slot``."""
    del slot
    return value


@_tap.defjvp
def _differentiate_tap(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    return _tap(*primals), tangents[0] + tangents[1]
