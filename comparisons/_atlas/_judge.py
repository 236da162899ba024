"""The atlas's verdicts: from errors at ordinary points, and from numbers at an edge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

Array = np.ndarray[Any, Any]

# An error of so many units is far, and a side so many times worse than the other is the one that
# loses its digits. Libraries of mathematical functions are held to 1 to 8 units; a derivative made
# of three of them may have 64.
FAR = 64.0
TIMES = 16.0
# At float64: a part of the number, or of what the quantity usually is. Half of all digits is no
# rounding; a gap that float32 could not show, but that is far above rounding, is another formula.
WRONG = 2.0**-20
ROUGH = 2.0**-40
# Numbers at an edge, and limits beside it, are one number if they differ by less.
SAME = 1e-9
NEAR = 1e-6
_LEAST = float(jnp.finfo("float64").tiny)  # what a number that is 0 is measured by


@dataclasses.dataclass(frozen=True)
class Judged:
    """A verdict, and the side that is to blame, if one is."""

    verdict: str
    wrong: str = ""


def unit(magnitude: Array, dtype: str) -> Array:
    """The distance of neighbouring numbers of a dtype at these magnitudes, as float64."""
    info = jnp.finfo(dtype)
    least = float(info.tiny)
    _, exponent = np.frexp(np.maximum(np.abs(magnitude), least))
    return np.ldexp(1.0, exponent - 1 - info.nmant)


def measure_errors(found: Array, high: Array, low: Array, dtype: str) -> Array:
    """How far numbers are from the truth ``high + low``, in units in the last place.

    NaN where there is no truth; infinite where one of the two is finite and the other is not.
    """
    found = found.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs((found - high) - low) / unit(high, dtype)
        overflows = np.abs(high) > float(jnp.finfo(dtype).max)
    right = np.isinf(found) & (overflows | np.isinf(high)) & (np.sign(found) == np.sign(high))
    errors = np.where(right, 0.0, np.where(np.isfinite(found) & ~np.isinf(high), errors, np.inf))
    return np.where(np.isnan(high), np.nan, errors)


def judge_ordinary(torch: Array, jax: Array, truth: Array, dtype: str) -> Judged:
    """The verdict on ordinary points of a quantity.

    Args:
        torch: PyTorch's errors in units, at the points where there is a truth.
        jax: JAX's.
        truth: The truth there, at float64.
        dtype: The dtype.
    """
    sides = {"PyTorch": torch, "JAX": jax}
    if dtype == "float64":
        units = unit(truth, dtype)
        with np.errstate(over="ignore"):
            parts = {side: find_part(errors * units, truth) for side, errors in sides.items()}
        for bound, verdict in ((WRONG, "MISMATCH"), (ROUGH, "APPROXIMATION")):
            if beyond := [side for side, part in parts.items() if not part <= bound]:
                return Judged(verdict, name_sides(beyond))
    worst = {side: float(np.max(errors, initial=0.0)) for side, errors in sides.items()}
    far = [side for side, error in worst.items() if error > FAR]
    if not far:
        return Judged("AGREES")
    least = max(1.0, min(worst.values()))
    lone = [side for side in far if worst[side] > TIMES * least]
    return Judged("LESS_ACCURATE", name_sides(lone or far))


def find_part(gaps: Array, numbers: Array) -> float:
    """The greatest gap, as a part of its number, or of what the quantity usually is."""
    usual = min(1.0, float(np.max(np.abs(numbers[np.isfinite(numbers)]), initial=0.0)))
    scale = np.maximum(np.abs(numbers), usual)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        parts = np.nan_to_num(np.where(gaps, gaps / scale, 0.0), nan=np.inf)
    return float(np.max(parts, initial=0.0))


def judge_gap(torch: Array, jax: Array) -> Judged:
    """The verdict on two arrays where nobody knows the truth: whether they are one thing."""
    if same(torch, jax, SAME).all():
        return Judged("AGREES")
    if (np.isfinite(torch) != np.isfinite(jax)).any():
        return Judged("NONFINITE")
    scale = float(np.max(np.abs(torch), initial=0.0))
    part = float(np.max(np.abs(torch - jax), initial=0.0)) / (scale or 1.0)
    return Judged("MISMATCH" if part > WRONG else "APPROXIMATION" if part > ROUGH else "AGREES")


def judge_compiled(gap: float, part: float, dtype: str) -> Judged:
    """The verdict on JAX's results, compiled, against its own, operation by operation.

    Args:
        gap: The greatest distance, in units in the last place.
        part: The same as a part of the number.
        dtype: The dtype.
    """
    if gap <= FAR:
        return Judged("AGREES" if gap else "IDENTICAL")
    return Judged("MISMATCH" if dtype == "float64" and part > WRONG else "LESS_ACCURATE", "JAX")


def judge_edge(
    torch: float,
    jax: float,
    truth: float | None,
    limits: tuple[float | None, float | None],
    closes: Callable[[], bool],
    usual: float = 0.0,
) -> Judged:
    """The verdict on one number at an edge.

    A side is wrong if it misses a number that there is no choice about; if it misses it by little
    of what the quantity usually is, as far in a tail, it lost digits, as at an ordinary point.
    Where the one-sided limits differ, each number between them is a choice; at a pole that changes
    sign, NaN is one if PyTorch's number can be had in JAX. Where nobody knows, it is one if
    PyTorch's can be had, by the operation's own ``torch_like``.
    """
    if same(torch, jax, SAME):
        return Judged("AGREES")
    if same(torch, jax, NEAR):
        return Judged("APPROXIMATION")
    verdict = "MISMATCH" if np.isfinite([torch, jax]).all() else "NONFINITE"
    numbers = {"PyTorch": torch, "JAX": jax}
    if truth is not None:
        wrong = [side for side, x in numbers.items() if not same(x, truth, NEAR)]
        missed = max(abs(torch - truth), abs(jax - truth)) / max(abs(truth), usual, _LEAST)
        if verdict == "MISMATCH" and missed <= WRONG:
            verdict = "APPROXIMATION" if missed > ROUGH else "LESS_ACCURATE"
        return Judged(verdict, name_sides(wrong))
    if None not in limits:
        wrong = [side for side, x in numbers.items() if not _is_between(x, limits)]
        if wrong:
            return Judged(verdict, name_sides(wrong))
        if not np.isnan([torch, jax]).any():
            return Judged("CONVENTION")
    return Judged("CONVENTION" if closes() else verdict)


def same(a: Any, b: Any, part: float) -> Any:
    """Whether numbers are one, but for rounding: NaN is NaN, and 0.0 is -0.0."""
    a, b = np.asarray(a), np.asarray(b)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(a * 1.0 - b) <= part * np.maximum(np.abs(a), np.abs(b))
    return (a == b) | (np.isnan(a) & np.isnan(b)) | (near & np.isfinite(a) & np.isfinite(b))


def name_sides(sides: list[str]) -> str:
    """The names of the sides as a ``Side``: none is empty, two are ``"both"``."""
    return "both" if len(sides) > 1 else "".join(sides)


def _is_between(x: float, limits: tuple[float | None, float | None]) -> bool:
    low, high = sorted(float(limit) for limit in limits if limit is not None)
    if low == -np.inf and high == np.inf:
        return True  # a pole: no number is better than another, and NaN as good as any
    slack = NEAR * max(1.0, *(abs(limit) for limit in (low, high) if np.isfinite(limit)), 0.0)
    return bool(low - slack <= x <= high + slack)
