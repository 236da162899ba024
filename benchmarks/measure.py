"""Every figure of a pair of arrays against the one answer of torch.testing.assert_close.

    python -m benchmarks.measure

Both get the same pair of 25 million float32 numbers, of which a third are a last bit apart, in
turn and warm. Exits 1 unless the figures take a sixth of the time at most, and less than 16 MiB of
temporary memory. The memory is the peak that tracemalloc sees during one more call: NumPy reports
its arrays to it, and the compiled loop allocates nothing, it is given its scratch by NumPy.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch

from benchmarks._timing import format_seconds, print_table, time_interleaved
from comparisons._measure import Array, measure

ELEMENTS = 25_000_000
ROUNDS = 9
RATIO = 6.0
MEMORY = 16 << 20

FIGURES, ASSERT_CLOSE, SUMS = "measure", "torch.testing.assert_close", "a.sum(), b.sum()"


def make_pair(size: int) -> tuple[Array, Array]:
    """Makes two arrays that assert_close accepts, so that it reads all of both."""
    a = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    b = a.copy()
    b[::3] = np.nextafter(b[::3], np.float32(np.inf))
    return a, b


def make_candidates(a: Array, b: Array) -> dict[str, Callable[[], object]]:
    """Makes the calls that are timed; the sums show how fast the memory is."""
    ours, theirs = torch.from_numpy(a), torch.from_numpy(b)
    return {
        FIGURES: lambda: measure(a, b),
        ASSERT_CLOSE: lambda: torch.testing.assert_close(ours, theirs),
        SUMS: lambda: (a.sum(), b.sum()),
    }


def measure_memory(call: Callable[[], object]) -> int:
    """Measures the peak of the memory that a call allocates, in bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> int:
    """Prints times, ratios and memory, and what does not hold."""
    a, b = make_pair(ELEMENTS)
    candidates = make_candidates(a, b)
    times = time_interleaved(candidates, ROUNDS)
    memory = measure_memory(candidates[FIGURES])
    print_table(
        f"One pair of {ELEMENTS / 1e6:.3g} million float32 numbers: medians of {ROUNDS} "
        f"interleaved rounds (torch {torch.__version__}, {torch.get_num_threads()} threads)",
        ["", "time", "GB/s", "assert_close takes"],
        [
            [
                name,
                format_seconds(seconds),
                f"{(a.nbytes + b.nbytes) / seconds / 1e9:.2f}",
                f"{times[ASSERT_CLOSE] / seconds:.2f} times as long",
            ]
            for name, seconds in times.items()
        ],
    )
    ratio = times[ASSERT_CLOSE] / times[FIGURES]
    claims = {
        f"All figures in a sixth of assert_close's time: {{}} ({ratio:.1f} times faster).": ratio
        >= RATIO,
        f"Less than 16 MiB of temporary memory: {{}} ({memory / 2**20:.2f} MiB).": memory < MEMORY,
    }
    for text, holds in claims.items():
        print(text.format("holds" if holds else "DOES NOT HOLD"))
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
