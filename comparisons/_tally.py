"""What is counted and summed of a pair of arrays, a block at a time, by NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from comparisons._distance import Array, absolute_gap, count_steps

BLOCK = 1 << 14  # elements at a time: the temporaries stay in the cache


class Tally(NamedTuple):
    """Counts, greatest differences and sums of some elements of a pair.

    Attributes:
        different: Elements that are not equal bit for bit.
        max_abs: Greatest absolute difference; NaN is greater than all.
        argmax: Its flat index in the whole arrays, the first of equals.
        steps: Greatest distance of two numbers, which NaN is not.
        ways: Elements by the bit length of their distance, and last those of which one is NaN.
        gaps: Sum of the squared differences.
        aa: Sum of the squares of a where a and b are finite.
        ab: Sum of the products there.
        bb: Sum of the squares of b there.
    """

    different: int
    max_abs: float
    argmax: int
    steps: int
    ways: Array
    gaps: float
    aa: float
    ab: float
    bb: float


def take(array: Array, start: int, stop: int) -> Array:
    """Some elements in flat order, contiguous; a view where the array is contiguous."""
    return (array.reshape(-1) if array.flags.c_contiguous else array.flat)[start:stop]


def tally_blocks(a: Array, b: Array, start: int, stop: int) -> Iterator[Tally]:
    """Tallies of the elements from ``start`` to ``stop`` of two arrays of one shape and dtype."""
    for at in range(start, stop, BLOCK):
        end = min(at + BLOCK, stop)
        yield _tally_block(take(a, at, end), take(b, at, end), at)


def merge(one: Tally, other: Tally) -> Tally:
    """The tally of two parts, of which ``one`` comes first."""
    greater = other.max_abs > one.max_abs or (
        math.isnan(other.max_abs) and not math.isnan(one.max_abs)
    )
    worst = other if greater else one
    return Tally(
        different=one.different + other.different,
        max_abs=worst.max_abs,
        argmax=worst.argmax,
        steps=max(one.steps, other.steps),
        ways=one.ways + other.ways,
        gaps=one.gaps + other.gaps,
        aa=one.aa + other.aa,
        ab=one.ab + other.ab,
        bb=one.bb + other.bb,
    )


def take_finite(a: Array, b: Array) -> tuple[Array, Array]:
    """Both as real vectors at float64, 0 where either is not finite; of complex, all parts."""
    u, v = (_widen(x) for x in (a, b))
    finite = np.isfinite(u) & np.isfinite(v)
    return (u, v) if finite.all() else (np.where(finite, u, 0.0), np.where(finite, v, 0.0))


def _widen(a: Array) -> Array:
    return a.astype(np.complex128).view(np.float64) if a.dtype.kind == "c" else a.astype(np.float64)


def _tally_block(a: Array, b: Array, start: int) -> Tally:
    steps, lone, unequal, gap = _compare_integers(a, b) if a.dtype.kind in "iu" else _compare(a, b)
    bits = 8 * steps.itemsize
    ways = np.where(lone, bits + 1, _find_bit_length(steps))
    argmax = int(np.argmax(gap))
    u, v = take_finite(a, b)
    with np.errstate(over="ignore", under="ignore"):
        return Tally(
            different=int(np.sum(unequal)),
            max_abs=float(gap[argmax]),
            argmax=start + argmax,
            steps=int(np.max(np.where(lone, steps.dtype.type(0), steps))),
            ways=np.bincount(ways, minlength=bits + 2),
            gaps=float(np.sum(gap * gap)),
            aa=float(np.sum(u * u)),
            ab=float(np.sum(u * v)),
            bb=float(np.sum(v * v)),
        )


def _compare(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    part = np.dtype(f"f{a.dtype.itemsize // 2}") if a.dtype.kind == "c" else a.dtype
    found = count_steps(a.view(part), b.view(part))
    steps, lone, unequal = (each.reshape(a.size, -1).max(axis=1) for each in found)
    return steps, lone, unequal, absolute_gap(a, b)


def _compare_integers(a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    # Subtracted as unsigned numbers, which wrap to the right distance.
    word = np.dtype(f"u{a.dtype.itemsize}")
    steps = np.maximum(a, b).view(word) - np.minimum(a, b).view(word)
    return steps, np.zeros(steps.shape, bool), steps != 0, steps.astype(np.float64)


def _find_bit_length(steps: Array) -> Array:
    """Position of the highest bit that is set, counted from 1; 0 for 0."""
    filled, shift = steps, 1
    while shift < 8 * steps.itemsize:
        filled = filled | (filled >> steps.dtype.type(shift))
        shift *= 2
    return np.bitwise_count(filled).astype(np.intp)
