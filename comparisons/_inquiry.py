"""What is done when a leaf is no plain pass: the steps that cost more than two runs a side.

1. What rounds inside the JAX program is measured, and both float64 runs are scanned for casts
   to less; the referee judges again with that.
2. A difference is looked at beside the point: at a kink it is a CONVENTION.
3. The known causes are tried. One that closes the gap is named; where it is a choice that the
   frameworks made differently, the leaf is a CONVENTION, where it is a mistake it stays what
   it is.
4. A third vote says which side is right.
"""

from __future__ import annotations

import dataclasses

from comparisons._backends import Outputs
from comparisons._case import ParityCase
from comparisons._inside import open_up
from comparisons._kinks import look_around
from comparisons._results import LeafResult
from comparisons._trial import Trial
from comparisons._verdict import Verdict
from comparisons._vote import take_vote

VOTES = 8  # leaves of a case that are voted on, the worst verdicts first

_OPEN = frozenset(
    {Verdict.NONFINITE, Verdict.MISMATCH, Verdict.APPROXIMATION, Verdict.LESS_ACCURATE}
)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What an inquiry came to.

    Attributes:
        trial: The trial, with what was found inside the programs.
        leaves: The verdicts on all leaves.
        casts: Where a side computes at less than it was run at, a sentence each.
    """

    trial: Trial
    leaves: list[LeafResult]
    casts: tuple[str, ...]


def inquire(trial: Trial) -> Findings:
    """Judges a trial, and follows up what is no plain pass."""
    trial, leaves, casts = look_inside(trial)
    if any(leaf.outcome != "pass" for leaf in leaves):
        leaves = _settle_kinks(trial, leaves)
        leaves = _name_causes(trial, leaves)
        leaves = _take_votes(trial, leaves)
    return Findings(trial, leaves, casts)


def look_inside(trial: Trial) -> tuple[Trial, list[LeafResult], tuple[str, ...]]:
    """The referee's verdicts, with what happens inside the programs where it may matter."""
    leaves = trial.judge()
    left = [(leaf.quantity, leaf.path) for leaf in leaves if leaf.verdict in _OPEN]
    if not left:
        return trial, leaves, ()
    trial, casts = open_up(trial, left)
    return trial, trial.judge(), casts


def retry(trial: Trial, case: ParityCase) -> list[LeafResult]:
    """The verdicts on a changed case, with the runs of what has not changed; kinks left aside."""
    return look_inside(trial.change(case))[1]


def _settle_kinks(trial: Trial, leaves: list[LeafResult]) -> list[LeafResult]:
    differing = [leaf for leaf in leaves if leaf.verdict is Verdict.MISMATCH]
    if not differing:
        return leaves
    around = look_around(trial, differing)
    settled: list[LeafResult] = []
    for leaf in leaves:
        found = around.get((leaf.quantity, leaf.path))
        if found is None or not found.agree:
            settled.append(leaf)
            continue
        beside = f"from {found.low:.3g} to {found.high:.3g}"
        if found.is_convention and leaf.quantity == "value":
            reason = (
                f"{leaf.reason} The sides differ exactly at a jump ({beside}), and agree beside "
                "it: is it < for <=, floor for ceil, or another of two equal elements?"
            )
            settled.append(dataclasses.replace(leaf, reason=reason))
        elif found.is_convention:
            reason = (
                "The sides agree wherever the inputs are moved a little, and differ only here, "
                f"where the function is not smooth: both values lie between those beside it "
                f"({beside})."
            )
            settled.append(dataclasses.replace(leaf, verdict=Verdict.CONVENTION, reason=reason))
        else:
            outside = [
                name
                for name, between in (
                    ("JAX", found.ours_between),
                    ("PyTorch", found.theirs_between),
                )
                if not between
            ]
            reason = (
                f"{leaf.reason} The sides agree beside this point, but what "
                f"{' and '.join(outside)} gives at it is not between what is there ({beside})."
            )
            settled.append(dataclasses.replace(leaf, reason=reason))
    return settled


def _name_causes(trial: Trial, leaves: list[LeafResult]) -> list[LeafResult]:
    from comparisons._causes import find_causes

    failing = [
        leaf for leaf in leaves if leaf.outcome != "pass" and leaf.verdict is not Verdict.NO_SIGNAL
    ]

    def rerun(case: ParityCase) -> tuple[Outputs, Outputs]:
        changed = trial.change(case)
        return changed.jax64, changed.torch64

    found = find_causes(trial.case, failing, lambda case: retry(trial, case), rerun)
    named: list[LeafResult] = []
    for leaf in leaves:
        causes = found.get((leaf.quantity, leaf.path), ())
        chosen = bool(causes) and all(cause.kind == "convention" for cause in causes)
        verdict = leaf.verdict
        if chosen and verdict in (Verdict.MISMATCH, Verdict.APPROXIMATION):
            verdict = Verdict.CONVENTION
        named.append(
            dataclasses.replace(
                leaf, verdict=verdict, causes=tuple(cause.cause for cause in causes)
            )
        )
    return named


def _take_votes(trial: Trial, leaves: list[LeafResult]) -> list[LeafResult]:
    left = VOTES
    voted: list[LeafResult] = []
    for leaf in leaves:
        if leaf.causes or leaf.verdict not in (Verdict.MISMATCH, Verdict.APPROXIMATION):
            voted.append(leaf)
        elif _agrees_at_float64(leaf):  # gross at the working dtype: the referee has told
            closer = "JAX" if (leaf.jax_error or 0) < (leaf.torch_error or 0) else "PyTorch"
            voted.append(dataclasses.replace(leaf, right=closer))
        elif left:
            left -= 1
            vote = take_vote(trial, leaf)
            voted.append(dataclasses.replace(leaf, right=vote.right, vote=vote.reason))
        else:
            voted.append(leaf)
    return voted


def _agrees_at_float64(leaf: LeafResult) -> bool:
    if leaf.float64_gap is None or leaf.float64_noise is None:
        return False
    return leaf.float64_gap <= leaf.float64_noise
