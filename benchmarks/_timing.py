"""Timing candidates against each other in one run, and printing what came out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

# A sample shorter than this is mostly the clock's and the scheduler's noise.
SECONDS_PER_SAMPLE = 0.005


def time_interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Times warm calls of each candidate in turn, round after round.

    In turn, so that whatever else the machine does slows all of them alike. A call must return
    only when its work is done: for JAX, after ``block_until_ready``.

    Returns:
        Each candidate's median time per call, in seconds.
    """
    repeats = {name: _calibrate(call) for name, call in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            call()  # by now the threads of others spin no more, and its data are in the caches
            samples[name].append(_time(call, repeats[name]) / repeats[name])
    return {name: statistics.median(times) for name, times in samples.items()}


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: the first column to the left, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", no_wrap=not index)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(title, highlight=False, soft_wrap=True)
    console.print(table)


def format_seconds(seconds: float) -> str:
    """Formats a time with the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _calibrate(call: Callable[[], object]) -> int:
    _time(call, 2)  # compiles and warms up
    repeats = 1
    while _time(call, repeats) < SECONDS_PER_SAMPLE:
        repeats *= 2
    return repeats


def _time(call: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - started
