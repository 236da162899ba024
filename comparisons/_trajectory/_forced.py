"""Teacher-forced: what the referee says of every leaf where both sides start from one state.

Every step is judged, but few need everything that the referee can ask for. First comes a test that
costs six passes over the leaf: whether the greatest differences lie within the least that the
referee allows whatever else it measures. What does not pass is judged without probes, which allows
less than with them; what does not pass that either is judged with probes; and what is then still
in doubt gets all that ``compare`` has for a single step: rounding inside the JAX program, casts,
kinks, the third vote. The last two once per leaf and degree of failure.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from comparisons._evidence import Evidence, Probe
from comparisons._referee import judge
from comparisons._results import LeafResult
from comparisons._tolerance import ERROR_FACTOR, NOISE_FACTOR
from comparisons._trajectory._curves import CurveRecord
from comparisons._trajectory._extent import (
    EPS64,
    Array,
    is_floating,
    measure_distance,
    measure_scale,
)
from comparisons._trajectory._record import LeafRecord, rank
from comparisons._trajectory._sides import Stepped
from comparisons._trees import Leaves
from comparisons._verdict import Verdict

QUANTITIES = ("aux", "state")  # gradients first: a wrong one makes a wrong state

Probes = tuple[tuple[Stepped, Stepped], ...]


class Forced(NamedTuple):
    """One step of both sides from one state, at the working dtype and at float64."""

    jax: Stepped
    torch: Stepped
    jax64: Stepped
    torch64: Stepped


class ForcedRecord:
    """The records of all leaves, by quantity and path, and the curves."""

    def __init__(self, eps: float):
        self._eps = eps
        self.leaves: dict[tuple[str, str], LeafRecord] = collections.defaultdict(LeafRecord)
        self._latest: dict[tuple[str, str], tuple[float, float, float]] = {}
        self.curves = CurveRecord()
        self.probed = 0

    def observe(
        self,
        step: int,
        runs: Forced,
        probe: Callable[[], Probes],
        look_closer: Callable[[], list[LeafResult]],
    ) -> None:
        """Judges one step.

        Args:
            step: Its number.
            runs: The step from PyTorch's state.
            probe: Runs PyTorch's step from that state off by last bits.
            look_closer: Compares the step as a case of its own; paths begin with the quantity.
        """
        self.curves.begin(step)
        doubtful = {
            (quantity, path)
            for quantity in QUANTITIES
            for path in self._settle(step, quantity, self._find_unclear(quantity, runs), runs, ())
        }
        if not doubtful:
            return
        self.probed += 1
        probes = probe()
        doubtful = {
            (quantity, path)
            for quantity in QUANTITIES
            for path in self._settle(
                step, quantity, [path for q, path in doubtful if q == quantity], runs, probes
            )
        }
        for result in look_closer() if doubtful else ():
            quantity, _, path = result.path.partition("/")
            if (quantity, path) in doubtful:
                # Where the vote cannot tell, there is nothing to tell of it.
                vote = result.vote if result.right else ""
                own = dataclasses.replace(result, quantity=quantity, path=path, vote=vote)
                self.leaves[quantity, path].keep(step, self._excuse(own))

    def _find_unclear(self, quantity: str, runs: Forced) -> list[str]:
        sides = [getattr(run, quantity) for run in runs]
        paths = dict.fromkeys([*sides[1], *sides[0]])
        return [
            path
            for path in paths
            if not self._clear(quantity, path, *(side.get(path) for side in sides))
        ]

    def _settle(
        self, step: int, quantity: str, paths: list[str], runs: Forced, probes: Probes
    ) -> list[str]:
        """Keeps what the referee says of these leaves; returns those that are still in doubt."""
        doubtful: list[str] = []
        for judged in _judge(quantity, paths, runs, probes):
            result = self._excuse(judged)
            record = self.leaves[quantity, result.path]
            final = result.verdict in (Verdict.STRUCTURE, Verdict.NONFINITE)
            if final or rank(result) <= record.rank:
                record.keep(step, result)
            else:
                doubtful.append(result.path)
        return doubtful

    def _excuse(self, result: LeafResult) -> LeafResult:
        """Passes an error at the working dtype that the steps so far show to be usual.

        The referee knows one step. Over many, a side's single error is small by luck now and then,
        and the other's is then far above it; so the errors of either side are held against the
        greatest of the other's so far. What is carried from step to step also has the roundings of
        what it was before: a parameter that passes through 0 is not exact to the last bit of 0.
        And a step at which the leaf is below its own rounding error shows nothing.
        """
        key = (result.quantity, result.path)
        gap, noise = result.float64_gap, result.float64_noise
        if result.outcome == "pass" or gap is None or noise is None or gap > noise:
            return result
        record, (scale, error, jax_error) = self.leaves[key], self._latest[key]
        carried = self._eps * record.scale * (result.quantity == "state")
        usual = jax_error <= ERROR_FACTOR * (record.error + carried) and error <= ERROR_FACTOR * (
            record.jax_error + carried
        )
        if not usual and scale > error:
            return result
        reason = "The float64 runs agree; the difference is rounding, as it is at other steps."
        return dataclasses.replace(result, verdict=Verdict.AGREES, reason=reason)

    def _clear(
        self,
        quantity: str,
        path: str,
        ours: Array | None,
        theirs: Array | None,
        ours64: Array | None,
        theirs64: Array | None,
    ) -> bool:
        """Whether the referee would pass the leaf, and its kept result says more already."""
        if ours is None or theirs is None or ours64 is None or theirs64 is None:
            return False
        if not ours.shape == theirs.shape == ours64.shape == theirs64.shape:
            return False
        record = self.leaves[quantity, path]
        gap, gap64 = measure_distance(ours, theirs), measure_distance(ours64, theirs64)
        if not is_floating(theirs):
            record.signal = True
            same_kind = ours.dtype.kind == theirs.dtype.kind
            return gap == gap64 == 0 and same_kind and record.reach >= 0
        scale, error = measure_scale(theirs64), measure_distance(theirs, theirs64)
        jax_error = measure_distance(ours, theirs64)
        record.weigh(scale, error, jax_error)
        self._latest[quantity, path] = (scale, error, jax_error)
        self.curves.observe(quantity, path, ours, theirs, gap, gap64, error)
        return (
            gap64 <= NOISE_FACTOR * EPS64 * scale
            and max(jax_error, error) <= ERROR_FACTOR * self._eps * scale
            and ours.dtype == theirs.dtype
            and ours64.dtype == theirs64.dtype
            and bool(np.isfinite(theirs64).all())
            and gap <= record.reach
        )


def _judge(quantity: str, paths: list[str], runs: Forced, probes: Probes) -> list[LeafResult]:
    if not paths:
        return []

    def choose(stepped: Stepped) -> Leaves:
        leaves: Leaves = getattr(stepped, quantity)
        return {path: leaves[path] for path in paths if path in leaves}

    return judge(
        Evidence(
            quantity=quantity,
            jax=choose(runs.jax),
            torch=choose(runs.torch),
            jax64=choose(runs.jax64),
            torch64=choose(runs.torch64),
            probes=tuple(Probe(choose(narrow), choose(wide)) for narrow, wide in probes),
        )
    )
