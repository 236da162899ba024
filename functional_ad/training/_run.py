"""One run of the command: data, metrics, progress and training put together."""

from __future__ import annotations

import sys

from functional_ad.training._cli import PROGRAM, Command
from functional_ad.training._data import load_data
from functional_ad.training._loop import Interval, run_training
from functional_ad.training._metrics import MetricsFile, describe_device
from functional_ad.training._progress import (
    format_config,
    format_result,
    print_line,
    show_progress,
)


def run_command(command: Command) -> None:
    """Trains as the command asks, printing to stdout and writing metrics.

    Raises:
        CommandError: The metrics cannot be written, or JAX finds no device.
        DivergedError: The loss or a parameter is not finite.
        MissingExtraError: The data need a package that is not installed.
    """
    config = command.config
    data = load_data(config.data, config.context)
    device = describe_device()
    with MetricsFile(command.metrics) as metrics:
        metrics.write_start(config, device)
        # To stderr, so that stdout is what the tutorial prints and nothing else.
        sys.stderr.write(f"{PROGRAM}: {format_config(config)}, on {device}\n")
        with show_progress(config) as show:

            def report(interval: Interval) -> None:
                metrics.write_interval(interval)
                show(interval)

            result = run_training(config, data, on_interval=report)
        metrics.write_result(result)
    print_line(format_result(result))
