"""The one document tree that every report for people is rendered from."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Outcome, Verdict
from comparisons.report._curves import Curves, build_curves
from comparisons.report._format import (
    escape_controls,
    format_index,
    format_measure,
    format_value,
    walk_values,
)
from comparisons.report._legend import LEAF_COLUMNS, Column

if TYPE_CHECKING:
    from comparisons.report._report import Report


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text under columns; a cell of a verdict column is a Verdict.

    ``marked`` holds the positions of the rows to be pointed out.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True)
class CodePair:
    """The two sources of a case, either of which may be empty."""

    torch: str
    jax: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """Why a leaf has its verdict."""

    where: str
    verdict: Verdict
    reason: str


@dataclasses.dataclass(frozen=True)
class CaseSection:
    """What a report shows of one case."""

    anchor: str
    name: str
    title: str
    verdict: Verdict
    reason: str
    error: str
    note: str
    citation: str
    link: str
    code: CodePair
    leaves: Table
    findings: tuple[Finding, ...]
    curves: tuple[Curves, ...]
    missing_curves: str
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


OVERVIEW_COLUMNS = (
    Column("case", "The case's name.", "code"),
    Column("verdict", "The worst verdict of its leaves.", "verdict"),
    Column("leaves", "How many were compared.", "number"),
    Column("max abs", "Greatest absolute difference of all leaves.", "number"),
    Column("max ULP", "The same in units in the last place.", "number"),
)

VALUE_COLUMNS = (
    Column("index", kind="code"),
    Column("PyTorch", kind="number"),
    Column("JAX", kind="number"),
    Column("JAX − PyTorch", kind="number"),
)


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
        headline=_make_headline(summary),
        outcome=report.verdict.outcome,
        counts=tuple((label, str(count)) for label, count in counts),
        verdicts=tuple((Verdict(name), count) for name, count in summary["verdicts"].items()),
        environment=tuple(
            (escape_controls(str(key)), escape_controls(_format_setting(value)))
            for key, value in report.environment.items()
        ),
        overview=Table("Cases", OVERVIEW_COLUMNS, tuple(map(_overview_row, report.cases))),
        sections=tuple(map(_build_section, report.cases, anchors)),
    )


def _make_headline(summary: dict[str, Any]) -> str:
    total, failed, warned = summary["cases"], summary["fail"], summary["warn"]
    if not total:
        return "Nothing was compared."
    if failed:
        return "The one case failed." if total == 1 else f"{failed} of {total} cases failed."
    if warned:
        return f"No case failed; {warned} of {total} need{'s' * (warned == 1)} a look."
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


def _overview_row(case: CaseResult) -> tuple[str, ...]:
    return (
        escape_controls(case.name),
        case.verdict,
        str(len(case.leaves)),
        format_measure(_greatest(leaf.max_abs for leaf in case.leaves)),
        format_measure(_greatest(leaf.max_ulp for leaf in case.leaves)),
    )


def _greatest(measures: Iterable[float | None]) -> float | None:
    """The greatest that was measured; NaN if one is NaN, for no number is greater."""
    known = [measure for measure in measures if measure is not None]
    return math.nan if any(map(math.isnan, known)) else max(known, default=None)


def _build_section(case: CaseResult, anchor: str) -> CaseSection:
    curves, missing = build_curves(case, anchor)
    link = case.citation if re.match(r"https?://\S+$", case.citation) else ""
    return CaseSection(
        anchor=anchor,
        name=escape_controls(case.name),
        title=escape_controls(case.title),
        verdict=case.verdict,
        reason=escape_controls(_explain(case)),
        error=escape_controls(case.error or "").strip("\n"),
        note=escape_controls(case.note).strip(),
        citation=escape_controls(case.citation),
        link=link,
        code=CodePair(
            torch=escape_controls(case.torch_source).strip("\n"),
            jax=escape_controls(case.jax_source).strip("\n"),
        ),
        leaves=Table("Leaves", LEAF_COLUMNS, tuple(map(_leaf_row, case.leaves))),
        findings=tuple(map(_build_finding, case.leaves)),
        curves=curves,
        missing_curves=missing,
        values=tuple(
            _build_values(leaf)
            for leaf in case.leaves
            if leaf.jax is not None or leaf.torch is not None
        ),
        seconds=f"{case.seconds:.2f} s",
    )


def _explain(case: CaseResult) -> str:
    """Why the case has its verdict: what its worst leaves say."""
    if case.error:
        return "A side raised an error, so there is nothing to compare."
    if not case.leaves:
        return "No leaf was compared, which proves nothing."
    worst = [leaf for leaf in case.leaves if leaf.verdict == case.verdict]
    if len({leaf.reason for leaf in worst}) == 1:
        share = f"{len(worst)} of {len(case.leaves)} leaves: "
        return share * (len(worst) < len(case.leaves)) + worst[0].reason
    others = len(worst) - 1
    more = f" ({others} more of {len(case.leaves)} leaves: see their reasons.)" if others else ""
    return f"{_name_leaf(worst[0])}: {worst[0].reason}{more}"


def _name_leaf(leaf: LeafResult) -> str:
    return escape_controls(f"{leaf.quantity} {leaf.path or '(output)'}")


def _build_finding(leaf: LeafResult) -> Finding:
    return Finding(_name_leaf(leaf), leaf.verdict, escape_controls(leaf.reason))


def _leaf_row(leaf: LeafResult) -> tuple[str, ...]:
    size = math.prod(leaf.shape)
    differ = None if leaf.different is None else f"{leaf.different}/{size}"
    return (
        escape_controls(leaf.path) or "(output)",
        escape_controls(leaf.quantity),
        leaf.verdict,
        format_index(leaf.shape),
        escape_controls(leaf.dtype),
        differ or format_measure(None),
        format_measure(leaf.max_abs),
        format_measure(leaf.max_ulp),
        format_measure(leaf.rms),
        format_index(leaf.worst),
        format_measure(leaf.float64_gap),
        format_measure(leaf.float64_noise),
        format_measure(leaf.jax_error),
        format_measure(leaf.allowed),
        format_measure(leaf.torch_error),
    )


def _build_values(leaf: LeafResult) -> Table:
    sides = [
        {} if values is None else dict(walk_values(values)) for values in (leaf.torch, leaf.jax)
    ]
    rows: list[tuple[str, ...]] = []
    marked: set[int] = set()
    for index in sorted(sides[0].keys() | sides[1].keys()):
        torch, jax = (side.get(index) for side in sides)
        # repr tells -0.0 from 0.0, and makes one NaN like another.
        if repr(torch) != repr(jax):
            marked.add(len(rows))
        rows.append(
            (
                format_index(index),
                *(
                    format_measure(None) if side is None else format_value(side, leaf.dtype)
                    for side in (torch, jax)
                ),
                format_measure(_subtract(jax, torch)),
            )
        )
    return Table(_name_leaf(leaf), VALUE_COLUMNS, tuple(rows), frozenset(marked))


def _subtract(jax: Any, torch: Any) -> complex | None:
    if jax is None or torch is None:
        return None
    if isinstance(jax, complex) or isinstance(torch, complex):
        return jax - torch
    return 0.0 if jax == torch else float(jax) - float(torch)
