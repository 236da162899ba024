"""Differences per step, thinned as the run goes on: a long run takes no more room."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from comparisons._results import StepCurve
from comparisons._trajectory._extent import Array

POINTS = 512  # of a curve; a picture is not wider
CURVES = 4  # scalars of `aux` that are drawn


class Point(NamedTuple):
    """One step of a curve."""

    step: int
    jax: float
    torch: float
    gap: float
    float64_gap: float
    noise: float


class Thinned:
    """The first and the last point, and of each stretch between the one with the greatest gap.

    Stretches double in length whenever there are more than POINTS.

    Example:
        >>> thinned = Thinned()
        >>> for step in range(1, 10_001):
        ...     thinned.add(Point(step, 0.0, 0.0, float(step == 7777), 0.0, 0.0))
        >>> kept = thinned.points()
        >>> len(kept) <= POINTS + 2, kept[0].step, kept[-1].step, max(p.gap for p in kept)
        (True, 1, 10000, 1.0)
    """

    def __init__(self) -> None:
        self._stride = 1
        self._stretches: dict[int, Point] = {}
        self._first: Point | None = None
        self._last: Point | None = None

    def add(self, point: Point) -> None:
        """Adds the next step's point."""
        self._first, self._last = self._first or point, point
        self._put(point)
        if len(self._stretches) > POINTS:
            points, self._stretches = self._stretches, {}
            self._stride *= 2
            for old in points.values():
                self._put(old)

    def points(self) -> list[Point]:
        """What is kept, in order."""
        kept = {point.step: point for point in self._stretches.values()}
        kept |= {point.step: point for point in (self._first, self._last) if point}
        return [kept[step] for step in sorted(kept)]

    def _put(self, point: Point) -> None:
        stretch = (point.step - 1) // self._stride
        known = self._stretches.get(stretch)
        if known is None or (point.gap, point.float64_gap) > (known.gap, known.float64_gap):
            self._stretches[stretch] = point


class CurveRecord:
    """One curve for each of the first scalars of ``aux``, and one for the state as a whole."""

    def __init__(self) -> None:
        self._curves: dict[str, Thinned] = {}
        self._step = 0
        self._state: Point | None = None

    def begin(self, step: int) -> None:
        """Begins a step."""
        self._flush()
        self._step = step

    def observe(
        self,
        quantity: str,
        path: str,
        ours: Array,
        theirs: Array,
        gap: float,
        float64_gap: float,
        noise: float,
    ) -> None:
        """Notes a leaf of this step; of the state, the greatest figures of all leaves are kept."""
        if quantity == "state":
            old = self._state or Point(self._step, math.nan, math.nan, 0.0, 0.0, 0.0)
            self._state = old._replace(
                gap=max(old.gap, gap),
                float64_gap=max(old.float64_gap, float64_gap),
                noise=max(old.noise, noise),
            )
            return
        label = f"{quantity} {path}".strip()
        if ours.shape == () and (label in self._curves or len(self._curves) < CURVES):
            point = Point(self._step, float(ours), float(theirs), gap, float64_gap, noise)
            self._curves.setdefault(label, Thinned()).add(point)

    def conclude(self) -> tuple[StepCurve, ...]:
        """The curves, scalars first."""
        self._flush()
        state = self._curves.pop("state", None)
        curves = self._curves | ({"state": state} if state else {})
        return tuple(_build(label, thinned.points()) for label, thinned in curves.items())

    def _flush(self) -> None:
        if self._state is not None:
            self._curves.setdefault("state", Thinned()).add(self._state)
            self._state = None


def _build(label: str, points: list[Point]) -> StepCurve:
    columns = {name: tuple(getattr(p, name) for p in points) for name in Point._fields}
    if label == "state":
        columns |= {"jax": (), "torch": ()}
    fields = {field.name for field in dataclasses.fields(StepCurve)}
    columns["steps"] = columns.pop("step")
    return StepCurve(label=label, **{k: v for k, v in columns.items() if k in fields})
