"""What is seen over the steps of a training run, in words, and what is drawn of it."""

from __future__ import annotations

import dataclasses
import math

from comparisons._results import CaseResult, StepCurve
from comparisons.report._format import escape_controls, format_measure


@dataclasses.dataclass(frozen=True)
class StepFigure:
    """A curve over steps that is to be drawn: both sides, if they are numbers, and how far apart.

    ``description`` says in words what is seen; renderers without pictures show it alone.
    """

    anchor: str
    curve: StepCurve
    description: str


def build_steps(case: CaseResult, anchor: str) -> tuple[StepFigure, ...]:
    """The figures of a training run; none of any other case.

    Teacher-forced, both sides come from one state at each step, so there are no two curves to lay
    over each other, only what the steps differ by.
    """
    if case.trajectory is None:
        return ()
    forced = case.trajectory.mode == "teacher-forced"
    figures: list[StepFigure] = []
    for number, curve in enumerate(case.trajectory.curves, 1):
        drawn = dataclasses.replace(
            curve,
            label=escape_controls(curve.label),
            **({"jax": (), "torch": ()} if forced else {}),
        )
        if _is_whole(drawn):
            text = _describe(drawn, case.trajectory.steps)
            figures.append(StepFigure(f"{anchor}-steps-{number}", drawn, text))
    return tuple(figures)


def _is_whole(curve: StepCurve) -> bool:
    """Whether each row has a figure for every step, as one that was read from a file may not."""
    rows = (curve.gap, curve.float64_gap, curve.noise)
    sides = (curve.jax, curve.torch)
    count = len(curve.steps)
    return (
        count > 0
        and all(len(row) == count for row in rows)
        and len({len(side) for side in sides} | {count, 0}) <= 2
        and len(curve.jax) == len(curve.torch)
    )


def _describe(curve: StepCurve, steps: int) -> str:
    text = f"{curve.label or '(output)'} over {steps} step{'s' * (steps != 1)}"
    if len(curve.steps) < steps:
        text += f", of which {len(curve.steps)} are drawn"
    if curve.jax:
        torch, jax = (f"from {side[0]:.6g} to {side[-1]:.6g}" for side in (curve.torch, curve.jax))
        text += f": PyTorch goes {torch}, JAX {jax}"
    gap, step = max(
        ((gap, step) for gap, step in zip(curve.gap, curve.steps, strict=True) if gap == gap),
        default=(math.nan, 0),
        key=lambda pair: pair[0],
    )
    text += f". Farthest apart: {format_measure(gap)}, at step {step}; at float64 "
    text += f"{format_measure(_greatest(curve.float64_gap))}. "
    return f"{text}What rounding does to PyTorch’s run: {format_measure(_greatest(curve.noise))}."


def _greatest(values: tuple[float, ...]) -> float:
    return max((value for value in values if value == value), default=math.nan)
