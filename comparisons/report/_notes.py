"""What is said of a case beside its verdict: causes with their fixes, votes, power and limits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from comparisons._results import CaseResult, Cause, LeafResult
from comparisons.report._format import escape_controls, format_measure, name_leaf

NAMED = 5  # leaves or defects that are named before the rest is counted

_RIGHT = {
    "JAX": "JAX is right.",
    "PyTorch": "PyTorch is right.",
    "both": "Both are right.",
    "neither": "Neither is right.",
    None: "It cannot tell which side is right.",
}


@dataclasses.dataclass(frozen=True)
class CauseNote:
    """A named cause: what differs, the line that closes the gap, and the leaves where it does."""

    title: str
    fix: str
    source: str
    link: str
    where: str


@dataclasses.dataclass(frozen=True)
class Note:
    """A label and a text. A limit is something that the verdict alone would not tell."""

    label: str
    text: str
    limit: bool = False


def build_causes(case: CaseResult) -> tuple[CauseNote, ...]:
    """Every cause that was named in a case, once, in order."""
    found: dict[Cause, list[LeafResult]] = {}
    for leaf in case.leaves:
        for cause in leaf.causes:
            found.setdefault(cause, []).append(leaf)
    troubled = sum(leaf.verdict.outcome != "pass" for leaf in case.leaves)
    return tuple(
        CauseNote(
            title=escape_controls(cause.title),
            fix=escape_controls(cause.fix).strip("\n"),
            source=escape_controls(cause.source),
            link=find_link(cause.source),
            where=_list_leaves(leaves) if len(leaves) < troubled else "",
        )
        for cause, leaves in found.items()
    )


def build_notes(case: CaseResult) -> tuple[Note, ...]:
    """What a reader of a case should know beside the verdict and its reason."""
    vote = _group(case, _tell_vote)
    accepted = _group(case, lambda leaf: escape_controls(leaf.accepted or ""))
    steps = escape_controls(case.trajectory.summary) if case.trajectory else ""
    notes = [
        Note("Steps", steps, limit=True),
        Note("Third vote", vote),
        Note("Accepted", accepted, limit=True),
        Note("Established", _tell_precision(case), limit=True),
        Note("Cast", _join(case.casts), limit=True),
        Note("Vacuous", _join(case.vacuity), limit=True),
        Note("Power", _tell_power(case)),
    ]
    return tuple(note for note in notes if note.text)


def find_link(address: str) -> str:
    """An address if it is one of the web's, else nothing."""
    return address if re.match(r"https?://\S+$", address) else ""


def _join(sentences: Sequence[str]) -> str:
    return " ".join(escape_controls(sentence) for sentence in sentences)


def _group(case: CaseResult, tell: Callable[[LeafResult], str]) -> str:
    """The same text of several leaves once, with the leaves it is about unless they are all."""
    found: dict[str, list[LeafResult]] = {}
    for leaf in case.leaves:
        text = tell(leaf)
        if text:
            found.setdefault(text, []).append(leaf)
    return " ".join(
        text if len(leaves) == len(case.leaves) else f"{_list_leaves(leaves)}: {text}"
        for text, leaves in found.items()
    )


def _list_leaves(leaves: Sequence[LeafResult]) -> str:
    return _list([name_leaf(leaf) for leaf in leaves])


def _list(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _tell_vote(leaf: LeafResult) -> str:
    if leaf.right is None and not leaf.vote:
        return ""
    return f"{_RIGHT.get(leaf.right, '')} {escape_controls(leaf.vote)}".strip()


def _tell_precision(case: CaseResult) -> str:
    """Where both sides were seen to agree at less than float64; nothing if nowhere."""

    def tell(leaf: LeafResult) -> str:
        if leaf.established in (None, "float64", "complex128"):
            return ""
        return f"The sides were seen to agree at {escape_controls(leaf.established)} only."

    return _group(case, tell)


def _tell_power(case: CaseResult) -> str:
    powers = [(leaf.power, leaf) for leaf in case.leaves if leaf.power is not None]
    parts: list[str] = []
    if powers:
        weakest, leaf = max(powers, key=lambda pair: pair[0])
        text = f"Would notice a relative error of {format_measure(weakest)}"
        if len(powers) < len(case.leaves):
            text += f" in {len(powers)} of {len(case.leaves)} leaves; of the others it is not known"
        elif any(power < weakest for power, _ in powers):
            text += f", and a smaller one in leaves other than {name_leaf(leaf)}"
        parts.append(f"{text}.")
    if case.planted:
        missed = [f"{each.defect} at {each.where}" for each in case.planted if not each.caught]
        caught = len(case.planted) - len(missed)
        text = f"Planted defects caught: {caught} of {len(case.planted)}"
        text += f"; not caught: {escape_controls(_list(missed))}" if missed else ""
        parts.append(f"{text}.")
    return " ".join(parts)
