"""How far apart two arrays are: every figure of a report, from one reading of the pair.

A pair is read in blocks, so that what is made on the way stays small. Large floating arrays go
through a compiled loop (``_loop.py``), everything else through NumPy (``_tally.py``). Both give the
same tallies; docs/decisions/0007 has the reasons and the figures.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from comparisons._distance import Array
from comparisons._distance import absolute_gap as absolute_gap
from comparisons._distance import differ_in_sign as differ_in_sign
from comparisons._distance import ulp_distance as ulp_distance
from comparisons._tally import BLOCK, Tally, merge, take, take_finite, tally_blocks

LARGE = 1 << 23  # elements from which it pays to import and load the compiled loop


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Differences between two arrays of one shape; of integers, a unit is 1.

    Places where both are the same infinity or both NaN count as equal. Complex numbers are pairs
    of reals: their distance in units is that of the part that is farther apart.

    Attributes:
        different: Elements that are not equal bit for bit, NaN counting as equal to NaN.
        max_abs: Greatest absolute difference; NaN if an element is NaN on one side only.
        max_ulp: Greatest distance in units in the last place; infinite likewise.
        rms: Root of the mean squared difference.
        p99_ulp: 99 % of the elements are no farther apart than this. It is the upper end of a way
            of the histogram, or max_ulp if that is less.
        cosine: Of the angle between the two, as vectors of the elements that are finite on both
            sides; None if one is zero there.
        histogram: Elements by distance in units: way 0 holds the distance 0, way k those from
            2**(k-1) to 2**k - 1, as far as there are any. NaN on both sides is the distance 0. NaN
            on one side only is no distance, and counted in the way after the dtype's last: 33 for
            float32 and complex64, 17 for the 16-bit ones, 65 for float64.
        argmax: Flat index of the greatest absolute difference, the first of equals; NaN is
            greater than all. None if there are no elements.
    """

    different: int
    max_abs: float
    max_ulp: float
    rms: float
    p99_ulp: float
    cosine: float | None
    histogram: tuple[int, ...]
    argmax: int | None


def measure(a: Array, b: Array) -> Measurement:
    """Measures two arrays of one shape: floating or complex of one dtype, integers or booleans.

    They need not be contiguous. Temporary memory is a few MiB whatever their size.

    Raises:
        ValueError: The shapes differ, or the dtypes do and are not integers or booleans.

    Example:
        >>> m = measure(np.float32([1, 2, 4]), np.float32([1, 2 + 2**-22, 4]))
        >>> m.different, m.max_abs, m.max_ulp, m.histogram, m.argmax
        (1, 2.384185791015625e-07, 1.0, (2, 1), 1)
    """
    a, b = _align(np.asarray(a), np.asarray(b))
    if not a.size:
        return Measurement(0, 0.0, 0.0, 0.0, 0.0, None, (), None)
    total = functools.reduce(merge, _read(a, b))
    max_ulp = math.inf if total.ways[-1] else float(total.steps)
    rms, cosine = _finish_sums(total, a, b)
    return Measurement(
        different=total.different,
        max_abs=total.max_abs,
        max_ulp=max_ulp,
        rms=rms,
        p99_ulp=min(_find_p99(total.ways, a.size), max_ulp),
        cosine=cosine,
        histogram=tuple(np.trim_zeros(total.ways, "b").tolist()),
        argmax=total.argmax,
    )


def _align(a: Array, b: Array) -> tuple[Array, Array]:
    """Both at one dtype, in the byte order of the machine; truth values as the numbers 0 and 1."""
    a, b = (x.astype(x.dtype.newbyteorder("="), copy=False) for x in (a, b))
    integers = {a.dtype.kind, b.dtype.kind} <= set("iub")
    if a.shape != b.shape or (a.dtype != b.dtype and not integers):
        raise ValueError(
            f"`measure(a, b)` compares arrays of one shape and dtype.\n"
            f"  expected: {a.dtype}{list(a.shape)}, as `a` has\n"
            f"  got:      {b.dtype}{list(b.shape)}"
        )
    a, b = (x.view(np.uint8) if x.dtype.kind == "b" else x for x in (a, b))
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def _read(a: Array, b: Array) -> Iterator[Tally]:
    if a.size >= LARGE and a.dtype.kind not in "iuc":
        from comparisons._loop import tally_pair  # imports Numba

        return tally_pair(a, b)
    return tally_blocks(a, b, 0, a.size)


def _find_p99(ways: Array, size: int) -> float:
    """Upper end of the first way that, with those before it, has 99 % of the elements."""
    way = int(np.argmax(100 * np.cumsum(ways) >= 99 * size))
    return math.inf if way == len(ways) - 1 else float(2**way - 1)


def _finish_sums(total: Tally, a: Array, b: Array) -> tuple[float, float | None]:
    """The rms and the cosine."""
    sums = _Sums(total.gaps, total.aa, total.ab, total.bb)
    needed = [sums.aa, sums.bb] + [sums.gaps] * (0 < total.max_abs < math.inf)
    # Outside of these, squares that matter may have left the range of float64. Only those of
    # numbers that are float64 themselves can; their sums are taken anew, of scaled numbers.
    if a.dtype.itemsize >= 8 and not all(1e-280 < each < 1e300 for each in needed):
        sums = _sum_scaled(a, b, total.max_abs)
    root = math.sqrt(sums.gaps / a.size) if math.isfinite(sums.gaps) else sums.gaps
    rms = math.ldexp(root, sums.exponent)
    if sums.aa == 0 or sums.bb == 0:
        return rms, None
    return rms, max(-1.0, min(1.0, sums.ab / (math.sqrt(sums.aa) * math.sqrt(sums.bb))))


class _Sums(NamedTuple):
    """Sums of squares and products; those of the gaps are to be multiplied by 4**exponent."""

    gaps: float
    aa: float
    ab: float
    bb: float
    exponent: int = 0


def _sum_scaled(a: Array, b: Array, max_abs: float) -> _Sums:
    """The sums of a tally, of numbers that are scaled to 1 or less."""

    def read() -> Iterator[tuple[Array, Array, Array]]:
        for at in range(0, a.size, BLOCK):
            pair = take(a, at, at + BLOCK), take(b, at, at + BLOCK)
            yield absolute_gap(*pair), *take_finite(*pair)

    greatest = [max_abs if math.isfinite(max_abs) else 0.0, 0.0, 0.0]
    for _, u, v in read():
        greatest[1:] = max(greatest[1], np.max(np.abs(u))), max(greatest[2], np.max(np.abs(v)))
    exponents = [math.frexp(each)[1] for each in greatest]
    sums = np.zeros(4)
    for block in read():
        gap, u, v = (np.ldexp(x, -e) for x, e in zip(block, exponents, strict=True))
        sums += [np.sum(gap * gap), np.sum(u * u), np.sum(u * v), np.sum(v * v)]
    return _Sums(*sums.tolist(), exponent=exponents[0])
