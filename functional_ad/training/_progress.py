"""What a run prints: plain lines, and above a terminal's last line a progress bar."""

from __future__ import annotations

import datetime
import math
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from functional_ad.training._config import Config
from functional_ad.training._loop import Interval, Result


def format_config(config: Config) -> str:
    """Formats what is about to be trained, in one line."""
    parts = f" in {config.microbatches} microbatches" if config.microbatches > 1 else ""
    return (
        f"{config.model} on {config.data}, {config.epochs} epochs, {config.optimizer} with "
        f"learning rate {config.learning_rate:g}, batches of {config.batch_size}{parts}, "
        f"seed {config.seed}"
    )


def format_interval(interval: Interval) -> str:
    """Formats an interval as the tutorial prints an epoch, the loss in all its digits."""
    epoch = f"{interval.epoch:.3f}".rstrip("0").rstrip(".")
    line = f"epoch: {epoch}, loss: {interval.loss}"
    if interval.test_accuracy is not None:
        line += f", test accuracy: {interval.test_accuracy:.2%}"
    return line


def format_pace(config: Config, before: Interval | None, interval: Interval) -> str:
    """Formats how fast a run is, and how long it will take, by the interval that is over.

    Args:
        config: The run's configuration.
        before: The interval before; None for the first one, whose time is that of compilation.
        interval: The interval.
    """
    if before is None:
        return "compiled"
    text = f"{interval.examples / interval.seconds:.0f} examples/s"
    if interval.epoch >= config.epochs:
        return text
    pace = interval.seconds / (interval.epoch - before.epoch)
    left = round(pace * (config.epochs - interval.epoch))
    return f"{text}, {datetime.timedelta(seconds=left)} left"


def format_result(result: Result) -> str:
    """Formats what a run ends with: gradients and parameters, or the test accuracy."""
    if result.config.model == "linear":
        a, b = float(result.params["a"]), float(result.params["b"])
        line = f"a: {a}, b: {b}"
        if result.grads is None:
            return line
        a_grad, b_grad = float(result.grads["a"]), float(result.grads["b"])
        return f"a.grad: {a_grad}, b.grad: {b_grad}\n{line}"
    last = result.intervals[-1]
    line = f"final test accuracy: {last.test_accuracy:.2%}"
    if result.config.data == "text" and last.test_loss is not None:
        line = f"final test loss: {last.test_loss / math.log(2):.3f} bits per byte\n{line}"
    return line


@contextmanager
def show_progress(config: Config) -> Generator[Callable[[Interval], None]]:
    """Shows a run while it lasts.

    Yields:
        What to call after each logging interval.
    """
    if sys.stdout.isatty():
        with _show_bar(config) as show:
            yield show
        return
    before: Interval | None = None

    def show_line(interval: Interval) -> None:
        nonlocal before
        line = format_interval(interval)
        # The linear model's lines are the tutorial's.
        if config.model != "linear" and before is not None:
            line += f", {format_pace(config, before, interval)}"
        print_line(line)
        before = interval

    yield show_line


def print_line(line: str) -> None:
    """Prints a line at once, so that it is seen at the other end of a pipe while the run lasts."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _show_bar(config: Config) -> Generator[Callable[[Interval], None]]:
    # Only a terminal needs rich.
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
        transient=True,
    ) as progress:
        task = progress.add_task("compiling", total=config.epochs, pace="")
        before: Interval | None = None

        def show(interval: Interval) -> None:
            nonlocal before
            pace = format_pace(config, before, interval)
            progress.update(task, description="training", completed=interval.epoch, pace=pace)
            before = interval
            # Markup, highlighting and wrapping off: a line here is the line that a pipe gets.
            progress.console.print(
                format_interval(interval), markup=False, highlight=False, soft_wrap=True
            )

        yield show
