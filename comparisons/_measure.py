"""How far apart two arrays are: the figures of a report."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Differences between two arrays of one shape; of integers, a unit is 1.

    Places where both are the same infinity or both NaN count as equal.
    """

    different: int  # elements that are not equal bit for bit, NaN counting as equal to NaN
    max_abs: float
    max_ulp: float
    rms: float


def measure(a: Array, b: Array) -> Measurement:
    """Measures two arrays of one shape.

    Example:
        >>> measure(np.float32([1, 2]), np.float32([1, 2 + 2**-22]))
        Measurement(different=1, max_abs=2.384185791015625e-07, max_ulp=1.0, rms=1.68587...e-07)
    """
    if a.dtype.kind != "f":
        gap = distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
        different = int(np.sum(a != b))
    else:
        gap, distance = absolute_gap(a, b), ulp_distance(a, b)
        zeros = (a == 0) & (b == 0) & differ_in_sign(a, b)
        different = int(np.sum(distance != 0) + np.sum(zeros))
    rms = float(np.sqrt(np.mean(gap**2))) if gap.size else 0.0
    return Measurement(different, _greatest(gap), _greatest(distance), rms)


def absolute_gap(a: Array, b: Array) -> Array:
    """|a - b| at float64, 0 where both are NaN or the same infinity."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return np.where(same, 0.0, gap)


def ulp_distance(a: Array, b: Array) -> Array:
    """How many steps to the next representable number lie between a and b, as float64.

    0 for 0.0 and -0.0 (one place on the number line), and where both are NaN.

    Example:
        >>> ulp_distance(np.float32([1, 0, 0]), np.float32([1 + 2**-23, -0.0, 1e-45])).tolist()
        [1.0, 0.0, 1.0]
    """
    bits = np.dtype(f"u{a.dtype.itemsize}")
    magnitude = bits.type(~bits.type(0) >> bits.type(1))
    x, y = a.view(bits) & magnitude, b.view(bits) & magnitude
    apart = (np.maximum(x, y) - np.minimum(x, y)).astype(np.float64)
    through_zero = x.astype(np.float64) + y.astype(np.float64)
    distance = np.where(differ_in_sign(a, b), through_zero, apart)
    return np.where(np.isnan(a) & np.isnan(b), 0.0, distance)


def differ_in_sign(a: Array, b: Array) -> Array:
    """Where one sign bit is set and the other is not."""
    return np.signbit(a) != np.signbit(b)


def _greatest(values: Array) -> float:
    return float(np.max(values)) if values.size else 0.0
