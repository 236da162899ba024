"""What the two modes say together: a defect of a step, amplification, or agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from comparisons._results import LeafResult, Trajectory
from comparisons._trajectory._forced import QUANTITIES, ForcedRecord
from comparisons._trajectory._free import FreeRecord
from comparisons._trajectory._record import LeafRecord
from comparisons._verdict import Verdict, worst

FORCED, FREE = "teacher-forced", "free-running"
NAMED = 3  # leaves that a summary names beside the first


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """Of each mode, the leaves and the trajectory."""

    forced: tuple[tuple[LeafResult, ...], Trajectory]
    free: tuple[tuple[LeafResult, ...], Trajectory]


def conclude(forced: ForcedRecord, free: FreeRecord, steps: int) -> Conclusion:
    """Draws the conclusion of all steps."""
    wrong, near = _find_first(forced.leaves, _is_failure), _find_first(forced.leaves, _is_near)
    count = f"{steps} step{'s' * (steps != 1)}"
    if wrong:
        kind, (first, leaves) = "defect", wrong
        summary = (
            f"A defect of the step itself, first at step {first} of {steps}, in "
            f"{_name(leaves)}: from one and the same state the two sides step differently."
        )
    elif near:
        kind, (first, leaves) = "difference", near
        summary = (
            f"From one and the same state no step fails, but the two sides do not step quite "
            f"alike, first at step {first} of {steps}, in {_name(leaves)}."
        )
    else:
        kind, first, leaves = "agreement", None, []
        summary = f"From one and the same state the two sides step alike, in all of {count}."
    summary += (
        f" All leaves were judged at every step; at {forced.probed} of {steps} that took probes."
    )
    of_forced = Trajectory(
        mode=FORCED,
        kind=kind,
        summary=summary,
        steps=steps,
        probed=forced.probed,
        first_step=first,
        first_leaf=leaves[0] if leaves else None,
        curves=forced.curves.conclude(),
    )
    of_free = _conclude_free(free, steps, of_forced)
    forced_leaves, free_leaves = _sort(forced.leaves, steps), _sort(free.leaves, steps)
    if not any(record.rank for record in forced.leaves.values()):
        free_leaves = [_lay_to_amplification(leaf) for leaf in free_leaves]
    if of_forced.kind == "difference":
        verdict = worst(leaf.verdict for leaf in forced_leaves)
        free_leaves = [_lay_to_steps(leaf, verdict) for leaf in free_leaves]
    return Conclusion((tuple(forced_leaves), of_forced), (tuple(free_leaves), of_free))


def _lay_to_amplification(leaf: LeafResult) -> LeafResult:
    """No step is less accurate than the other side's, so a run is not, either."""
    if leaf.verdict is not Verdict.LESS_ACCURATE:
        return leaf
    reason = f"{leaf.reason} From one state every step agrees, so this is amplification."
    return dataclasses.replace(leaf, verdict=Verdict.AGREES, reason=reason)


def _lay_to_steps(leaf: LeafResult, verdict: Verdict) -> LeafResult:
    """A run differs for no other reason than its steps do."""
    if leaf.verdict is not Verdict.MISMATCH:
        return leaf
    reason = f"{leaf.reason} It is what the single steps differ by."
    return dataclasses.replace(leaf, verdict=verdict, reason=reason)


def _conclude_free(free: FreeRecord, steps: int, forced: Trajectory) -> Trajectory:
    apart = _find_first(free.leaves, _is_failure)
    parted = [(record.parted, _label(key)) for key, record in free.leaves.items() if record.parted]
    alone = min(
        (record.parted_alone for record in free.leaves.values() if record.parted_alone),
        default=None,
    )
    first: int | None = None
    leaf: str | None = None
    if apart and forced.kind != "agreement":
        kind, first, leaf = forced.kind, apart[0], apart[1][0]
        summary = (
            f"Left to themselves the runs part by more than rounding explains, first at step "
            f"{first} of {steps}, in {_name(apart[1])}: the {kind} that the teacher-forced "
            f"comparison finds at step {forced.first_step} in {forced.first_leaf}."
        )
    elif apart:
        kind, first, leaf = "drift", apart[0], apart[1][0]
        summary = (
            f"Left to themselves the runs part by more than rounding explains, first at step "
            f"{first} of {steps}, in {_name(apart[1])}, though from one state every step agrees. "
            f"Does a side keep something outside of its state: an optimizer, a counter, a random "
            f"state?"
        )
    elif parted:
        kind = "amplification"
        first, leaf = min(parted, key=lambda found: found[0])
        itself = f"by step {alone}" if alone else "not within the run, but by a comparable amount"
        summary = (
            f"Amplification: from step {first} of {steps} on, the runs share less than half of "
            f"their digits, first in {leaf}; PyTorch's own run, off by last bits, parts from "
            f"itself {itself}. The float64 runs agree as far as rounding lets them"
        )
        summary += (
            ", and from one state every step agrees: there is no defect in it."
            if forced.kind == "agreement"
            else f". The {forced.kind} that the teacher-forced comparison finds at step "
            f"{forced.first_step} in {forced.first_leaf} does not show here."
        )
    else:
        kind = "agreement"
        summary = (
            f"Left to themselves the runs stay together over all {steps} steps, at float64 too."
            if steps > 1
            else "After the one step the runs are together, at float64 too."
        )
        if forced.kind != "agreement":
            summary += (
                f" The {forced.kind} that the teacher-forced comparison finds at step "
                f"{forced.first_step} in {forced.first_leaf} does not show here."
            )
    return Trajectory(
        mode=FREE,
        kind=kind,
        summary=summary,
        steps=steps,
        first_step=first,
        first_leaf=leaf,
        curves=free.curves.conclude(),
    )


def _is_failure(record: LeafRecord) -> bool:
    return record.rank == 2


def _is_near(record: LeafRecord) -> bool:
    """Whether the programs differ, but not by a mistake: a convention, another formula."""
    verdict = record.result and record.result.verdict
    return verdict in (Verdict.CONVENTION, Verdict.APPROXIMATION)


def _find_first(
    records: Mapping[tuple[str, str], LeafRecord], wanted: Callable[[LeafRecord], bool]
) -> tuple[int, list[str]] | None:
    """The first step at which a leaf is so, and those that are then, as they are computed."""
    found = {key: record for key, record in records.items() if wanted(record)}
    if not found:
        return None
    first = min(record.step for record in found.values())
    keys = [key for key, record in found.items() if record.step == first]
    keys.sort(key=lambda key: (QUANTITIES.index(key[0]), -_excess(found[key])))
    return first, [_label(key) for key in keys]


def _excess(record: LeafRecord) -> float:
    """By how many times the float64 runs differ more than is allowed; inf where it is no number."""
    result = record.result
    if result is None or result.float64_gap is None or not result.float64_noise:
        return float("inf")
    return result.float64_gap / result.float64_noise


def _sort(records: Mapping[tuple[str, str], LeafRecord], steps: int) -> list[LeafResult]:
    keys = sorted(records, key=lambda key: QUANTITIES.index(key[0]))
    return [records[key].conclude(steps) for key in keys]


def _label(key: tuple[str, str]) -> str:
    return " ".join(part for part in key if part)


def _name(leaves: list[str]) -> str:
    first, *others = leaves
    if not others:
        return first
    more = len(others) - NAMED
    text = ", ".join(others[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{first} (and {text})"
