"""Which results of a report ``comparisons accept`` accepts."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Sequence

from comparisons._ledger import Entry, name_leaf
from comparisons._results import CaseResult, LeafResult
from comparisons.report import Report


class AcceptError(ValueError):
    """What is to be accepted is not there, or may not be accepted; the text is one line."""


def choose_entries(
    report: Report,
    targets: Sequence[str],
    *,
    reason: str,
    expires: datetime.date | None = None,
    also_failures: bool = False,
) -> tuple[Entry, ...]:
    """Ledger entries for some results of a report.

    Args:
        report: The report.
        targets: Names of cases, each with ``:`` and the name of a leaf or without; none for every
            result that is a warning and not accepted yet.
        reason: Why they are accepted.
        expires: The last day on which they are.
        also_failures: Whether verdicts that count as failures may be accepted, too.

    Returns:
        An entry per leaf, in the order of the report.

    Raises:
        AcceptError: A target names nothing that could be accepted, or there is nothing at all.
    """
    chosen: dict[tuple[str, str], LeafResult] = {}
    if not targets:
        for case in report.cases:
            for leaf in case.leaves:
                if leaf.outcome == "warn" or (leaf.outcome == "fail" and also_failures):
                    chosen[case.name, name_leaf(leaf)] = leaf
    for target in targets:
        case, leaves = _find(report, target)
        for leaf in leaves:
            if leaf.verdict.outcome == "fail" and not also_failures:
                raise AcceptError(
                    f"{case.name}:{name_leaf(leaf)} is {leaf.verdict}, a failure: mend it, or "
                    f"accept it with --also-failures"
                )
            chosen[case.name, name_leaf(leaf)] = leaf
    if not chosen:
        failed = any(leaf.outcome == "fail" for case in report.cases for leaf in case.leaves)
        more = "; failures need --also-failures" if failed and not also_failures else ""
        raise AcceptError(f"the report has no warning to accept{more}")
    return tuple(
        Entry(case=case, leaf=name, verdict=leaf.verdict, reason=reason, expires=expires)
        for (case, name), leaf in chosen.items()
    )


def _find(report: Report, target: str) -> tuple[CaseResult, list[LeafResult]]:
    """The case that a target names, and its leaves that are no pass."""
    # The longest name first: a name may itself have colons, as those of pytest have.
    for case in sorted(report.cases, key=lambda case: len(case.name), reverse=True):
        rest = target.removeprefix(case.name)
        if target.startswith(case.name) and rest[:1] in ("", ":"):
            return case, _find_leaves(case, rest[1:])
    names = [case.name for case in report.cases]
    near = difflib.get_close_matches(target, names, n=1, cutoff=0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ", nor any other"
    raise AcceptError(f"the report has no case {target!r}{hint}")


def _find_leaves(case: CaseResult, written: str) -> list[LeafResult]:
    if case.error:
        raise AcceptError(f"{case.name} raised an error, which cannot be accepted")
    leaves = [leaf for leaf in case.leaves if leaf.verdict.outcome != "pass"]
    if not written:
        if not leaves:
            raise AcceptError(f"{case.name} passes: there is nothing to accept")
        return leaves
    # Reports write "vjp 0/w" and "value (output)".
    name = re.sub(r"[ /]\(output\)$", "", written.replace(" ", "/", 1))
    found = [leaf for leaf in case.leaves if name_leaf(leaf) == name]
    if not found:
        listed = ", ".join(name_leaf(leaf) for leaf in case.leaves)
        raise AcceptError(f"{case.name} has no leaf {written!r}; it has {listed}")
    if found[0].verdict.outcome == "pass":
        raise AcceptError(f"{case.name}:{name} is {found[0].verdict}: there is nothing to accept")
    return found
