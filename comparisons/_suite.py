"""Runs cases of both kinds one after another, and gathers their results in a Report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from comparisons._case import Case, DType, ParityCase, TrainingCase
from comparisons._environment import describe_environment
from comparisons._errors import explain_error
from comparisons._results import CaseResult
from comparisons._runner import describe_case, read_source, run_case
from comparisons._trajectory import compare_training
from comparisons.report import Report


def run_cases(
    cases: Iterable[Case],
    on_result: Callable[[CaseResult], None] | None = None,
    *,
    dtype: DType | None = None,
    power: bool = False,
) -> Report:
    """Runs cases one after another; one that raises is a failed case, and the others still run.

    Args:
        cases: The cases.
        on_result: Called with each result as it comes, e.g. to move a progress bar; a training case
            has two.
        dtype: The working dtype, for all cases; each case's own if left out.
        power: Whether to plant defects in the JAX sides and to report which of them are caught.

    Returns:
        The report.
    """
    results: list[CaseResult] = []
    for case in cases:
        try:
            if isinstance(case, TrainingCase):
                found = run_training(case, dtype)
            else:
                found = (run_case(case, dtype, power=power),)
        except (Exception, SystemExit) as error:  # whatever a user's function raises is a finding
            found = (describe_failure(case, explain_error(case, error), dtype),)
        for result in found:
            results.append(result)
            if on_result is not None:
                on_result(result)
    return Report(tuple(results), describe_environment())


def run_training(case: TrainingCase, dtype: DType | None = None) -> tuple[CaseResult, ...]:
    """Runs a training case: teacher-forced and free-running."""
    report = compare_training(*case.make(), dtype=dtype or case.dtype, name=case.name, jit=case.jit)
    return tuple(
        dataclasses.replace(
            result,
            title=f"{case.title}, {result.trajectory.mode}" if result.trajectory else case.title,
            jax_source=read_source(case.jax),
            torch_source=read_source(case.torch),
            note=case.note,
            citation=case.citation,
        )
        for result in report.cases
    )


def describe_failure(case: Case, error: str, dtype: DType | None) -> CaseResult:
    """The result of a case that could not be run."""
    if isinstance(case, ParityCase):
        return describe_case(case, (), dtype or case.dtype, error=error)
    return CaseResult(
        name=case.name,
        title=case.title,
        leaves=(),
        error=error,
        jax_source=read_source(case.jax),
        torch_source=read_source(case.torch),
        note=case.note,
        citation=case.citation,
        dtype=dtype or case.dtype,
    )
