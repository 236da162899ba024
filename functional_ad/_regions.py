"""The functions that an equation holds, and how their values are those of the equation.

A compiled or checkpointed function, the body of a loop, a branch: the picture of a program opens
them, and flags are carried through them. Other functions in an equation's parameters, such as the
one that a reduction applies to pairs of elements, belong to the operation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn

from functional_ad._compat import scan_counts
from functional_ad._program import CALLS, CUSTOM_RULES, open_jaxpr

_SHARDED = {"shard_map": "jaxpr"}  # evaluated elsewhere: its values are shards


@dataclasses.dataclass(frozen=True)
class Body:
    """One function that an equation holds.

    Attributes:
        name: Which of them it is: ``"body"``, ``"condition"``, ``"branch 0"``.
        jaxpr: Its equations.
        constants: The values of its constants.
        inputs: For each of its inputs, the position among the equation's.
        outputs: For each of its outputs, the position among the equation's; empty for a condition,
            whose output is not one of them.
        feedback: For each output that goes into the next iteration, by position, the input there.
        slices: Positions of the inputs that are slices of the equation's.
        may_be_skipped: Whether the outputs may be the inputs of ``feedback``, for no iterations.
    """

    name: str
    jaxpr: Jaxpr
    constants: Sequence[Any]
    inputs: Sequence[int]
    outputs: Sequence[int]
    feedback: Mapping[int, int] = dataclasses.field(default_factory=dict[int, int])
    slices: Sequence[int] = ()
    may_be_skipped: bool = False


def list_bodies(equation: JaxprEqn) -> list[Body]:
    """The functions that an equation holds; none for an operation."""
    params, name = equation.params, equation.primitive.name
    inputs, outputs = range(len(equation.invars)), range(len(equation.outvars))
    if name == "scan":
        constants, carried = scan_counts(equation)
        feedback = {j: constants + j for j in range(carried)}
        slices = inputs[constants + carried :]
        body = open_jaxpr(params["jaxpr"])
        return [Body("body", *body, inputs, outputs, feedback, slices)]
    if name == "while":
        tested, constants = params["cond_nconsts"], params["body_nconsts"]
        test = [*inputs[:tested], *inputs[tested + constants :]]
        feedback = {j: constants + j for j in outputs}
        return [
            Body("condition", *open_jaxpr(params["cond_jaxpr"]), test, ()),
            Body(
                "body",
                *open_jaxpr(params["body_jaxpr"]),
                inputs[tested:],
                outputs,
                feedback,
                may_be_skipped=True,
            ),
        ]
    if name == "cond":
        return [
            Body(f"branch {index}", *open_jaxpr(branch), inputs[1:], outputs)
            for index, branch in enumerate(params["branches"])
        ]
    if parameter := (CALLS | _SHARDED).get(name):
        return [Body("body", *open_jaxpr(params[parameter]), inputs, outputs)]
    return []


def has_own_rule(equation: JaxprEqn) -> bool:
    """Whether an equation calls a function that has a derivative rule of its own."""
    return equation.primitive.name in CUSTOM_RULES
