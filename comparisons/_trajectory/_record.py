"""What is kept of one leaf over all steps: one result, of the step that says most."""

from __future__ import annotations

import dataclasses

from comparisons._results import LeafResult
from comparisons._verdict import Outcome, Verdict

_RANK: dict[Outcome, int] = {"pass": 0, "warn": 1, "fail": 2}


@dataclasses.dataclass
class LeafRecord:
    """The result of the first step that fails; else of the first that warns; else the farthest.

    Attributes:
        result: That result.
        step: Its step.
        failed: How many steps failed.
        scale: Greatest magnitude of PyTorch's float64 run so far.
        error: Greatest error of PyTorch's run at the working dtype so far.
        jax_error: The same of JAX's, against PyTorch's at float64.
        signal: Whether at some step the leaf was greater than its own rounding error.
    """

    result: LeafResult | None = None
    step: int = 0
    failed: int = 0
    scale: float = 0.0
    error: float = 0.0
    jax_error: float = 0.0
    signal: bool = False

    @property
    def rank(self) -> int:
        """How bad it is so far: 0 pass, 1 warning, 2 failure."""
        return 0 if self.result is None else rank(self.result)

    @property
    def reach(self) -> float:
        """How far apart the sides were at the step that is kept; -1 before the first."""
        return -1.0 if self.result is None else self.result.max_abs or 0.0

    def weigh(self, scale: float, error: float, jax_error: float) -> None:
        """Notes a step's greatest value, and the greatest error of either side."""
        self.scale, self.error = max(self.scale, scale), max(self.error, error)
        self.jax_error = max(self.jax_error, jax_error)
        self.signal |= error < scale or error == 0

    def keep(self, step: int, result: LeafResult) -> None:
        """Keeps a step's result if it says more than the one that is kept."""
        self.failed += rank(result) == 2
        farther = rank(result) == 0 and (result.max_abs or 0.0) > self.reach
        if self.result is None or rank(result) > self.rank or (self.rank == 0 and farther):
            self.result, self.step = result, step

    def conclude(self, steps: int) -> LeafResult:
        """The leaf's one result, whose reason names the step."""
        assert self.result is not None, "a leaf is recorded with its first result"
        reason = f"Step {self.step}: {self.result.reason}"
        if self.failed > 1:
            reason += f" It is the first of {self.failed} such steps, of {steps}."
        if not self.rank and not self.signal and self.result.verdict is not Verdict.IDENTICAL:
            return dataclasses.replace(
                self.result,
                verdict=Verdict.NO_SIGNAL,
                reason=f"{reason} At every step the leaf is below PyTorch's own rounding error: at "
                f"float64 it is {self.scale:.3g} at most, the error {self.error:.3g}.",
            )
        return dataclasses.replace(self.result, reason=reason)


def rank(result: LeafResult) -> int:
    """As ``LeafRecord.rank``; that one step shows nothing of a leaf is no warning yet."""
    return 0 if result.verdict is Verdict.NO_SIGNAL else _RANK[result.verdict.outcome]
