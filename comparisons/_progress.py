"""Runs cases for the command line: with a progress bar, and with the report's way kept clear."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from comparisons._case import Case, DType
from comparisons.report import Report


def run_with_progress(
    targets: Sequence[str],
    cases: Sequence[Case],
    *,
    jobs: int = 1,
    dtype: DType | None = None,
    power: bool = False,
) -> Report:
    """Runs cases with a bar on a terminal's standard error, and without one in a pipe.

    What the cases' functions write goes to standard error: standard output is the report's.

    Args:
        targets: What ``find_cases`` found the cases by.
        cases: The cases.
        jobs: How many processes; with 1 they run in this one.
        dtype: As for ``run_cases``.
        power: As for ``run_cases``.

    Returns:
        The report, its cases in the order given.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from comparisons._environment import describe_environment
    from comparisons._suite import run_cases
    from comparisons._workers import run_in_workers

    console = Console(stderr=True)
    with (
        Progress(
            TextColumn("comparing"),
            BarColumn(bar_width=24),  # fixed, or it would jump with the length of the names
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress,
        contextlib.redirect_stdout(sys.stderr),  # on a terminal the bar's, which makes room
    ):
        task = progress.add_task("", total=len(cases))
        if jobs > 1 and len(cases) > 1:
            results = run_in_workers(
                targets,
                cases,
                jobs,
                dtype=dtype,
                power=power,
                on_result=lambda result: progress.update(task, advance=1, description=result.name),
                on_output=_print_output,
            )
            return Report(results, describe_environment())

        def watch() -> Iterator[Case]:
            for case in cases:
                progress.update(task, description=case.name)
                yield case

        return run_cases(
            watch(), on_result=lambda result: progress.advance(task), dtype=dtype, power=power
        )


def _print_output(name: str, text: str) -> None:
    sys.stderr.write(f"{name}:\n{text.rstrip()}\n")
