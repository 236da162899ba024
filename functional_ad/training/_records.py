"""What is kept of a run: its metrics, TensorBoard's file, and what its folder says of it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Self

from functional_ad.training._config import Config
from functional_ad.training._config_file import format_config_file
from functional_ad.training._errors import CommandError
from functional_ad.training._execution import Execution
from functional_ad.training._loop import Interval, Result
from functional_ad.training._manifest import Manifest
from functional_ad.training._metrics import MetricsFile
from functional_ad.training._tensorboard import Board


class Records:
    """Writes all that is asked for: a context manager around the run.

    A run's folder has its configuration in ``config.toml``, to be given to ``--config``, and in
    ``run.json`` the command, the hash of the data, the versions and the devices of the process that
    began it or went on with it last.
    """

    def __init__(
        self, config: Config, execution: Execution, run: Manifest, *, device: str, command: str
    ) -> None:
        """Opens the files.

        Args:
            config: The configuration.
            execution: Where to write.
            run: What the run is.
            device: What it runs on, for people.
            command: The command that begins it, or goes on with it.

        Raises:
            CommandError: One of them cannot be written.
            MissingExtraError: tensorboardX is asked for and not installed.
        """
        self._config, self._run, self._device, self._command = config, run, device, command
        folder = None if execution.run_dir is None else Path(execution.run_dir)
        self._folder = folder
        with contextlib.ExitStack() as stack:
            metrics = _choose(execution.metrics, folder, "metrics.jsonl")
            self._metrics = stack.enter_context(MetricsFile(metrics))
            board = _choose(execution.tensorboard, folder, "tensorboard")
            self._board = stack.enter_context(Board(board))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def begin(self, position: dict[str, Any] | None) -> bool:
        """Writes what the run is; where it goes on, takes what there is back to where it was.

        Args:
            position: What `position` was, with the last interval; None where the run is new.

        Returns:
            Whether the metrics had all that they had then.
        """
        if self._folder is not None:
            self._describe(self._folder)
        if position is None:
            self._metrics.write_start(self._config, self._device, self._run.data)
            return True
        whole = self._metrics.write_resume(position, self._config, self._device)
        self._board.write_resume(Interval.recall(position["intervals"][-1]).step)
        return whole

    @property
    def position(self) -> dict[str, Any]:
        """How far the metrics are written, for `begin`."""
        return self._metrics.position

    def write_interval(self, interval: Interval) -> None:
        """Writes one logging interval."""
        self._metrics.write_interval(interval)
        self._board.write_interval(interval)

    def write_result(self, result: Result) -> None:
        """Writes what a run that finished ends with."""
        self._metrics.write_result(result)

    def _describe(self, folder: Path) -> None:
        fields = {
            "command": self._command,
            "data": {"name": self._config.data, "sha256": self._run.data},
            "versions": self._run.versions,
            "device": self._device,
            "layout": self._run.layout,
        }
        _write(folder / "config.toml", format_config_file(self._config))
        _write(folder / "run.json", json.dumps(fields, indent=2) + "\n")


def _choose(asked: str | None, folder: Path | None, name: str) -> Path | None:
    if asked is not None:
        return Path(asked)
    return None if folder is None else folder / name


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        message = f"--run-dir: cannot write to {str(path)!r} ({error.strerror})"
        raise CommandError(message, status=1) from error
