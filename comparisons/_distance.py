"""How far apart two arrays are, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def absolute_gap(a: Array, b: Array) -> Array:
    """|a - b| at float64, 0 where both are NaN or the same infinity; of complex, the modulus."""
    if a.dtype.kind == "c":
        return np.hypot(absolute_gap(a.real, b.real), absolute_gap(a.imag, b.imag))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return np.where(same, 0.0, gap)


def ulp_distance(a: Array, b: Array) -> Array:
    """How many steps to the next representable number lie between a and b, as float64.

    0 for 0.0 and -0.0 (one place on the number line), and where both are NaN; infinite where only
    one is. Of complex numbers, the greater distance of the two parts.

    Example:
        >>> ulp_distance(np.float32([1, 0, 0]), np.float32([1 + 2**-23, -0.0, 1e-45])).tolist()
        [1.0, 0.0, 1.0]
    """
    if a.dtype.kind == "c":
        return np.maximum(ulp_distance(a.real, b.real), ulp_distance(a.imag, b.imag))
    steps, lone, _ = count_steps(a, b)
    return np.where(lone, np.inf, steps.astype(np.float64))


def differ_in_sign(a: Array, b: Array) -> Array:
    """Where one sign bit is set and the other is not; of complex numbers, that of either part."""
    if a.dtype.kind == "c":
        return differ_in_sign(a.real, b.real) | differ_in_sign(a.imag, b.imag)
    return np.signbit(a) != np.signbit(b)


def count_steps(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Of real floating arrays: distances, where only one is NaN, and where the bits differ.

    The distances are unsigned integers, and exact; those to NaN mean nothing. One NaN is taken to
    have the bits of another.
    """
    word = np.dtype(f"u{a.dtype.itemsize}").type
    magnitude, infinity = word(~word(0) >> word(1)), find_infinity(a.dtype)
    p, q = a.view(word), b.view(word)
    x, y = p & magnitude, q & magnitude
    steps = np.where((p ^ q) > magnitude, x + y, np.maximum(x, y) - np.minimum(x, y))
    x_nan, y_nan = x > infinity, y > infinity
    both = x_nan & y_nan
    return np.where(both, word(0), steps), x_nan ^ y_nan, (p != q) & ~both


def find_infinity(dtype: np.dtype[Any]) -> Any:
    """The bits of infinity: greater than those of every number, less than those of every NaN."""
    return np.asarray(np.inf).astype(dtype).view(f"u{dtype.itemsize}")[()]
