"""One evaluation of a program, operation by operation, three times side by side.

On its true values; on repaired ones, where whatever begins to be not finite is replaced by 1; and
on repaired ones with chosen beginnings left as they are. Values that are the same in all three are
computed once, and loops and conditions go the way of the true values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from functional_ad._compat import scan_counts
from functional_ad._errors import PrimitiveError, explain
from functional_ad._nonfinite._plan import Key, Origin, Place, Plan
from functional_ad._nonfinite._values import (
    Value,
    find_bad,
    is_finite,
    is_floating,
    pick_at,
    replace_at,
    restore,
    share,
    stack,
    take_at,
    unshare,
)
from functional_ad._program import CALLS, Step, evaluate_body, open_jaxpr

# From here on, an iteration of a loop is first run compiled, and opened only if something begins.
SHORT_LOOP = 8


class Run:
    """One evaluation; what is compiled, and what has effects, is shared with the others."""

    def __init__(self, plan: Plan, compiled: dict[int, Any], effects: dict[Key, list[Any]]) -> None:
        self.plan, self.compiled, self.effects = plan, compiled, effects
        self.origins: list[Origin] = []
        self.written: dict[int, Any] = {}  # held, so that no other value gets the same id

    def evaluate(
        self, program: ClosedJaxpr, values: Sequence[Any]
    ) -> tuple[list[Value], list[Origin]]:
        """The outputs, and the origins in the program, in order."""
        given = [self._take(number, value) for number, value in enumerate(values)]
        count = len(program.consts)
        outputs = self._evaluate(program, given[count:], Place(), given[:count])
        return outputs, self.origins

    def _take(self, number: int, value: Any) -> Value:
        """A value from outside of the program, which may be not finite already."""
        if not is_floating(value) or is_finite(value):
            return Value(value, value, value)
        bad = ~np.isfinite(np.asarray(value))
        key: Key = ((-1, number), ())
        self._note(key, None, number, Place(), [], value, value, bad)
        repaired = replace_at(value, bad, 1)
        return Value(value, repaired, value if self.plan.leave(key) else repaired)

    def _evaluate(
        self,
        body: Any,
        inputs: Sequence[Value],
        place: Place,
        constants: Sequence[Value] | None = None,
    ) -> list[Value]:
        jaxpr, held = open_jaxpr(body)
        if constants is None:
            constants = [Value(value, value, value) for value in held]
        values: dict[Any, Value] = dict(zip(jaxpr.constvars, constants, strict=True))
        values |= zip(jaxpr.invars, inputs, strict=True)

        def read(atom: Any) -> Value:
            return Value(*[atom.val] * 3) if isinstance(atom, Literal) else values[atom]

        for index, equation in enumerate(jaxpr.eqns):
            here = place._replace(path=(*place.path, index))
            given = [read(atom) for atom in equation.invars]
            if self.plan.constants:
                given = self._doubt_constants(equation, given, here)
            outputs = self._step(equation, given, here)
            values |= zip(equation.outvars, outputs, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _step(self, equation: JaxprEqn, inputs: list[Value], place: Place) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        inner = place._replace(callers=(*place.callers, equation))
        if name == "scan":
            return self._scan(equation, inputs, inner)
        if name == "while":
            return self._while(equation, inputs, inner)
        if name == "cond":
            branch = int(np.clip(int(inputs[0].true), 0, len(params["branches"]) - 1))
            inner = inner._replace(
                path=(*inner.path, branch),
                around=(*inner.around, f"branch {branch} of {_name(inner)}"),
            )
            return self._evaluate(params["branches"][branch], inputs[1:], inner)
        if name in CALLS:
            inner = inner._replace(path=(*inner.path, 0))
            return self._evaluate(params[CALLS[name]], inputs, inner)
        return self._compute(Step(equation, place.path, place.callers), inputs, place)

    def _compute(self, step: Step, inputs: list[Value], place: Place) -> list[Value]:
        key: Key = (step.path, place.iterations)
        if step.equation.effects:
            return self._run_once(step, inputs, key)
        if self.plan.watch and place.iterations == self.plan.opened:
            self.plan.watch(step, key, [value.true for value in inputs])
        true = step.run([value.true for value in inputs])
        repaired = self._again(step, inputs, 1, 0, true)
        left = self._again(step, inputs, 2, 1, repaired)
        values: list[Value] = []
        for raw, fixed, kept in zip(true, repaired, left, strict=True):
            if not is_floating(raw):
                values.append(Value(raw, raw, raw))
                continue
            if not is_finite(fixed):
                bad = find_bad(step.op, [value.repaired for value in inputs], fixed)
                if bad.any():
                    if not is_finite(pick_at(raw, bad)):  # else only the repairs have led to it
                        self._note(key, step, None, place, inputs, raw, fixed, bad)
                    whole, fixed = fixed, replace_at(fixed, bad, 1)
                    if kept is whole and not self.plan.leave(key):
                        kept = fixed
                    elif not self.plan.leave(key):
                        kept = restore(step.op, inputs, kept, fixed, bad)
            if self.plan.poison and self.plan.poison[0] == key:
                where = self.plan.poison[1]
                kept = replace_at(
                    kept, where if np.shape(where) == np.shape(kept) else True, np.nan
                )
            fixed = share(fixed, raw)
            values.append(Value(raw, fixed, share(kept, fixed)))
        return values

    def _again(self, step: Step, inputs: list[Value], stream: int, base: int, known: Any) -> Any:
        """The outputs for another of the three values; those that are known if nothing differs."""
        if all(value[stream] is value[base] for value in inputs):
            return known
        return step.run([value[stream] for value in inputs])

    def _run_once(self, step: Step, inputs: list[Value], key: Key) -> list[Value]:
        """What has effects is run once in all evaluations, on the true values."""
        refs = [v for v in (*step.in_types, *step.out_types) if hasattr(v, "inner_aval")]
        if refs:
            raise PrimitiveError(
                explain(
                    "`functional_ad.first_nonfinite(fun)` cannot look into a `jax.Ref`.",
                    expected="operations on values",
                    got=f"{step.op!r} at {step.line}",
                    fix="Pass the values and return new ones instead of writing to a Ref.",
                )
            )
        if not step.out_types:  # prints, and the like
            return []
        if key not in self.effects:
            self.effects[key] = step.run([value.true for value in inputs])
        return [Value(output, output, output) for output in self.effects[key]]

    def _doubt_constants(
        self, equation: JaxprEqn, inputs: list[Value], place: Place
    ) -> list[Value]:
        """Takes infinities and NaN that are written in the program for origins."""
        step = Step(equation, place.path, place.callers)
        key: Key = (step.path, place.iterations)
        doubted: list[Value] = []
        for atom, value in zip(equation.invars, inputs, strict=True):
            written = isinstance(atom, Literal) or id(value.true) in self.written
            if written and not is_finite(value.true) and step.is_entered:
                self.written[id(value.true)] = value.true  # what uses it in there is to be named
            elif written and not is_finite(value.true):
                bad = ~np.isfinite(np.asarray(value.true))
                self._note(key, step, None, place, inputs, value.true, value.true, bad)
                one = replace_at(value.true, bad, 1)
                value = Value(value.true, one, value.true if self.plan.leave(key) else one)
            doubted.append(value)
        return doubted

    def _note(
        self,
        key: Key,
        step: Step | None,
        source: int | None,
        place: Place,
        inputs: Sequence[Value],
        true: Any,
        made: Any,
        bad: Any,
    ) -> None:
        if any(origin.key == key for origin in self.origins[-2:]):
            return  # another output of the same step
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        became = complex(np.asarray(made)[index].astype(np.complex128))
        given = tuple(value.true for value in inputs)
        self.origins.append(Origin(key, step, source, place.around, given, true, index, became))

    def _scan(self, equation: JaxprEqn, inputs: list[Value], inner: Place) -> list[Value]:
        params = equation.params
        constants, carried = scan_counts(equation)
        fixed, carry = inputs[:constants], inputs[constants : constants + carried]
        slices, length = inputs[constants + carried :], params["length"]
        name = _name(inner)
        rows: list[list[Value]] = []
        for i in reversed(range(length)) if params["reverse"] else range(length):
            here = inner._replace(
                path=(*inner.path, 0),
                iterations=(*inner.iterations, i),
                around=(*inner.around, f"iteration {i} of {name}"),
            )
            row = [Value(*unshare(value, lambda x, i=i: take_at(x, i))) for value in slices]
            outputs = self._iterate(params["jaxpr"], [*fixed, *carry, *row], here, length)
            carry = outputs[:carried]
            rows.append(outputs[carried:])
        if params["reverse"]:
            rows.reverse()
        stacked = [
            self._stack([row[j] for row in rows], variable.aval)
            for j, variable in enumerate(equation.outvars[carried:])
        ]
        return [*carry, *stacked]

    def _while(self, equation: JaxprEqn, inputs: list[Value], inner: Place) -> list[Value]:
        params = equation.params
        tested, constants = params["cond_nconsts"], params["body_nconsts"]
        ahead, fixed = inputs[:tested], inputs[tested : tested + constants]
        carry = inputs[tested + constants :]
        test = self._compile(params["cond_jaxpr"])
        name, i = _name(inner), 0
        while bool(test(*[value.true for value in (*ahead, *carry)])[1][0]):
            here = inner._replace(
                path=(*inner.path, 1),
                iterations=(*inner.iterations, i),
                around=(*inner.around, f"iteration {i} of {name}"),
            )
            carry = self._iterate(params["body_jaxpr"], [*fixed, *carry], here, SHORT_LOOP + 1)
            i += 1
        return carry

    def _iterate(self, body: Any, inputs: list[Value], place: Place, length: int) -> list[Value]:
        """One iteration: compiled if nothing begins in it, else operation by operation."""
        opened = self.plan.opened
        needed = opened is not None and opened[: len(place.iterations)] == place.iterations
        if length <= SHORT_LOOP or needed or self.plan.constants or open_jaxpr(body)[0].effects:
            return self._evaluate(body, inputs, place)
        call = self._compile(body)
        error, repaired = call(*[value.repaired for value in inputs])
        if error.get() is not None:
            return self._evaluate(body, inputs, place)
        true = self._call_again(call, inputs, 0, repaired)
        left = self._call_again(call, inputs, 2, repaired)
        return [
            Value(t, r, e) if is_floating(t) else Value(t, t, t)
            for t, r, e in zip(true, repaired, left, strict=True)
        ]

    def _call_again(self, call: Any, inputs: list[Value], stream: int, known: list[Any]) -> Any:
        if all(value[stream] is value.repaired for value in inputs):
            return known
        outputs = call(*[value[stream] for value in inputs])[1]
        return [share(output, fixed) for output, fixed in zip(outputs, known, strict=True)]

    def _compile(self, body: Any) -> Any:
        """The body, compiled, with an error if something begins to be not finite in it."""
        if id(body) not in self.compiled:
            from jax.experimental import checkify  # slow to import, and used here only

            def check(step: Step, inputs: list[Any]) -> list[Any]:
                outputs = step.run(inputs)
                for output in outputs:
                    if is_floating(output):
                        begins = jnp.any(find_bad(step.op, inputs, output, jnp))
                        checkify.check(~begins, "something begins")
                return outputs

            def call(*inputs: Any) -> list[Any]:
                return evaluate_body(body, inputs, check)

            self.compiled[id(body)] = jax.jit(checkify.checkify(call))
        return self.compiled[id(body)]

    def _stack(self, row: list[Value], aval: Any) -> Value:
        if not row:
            empty = jnp.zeros(aval.shape, aval.dtype)
            return Value(empty, empty, empty)
        true = stack([value.true for value in row])
        repaired = true
        if any(value.repaired is not value.true for value in row):
            repaired = stack([value.repaired for value in row])
        left = repaired
        if any(value.left is not value.repaired for value in row):
            left = stack([value.left for value in row])
        return Value(true, repaired, left)


def _name(inner: Place) -> str:
    """The loop or condition that a place is just inside of, for people."""
    *callers, equation = inner.callers
    line = Step(equation, inner.path, tuple(callers)).line
    name = equation.primitive.name
    return f"the {name} at {line}" if line else f"a {name}"
