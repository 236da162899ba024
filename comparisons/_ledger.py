"""The ledger: results that are no pass and are accepted all the same, each with its reason.

A TOML file, written by ``comparisons accept`` and by hand::

    [[accepted]]
    case = "model/attention"
    leaf = "vjp/0/w"  # the quantity, then the path
    verdict = "CONVENTION"
    reason = "torch picks the first of equal maxima"
    expires = 2027-06-30  # the last day; may be left out

An entry accepts its verdict and better ones, never a worse one.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Verdict

DEFAULT = "parity-ledger.toml"
_HEADER = "What `comparisons run --ledger` accepts although it is no pass, each with its reason."
_KEYS = ("case", "leaf", "verdict", "reason", "expires")


class LedgerError(ValueError):
    """A ledger cannot be read or written; the text is the one line that says where and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One accepted deviation.

    Attributes:
        case: The case's name.
        leaf: What ``name_leaf`` gives of the leaf.
        verdict: The worst verdict that is accepted; no pass.
        reason: Why.
        expires: The last day on which it is accepted; None for ever.
        place: Where the entry is in its file, e.g. ``"line 3"``.
    """

    case: str
    leaf: str
    verdict: Verdict
    reason: str
    expires: datetime.date | None = None
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The entries of a file, in its order."""

    path: Path
    entries: tuple[Entry, ...]


def name_leaf(leaf: LeafResult) -> str:
    """A leaf's name in a ledger: the quantity and the path, as ``"vjp/0/w"``; ``"value"`` alone.

    Example:
        >>> name_leaf(LeafResult(path="0/w", quantity="vjp", verdict=Verdict.AGREES, reason=""))
        'vjp/0/w'
    """
    return f"{leaf.quantity}/{leaf.path}".removesuffix("/") if leaf.path else leaf.quantity


