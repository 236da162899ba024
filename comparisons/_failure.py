"""The text of a comparison that failed in a test: what, why, and how to see it again."""

from __future__ import annotations

import math
from collections.abc import Iterator

from comparisons._allclose import describe_tolerances
from comparisons._ledger import name_leaf
from comparisons._results import CaseResult
from comparisons.report import Report

LEAVES_SHOWN = 8


def explain_failure(case: CaseResult, snippet: str) -> str:
    """The table, causes with their fixes, the smallest tolerance, and the snippet.

    Args:
        case: A result that is no pass.
        snippet: What ``write_snippet`` gave, or a sentence on how to see it again.

    Returns:
        The text, of several paragraphs.
    """
    worst = [name_leaf(leaf) for leaf in case.leaves if leaf.verdict is case.verdict]
    table = str(Report((case,), {}))
    shown = " ".join(table.split())
    parts = [f"parity: {case.verdict} of {', '.join(worst[:3])}{' ...' * (len(worst) > 3)}", table]
    causes = {cause.name: cause for leaf in case.leaves for cause in leaf.causes}
    for cause in causes.values():
        if " ".join(cause.fix.split()) not in shown:  # unless the table has it already
            source = f"\n  see: {cause.source}" if cause.source else ""
            parts.append(f"cause ({cause.name}): {cause.title}\n  fix: {cause.fix}{source}")
    parts += ["\n".join(_tell_tolerances(case)), snippet]
    return "\n\n".join(part for part in parts if part)


def _tell_tolerances(case: CaseResult) -> Iterator[str]:
    failed = [leaf for leaf in case.leaves if leaf.outcome != "pass"]
    # The leaf that is farthest off first: its tolerance is the one that a test would need.
    failed.sort(key=lambda leaf: -(leaf.max_abs or 0) if not math.isnan(leaf.max_abs or 0) else 0)
    told = [(leaf, text) for leaf in failed if (text := describe_tolerances(leaf))]
    for leaf, text in told[:LEAVES_SHOWN]:
        yield f"{name_leaf(leaf)}: {text}"
    left = len(told) - LEAVES_SHOWN
    if left > 0:
        yield f"and {left} more {'leaf' if left == 1 else 'leaves'}"
