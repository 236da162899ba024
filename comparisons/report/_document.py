"""The one document tree that every report for people is rendered from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comparisons._results import CaseResult
from comparisons._verdict import Outcome, Verdict, worst
from comparisons.report._curves import Curves, build_curves
from comparisons.report._format import escape_controls, name_leaf
from comparisons.report._histogram import Histogram, build_histograms
from comparisons.report._notes import CauseNote, Note, build_causes, build_notes, find_link
from comparisons.report._steps import StepFigure, build_steps
from comparisons.report._table import Mark as Mark
from comparisons.report._table import Table as Table
from comparisons.report._table import build_leaves, build_overview, build_values

if TYPE_CHECKING:
    from comparisons.report._report import Report


@dataclasses.dataclass(frozen=True)
class CodePair:
    """The two sources of a case, either of which may be empty."""

    torch: str
    jax: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """Why a leaf has its verdict, and how far apart its elements are."""

    where: str
    mark: Mark
    reason: str
    histogram: Histogram | None


@dataclasses.dataclass(frozen=True)
class CaseSection:
    """What a report shows of one case."""

    anchor: str
    name: str
    title: str
    mark: Mark
    causes: tuple[CauseNote, ...]
    reason: str
    error: str
    notes: tuple[Note, ...]
    note: str
    citation: str
    link: str
    code: CodePair
    leaves: Table
    findings: tuple[Finding, ...]
    curves: tuple[Curves, ...]
    missing_curves: str
    steps: tuple[StepFigure, ...]
    values: tuple[Table, ...]
    seconds: str


@dataclasses.dataclass(frozen=True)
class Document:
    """A whole report. Row i of ``overview`` is about section i."""

    title: str
    headline: str
    outcome: Outcome
    counts: tuple[tuple[str, str], ...]
    verdicts: tuple[tuple[Verdict, int], ...]
    environment: tuple[tuple[str, str], ...]
    overview: Table
    sections: tuple[CaseSection, ...]


def build_document(report: Report) -> Document:
    """The document of a report; all text in it is free of control characters."""
    anchors = _make_anchors([case.name for case in report.cases])
    summary = report.summary
    cases, leaves = summary["cases"], summary["leaves"]
    counts = [("case" if cases == 1 else "cases", cases)]
    counts += [("leaf" if leaves == 1 else "leaves", leaves)]
    counts += [(outcome, summary[outcome]) for outcome in ("pass", "warn", "fail")]
    return Document(
        title="Parity report: PyTorch and JAX",
        headline=_make_headline(report.cases, summary),
        outcome="fail" if not summary["ok"] else "warn" if summary["warn"] else "pass",
        counts=tuple((label, str(count)) for label, count in counts),
        verdicts=tuple((Verdict(name), count) for name, count in summary["verdicts"].items()),
        environment=tuple(
            (escape_controls(str(key)), escape_controls(_format_setting(value)))
            for key, value in report.environment.items()
        ),
        overview=build_overview(report.cases),
        sections=tuple(map(_build_section, report.cases, anchors)),
    )


def _make_headline(cases: Sequence[CaseResult], summary: dict[str, Any]) -> str:
    total, failed, warned = summary["cases"], summary["fail"], summary["warn"]
    if not total:
        return "Nothing was compared."
    if failed:
        return "The one case failed." if total == 1 else f"{failed} of {total} cases failed."
    if warned:
        return f"No case failed; {warned} of {total} need{'s' * (warned == 1)} a look."
    if any(case.verdict.outcome != "pass" for case in cases):
        return "The one case is accepted." if total == 1 else f"All {total} agree or are accepted."
    return "The one case agrees." if total == 1 else f"All {total} cases agree."


def _format_setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_format_setting, value)) or "none"
    return str(value)


def _make_anchors(names: Sequence[str]) -> list[str]:
    anchors: dict[str, None] = {}
    for name in names:
        stem = anchor = "-".join(["case", *re.findall(r"[a-z0-9]+", name.lower())])
        number = 1
        while anchor in anchors:
            number += 1
            anchor = f"{stem}-{number}"
        anchors[anchor] = None
    return list(anchors)


def _build_section(case: CaseResult, anchor: str) -> CaseSection:
    curves, missing = build_curves(case, anchor)
    histograms = build_histograms(case, anchor)
    return CaseSection(
        anchor=anchor,
        name=escape_controls(case.name),
        title=escape_controls(case.title),
        mark=Mark(case.verdict, case.outcome),
        causes=build_causes(case),
        reason=escape_controls(_explain(case)),
        error=escape_controls(case.error or "").strip("\n"),
        notes=build_notes(case),
        note=escape_controls(case.note).strip(),
        citation=escape_controls(case.citation),
        link=find_link(case.citation),
        code=CodePair(
            torch=escape_controls(case.torch_source).strip("\n"),
            jax=escape_controls(case.jax_source).strip("\n"),
        ),
        leaves=build_leaves(case),
        findings=tuple(
            Finding(
                name_leaf(leaf),
                Mark(leaf.verdict, leaf.outcome),
                escape_controls(leaf.reason),
                histograms.get(i),
            )
            for i, leaf in enumerate(case.leaves)
        ),
        curves=curves,
        missing_curves=missing,
        steps=build_steps(case, anchor),
        values=tuple(
            build_values(leaf)
            for leaf in case.leaves
            if leaf.jax is not None or leaf.torch is not None
        ),
        seconds=f"{case.seconds:.2f} s",
    )


def _explain(case: CaseResult) -> str:
    """Why the case counts as what it does: what the worst of those leaves say."""
    if case.error:
        return "A side raised an error, so there is nothing to compare."
    if not case.leaves:
        return "No leaf was compared, which proves nothing."
    deciding = [leaf for leaf in case.leaves if leaf.outcome == case.outcome]
    verdict = worst(leaf.verdict for leaf in deciding)
    found = [leaf for leaf in deciding if leaf.verdict == verdict]
    if len({leaf.reason for leaf in found}) == 1:
        share = f"{len(found)} of {len(case.leaves)} leaves: "
        return share * (len(found) < len(case.leaves)) + found[0].reason
    others = len(found) - 1
    more = f" ({others} more of {len(case.leaves)} leaves: see their reasons.)" if others else ""
    return f"{name_leaf(found[0])}: {found[0].reason}{more}"
