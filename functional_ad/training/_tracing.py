"""A trace of what a run does with its time, written by JAX's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import jax


class Tracer:
    """Traces one interval: the second, since the first compiles, or the only one."""

    def __init__(self, folder: Path | None) -> None:
        """Writes into a folder; without one, nothing is traced."""
        self._folder = folder
        self._seen = 0

    @contextlib.contextmanager
    def trace(self, *, is_last: bool) -> Generator[None]:
        """Stands around each interval of a run, its evaluation included."""
        self._seen += 1
        if self._folder is None or not (self._seen == 2 or (self._seen == 1 and is_last)):
            yield
            return
        with jax.profiler.trace(self._folder), jax.profiler.TraceAnnotation("interval"):
            yield
