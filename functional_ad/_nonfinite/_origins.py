"""Where NaN and infinity begin in a program, and which of these beginnings reach its results.

A beginning reaches a result if, with it left as it is and every other repaired (``_run.py``), the
result is not finite, and is finite with it repaired as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from functional_ad._nonfinite._plan import Key, Origin, Plan
from functional_ad._nonfinite._run import Run
from functional_ad._nonfinite._values import Value, is_finite, spoils


class Evaluation:
    """Evaluations of one program on given inputs."""

    def __init__(self, program: ClosedJaxpr, inputs: Sequence[Any]) -> None:
        self._program = program
        self._inputs = [*program.consts, *inputs]
        self._compiled: dict[int, Any] = {}
        self._effects: dict[Key, list[Any]] = {}

    def run(self, plan: Plan) -> tuple[list[Value], list[Origin]]:
        """Evaluates the program; returns its outputs and the origins in it, in order."""
        return Run(plan, self._compiled, self._effects).evaluate(self._program, self._inputs)

    def find_culprit(self) -> tuple[Origin | None, list[Origin], list[bool]]:
        """Finds the first origin that alone makes an output not finite.

        Returns:
            That origin, if there is one; every origin, in order; and which outputs it reaches.
        """
        outputs, origins = self.run(Plan())
        bad = [not is_finite(value.true) for value in outputs]
        if not any(bad):
            return None, origins, bad
        for constants in (False, True):
            if constants:  # what is written in the program was not meant after all
                _, origins = self.run(Plan(constants=True))
            if found := self._isolate(origins, constants):
                return found[0], origins, found[1]
        return (origins[0] if origins else _make_unknown(outputs)), origins, bad

    def _isolate(self, origins: list[Origin], constants: bool) -> tuple[Origin, list[bool]] | None:
        """Leaves one step's origins after the other unrepaired, then fewer of its iterations."""
        order = {origin.key: place for place, origin in enumerate(origins)}
        groups: dict[tuple[int, ...], list[Origin]] = {}
        for origin in origins:
            groups.setdefault(origin.key[0], []).append(origin)
        best: tuple[Origin, list[bool]] | None = None
        for group in groups.values():
            if best and order[group[0].key] > order[best[0].key]:
                break

            def reach(count: int, group: list[Origin] = group) -> list[bool]:
                keys = {origin.key for origin in group[:count]}
                outputs, _ = self.run(Plan(leave=keys.__contains__, constants=constants))
                return [spoils(value) for value in outputs]

            enough, reached = 1, reach(1)
            if not any(reached):
                fewest, enough, reached = 1, len(group), reach(len(group))
                if not any(reached):
                    continue
                while enough - fewest > 1:  # bisects: the first that reaches is number `enough`
                    middle = (fewest + enough) // 2
                    if any(found := reach(middle)):
                        enough, reached = middle, found
                    else:
                        fewest = middle
            origin = group[enough - 1]
            if best is None or order[origin.key] < order[best[0].key]:
                best = origin, reached
        return best


def _make_unknown(outputs: list[Value]) -> Origin:
    """The origin of an output of which nothing is known but that it is not finite."""
    output = next(value.true for value in outputs if not is_finite(value.true))
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(np.asarray(output)))[0])
    became = complex(np.asarray(output)[index].astype(np.complex128))
    return Origin(((-1,), ()), None, None, (), (), output, index, became)
