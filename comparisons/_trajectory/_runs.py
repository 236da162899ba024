"""All the runs of one training comparison, a step at a time; none outlives the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons._case import DType, ParityCase
from comparisons._inputs import perturb, widen
from comparisons._inquiry import inquire
from comparisons._results import LeafResult
from comparisons._tolerance import GROSS_POWER, PROBES
from comparisons._trajectory._extent import EPS64, is_floating, measure_distance, measure_scale
from comparisons._trajectory._forced import Forced, ForcedRecord, Probes
from comparisons._trajectory._free import Free, FreeRecord
from comparisons._trajectory._sides import Frame, Side, Stepped
from comparisons._trees import Leaves
from comparisons._trial import Trial


class Runs:
    """Six runs that go on from their own states, and the steps that are forced to PyTorch's.

    The teacher is PyTorch's run at the working dtype: its states are those that training comes
    through, and numbers that float64 holds exactly.
    """

    def __init__(self, jax_step: Callable[..., Any], torch_step: Callable[..., Any], state: Any):
        self.frame = Frame(state)
        self._jax = Side("JAX", jax_step, self.frame)
        self._torch = Side("PyTorch", torch_step, self.frame)
        start = self.frame.leaves
        wide: Leaves = widen((start,))[0]
        self._states: dict[str, Leaves] = {
            **dict.fromkeys(("jax", "torch", "off"), start),
            **dict.fromkeys(("jax64", "torch64", "off64"), wide),
        }
        self.steps = 0
        self.moved: set[str] = set()
        self.lost: int | None = None  # the first step after which nothing of the state is finite

    def advance(self, batch: Any, dtype: DType, forced: ForcedRecord, free: FreeRecord) -> None:
        """Runs and records one step."""
        self.steps += 1
        number, wide = self.steps, widen((batch,))[0]
        teacher = self._states["torch"]
        torch = self._torch.step(teacher, batch, dtype, number)

        start: Leaves = widen((teacher,))[0]
        from_teacher = Forced(
            jax=self._jax.step(teacher, batch, dtype, number),
            torch=torch,
            jax64=self._jax.step(start, wide, "float64", number),
            torch64=self._torch.step(start, wide, "float64", number),
        )

        def probe() -> Probes:
            pairs: list[tuple[Stepped, Stepped]] = []
            for seed in range(PROBES):
                near, near_batch = perturb((teacher, batch), seed)
                narrow = self._torch.step(near, near_batch, dtype, number)
                far, far_batch = widen((near, near_batch))
                pairs.append((narrow, self._torch.step(far, far_batch, "float64", number)))
            return tuple(pairs)

        def look_closer() -> list[LeafResult]:
            return inquire(Trial(self._make_case(teacher, batch), dtype)).leaves

        off, off_batch = perturb((self._states["off"], batch), PROBES + number)
        off64, off64_batch = perturb((self._states["off64"], wide), PROBES + number)
        on_their_own = Free(
            jax=self._jax.step(self._states["jax"], batch, dtype, number),
            torch=torch,
            jax64=self._jax.step(self._states["jax64"], wide, "float64", number),
            torch64=self._torch.step(self._states["torch64"], wide, "float64", number),
            off=self._torch.step(off, off_batch, dtype, number),
            off64=self._torch.step(off64, off64_batch, "float64", number),
        )
        if number == 1:  # the same call twice
            _check_pure("jax_step", from_teacher.jax64, on_their_own.jax64)
            _check_pure("torch_step", from_teacher.torch64, on_their_own.torch64)
        forced.observe(number, from_teacher, probe, look_closer)
        free.observe(number, on_their_own)
        self._note(teacher, torch.state)
        self._states = {run: step.state for run, step in on_their_own._asdict().items()}

    def _make_case(self, state: Leaves, batch: Any) -> ParityCase:
        """This step alone as a case of ``compare``: its values are the new state and ``aux``."""

        def name_parts(side: Side) -> Callable[..., Any]:
            return lambda *inputs: dict(zip(Stepped._fields, side.fn(*inputs), strict=True))

        return ParityCase(
            name="step",
            title="step",
            jax=name_parts(self._jax),
            torch=name_parts(self._torch),
            inputs=(self.frame.build(state), batch),
        )

    def _note(self, before: Leaves, after: Leaves) -> None:
        """Notes which leaves PyTorch's step changed, and when it lost all."""
        for path in after.keys() - self.moved:
            if measure_distance(before[path], after[path]):
                self.moved.add(path)
        if self.lost is None and not any(
            np.isfinite(leaf).any() for leaf in after.values() if is_floating(leaf)
        ):
            self.lost = self.steps


def _check_pure(argument: str, first: Stepped, second: Stepped) -> None:
    """Raises if two calls with the same state and batch have less than half of their digits alike.

    Not every digit: sums may be taken in another order from call to call.
    """
    for quantity in Stepped._fields:
        leaves, again = (getattr(run, quantity) for run in (first, second))
        scale = max((measure_scale(leaf) for leaf in leaves.values()), default=0.0)
        for path, leaf in leaves.items():
            gap = measure_distance(leaf, again[path]) if path in again else np.inf
            if gap > EPS64**GROSS_POWER * scale:
                raise ValueError(
                    f"`compare_training({argument}=...)` must be a function of the state and the "
                    f"batch alone.\n"
                    f"  expected: the same from the same state and batch\n"
                    f"  got:      {quantity} {path} off by {gap:.3g} in a second call\n"
                    f"Put what it keeps from call to call (an optimizer, a counter, a random "
                    f"state) into the state."
                )
