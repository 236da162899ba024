"""A user's function, looked at where the atlas says that the frameworks differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal

from comparisons.cases.atlas import OPS, Op
from functional_ad._program import CALLS, Step, evaluate_equations

Array = np.ndarray[Any, Any]
LOOPS_LOOKED_AT = 64  # iterations of a loop
ARGUMENTS = ("x", "y", "z")


@dataclasses.dataclass(frozen=True)
class Trap:
    """A place in a function where PyTorch and JAX differ, at the numbers that come there.

    Attributes:
        op: The operation of the atlas.
        line: The user's line, as ``"file.py:12"``; None if it is not known.
        count: How many elements are at an edge.
        of: How many elements there are.
        index: The first of them.
        value: The number there.
    """

    op: Op
    line: str | None
    count: int
    of: int
    index: tuple[int, ...]
    value: float


def check_function(fn: Callable[..., Any], *args: Any) -> list[Trap]:
    """Lists the operations of a JAX function whose inputs are at an edge of the atlas.

    The function is traced, and evaluated equation by equation at the arguments. Calls, conditions
    and loops are gone into, a loop for its first 64 iterations.

    Args:
        fn: A function of JAX arrays.
        *args: Its arguments: pytrees of arrays.

    Returns:
        The traps, in the order in which the function comes to them, each line and operation once.
    """
    leaves, tree = jax.tree.flatten(args)
    arrays = [leaf if isinstance(leaf, jax.Array) else np.asarray(leaf) for leaf in leaves]
    jaxpr = jax.make_jaxpr(lambda *xs: fn(*jax.tree.unflatten(tree, xs)))(*arrays)
    search = _Search()
    search.evaluate(jaxpr, arrays, ())
    return list(search.found.values())


class _Search:
    """One evaluation, and what it has found."""

    def __init__(self) -> None:
        self.found: dict[tuple[str | None, str], Trap] = {}
        self._known: dict[str, list[Op]] = {}
        for op in OPS:
            if op.seen_as:
                self._known.setdefault(op.seen_as, []).append(op)

    def evaluate(
        self, jaxpr: Any, inputs: Sequence[Any], callers: tuple[JaxprEqn, ...]
    ) -> list[Any]:
        differentiated = _find_differentiated(jaxpr)

        def compute(index: int, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
            step = Step(equation, (index,), callers)
            if differentiated.isdisjoint(equation.outvars):
                return step.run(inputs)
            return self._compute(step, inputs)

        return evaluate_equations(jaxpr, inputs, compute)

    def _compute(self, step: Step, inputs: list[Any]) -> list[Any]:
        equation, params = step.equation, step.equation.params
        callers = (*step.callers, equation)
        name = params.get("name") if step.op in CALLS else step.op
        ops = self._known.get(str(name), [])
        for op in ops:
            self._try(op, step, inputs)
        if ops and step.op in CALLS:
            return step.run(inputs)  # what it is made of is not the user's
        if step.op == "cond":
            branch = params["branches"][int(np.asarray(inputs[0]))]
            return self.evaluate(branch, inputs[1:], callers)
        if step.op == "scan":
            self._look_into_scan(step, inputs, callers)
            return step.run(inputs)
        if step.op == "while":
            self._look_into_while(step, inputs, callers)
            return step.run(inputs)
        if step.op in CALLS:
            return self.evaluate(params[CALLS[step.op]], inputs, callers)
        return step.run(inputs)

    def _look_into_scan(self, step: Step, inputs: list[Any], callers: tuple[JaxprEqn, ...]) -> None:
        from functional_ad._compat import scan_counts

        params = step.equation.params
        constants, carried = scan_counts(step.equation)
        fixed, carry = inputs[:constants], inputs[constants : constants + carried]
        order = range(params["length"])
        for i in list(reversed(order) if params["reverse"] else order)[:LOOPS_LOOKED_AT]:
            slices = [x[i] for x in inputs[constants + carried :]]
            outputs = self.evaluate(params["jaxpr"], [*fixed, *carry, *slices], callers)
            carry = outputs[:carried]

    def _look_into_while(
        self, step: Step, inputs: list[Any], callers: tuple[JaxprEqn, ...]
    ) -> None:
        params = step.equation.params
        tested, constants = params["cond_nconsts"], params["body_nconsts"]
        ahead, fixed = inputs[:tested], inputs[tested : tested + constants]
        carry = inputs[tested + constants :]
        for _ in range(LOOPS_LOOKED_AT):
            if not self.evaluate(params["cond_jaxpr"], [*ahead, *carry], callers)[0]:
                break
            carry = self.evaluate(params["body_jaxpr"], [*fixed, *carry], callers)

    def _try(self, op: Op, step: Step, inputs: list[Any]) -> None:
        arrays = [np.asarray(x) for x in inputs]
        names: dict[str, Any] = dict(zip(ARGUMENTS, arrays, strict=False))
        names |= {"np": np, "p": step.equation.params}
        with np.errstate(all="ignore"):
            try:
                hit = np.asarray(eval(op.trap, names), bool)  # the text is the project's own data
            except (IndexError, KeyError, NameError, TypeError, ValueError):
                return  # another use of the same name
        if not hit.any():
            return
        key = (step.line, op.name)
        if key in self.found:
            return
        index = tuple(int(i) for i in np.argwhere(hit)[0])
        shape = hit.shape == arrays[0].shape
        value = float(np.real(arrays[0][index])) if shape and arrays[0].size else float("nan")
        self.found[key] = Trap(op, step.line, int(hit.sum()), hit.size, index, value)


def _find_differentiated(jaxpr: Any) -> set[Any]:
    """The variables that a gradient comes back to: not the maximum that softmax subtracts."""
    body = getattr(jaxpr, "jaxpr", jaxpr)
    found = set(filter(_is_differentiable, body.outvars))
    for equation in reversed(body.eqns):
        if equation.primitive.name != "stop_gradient" and not found.isdisjoint(equation.outvars):
            found.update(filter(_is_differentiable, equation.invars))
    return found


def _is_differentiable(atom: Any) -> bool:
    return not isinstance(atom, Literal) and jnp.issubdtype(atom.aval.dtype, jnp.inexact)
