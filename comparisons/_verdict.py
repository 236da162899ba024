"""The nine verdicts, from worst to best, and what each counts as.

The order is the ladder: a case is as bad as its worst leaf, a report as bad as its worst case.
``_referee.py`` decides all of them but CONVENTION, which ``_inquiry.py`` makes of a MISMATCH.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Literal

Outcome = Literal["fail", "warn", "pass"]


class Verdict(enum.StrEnum):
    """How one leaf of one quantity compares, worst first.

    PyTorch's ``torch.testing.assert_close`` has two answers, decided by a tolerance. Here the
    answer says what kind of difference it is, decided by running both sides at float64 too.

    Example:
        >>> Verdict.MISMATCH.outcome, Verdict.IDENTICAL.outcome
        ('fail', 'pass')
        >>> worst([Verdict.AGREES, Verdict.MISMATCH, Verdict.IDENTICAL])
        <Verdict.MISMATCH: 'MISMATCH'>
    """

    STRUCTURE = "STRUCTURE"  # tree, shape or dtype differ, or there was nothing to compare
    NONFINITE = "NONFINITE"  # NaN or infinity in different places
    MISMATCH = "MISMATCH"  # more than rounding
    CONVENTION = "CONVENTION"  # a choice: at a point that is not smooth, or a named default
    APPROXIMATION = "APPROXIMATION"  # two formulas for one function
    LESS_ACCURATE = "LESS_ACCURATE"  # float64 agrees, one side rounds far worse
    NO_SIGNAL = "NO_SIGNAL"  # below its own rounding noise
    AGREES = "AGREES"  # the difference is rounding
    IDENTICAL = "IDENTICAL"  # bit for bit

    @property
    def outcome(self) -> Outcome:
        """What this verdict counts as: ``"fail"``, ``"warn"`` or ``"pass"``."""
        if self in _FAIL:
            return "fail"
        return "pass" if self in _PASS else "warn"


_FAIL = frozenset({Verdict.STRUCTURE, Verdict.NONFINITE, Verdict.MISMATCH})
_PASS = frozenset({Verdict.AGREES, Verdict.IDENTICAL})
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; of none, STRUCTURE: comparing nothing proves nothing."""
    return min(verdicts, key=_RANK.__getitem__, default=Verdict.STRUCTURE)
