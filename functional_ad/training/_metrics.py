"""A run's metrics as JSON lines: for the start, for each logging interval, and for the end.

    {"event": "start", "config": {...}, "data": "3f1c...", "versions": {...}, "device": "cpu"}
    {"event": "interval", "step": 1, "epoch": 1, "loss": 5.75, "test_accuracy": null, ...}
    {"event": "end", "status": "finished", "epochs": 50, "loss": 1.06, ...}

Where a run goes on from a checkpoint, the lines after that are taken away, since they will be
written again, and there is one more: {"event": "resume", "step": 25, "versions": {...}, ...}.

The status is "finished", "diverged", "interrupted" or "failed". A loss that is NaN or infinite is
null, as JSON has no name for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import platform
import signal
from collections.abc import Generator
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, Self

import jax

from functional_ad.training._config import Config
from functional_ad.training._errors import CommandError, DivergedError
from functional_ad.training._loop import Interval, Result

Status = Literal["finished", "diverged", "interrupted", "failed"]

_PACKAGES: Final = ("functional-ad", "jax", "jaxlib", "flax", "numpy", "optax", "scikit-learn")


class MetricsFile:
    """Writes whole lines only, and a last one of a run that has begun: a context manager."""

    def __init__(self, path: Path | None) -> None:
        """Opens the file; without a path, nothing is written anywhere.

        Raises:
            CommandError: It cannot be written.
        """
        self._path = Path(os.devnull) if path is None else path
        self._last: Interval | None = None
        self._seconds = 0.0
        self._begun, self._ended = False, False
        try:
            # Unbuffered, so that each line is one write and survives whatever ends the run.
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            message = f"--metrics: expected a file that can be written, got {str(path)!r}"
            raise CommandError(f"{message} ({error.strerror})", status=2) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        try:
            # A run that was refused has no end; the file may have that of another.
            if kind is not None and self._begun:
                # What is already on its way out says more than a second failure to write.
                with contextlib.suppress(CommandError):
                    self._write_end(_status_of(kind), **_describe_error(error))
        finally:
            self._file.close()

    def write_start(self, config: Config, device: str, data: str) -> None:
        """Empties the file, and writes the configuration, the data's hash, and what it runs on."""
        self._begun = True
        self._cut(0)
        self._write(
            {
                "event": "start",
                "config": dataclasses.asdict(config),
                "data": data,
                "versions": find_versions(),
                "device": device,
            }
        )

    def write_resume(self, position: dict[str, Any], config: Config, device: str) -> bool:
        """Takes the file back to where it was, and writes what the run goes on with and on.

        Args:
            position: What `position` was, with the last interval.
            config: The configuration, some fields of which may be others than at the start.
            device: The device.

        Returns:
            Whether the file had all that it had then.
        """
        self._last = Interval.recall(position["intervals"][-1])
        self._seconds = position["seconds"]
        self._begun = True
        whole = self._cut(position["bytes"])
        self._write(
            {
                "event": "resume",
                "step": self._last.step,
                "config": dataclasses.asdict(config),
                "versions": find_versions(),
                "device": device,
            }
        )
        return whole

    @property
    def position(self) -> dict[str, Any]:
        """How far it is written, for `write_resume`; which needs the last interval as well."""
        return {"bytes": self._measure(), "seconds": self._seconds}

    def write_interval(self, interval: Interval) -> None:
        """Writes one logging interval."""
        fields = {
            "event": "interval",
            "step": interval.step,
            "epoch": _whole(interval.epoch),
            "loss": _finite(interval.loss),
            "test_loss": None if interval.test_loss is None else _finite(interval.test_loss),
            "test_accuracy": interval.test_accuracy,
            "learning_rate": interval.learning_rate,
            **_list_asked_for(interval),
            "examples_per_second": round(interval.examples / interval.seconds, 1),
            "seconds": round(interval.seconds, 6),
        }
        with _hold_interrupts():
            self._write(fields)
            self._last = interval
            self._seconds += interval.seconds

    def write_result(self, result: Result) -> None:
        """Writes the last line of a run that finished."""
        scalars: dict[str, Any] = {}
        if result.config.model == "linear" and result.grads is not None:
            scalars["parameters"] = {name: float(value) for name, value in result.params.items()}
            scalars["gradients"] = {name: float(value) for name, value in result.grads.items()}
        self._write_end("finished", **scalars)

    def _write_end(self, status: Status, **more: Any) -> None:
        last = self._last
        fields = {
            "event": "end",
            "status": status,
            "step": 0 if last is None else last.step,
            "epochs": 0 if last is None else _whole(last.epoch),
            "loss": None if last is None else _finite(last.loss),
            "test_accuracy": None if last is None else last.test_accuracy,
            "seconds": round(self._seconds, 6),
            **more,
        }
        with _hold_interrupts():
            if not self._ended:
                self._ended = True
                self._write(fields)

    def _measure(self) -> int:
        try:
            return self._file.seek(0, os.SEEK_END)
        except OSError:  # a pipe has no length
            return 0

    def _cut(self, size: int) -> bool:
        found = self._measure()
        if found > size:
            self._file.truncate(size)
        return found >= size

    def _write(self, fields: dict[str, Any]) -> None:
        line = json.dumps(fields, allow_nan=False).encode() + b"\n"
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            if written:
                with contextlib.suppress(OSError):  # a pipe has no way back
                    self._file.truncate(self._file.seek(-written, os.SEEK_CUR))
            message = f"--metrics: cannot write to {str(self._path)!r} ({error.strerror})"
            raise CommandError(message, status=1) from error


def describe_device() -> str:
    """Names the device that JAX computes on by default, e.g. ``cpu`` or ``gpu (NVIDIA H100)``.

    Raises:
        CommandError: JAX finds none.
    """
    try:
        device: Any = jax.devices()[0]
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise CommandError(f"JAX finds no device to train on: {text}", status=1) from error
    platform_name, kind = str(device.platform), str(device.device_kind)
    return kind if kind == platform_name else f"{platform_name} ({kind})"


def find_versions() -> dict[str, str | None]:
    """Finds the versions that a run's numbers depend on; None for what is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


@contextlib.contextmanager
def _hold_interrupts() -> Generator[None]:
    """Lets Ctrl-C wait until the block is done, so that what is in the file and counted agree."""
    held: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held and callable(previous):  # it is not where interrupts are ignored
        previous(held[0], None)


def _list_asked_for(interval: Interval) -> dict[str, Any]:
    """What not every run has."""
    fields: dict[str, Any] = {}
    if interval.grad_norm is not None:
        fields["grad_norm"] = _finite(interval.grad_norm)
    if interval.loss_scale is not None:
        fields["loss_scale"] = interval.loss_scale
    if interval.intermediates is not None:
        norms = interval.intermediates.items()
        fields["intermediates"] = {name: _finite(norm) for name, norm in norms}
    return fields


def _status_of(kind: type[BaseException]) -> Status:
    if issubclass(kind, DivergedError):
        return "diverged"
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"


def _describe_error(error: BaseException | None) -> dict[str, Any]:
    """Where a run that diverged begins to."""
    if not isinstance(error, DivergedError) or error.step is None:
        return {}
    fields: dict[str, Any] = {"step": error.step}
    if error.found is not None:
        names = ("op", "line", "file", "phase", "advice")
        fields |= {name: getattr(error.found, name) for name in names}
        fields["value"] = str(error.found.value)
    return {"nonfinite": fields}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number
