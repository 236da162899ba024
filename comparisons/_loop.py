"""The compiled loop that reads a large pair once. Numba is imported with this file, so not before.

The loop knows finite numbers only, and leaves a piece that holds anything else to NumPy. It takes
a piece in rows that fit into the first cache: what can be vectorised is, and what cannot, the
counting by distance, follows on the row. The threads are plain ones, which the loop lets run by
giving up the interpreter lock; Numba's own (``parallel=True``) end the process if two threads use
them at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from comparisons._distance import Array, absolute_gap, find_infinity
from comparisons._tally import Tally, take, tally_blocks

PIECE = 1 << 17  # elements per call of the loop
ROW = 1 << 10
WORKERS = 4  # more threads only wait for the memory, and each has temporaries
LANES = 4  # histograms that take turns, so that an addition need not wait for the one before it


def tally_pair(a: Array, b: Array) -> Iterator[Tally]:
    """Tallies of two floating arrays of one shape and dtype, in their order."""
    # Narrow numbers are widened a piece at a time; their distances come from their own bits.
    wide = np.dtype(np.float64 if a.dtype.itemsize == 8 else np.float32)
    word = np.dtype(f"u{a.dtype.itemsize}")
    loop = compile_loop(wide.name, word.name)
    magnitude = word.type(~word.type(0) >> word.type(1))
    infinity = find_infinity(a.dtype)

    def tally(start: int) -> list[Tally]:
        stop = min(start + PIECE, a.size)
        pair = [np.require(take(x, start, stop), requirements="A") for x in (a, b)]
        counts = np.zeros((LANES, 8 * word.itemsize + 2), np.int64)
        finite, different, steps, gap, row, gaps, aa, ab, bb = loop(
            *(x.astype(wide, copy=False) for x in pair),
            *(x.view(word) for x in pair),
            magnitude,
            infinity,
            np.empty(ROW, np.uint8),
            np.empty(ROW, np.float64),
            counts,
        )
        if not finite:
            return list(tally_blocks(a, b, start, stop))
        within = int(np.argmax(absolute_gap(*(x[row : row + ROW] for x in pair))))
        ways = counts.sum(axis=0)
        return [Tally(different, gap, start + row + within, steps, ways, gaps, aa, ab, bb)]

    with ThreadPoolExecutor(WORKERS) as pool:
        for tallies in pool.map(tally, range(0, a.size, PIECE)):
            yield from tallies


@functools.cache
def compile_loop(wide: str, word: str) -> Callable[..., Any]:
    """The loop for numbers of type ``wide`` whose own bits are of type ``word``."""
    types = (getattr(numba.types, name) for name in (wide, word))
    numbers, words = (numba.types.Array(each, 1, "C", readonly=True) for each in types)
    buffers = (numba.uint8[::1], numba.float64[::1], numba.int64[:, ::1])
    signature = (numbers, numbers, words, words, words.dtype, words.dtype, *buffers)
    # Sums may be taken in another order, and in several parts; nothing else may be assumed.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "nsz", "contract"}}
    try:
        return numba.njit(signature, cache=True, **options)(_read_piece)
    except RuntimeError:  # there is no directory to keep the machine code in
        return numba.njit(signature, **options)(_read_piece)


@intrinsic
def _count_leading_zeros(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(numba.boolean, False))

    return value(value), generate


def _read_piece(
    x: Array,
    y: Array,
    p: Array,
    q: Array,
    magnitude: Any,
    infinity: Any,
    ways: Array,
    gaps: Array,
    counts: Array,
) -> tuple[Any, ...]:
    """Tallies finite numbers x and y, whose bits are p and q; ``ways`` and ``gaps`` are scratch."""
    word = p.dtype.type
    top = word(8 * p.itemsize)
    gap_bits = gaps.view(np.int64)  # in the order of the gaps, and quicker to compare
    size = x.size
    different = 0
    largest = word(0)
    best, best_row = np.int64(-1), 0
    gg = aa = ab = bb = 0.0
    for start in range(0, size, ROW):
        count = min(ROW, size - start)
        u, v = x[start : start + count], y[start : start + count]
        s, t = p[start : start + count], q[start : start + count]
        unequal, far, high = word(0), word(0), word(0)
        for i in range(count):
            m, n = word(s[i] & magnitude), word(t[i] & magnitude)
            apart = word(max(m, n) - min(m, n))
            steps = word(m + n) if word(s[i] ^ t[i]) > magnitude else apart
            unequal = word(unequal + word(s[i] != t[i]))
            far, high = max(far, steps), max(high, max(m, n))
            ways[i] = top - _count_leading_zeros(steps)  # pyright: ignore[reportCallIssue]
        if high >= infinity:
            return False, 0, word(0), 0.0, 0, 0.0, 0.0, 0.0, 0.0
        row_gg = row_aa = row_ab = row_bb = 0.0
        for i in range(count):
            c, d = np.float64(u[i]), np.float64(v[i])
            gap = abs(c - d)
            gaps[i] = gap
            row_gg += gap * gap
            row_aa += c * c
            row_ab += c * d
            row_bb += d * d
        greatest = np.int64(0)
        for i in range(count):
            greatest = max(greatest, gap_bits[i])
        if greatest > best:
            best, best_row = greatest, start
        different += np.int64(unequal)
        largest = max(largest, far)
        gg, aa, ab, bb = gg + row_gg, aa + row_aa, ab + row_ab, bb + row_bb
        whole = count // 4 * 4
        for i in range(0, whole, 4):
            counts[0, ways[i]] += 1
            counts[1, ways[i + 1]] += 1
            counts[2, ways[i + 2]] += 1
            counts[3, ways[i + 3]] += 1
        for i in range(whole, count):
            counts[0, ways[i]] += 1
    gap_bits[0] = best
    return True, different, largest, gaps[0], best_row, gg, aa, ab, bb
