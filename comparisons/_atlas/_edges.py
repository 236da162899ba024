"""A pointwise operation at its edges: both numbers, what they should be, and the verdict."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from comparisons._atlas._cells import find_worst
from comparisons._atlas._examination import Examination, Part, list_parts
from comparisons._atlas._judge import NEAR, SAME, Judged, judge_edge, same
from comparisons._atlas._points import TINY, Points, classify
from comparisons._atlas._row import Cell, Edge
from comparisons._atlas._sides import Missing
from comparisons._atlas._truth import LAST_DIGITS, TooSlowError
from comparisons._trees import Array

TRUTH_STEP = -330  # decimal power of the relative step at which a formula is asked for its limits


def list_edges(examination: Examination) -> tuple[list[Edge], dict[tuple[str, str], int]]:
    """The numbers at the edges, and how many there are by axis and quantity."""
    op, points = examination.op, examination.points
    start = points.ordinary
    edges: list[Edge] = []
    tried: dict[tuple[str, str], int] = {}
    for part in list_parts(op):
        runs: dict[str, Any] = {
            who: examination.run(who, part, "float64") for who in ("torch", "jax")
        }
        if any(isinstance(found, Missing) for found in runs.values()):
            continue
        size = np.abs(examination.find_truth(part)[0])
        usual = min(1.0, float(np.max(size[np.isfinite(size)], initial=0.0)))
        for i, point in enumerate(points.list_edges()):
            torch, jax = (float(runs[who][start + i]) for who in ("torch", "jax"))
            axis = classify(op, point)
            if (
                axis != "nonfinite"
                and 0 < min(abs(torch), abs(jax)) + max(abs(torch), abs(jax)) < TINY
            ):
                axis = "denormal"  # the result is
            tried[axis, part.quantity] = tried.get((axis, part.quantity), 0) + 1
            if same(torch, jax, SAME):
                continue
            limits, truth = _ask_referee(examination, part, point, i, runs)

            def closes(part: Part = part, i: int = i, torch: float = torch) -> bool:
                if not op.torch_like:
                    return False
                like = examination.run("like", part, "float64")
                return not isinstance(like, Missing) and bool(same(torch, like[start + i], SAME))

            judged = judge_edge(torch, jax, truth, limits, closes, usual)
            if judged.verdict == "APPROXIMATION":
                pass  # as far apart everywhere
            elif axis == "denormal" and _is_flushed(jax, runs["jax"][_find_flushed(points, i)]):
                judged = Judged("LESS_ACCURATE", "JAX")
            if judged.wrong == "" and part.quantity == "value" and closes():
                judged = Judged("CONVENTION")
            edges.append(
                Edge(
                    at=point,
                    axis=axis,
                    quantity=part.quantity,
                    leaf=part.name(examination.args),
                    torch=torch,
                    jax=jax,
                    truth=truth,
                    below=limits[0],
                    above=limits[1],
                    verdict=judged.verdict,
                    wrong=judged.wrong,
                    closed=closes(),
                )
            )
    return edges, tried


def _is_flushed(jax: float, flushed: Array) -> bool:
    """Whether JAX's number is one that it gives when denormal numbers are 0."""
    return abs(jax) < TINY or bool(same(jax, flushed, SAME).any())


def _find_flushed(points: Points, i: int) -> list[int]:
    """The edges that are this one with a zero for its denormal numbers; else this one."""
    at = points.list_edges()[i]
    wanted = tuple(0.0 if abs(x) < TINY else x for x in at)
    found = [k for k, edge in enumerate(points.list_edges()) if edge == wanted]
    return [points.ordinary + k for k in found or [i]]


def _ask_referee(
    examination: Examination, part: Part, point: tuple[float, ...], i: int, runs: Any
) -> tuple[tuple[float | None, float | None], float | None]:
    """Both limits, and the number if there is no choice; nothing if that takes too long."""
    try:
        limits = _find_limits(examination, part, point, i, runs)
        return limits, _find_truth_at(examination, part, point, limits)
    except TooSlowError:
        return (None, None), None


def _find_limits(
    examination: Examination, part: Part, point: tuple[float, ...], i: int, runs: Any
) -> tuple[float | None, float | None]:
    """What the quantity tends to from below and from above, along the last argument."""
    if not all(np.isfinite(x) for x in point):
        return None, None
    along = part.by[-1] if part.by else 0
    limits: list[float | None] = []
    for above in (False, True):
        if examination.truth is not None:
            moved: list[Any] = list(map(mpmath.mpf, point))
            with mpmath.workdps(LAST_DIGITS):
                step = mpmath.mpf(10) ** TRUTH_STEP * (abs(moved[along]) or 1)
                moved[along] += step if above else -step
            found = examination.truth.evaluate(part.order(examination.op.arity), moved)
            if part.by and examination.truth.evaluate((0,) * len(moved), moved) is None:
                found = None  # out of the domain a derivative means nothing
            limits.append(None if found is None else float(found))
            continue
        place = examination.points.side(along, above).start + i
        torch, jax = (float(runs[who][place]) for who in ("torch", "jax"))
        limits.append(torch if same(torch, jax, NEAR) and not np.isnan(torch) else None)
    return limits[0], limits[1]


def _find_truth_at(
    examination: Examination,
    part: Part,
    point: tuple[float, ...],
    limits: tuple[float | None, float | None],
) -> float | None:
    """The number at an edge, if there is no choice: both limits are it, or it is a value."""
    below, above = limits
    if examination.truth is None and part.quantity == "value":
        return None  # limits of differences are too coarse for a value
    if below is not None and above is not None and _is_one(examination, below, above):
        return below
    if examination.truth is None:
        return None
    if part.quantity == "value":
        found = examination.truth.evaluate((0,) * examination.op.arity, point)
        if found is not None:
            return float(found)
        if below is None and above is None and all(np.isfinite(x) for x in point):
            return float("nan")  # out of the domain
    return None


def _is_one(examination: Examination, below: float, above: float) -> bool:
    """Whether two limits are one: a formula's are exact, those of differences are not."""
    if same(below, above, 10 * NEAR):
        return True
    return examination.truth is None and abs(below - above) <= NEAR


def sum_edges(edges: list[Edge], tried: dict[tuple[str, str], int]) -> list[Cell]:
    cells: list[Cell] = []
    for (axis, quantity), count in tried.items():
        own = [edge for edge in edges if (edge.axis, edge.quantity) == (axis, quantity)]
        judged = find_worst(own)
        head: dict[str, Any] = {"dtype": "float64", "quantity": quantity, "axis": axis}
        cells.append(Cell(**head, verdict=judged.verdict, wrong=judged.wrong, count=count))
    return cells
