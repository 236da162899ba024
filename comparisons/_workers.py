"""Cases in several processes; a process that dies costs one case.

Functions do not travel between processes, so a worker finds its cases again, by target and name.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from comparisons._case import Case, DType
from comparisons._processes import End, Service, run_tasks
from comparisons._results import CaseResult


def run_in_workers(
    targets: Sequence[str],
    cases: Sequence[Case],
    jobs: int,
    *,
    dtype: DType | None = None,
    power: bool = False,
    on_result: Callable[[CaseResult], None] | None = None,
    on_output: Callable[[str, str], None] | None = None,
) -> tuple[CaseResult, ...]:
    """Runs cases in worker processes, each case once.

    Args:
        targets: What ``find_cases`` found the cases by; workers give it the same.
        cases: The cases.
        jobs: How many processes at most.
        dtype: As for ``run_cases``.
        power: As for ``run_cases``.
        on_result: Called with each result as it comes.
        on_output: Called with a case's name and what its functions wrote to standard output and
            standard error, unless they ended their process: then the result has it.

    Returns:
        The results of each case, in the cases' order, whichever came first.
    """
    files = (Path(target) for target in targets if target.endswith(".py"))
    service = Service(
        load=_load,
        arguments=(tuple(targets), dtype, power),
        replace=lambda index, end: _describe_death(cases[index], end, dtype),
        hidden=frozenset(str(file.resolve().parent) for file in files),
    )

    def tell(index: int, found: tuple[CaseResult, ...]) -> None:
        del index
        for result in found:
            if on_result is not None:
                on_result(result)

    results = run_tasks(
        service,
        [case.name for case in cases],
        jobs,
        on_result=tell,
        on_output=None if on_output is None else lambda i, text: on_output(cases[i].name, text),
    )
    return tuple(result for found in results for result in found)


def _describe_death(case: Case, end: End, dtype: DType | None) -> tuple[CaseResult, ...]:
    from comparisons._suite import describe_failure

    said = f"\nIt last wrote:\n{end.said}" if end.said else ""
    error = f"The process that ran this case {end.describe()}.{said}"
    return (describe_failure(case, error, dtype),)


def _load(
    targets: tuple[str, ...], dtype: DType | None, power: bool
) -> Callable[[str], tuple[CaseResult, ...]]:
    """In a worker: finds the cases, and returns what runs one by its name."""
    from comparisons._discovery import DiscoveryError, find_cases

    try:
        cases = {case.name: case for case in find_cases(targets)}
    except DiscoveryError as error:
        sys.exit(f"{error}")
    return functools.partial(_run, cases, dtype, power)


def _run(
    cases: dict[str, Case], dtype: DType | None, power: bool, name: str
) -> tuple[CaseResult, ...]:
    from comparisons._suite import run_cases

    if name not in cases:
        sys.exit(f"there was no case {name!r} when its file was loaded again")
    return run_cases([cases[name]], dtype=dtype, power=power).cases
