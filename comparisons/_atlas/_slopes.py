"""Slopes of an operation's own values: what its gradients are held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons._atlas._judge import NEAR, name_sides, same
from comparisons._atlas._sample import Sample
from comparisons._atlas._sides import Missing
from comparisons._trees import Leaves
from comparisons._vote import extrapolate

SIDE_STEP = 2.0**-12  # of one-sided differences, relative; extrapolated once
GROWS = 1.2  # times, of a slope whose step is halved: there is none
SLOPE_STEP = 0.05  # first step of central differences, relative to the inputs


def check_slope(sample: Sample) -> str:
    """PyTorch's gradient along the tangents, held against central differences of its values."""
    found = _find_slope(sample, "torch", "vjp")
    if found is None:
        return ""
    derivative, slope, error = found
    if abs(derivative - slope) <= max(10 * error, 1e-7 * abs(slope)):
        return f"finite differences: {slope:.9g} ± {error:.1g}"
    return f"finite differences give {slope:.9g} ± {error:.1g}, the gradient {derivative:.9g}"


def blame(sample: Sample, quantity: str) -> tuple[str, str]:
    """The sides whose derivative is not the slope of what they differentiate: themselves."""
    wrong: list[str] = []
    said: list[str] = []
    for side, who in (("PyTorch", "torch"), ("JAX", "compiled")):
        found = _find_slope(sample, who, quantity)
        if found is None:
            continue
        derivative, slope, error = found
        if not abs(derivative - slope) <= max(10 * error, 1e-6 * abs(slope)):  # NaN is wrong, too
            wrong.append(side)
        said.append(f"{side}: derivative {derivative:.9g}, slope {slope:.9g} ± {error:.1g}")
    return name_sides(wrong), "; ".join(said)


def _find_slope(sample: Sample, who: str, quantity: str) -> tuple[float, float, float] | None:
    """A derivative along the tangents, as one number; the slope that it is, and its error.

    The slope is that of the values, or, of a second derivative, that of the gradient.
    """
    found = sample.run(who, quantity, "float64")
    if isinstance(found, Missing) or not found:
        return None
    tangents = sample.draw_tangents()
    below = "vjp" if quantity == "hvp" else "value"
    slopes = extrapolate(
        lambda step: np.array([_observe_at(sample, who, tangents, step, below)]), SLOPE_STEP
    )
    if slopes is None:
        return None
    ((slope, error),) = slopes
    derivative = sample.weigh(found) if quantity == "jvp" else sample.contract(found)
    return derivative, float(slope), error


def find_limits(sample: Sample, path: str, index: Any) -> tuple[float | None, float | None]:
    """One-sided slopes of the values along an input's element, where both sides agree on them.

    Where they are equal and there is still no derivative, as at a median of three equal numbers,
    they say nothing.
    """
    at = sample.wide[int(path)]
    if not np.isfinite(at[index]) or at.dtype.kind == "c":
        return None, None
    direction = {path: np.zeros(at.shape)}
    direction[path][index] = max(1.0, abs(float(at[index])))
    below, above = (_find_side(sample, direction, sign) for sign in (-1.0, 1.0))
    if below is None or above is None:
        return None, None
    below, above = (float(x / direction[path][index]) for x in (below, above))
    if same(below, above, NEAR) and not _is_smooth(sample):
        return None, None
    return below, above


def find_jvp_limits(sample: Sample, path: str, index: Any) -> tuple[float | None, float | None]:
    """One-sided slopes of an output's element along the tangents."""
    tangents = sample.draw_tangents()

    def observe(who: str, step: float) -> float:
        moved = tuple(
            x + step * tangents[str(i)] if str(i) in tangents else x
            for i, x in enumerate(sample.wide)
        )
        found = sample.evaluate(who, "value", "float64", moved)
        return float("nan") if isinstance(found, Missing) else to_number(found[path][index])

    limits: list[float | None] = []
    for sign in (-1.0, 1.0):
        found = [
            find_slope_if_any(lambda h, who=who: observe(who, h), sign * SIDE_STEP)
            for who in ("torch", "compiled")
        ]
        agreed = np.isfinite(found).all() and same(found[0], found[1], NEAR)
        limits.append(found[0] if agreed else None)
    if None not in limits and same(limits[0], limits[1], NEAR) and not _is_smooth(sample):
        return None, None
    return limits[0], limits[1]


def _find_side(sample: Sample, direction: Leaves, sign: float) -> float | None:
    """The slope of the values along a direction, to one side."""
    found = [
        find_slope_if_any(
            lambda h, who=who: _observe_at(sample, who, direction, h), sign * SIDE_STEP
        )
        for who in ("torch", "compiled")
    ]
    return found[0] if np.isfinite(found).all() and same(found[0], found[1], NEAR) else None


def _is_smooth(sample: Sample) -> bool:
    """Whether there is a derivative: the slope along the tangents is the sum of the elements'."""
    slopes = [_find_side(sample, sample.draw_tangents(), sign) for sign in (-1.0, 1.0)]
    total = 0.0
    for path, tangent in sample.draw_tangents().items():
        for index in np.ndindex(tangent.shape):
            direction = {path: np.zeros(tangent.shape)}
            direction[path][index] = tangent[index]
            side = _find_side(sample, direction, 1.0)
            if side is None:
                return False
            total += side
    return all(slope is not None and same(slope, total, 10 * NEAR) for slope in slopes)


def _observe_at(
    sample: Sample, who: str, direction: Leaves, step: float, quantity: str = "value"
) -> float:
    moved = tuple(
        x + step * direction[str(i)] if str(i) in direction else x
        for i, x in enumerate(sample.wide)
    )
    return sample.observe(who, moved, quantity)


def difference(evaluate: Callable[[float], Any], step: float) -> Any:
    """A one-sided slope, extrapolated once: its error is of the order of the step squared."""
    return _extrapolate(evaluate(0.0), evaluate(step / 2), evaluate(step), step)


def find_slope_if_any(evaluate: Callable[[float], float], step: float) -> float:
    """A one-sided slope; NaN at a jump and beside a root, where it grows as the step shrinks."""
    at, half, whole = evaluate(0.0), evaluate(step / 2), evaluate(step)
    with np.errstate(invalid="ignore", over="ignore"):
        near, far = abs((half - at) / (step / 2)), abs((whole - at) / step)
    return np.nan if near > GROWS * max(far, 1.0) else _extrapolate(at, half, whole, step)


def _extrapolate(at: Any, half: Any, whole: Any, step: float) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return (4 * half - whole - 3 * at) / step


def to_number(x: Any) -> float:
    """A complex number by its modulus: an edge tells that two differ."""
    return float(abs(x)) if np.iscomplexobj(x) else float(x)
