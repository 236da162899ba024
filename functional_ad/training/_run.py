"""One run of the command: data, devices, checkpoints, metrics, progress and training together."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from functional_ad.training._cli import PROGRAM, Command
from functional_ad.training._config import Config
from functional_ad.training._data import Dataset, load_data
from functional_ad.training._errors import CommandError
from functional_ad.training._execution import Execution
from functional_ad.training._interruption import Interrupted, Stop, watch_signals
from functional_ad.training._lock import hold_lock, read_owner
from functional_ad.training._loop import Interval, run_training
from functional_ad.training._manifest import Manifest, hash_data
from functional_ad.training._metrics import describe_device, find_versions
from functional_ad.training._processes import (
    join_processes,
    require_agreement,
    share_number,
)
from functional_ad.training._progress import (
    format_config,
    format_result,
    print_line,
    show_progress,
)
from functional_ad.training._records import Records
from functional_ad.training._resumption import Checkpoints
from functional_ad.training._sharding import Layout, make_layout


def run_command(command: Command) -> None:
    """Trains as the command asks, printing to stdout and writing what is kept of the run.

    Raises:
        CheckpointError: A checkpoint cannot be written, or gone on from.
        CommandError: The metrics cannot be written, JAX finds no device, the run directory is in
            use, or the processes do not go together.
        ConfigError: The mesh or the batch does not fit.
        DivergedError: The loss or a parameter is not finite.
        Interrupted: A signal ended the run.
        MissingExtraError: The data need a package that is not installed.
    """
    config, execution = command.config, command.execution
    folder = _make_folder("run_dir", execution.run_dir)
    profile = _make_folder("profile", execution.profile)
    alone = execution.coordinator is None
    if not alone:
        join_processes(execution, PROGRAM)
    first = alone or jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        if folder is not None and first:
            stack.enter_context(hold_lock(folder))
        data = load_data(config.data, config.context)
        layout = make_layout(config.mesh, config.batch_size)
        device = describe_device() + _describe_layout(layout)
        run = _describe_run(config, data, layout)
        if not alone:
            _require_agreement(run, execution)
        # Only one process writes; the others go through the same steps.
        kept = execution if first else Execution()
        command_line = format_command(sys.argv)
        records = stack.enter_context(
            Records(config, kept, run, device=device, command=command_line)
        )
        say = _say if first else _say_nothing
        say(f"{format_config(config)}, on {device}")
        checkpoints = None
        if folder is None:
            records.begin(None)
        else:
            stop = stack.enter_context(watch_signals(_say_at_once))
            checkpoints = _open_checkpoints(
                folder, execution, run, stop=stop, say=say, records=records
            )
        show = stack.enter_context(show_progress(config)) if first else None

        def report(interval: Interval) -> None:
            records.write_interval(interval)
            if show is not None:
                show(interval)

        try:
            result = run_training(
                config,
                data,
                on_interval=report,
                checkpoints=checkpoints,
                find_nonfinite=execution.find_nonfinite,
                profile=profile,
            )
        except Interrupted as error:
            if folder is None:
                raise
            message = f"{error}. To go on: {command_line}"
            raise Interrupted(error.number, message) from error
        records.write_result(result)
    if first:
        print_line(format_result(result))


def format_command(arguments: list[str]) -> str:
    """Formats the command that goes on with this run: the same, but not to start anew."""
    program, *rest = arguments
    if Path(program).name == "__main__.py":
        rest = [sys.executable, "-m", "functional_ad.training", *rest]
    else:
        rest = [program, *rest]
    return shlex.join(word for word in rest if word != "--fresh")


def _make_folder(option: str, name: str | None) -> Path | None:
    if name is None:
        return None
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        flag = "--" + option.replace("_", "-")
        text = f"{flag}: expected a folder that can be written, got {name!r}"
        raise CommandError(f"{text} ({error.strerror})", status=2) from error
    return folder


def _require_agreement(run: Manifest, execution: Execution) -> None:
    """Checks that all processes do the same, and see one run directory: its lock is process 0's."""
    share_number(0)  # by now it is written
    folder = execution.run_dir
    owner = None if folder is None else read_owner(Path(folder))
    told = [execution.fresh, execution.resume, execution.checkpoint_every, execution.find_nonfinite]
    require_agreement([run, told, owner])


def _describe_layout(layout: Layout | None) -> str:
    if layout is None:
        return ""
    axes = ", ".join(f"{name} {size}" for name, size in layout.mesh.shape.items())
    processes = jax.process_count()
    return f" (mesh: {axes})" if processes == 1 else f" (mesh: {axes}; {processes} processes)"


def _describe_run(config: Config, data: Dataset, layout: Layout | None) -> Manifest:
    sizes = {} if layout is None else dict(layout.mesh.shape)
    device = jax.devices()[0]
    return Manifest(
        step=0,
        config=dataclasses.asdict(config),
        data=hash_data(data),
        versions=find_versions(),
        layout={**sizes, "processes": jax.process_count(), "device": device.device_kind},
        position={},
        leaves={},
        files={},
    )


def _open_checkpoints(
    folder: Path,
    execution: Execution,
    run: Manifest,
    *,
    stop: Stop,
    say: Callable[[str], None],
    records: Records,
) -> Checkpoints:
    def begin(position: dict[str, Any] | None) -> None:
        if not records.begin(position):
            say("warning: the metrics are shorter than at the checkpoint: lines are missing")

    return Checkpoints(
        folder=folder / "checkpoints",
        manifest=run,
        every=execution.checkpoint_every,
        keep=execution.keep,
        fresh=execution.fresh,
        resume=execution.resume,
        stop=stop,
        say=say,
        on_begin=begin,
        get_position=lambda: records.position,
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {line}\n")


def _say_nothing(line: str) -> None:
    del line


def _say_at_once(line: str) -> None:
    """Says a line from a signal's handler, which may have come in the middle of another."""
    os.write(sys.stderr.fileno(), f"{PROGRAM}: {line}\n".encode())
