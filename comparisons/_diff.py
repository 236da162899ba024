"""What changed between two reports, and whether anything got worse."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from comparisons._ledger import name_leaf
from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Outcome, Verdict
from comparisons.report import Report
from comparisons.report._format import escape_controls

if TYPE_CHECKING:
    from rich.console import RenderableType

Kind = Literal["worse", "better", "changed"]

SCHEMA = "functional-ad/diff/1"
# A figure has moved if it is ten times what it was, and a rounding or two do not explain it: a few
# units in the last place come and go with the version, the processor and the number of threads.
MOVED = 10.0
ROUNDING_ULP = 8

_STYLES: dict[Kind, str] = {"worse": "bold red", "better": "green", "changed": "yellow"}
_OUTCOMES: tuple[Outcome, ...] = ("pass", "warn", "fail")
_SHOWN = 40  # lines of each kind on a terminal; the JSON has all


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two reports.

    Attributes:
        kind: ``"worse"``, ``"better"``, or ``"changed"`` for what is neither.
        case: The case's name.
        leaf: The leaf's name as in a ledger; empty if it is about the case.
        what: What changed, e.g. ``"verdict"``.
        before: In the first report; empty if it was not there.
        after: In the second one, likewise.
    """

    kind: Kind
    case: str
    leaf: str
    what: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True)
class Diff:
    """The differences between two reports.

    Attributes:
        environment: Setting, value before, value after.
        changes: By case, in the order of the second report; those only in the first at the end.
    """

    environment: tuple[tuple[str, str, str], ...]
    changes: tuple[Change, ...]

    @property
    def worse(self) -> bool:
        """Whether anything got worse."""
        return any(change.kind == "worse" for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The diff as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "worse": self.worse,
            "environment": [
                {"setting": name, "before": before, "after": after}
                for name, before, after in self.environment
            ],
            "changes": [dataclasses.asdict(change) for change in self.changes],
        }

    def __rich__(self) -> RenderableType:
        """What changed, worse things first."""
        from rich.console import Group
        from rich.text import Text

        lines: list[Text] = []
        for name, before, after in self.environment:
            lines.append(Text.assemble((name, "bold"), f": {before} → {after}"))
        for kind in _STYLES:
            found = [change for change in self.changes if change.kind == kind]
            for change in found[:_SHOWN]:
                place = f"{change.case}:{change.leaf}" if change.leaf else change.case
                text = escape_controls(f": {_tell(change)}")
                place = escape_controls(place)
                lines.append(Text.assemble((kind, _STYLES[kind]), "  ", (place, "bold"), text))
            if len(found) > _SHOWN:
                lines.append(Text(f"and {len(found) - _SHOWN} more {kind}"))
        counts = Counter(change.kind for change in self.changes)
        parts = [f"{counts[kind]} {kind}" for kind in _STYLES if counts[kind]]
        style = _STYLES["worse" if self.worse else "better"]
        headline = "Something got worse" if self.worse else "Nothing got worse"
        return Group(*lines, Text(f"{headline}: {', '.join(parts) or 'no change'}.", style=style))


def diff_reports(before: Report, after: Report) -> Diff:
    """Compares two reports, case by case and leaf by leaf.

    A verdict that moves between AGREES and IDENTICAL is neither better nor worse. What was compared
    and did not fail, and is not compared any more, is worse: nobody would notice it breaking.

    Args:
        before: The report to start from.
        after: The one that it is held against.

    Returns:
        What changed.
    """
    settings = dict.fromkeys([*before.environment, *after.environment])
    environment = [
        (name, _write(before.environment.get(name)), _write(after.environment.get(name)))
        for name in settings
        if name != "date"
    ]
    old, new = _index(before.cases), _index(after.cases)
    changes: list[Change] = []
    for key, case in new.items():
        changes += _diff_case(old[key], case) if key in old else [_add(case)]
    changes += [_lose(case) for key, case in old.items() if key not in new]
    return Diff(tuple(item for item in environment if item[1] != item[2]), tuple(changes))


