"""A pointwise operation: every number of it that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np

from comparisons._atlas._judge import SAME, same
from comparisons._atlas._points import Points, choose_points
from comparisons._atlas._sides import Found, Missing, Ones, run_compiled, run_jax, run_torch
from comparisons._atlas._truth import Truth
from comparisons._trees import Array
from comparisons.cases.atlas import Op
from comparisons.cases.atlas._expressions import make_jax, make_torch, make_torch_like


@dataclasses.dataclass(frozen=True)
class Part:
    """A quantity with respect to some of the arguments: a value, a derivative, a second one.

    Attributes:
        quantity: As ``Order`` names it.
        by: The arguments, by position.
    """

    quantity: str
    by: tuple[int, ...]

    def name(self, args: list[str]) -> str:
        """The arguments' names, e.g. ``"x,y"``."""
        return ",".join(args[k] for k in self.by)

    def order(self, arity: int) -> tuple[int, ...]:
        """How often a formula is differentiated by each argument."""
        return tuple(self.by.count(k) for k in range(arity))


def list_parts(op: Op) -> Iterator[Part]:
    """Everything that is compared of an operation."""
    arguments = range(op.arity)
    for quantity in op.orders:
        if quantity == "value":
            yield Part("value", ())
        elif quantity == "hvp":
            yield from (Part("hvp", (i, k)) for k in arguments for i in range(k + 1))
        else:
            yield from (Part(quantity, (k,)) for k in arguments)


class Examination:
    """One operation, with every number that has been asked for."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.args = op.args.split()
        self.points: Points = choose_points(op)
        self.truth = Truth(op.formula, self.args) if op.formula else None
        self._runs: dict[Any, Any] = {}
        self._truths: dict[Part, tuple[Array, Array]] = {}

    def run(self, who: str, part: Part, dtype: str) -> Array | Missing:
        """A side's numbers at all points of a dtype: ``torch``, ``jax``, ``compiled``, ``like``."""
        along = part.by[-1] if part.quantity in ("jvp", "hvp") else 0
        key = (who, part.quantity, along, dtype)
        if key not in self._runs:
            make, run = _SIDES[who]
            seeds = Ones(dtype, along=str(along))
            inputs = self.points.take(dtype)
            self._runs[key] = run(make(self.op), inputs, dtype, part.quantity, seeds)
        return _read(self._runs[key], part)

    def run_beside(self, who: str, part: Part, along: int, steps: Array) -> Array | Missing:
        """A side's numbers at float64, at points that are so far off along an argument."""
        make, run = _SIDES[who]
        inputs = list(self.points.take("float64"))
        with np.errstate(over="ignore", invalid="ignore"):
            inputs[along] = inputs[along] + steps
        seeds = Ones("float64", along=str(along))
        return _read(run(make(self.op), tuple(inputs), "float64", part.quantity, seeds), part)

    def find_truth(self, part: Part) -> tuple[Array, Array]:
        """The truth at the ordinary points, as a sum of two float64; NaN where there is none."""
        if part not in self._truths:
            plain = Part("vjp", part.by) if part.quantity == "jvp" else part
            if plain is not part:
                self._truths[part] = self.find_truth(plain)
            elif self.truth is not None:
                self._truths[part] = self._ask_formula(part)
            else:
                self._truths[part] = self._ask_float64(part)
        return self._truths[part]

    def _ask_formula(self, part: Part) -> tuple[Array, Array]:
        assert self.truth is not None
        order, points = part.order(self.op.arity), self.points.list_ordinary()
        self.truth.check(order, points)
        numbers = [self.truth.evaluate_if_known(order, point) for point in points]
        high = np.array([np.nan if x is None else float(x) for x in numbers])
        low = np.array(
            [
                float(x - mpmath.mpf(h)) if x is not None and np.isfinite(h) else 0.0
                for x, h in zip(numbers, high.tolist(), strict=True)
            ]
        )
        return high, low

    def _ask_float64(self, part: Part) -> tuple[Array, Array]:
        """Both sides' float64, where they agree to more than float32 can show."""
        count = self.points.ordinary
        torch, jax = (self.run(who, part, "float64") for who in ("torch", "jax"))
        if isinstance(torch, Missing) and isinstance(jax, Missing):
            return np.full(count, np.nan), np.zeros(count)
        if isinstance(torch, Missing) or isinstance(jax, Missing):
            known = jax if isinstance(torch, Missing) else torch
            assert not isinstance(known, Missing)
            return known[:count].astype(np.float64), np.zeros(count)
        torch, jax = torch[:count].astype(np.float64), jax[:count].astype(np.float64)
        agreed = same(torch, jax, SAME) & np.isfinite(torch)
        return np.where(agreed, torch, np.nan), np.zeros(count)


def _read(found: Found, part: Part) -> Array | Missing:
    """The one array that a part is."""
    if isinstance(found, Missing):
        return found
    if part.quantity in ("value", "jvp"):
        leaves = list(found.values())
        return leaves[0] if len(leaves) == 1 else Missing(f"it returned {len(leaves)} arrays")
    return found[str(part.by[0])]


_SIDES: dict[str, tuple[Callable[[Op], Any], Callable[..., Any]]] = {
    "torch": (make_torch, run_torch),
    "jax": (make_jax, run_jax),
    "compiled": (make_jax, run_compiled),
    "like": (make_torch_like, run_compiled),
}
