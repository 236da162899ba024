"""A run's figures for TensorBoard."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Self

from functional_ad.training._errors import CommandError, MissingExtraError
from functional_ad.training._loop import Interval


class Board:
    """Writes the figures of each interval into a folder, by the number of updates.

    Each is written when it is there, and not by a thread: what was told is in the file, whatever
    ends the run.
    """

    def __init__(self, folder: Path | None) -> None:
        """Opens a file in the folder; without one, nothing is written.

        Raises:
            CommandError: It cannot be written.
            MissingExtraError: tensorboardX is not installed.
        """
        self._folder = folder
        self._writer: Any = None
        if folder is None:
            return
        try:
            # They have no types, and take a while to import.
            from tensorboardX import event_file_writer as untyped_writer
            from tensorboardX.proto import event_pb2 as untyped_events
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "tensorboardX":
                raise
            raise MissingExtraError("tensorboardX") from error
        writers: Any = untyped_writer
        self._events: Any = untyped_events
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # The name has the second: a run that goes on at once must have a file of its own.
            suffix = f".{os.getpid()}.{time.time_ns()}"
            self._writer = writers.EventsWriter(str(folder / "events"), suffix)
        except OSError as error:
            message = f"--tensorboard: expected a folder that can be written, got {str(folder)!r}"
            raise CommandError(f"{message} ({error.strerror})", status=2) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write_resume(self, step: int) -> None:
        """Says from which update the run goes on: what was written of later ones is hidden."""
        if self._writer is not None:
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(step + 1, session_log=start)

    def write_interval(self, interval: Interval) -> None:
        """Writes the figures of one logging interval."""
        if self._writer is None:
            return
        figures = {
            "loss/training": interval.loss,
            "loss/test": interval.test_loss,
            "accuracy/test": interval.test_accuracy,
            "learning_rate": interval.learning_rate,
            "grad_norm": interval.grad_norm,
            "loss_scale": interval.loss_scale,
            "examples_per_second": interval.examples / interval.seconds,
            **{f"intermediates/{k}": norm for k, norm in (interval.intermediates or {}).items()},
        }
        values = [
            {"tag": name, "simple_value": figure}
            for name, figure in figures.items()
            if figure is not None
        ]
        self._write(interval.step, summary={"value": values})

    def _write(self, step: int, **content: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **content)
        try:
            self._writer.write_event(event)
            self._writer.flush()
        except OSError as error:
            message = f"--tensorboard: cannot write to {str(self._folder)!r} ({error.strerror})"
            raise CommandError(message, status=1) from error
