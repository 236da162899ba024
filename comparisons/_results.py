"""What a comparison found, as plain data. Renderers and the JSON file are made from these."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from comparisons._verdict import Verdict, worst

VALUES_KEPT = 256  # leaves of up to this many elements keep both sides' values in the report


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

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the leaves; STRUCTURE if a side raised or there was no leaf."""
        return Verdict.STRUCTURE if self.error else worst(leaf.verdict for leaf in self.leaves)


def summarize(cases: Sequence[CaseResult]) -> dict[str, Any]:
    """Counts by verdict and by outcome, as the report's ``summary``."""
    verdicts = [case.verdict for case in cases]
    outcomes = [verdict.outcome for verdict in verdicts]
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