def read_ledger(path: Path) -> Ledger:
    """Reads and checks a ledger.

    Raises:
        LedgerError: The file is not there or no TOML, or an entry is incomplete or unknown.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise LedgerError(f"cannot read the ledger {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # from tomllib, which says the line, or from the UTF-8 decoder
        raise LedgerError(f"{path}: {error}") from error
    if unknown := sorted(data.keys() - {"accepted"}):
        raise LedgerError(f"{path}: {_suggest(unknown[0], ['accepted'])}")
    tables = data.get("accepted", [])
    if not isinstance(tables, list):
        raise LedgerError(f"{path}: write each entry under a heading [[accepted]]")
    tables = cast("list[Any]", tables)
    places = _find_places(text, len(tables))
    entries = [_decode(table, place, path) for table, place in zip(tables, places, strict=True)]
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = seen.setdefault((entry.case, entry.leaf), entry)
        if other is not entry:
            raise LedgerError(
                f"{path}, {entry.place}: {entry.case}:{entry.leaf} is accepted in {other.place} too"
            )
    return Ledger(path, tuple(entries))


def apply_ledger(
    cases: Iterable[CaseResult], ledger: Ledger, today: datetime.date | None = None
) -> tuple[tuple[CaseResult, ...], tuple[str, ...]]:
    """Marks what a ledger accepts, and says what of the ledger is expired or without use.

    Args:
        cases: Results of a run.
        ledger: The ledger.
        today: The day to judge by; the current one if left out.

    Returns:
        The cases with ``LeafResult.accepted`` set, and a line for each entry about these cases that
        did not accept anything.
    """
    day = today or datetime.date.today()
    cases = tuple(cases)
    entries = {(entry.case, entry.leaf): entry for entry in ledger.entries}
    used: set[tuple[str, str]] = set()

    def mark(case: CaseResult, leaf: LeafResult) -> LeafResult:
        key = (case.name, name_leaf(leaf))
        entry = entries.get(key)
        if entry is None or leaf.verdict.outcome == "pass" or _is_worse(leaf.verdict, entry):
            return leaf
        if entry.expires is not None and entry.expires < day:
            return leaf
        used.add(key)
        return dataclasses.replace(leaf, accepted=entry.reason)

    marked = tuple(
        dataclasses.replace(case, leaves=tuple(mark(case, leaf) for leaf in case.leaves))
        for case in cases
    )
    ran = {case.name: case for case in cases if not case.error}
    problems = [
        f"{ledger.path}, {entry.place}: {entry.case}:{entry.leaf} {_explain(entry, ran, day)}"
        for key, entry in entries.items()
        if entry.case in ran and key not in used
    ]
    return marked, tuple(problems)


def write_ledger(path: Path, accepted: Sequence[Entry]) -> None:
    """Adds entries to a ledger, in place of those of the same leaves; the rest stays as it is.

    The file is written whole or not at all.

    Raises:
        LedgerError: The file that is there is no ledger.
    """
    import tomlkit

    text = f"# {_HEADER}\n"
    if path.exists():
        read_ledger(path)
        with path.open(encoding="utf-8", newline="") as file:  # its line ends stay what they are
            text = file.read()
    document = tomlkit.parse(text)
    tables: Any = document.get("accepted", [])
    places = {(str(table["case"]), str(table["leaf"])): table for table in tables}
    added: list[str] = []
    for entry in accepted:
        fields = {name: getattr(entry, name) for name in _KEYS}
        fields["verdict"] = str(entry.verdict)
        table = places.get((entry.case, entry.leaf), {})
        table.update({name: value for name, value in fields.items() if value is not None})
        if entry.expires is None and "expires" in table:
            del table["expires"]
        if (entry.case, entry.leaf) not in places:
            places[entry.case, entry.leaf] = table
            added.append("[[accepted]]\n" + tomlkit.dumps(table))
    text = "\n".join([tomlkit.dumps(document), *added])
    if "\r\n" in text:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    try:
        tomllib.loads(text)
    except ValueError:  # the entries that were there are a list in one line
        raise LedgerError(f"{path}: write each entry under a heading [[accepted]]") from None
    _write_whole(path, text)


def _decode(table: Any, place: str, path: Path) -> Entry:
    def refuse(problem: str) -> LedgerError:
        return LedgerError(f"{path}, {place}: {problem}")

    if not isinstance(table, dict):
        raise refuse("write the entry under a heading [[accepted]]")
    entry = cast("dict[str, Any]", table)
    # An unknown key may be a misspelt `expires`, without which the entry would hold for ever.
    if unknown := [key for key in entry if key not in _KEYS]:
        raise refuse(_suggest(unknown[0], _KEYS))
    for key in _KEYS[:-1]:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise refuse(f"{key} must be a text that is not empty")
    warned = [str(verdict) for verdict in Verdict if verdict.outcome != "pass"]
    if entry["verdict"] not in warned:
        got = repr(entry["verdict"])
        raise refuse(f"verdict must be one of {', '.join(warned)}; got {got}")
    expires = entry.get("expires")
    if expires is not None and type(expires) is not datetime.date:
        raise refuse(f"expires must be a day such as 2027-06-30, without quotes; got {expires!r}")
    verdict = Verdict(entry.pop("verdict"))
    return Entry(verdict=verdict, place=place, **entry)


def _suggest(unknown: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(unknown, known, n=1)
    listed = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no key {unknown!r}; {listed}"


def _find_places(text: str, count: int) -> list[str]:
    """The line of each entry; its number where entries are not written under headings."""
    lines = text.splitlines()
    headings = [i for i, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*accepted\s*]]", line)]
    if len(headings) == count:
        return [f"line {line}" for line in headings]
    return [f"entry {number}" for number in range(1, count + 1)]


def _is_worse(verdict: Verdict, entry: Entry) -> bool:
    order = list(Verdict)
    return order.index(verdict) < order.index(entry.verdict)


def _explain(entry: Entry, ran: dict[str, CaseResult], day: datetime.date) -> str:
    """Why an entry accepted nothing."""
    leaf = next((leaf for leaf in ran[entry.case].leaves if name_leaf(leaf) == entry.leaf), None)
    if leaf is None:
        return "is not used: the case has no such leaf"
    if leaf.verdict.outcome == "pass":
        return f"is not used: the leaf is {leaf.verdict} now"
    if _is_worse(leaf.verdict, entry):
        return f"accepts {entry.verdict}, but the leaf is {leaf.verdict} now"
    assert entry.expires is not None
    return f"has expired: its last day was {entry.expires.isoformat()}"


def _write_whole(path: Path, text: str) -> None:
    target = path.resolve()  # a link stays a link
    temporary = target.parent / f".ledger-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        temporary.write_bytes(text.encode())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