def _index(cases: Iterable[CaseResult]) -> dict[tuple[str, int], CaseResult]:
    """Cases by name; those of one name are told apart by their order."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int], CaseResult] = {}
    for case in cases:
        found[case.name, seen[case.name]] = case
        seen[case.name] += 1
    return found


def _add(case: CaseResult) -> Change:
    kind: Kind = "worse" if case.outcome == "fail" else "changed"
    verdict = str(case.verdict)
    return Change(kind=kind, case=case.name, leaf="", what="case", before="", after=verdict)


def _lose(case: CaseResult) -> Change:
    kind: Kind = "changed" if case.outcome == "fail" else "worse"
    verdict = str(case.verdict)
    return Change(kind=kind, case=case.name, leaf="", what="case", before=verdict, after="")


def _diff_case(old: CaseResult, new: CaseResult) -> list[Change]:
    if old.error or new.error:
        return list(_diff_error(old, new))
    changes: list[Change] = []

    def note(kind: Kind, what: str, before: str, after: str, leaf: str = "") -> None:
        changes.append(
            Change(kind=kind, case=new.name, leaf=leaf, what=what, before=before, after=after)
        )

    olds = {name_leaf(leaf): leaf for leaf in old.leaves}
    news = {name_leaf(leaf): leaf for leaf in new.leaves}
    for name, leaf in news.items():
        if name not in olds:
            kind: Kind = "worse" if leaf.outcome == "fail" else "changed"
            note(kind, "leaf", "", str(leaf.verdict), name)
            continue
        for found, what, a, b in _diff_leaf(olds[name], leaf):
            note(found, what, a, b, name)
    for name, leaf in olds.items():
        if name not in news:
            kind = "changed" if leaf.outcome == "fail" else "worse"
            note(kind, "leaf", str(leaf.verdict), "", name)
    if old.dtype != new.dtype:
        note("changed", "dtype", old.dtype, new.dtype)
    for text in new.vacuity:
        if text not in old.vacuity:
            note("changed", "vacuity", "", text)
    if changes:  # on its own, another source with the same results is what a refactoring is
        for side, a, b in (
            ("JAX source", old.jax_source, new.jax_source),
            ("PyTorch source", old.torch_source, new.torch_source),
        ):
            if a != b:
                note("changed", side, "", "changed")
    return changes


def _diff_error(old: CaseResult, new: CaseResult) -> Iterator[Change]:
    if old.error == new.error:
        return
    kind: Kind = "changed"
    if not (old.error and new.error):
        ranks = [_OUTCOMES.index(case.outcome) for case in (old, new)]
        kind = "worse" if new.error else ("better" if ranks[1] < ranks[0] else "changed")
    before, after = (
        " ".join(case.error.split()) if case.error else str(case.verdict) for case in (old, new)
    )
    yield Change(kind=kind, case=new.name, leaf="", what="error", before=before, after=after)


def _diff_leaf(old: LeafResult, new: LeafResult) -> Iterator[tuple[Kind, str, str, str]]:
    if (old.verdict, old.accepted is None) != (new.verdict, new.accepted is None):
        yield _judge(old, new), "verdict", _describe(old), _describe(new)
    elif old.accepted != new.accepted:
        yield "changed", "reason", old.accepted or "", new.accepted or ""
    elif _has_moved(old, new):
        yield "changed", "max abs", f"{old.max_abs:.3g}", f"{new.max_abs:.3g}"
    if old.shape != new.shape or old.dtype != new.dtype:
        yield "changed", "shape", f"{old.dtype}{list(old.shape)}", f"{new.dtype}{list(new.shape)}"
    causes = [", ".join(cause.name for cause in leaf.causes) for leaf in (old, new)]
    if causes[0] != causes[1]:
        yield "changed", "cause", causes[0], causes[1]
    if old.power is not None and new.power is not None and _times(old.power, new.power) >= MOVED**2:
        yield "changed", "power", f"{old.power:.0e}", f"{new.power:.0e}"


def _judge(old: LeafResult, new: LeafResult) -> Kind:
    """By what the verdicts count as, then by the ladder; not among passes."""
    if old.outcome == new.outcome == "pass":
        return "better" if old.accepted is not None and new.accepted is None else "changed"
    ladder = list(Verdict)
    before, after = (
        (_OUTCOMES.index(leaf.outcome), -ladder.index(leaf.verdict)) for leaf in (old, new)
    )
    return "worse" if after > before else "better"


def _describe(leaf: LeafResult) -> str:
    return str(leaf.verdict) if leaf.accepted is None else f"{leaf.verdict} (accepted)"


def _has_moved(old: LeafResult, new: LeafResult) -> bool:
    if old.max_abs is None or new.max_abs is None:
        return False
    if max(old.max_ulp or 0, new.max_ulp or 0) <= ROUNDING_ULP:
        return False
    return _times(old.max_abs, new.max_abs) >= MOVED


def _times(a: float, b: float) -> float:
    """How many times the greater of two sizes is the smaller; 1 if they are the same."""
    low, high = sorted((abs(a), abs(b)))
    if low == high or math.isnan(low) or math.isnan(high):
        return math.inf if math.isnan(a) != math.isnan(b) else 1.0
    return high / low if low else math.inf


def _tell(change: Change) -> str:
    if change.what in ("case", "leaf"):
        gone = f"is not compared any more (was {change.before})"
        return f"is new: {change.after}" if not change.before else gone
    if change.what == "verdict":
        return f"{change.before} → {change.after}"
    if not change.before:
        return f"{change.what}: {change.after}"
    return f"{change.what} {change.before} → {change.after or 'none'}"


def _write(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not told" if value is None else str(value)
