"""What a comparison found, as plain data. Renderers and the JSON file are made from these."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from comparisons._verdict import Outcome, Verdict, worst

VALUES_KEPT = 256  # leaves of up to this many elements keep both sides' values in the report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cause:
    """A known difference between the frameworks that was tried here and closes the gap.

    Attributes:
        name: Short and unique in the catalogue, e.g. ``"gelu-tanh"``.
        title: What differs, in one sentence.
        fix: The one line to change.
        source: Address of the documentation or the thread that describes it.
    """

    name: str
    title: str
    fix: str
    source: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlantedDefect:
    """A mistake that was made on purpose in the JAX side, to see whether the comparison notices.

    Attributes:
        defect: What was done, e.g. ``"transposed operand"``.
        where: The input, output or line that it was done to.
        caught: Whether the comparison did not pass with it.
    """

    defect: str
    where: str
    caught: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeafResult:
    """One leaf of one quantity: how the two sides compare there, and the evidence.

    Attributes:
        path: Where the leaf is, slash-separated; empty if the output is a bare array.
        quantity: ``"value"`` or ``"vjp"``; for ``"vjp"`` the path starts with the position of the
            argument.
        verdict: The verdict.
        reason: Why, in one sentence.
        dtype: Of the working run, e.g. ``"float32"``; ``"-"`` if the sides have different ones.
        shape: Of the leaf; empty for a scalar.
        different: Elements that are not bit for bit the same; None if they could not be compared.
        max_abs: Greatest absolute difference of the working-dtype results.
        max_ulp: Greatest difference in units in the last place (representable numbers between).
        rms: Root of the mean squared difference.
        worst: Index of the element that decides: the farthest from what is allowed there. The
            figures below are those of this element.
        float64_gap: Absolute difference of the two float64 results.
        float64_noise: The allowance for that gap: what rounding can do.
        jax_error: |JAX at the working dtype - PyTorch at float64|.
        torch_error: |PyTorch at the working dtype - PyTorch at float64|.
        allowed: The allowance for ``jax_error``.
        jax: The JAX side's values as nested lists, for leaves of up to VALUES_KEPT elements.
        torch: The PyTorch side's values, likewise.
        p99_ulp: 99 % of the elements are no farther apart than this, in units in the last place,
            to a power of two.
        cosine: Cosine of the angle between both results, as vectors; None if one is zero.
        histogram: Number of elements by distance in units in the last place: 0, 1, 2 to 3, 4 to 7
            and so on, as far as there are any.
        established: The precision at which both sides were seen to agree, ``"float64"`` or less if
            a side cannot run at it; None if they do not agree or nothing was established.
        causes: Known differences that close the gap when they are substituted.
        right: The side that a third vote found right: ``"JAX"``, ``"PyTorch"``, ``"both"``,
            ``"neither"``; None if there was no vote or it could not tell.
        vote: What the third vote was, and its own error estimate, in a sentence.
        power: The smallest relative error of this leaf on the JAX side that would be noticed, a
            power of ten; None if it was not measured, or not even a wrong sign would be noticed.
        accepted: Why this result is accepted although it is no pass, from the ledger.
    """

    path: str
    quantity: str
    verdict: Verdict
    reason: str
    dtype: str = "-"
    shape: tuple[int, ...] = ()
    different: int | None = None
    max_abs: float | None = None
    max_ulp: float | None = None
    rms: float | None = None
    worst: tuple[int, ...] | None = None
    float64_gap: float | None = None
    float64_noise: float | None = None
    jax_error: float | None = None
    torch_error: float | None = None
    allowed: float | None = None
    jax: Any = None
    torch: Any = None
    p99_ulp: float | None = None
    cosine: float | None = None
    histogram: tuple[int, ...] = ()
    established: str | None = None
    causes: tuple[Cause, ...] = ()
    right: str | None = None
    vote: str = ""
    power: float | None = None
    accepted: str | None = None

    @property
    def outcome(self) -> Outcome:
        """What the verdict counts as; ``"pass"`` if it is accepted."""
        return "pass" if self.accepted is not None else self.verdict.outcome


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepCurve:
    """Differences over the steps of a training run, at up to some 500 of them.

    Of a longer run the first and the last step are kept, and of each stretch between them the step
    with the greatest difference.

    Attributes:
        label: What differs, e.g. ``"aux loss"``; ``"state"`` is the greatest of all its leaves.
        steps: Numbers of the steps, from 1.
        jax: The JAX side's values at the working dtype; empty for ``"state"``.
        torch: The PyTorch side's values, likewise.
        gap: Greatest absolute difference of the working-dtype runs.
        float64_gap: The same of the float64 runs.
        noise: What rounding does to PyTorch's run at the working dtype.
    """

    label: str
    steps: tuple[int, ...]
    jax: tuple[float, ...]
    torch: tuple[float, ...]
    gap: tuple[float, ...]
    float64_gap: tuple[float, ...]
    noise: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trajectory:
    """How a training run compares, step by step.

    Attributes:
        mode: ``"teacher-forced"``: both sides start each step from PyTorch's state;
            ``"free-running"``: each side goes on from its own.
        kind: ``"agreement"``; ``"amplification"``: every step agrees, and the runs part because
            training amplifies rounding; ``"defect"``: a step itself differs; ``"difference"``: it
            does, but not by a mistake: CONVENTION or APPROXIMATION; ``"drift"``: every step agrees,
            but the runs part more than rounding explains.
        summary: The same in words, with the figures.
        steps: How many steps were run.
        probed: At how many the referee needed probes; the others passed without.
        first_step: The first step at which a leaf fails, or, for ``"amplification"``, at which the
            runs share less than half of their digits; None if there is none.
        first_leaf: The leaf that does so, e.g. ``"state params/conv/bias"``; where several do at
            that step, the first in the order of computation.
        curves: Differences per step.
    """

    mode: str
    kind: str
    summary: str
    steps: int
    probed: int = 0
    first_step: int | None = None
    first_leaf: str | None = None
    curves: tuple[StepCurve, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case: its leaves, and what a report shows of it.

    Attributes:
        name: The case's name.
        title: One line for people.
        leaves: One result per leaf and quantity.
        error: If a side raised: which side, at which dtype, and what. The verdict is STRUCTURE.
        jax_source: Source text of the JAX function.
        torch_source: Source text of the PyTorch function.
        note: What changes for someone who comes from PyTorch.
        citation: Address of the documentation of the PyTorch behaviour.
        curves: Paths of the "value" leaves that are drawn as curves.
        dtype: The working dtype.
        seconds: Wall time of the whole comparison, both sides, compilation included.
        vacuity: What this comparison cannot show, a sentence each: constant or zero inputs,
            parameters at their zero initialisation, and so on.
        casts: Places where a side computes at less than the precision that it was run at.
        planted: Defects planted on the JAX side, and whether they were caught.
        trajectory: Of a training run, what is seen over its steps.
    """

    name: str
    title: str
    leaves: tuple[LeafResult, ...]
    error: str | None = None
    jax_source: str = ""
    torch_source: str = ""
    note: str = ""
    citation: str = ""
    curves: tuple[str, ...] = ()
    dtype: str = "float32"
    seconds: float = 0.0
    vacuity: tuple[str, ...] = ()
    casts: tuple[str, ...] = ()
    planted: tuple[PlantedDefect, ...] = ()
    trajectory: Trajectory | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the leaves; STRUCTURE if a side raised or there was no leaf."""
        return Verdict.STRUCTURE if self.error else worst(leaf.verdict for leaf in self.leaves)

    @property
    def outcome(self) -> Outcome:
        """What the case counts as: its worst leaf, but for those that are accepted."""
        if self.error or not self.leaves:
            return "fail"
        outcomes = {leaf.outcome for leaf in self.leaves}
        return "fail" if "fail" in outcomes else "warn" if "warn" in outcomes else "pass"

    @property
    def power(self) -> float | None:
        """The smallest relative change of some leaf that would be noticed in every leaf.

        None if some leaf would not even show a wrong sign, or if nothing was measured.
        """
        powers = [leaf.power for leaf in self.leaves]
        known = [power for power in powers if power is not None]
        return max(known) if known and len(known) == len(powers) else None


def summarize(cases: Sequence[CaseResult]) -> dict[str, Any]:
    """Counts by verdict and by outcome, as the report's ``summary``."""
    verdicts = [case.verdict for case in cases]
    outcomes = [case.outcome for case in cases]
    return {
        "verdict": str(worst(verdicts)),
        "ok": bool(cases) and "fail" not in outcomes,
        "cases": len(cases),
        "leaves": sum(len(case.leaves) for case in cases),
        "fail": outcomes.count("fail"),
        "warn": outcomes.count("warn"),
        "pass": outcomes.count("pass"),
        "verdicts": {str(v): verdicts.count(v) for v in Verdict if v in verdicts},
    }
