"""Free-running: how far the runs are from each other, against how far PyTorch's is from itself.

Each side goes on from its own state, so that training amplifies what a step rounds differently; two
correct runs at float32 may end anywhere. What a run does to rounding is measured on PyTorch's side:
its run at the working dtype against its run at float64, and against a run whose every state and
batch is off by a last bit. At float64 there is a run off by a float64 last bit, likewise, since
where float32 runs have parted altogether, what they do says nothing of float64. With all figures
the greatest of the leaf, and `noise` the greatest of all steps so far:

    noise     greatest of |T - T64| and |T(off) - T|
    noise64   greatest of |T64(off) - T64| and noise eps64 / eps
    MISMATCH       |J64 - T64| > NOISE_FACTOR (noise64 + eps64 max|T64|)
    LESS_ACCURATE  |J - T64| > ERROR_FACTOR (noise + eps max|T64|)

NONFINITE is either where one side only is NaN or infinite.

A step that computes at less than float32 inside, as Muon does in bfloat16, does so in the float64
runs, too: a last bit of float64 changes nothing there, until it changes one of bfloat16. What
rounding does at float64 is then what it does at the working dtype: noise64 is at least noise.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Any, Generic, NamedTuple, TypeVar

from comparisons._measure import measure
from comparisons._results import LeafResult
from comparisons._tolerance import ERROR_FACTOR, GROSS_POWER, NOISE_FACTOR
from comparisons._trajectory._curves import CurveRecord
from comparisons._trajectory._extent import (
    EPS64,
    Array,
    is_floating,
    measure_distance,
    measure_scale,
)
from comparisons._trajectory._forced import QUANTITIES
from comparisons._trajectory._record import LeafRecord
from comparisons._trajectory._sides import Stepped
from comparisons._verdict import Verdict

T = TypeVar("T")


class Free(NamedTuple, Generic[T]):
    """The same step of all runs, each from its own state; ``off`` are PyTorch's perturbed ones."""

    jax: T
    torch: T
    jax64: T
    torch64: T
    off: T
    off64: T


@dataclasses.dataclass
class FreeLeaf(LeafRecord):
    """A leaf's record with the noise so far.

    Attributes:
        noise: At the working dtype.
        noise64: At float64.
        parted: The first step at which the sides share less than half of their digits.
        parted_alone: The first at which PyTorch's run and its perturbed one do.
    """

    noise: float = 0.0
    noise64: float = 0.0
    parted: int | None = None
    parted_alone: int | None = None


class FreeRecord:
    """The records of all leaves, by quantity and path, and the curves."""

    def __init__(self, eps: float, tiny: float, *, coarse: bool = False):
        self._eps, self._tiny = eps, tiny
        self._eps64 = eps if coarse else EPS64
        self.leaves: dict[tuple[str, str], FreeLeaf] = collections.defaultdict(FreeLeaf)
        self.curves = CurveRecord()

    def observe(self, step: int, runs: Free[Stepped]) -> None:
        """Judges one step."""
        self.curves.begin(step)
        for quantity in QUANTITIES:
            sides = [getattr(run, quantity) for run in runs]
            for path in dict.fromkeys([*sides[1], *sides[0]]):
                leaves = [side.get(path) for side in sides]
                # A leaf that is not everywhere is the teacher-forced comparison's to report.
                if all(leaf is not None and leaf.shape == leaves[0].shape for leaf in leaves):
                    self._observe_leaf(step, quantity, path, Free(*leaves))

    def _observe_leaf(self, step: int, quantity: str, path: str, leaf: Free[Array]) -> None:
        record = self.leaves[quantity, path]
        ours, theirs, ours64, theirs64 = leaf[:4]
        gap, gap64 = measure_distance(ours, theirs), measure_distance(ours64, theirs64)
        jax_error = measure_distance(ours, theirs64)
        torch_error = measure_distance(theirs, theirs64)
        alone = measure_distance(leaf.off, theirs)
        alone64 = measure_distance(leaf.off64, theirs64)
        record.noise = max(record.noise, torch_error, alone)
        if is_floating(theirs):
            record.weigh(measure_scale(theirs64), torch_error, jax_error)
            record.noise64 = max(record.noise64, alone64, record.noise * self._eps64 / self._eps)
            self.curves.observe(quantity, path, ours, theirs, gap, gap64, max(torch_error, alone))
            self._note_parting(step, record, gap, alone)
        else:
            record.noise64, record.signal = max(record.noise64, alone64), True
        # Of integers there is no rounding: any noise at all makes them undecided.
        floor = (self._eps * record.scale + self._tiny) if is_floating(theirs) else 0.0
        allowed = ERROR_FACTOR * (record.noise + floor)
        allowed64 = NOISE_FACTOR * (record.noise64 + floor * self._eps64 / self._eps)

        verdict = Verdict.AGREES if gap else Verdict.IDENTICAL
        if gap64 > allowed64:
            verdict = Verdict.NONFINITE if math.isinf(gap64) else Verdict.MISMATCH
        elif jax_error > allowed:
            verdict = Verdict.NONFINITE if math.isinf(jax_error) else Verdict.LESS_ACCURATE
        passed = verdict.outcome == "pass"
        if record.result is None or not passed or (gap > record.reach and not record.rank):
            figures = {
                "float64_gap": gap64,
                "float64_noise": allowed64,
                "jax_error": jax_error,
                "torch_error": torch_error,
                "allowed": allowed,
            }
            result = LeafResult(
                path=path,
                quantity=quantity,
                verdict=verdict,
                reason=_explain(verdict, figures, gap, record),
                dtype=str(theirs.dtype),
                shape=theirs.shape,
                **figures,
                **_measure(ours, theirs),
            )
            record.keep(step, result)

    def _note_parting(self, step: int, record: FreeLeaf, gap: float, alone: float) -> None:
        if not record.signal:
            return
        half = self._eps**GROSS_POWER * record.scale
        if record.parted is None and gap > half:
            record.parted = step
        if record.parted_alone is None and alone > half:
            record.parted_alone = step


def _measure(ours: Array, theirs: Array) -> dict[str, Any]:
    if ours.dtype != theirs.dtype and is_floating(theirs):
        return {"max_abs": measure_distance(ours, theirs)}
    known = {field.name for field in dataclasses.fields(LeafResult)}
    found = dataclasses.asdict(measure(ours, theirs))
    return {name: value for name, value in found.items() if name in known}


def _explain(verdict: Verdict, figures: dict[str, float], gap: float, record: FreeLeaf) -> str:
    if verdict is Verdict.IDENTICAL:
        return "Equal bit for bit up to here."
    if verdict is Verdict.NONFINITE:
        return "One side has a NaN or an infinity that the other has not."
    if verdict is Verdict.MISMATCH:
        return (
            f"The float64 runs are {figures['float64_gap']:.3g} apart where rounding explains "
            f"{figures['float64_noise']:.3g}."
        )
    if verdict is Verdict.LESS_ACCURATE:
        return (
            f"The float64 runs agree, but JAX's run is {figures['jax_error']:.3g} from PyTorch's "
            f"at float64 where rounding explains {figures['allowed']:.3g}."
        )
    return (
        f"The runs are {gap:.3g} apart; rounding alone has moved PyTorch's by "
        f"{record.noise:.3g} so far."
    )
