"""How far two leaves are apart, as one number, for every leaf at every step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from comparisons._distance import absolute_gap

Array = np.ndarray[Any, Any]

EPS64 = float(np.finfo(np.float64).eps)


def measure_distance(a: Array, b: Array) -> float:
    """Greatest absolute difference; infinite where one side only is not finite, or in shape.

    Example:
        >>> measure_distance(np.float32([1, np.nan]), np.float32([1.5, np.nan]))
        0.5
        >>> measure_distance(np.float32([1, np.nan]), np.float32([1, 0]))
        inf
    """
    if a.shape != b.shape:
        return math.inf
    if not a.size:
        return 0.0
    greatest = float(np.max(np.abs(_widen(a) - _widen(b))))
    if not math.isfinite(greatest):
        greatest = float(np.max(absolute_gap(a, b)))
    return math.inf if math.isnan(greatest) else greatest


def measure_scale(a: Array) -> float:
    """Greatest finite magnitude."""
    magnitude = np.abs(_widen(a))
    return float(np.max(magnitude, initial=0.0, where=np.isfinite(magnitude)))


def is_floating(a: Array) -> bool:
    """Whether a leaf of a run holds rounded numbers."""
    return a.dtype.kind not in "biu"


def _widen(a: Array) -> Array:
    return a.astype(np.result_type(a.dtype, np.float64), copy=False)
