"""One comparison: what the verdict said, and whether it was right."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax
import numpy as np

from benchmarks.verdict import other_tools
from benchmarks.verdict.mutations import find_defect
from benchmarks.verdict.pair import Draw, Pair
from benchmarks.verdict.plan import Job
from comparisons import ParityCase, compare
from comparisons._results import CaseResult, LeafResult
from comparisons._trees import Leaves
from comparisons._trial import Trial

# Two formulas for one function differ by less at float64, relative to the greatest element. What
# changes no more is no mistake on inputs that were not made to hide it.
ROUNDING = 1e-13

_RANKS = {"pass": 0, "warn": 1, "fail": 2}

Answer = Literal["fail", "warn", "below power", "vacuous", "no effect", "pass"]


@dataclasses.dataclass(frozen=True)
class Observation:
    """One comparison, and what was said of it.

    Attributes:
        pair: Name of the pair.
        draw: Its inputs.
        defect: The mistake in the JAX side; None if there is none.
        in_gradient: Whether the mistake is in the gradients alone.
        blind: Whether these inputs cannot show the mistakes that the pair names.
        answer: Of a correct pair, the comparison's outcome. Of a mistake, ``"fail"`` or ``"warn"``
            if some leaf comes out worse than without it, and else what ``excuse`` says.
        verdict: The comparison's verdict.
        change: By how much the mistake changes the leaf that it changes most, relative to that
            leaf's greatest element: at float64, or at the working dtype if nothing changes there.
        powers: The stated power of each leaf.
        vacuity: What the comparison said that it cannot show.
        others: Whether each of the other tools objects; a tool that has nothing to say is missing.
        details: A line for each leaf: of a correct pair, for those that do not pass.
    """

    pair: str
    draw: Draw
    defect: str | None
    in_gradient: bool
    blind: bool
    answer: Answer
    verdict: str
    change: float
    powers: tuple[float | None, ...]
    vacuity: tuple[str, ...]
    others: dict[str, bool]
    details: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Run:
    """What the JAX side gives, and PyTorch's at the working dtype; and what both were given."""

    jax: Leaves
    jax64: Leaves
    torch: Leaves
    inputs: tuple[Any, ...]


def run_job(pair: Pair, job: Job) -> Iterator[Observation]:
    """Compares the pair on each draw as it is, and then with the mistakes."""
    plain = _prepare(pair.jax, pair.jitted)
    unharmed: dict[Draw, _Run] = {}
    cases: dict[Draw, CaseResult] = {}
    for draw in job.draws:
        good, inputs = _prepare(pair.jax, draw.jitted), pair.make_inputs(draw)
        unharmed[draw] = _run_sides(pair, plain, draw, inputs)
        run = _run_sides(pair, good, draw, inputs) if draw.jitted else unharmed[draw]
        cases[draw] = case = _compare(pair, good, draw, inputs)
        yield Observation(
            pair=pair.name,
            draw=draw,
            defect=None,
            in_gradient=False,
            blind=pair.blind,
            answer=case.outcome,
            verdict=str(case.verdict),
            change=0.0,
            powers=tuple(leaf.power for leaf in case.leaves),
            vacuity=case.vacuity,
            others=_ask_others(pair, good, run),
            details=tuple(_describe(leaf) for leaf in case.leaves if leaf.outcome != "pass"),
        )
    for name, draw in job.defects:
        defect = find_defect(pair, name)
        bad, inputs = _prepare(defect.jax, pair.jitted), pair.make_inputs(draw)
        run = _run_sides(pair, bad, draw, inputs)
        changes = measure_changes(unharmed[draw], run)
        case = _compare(pair, bad, draw, inputs)
        answer = find_worse(cases[draw], case) or excuse(case, changes, pair.blind)
        yield Observation(
            pair=pair.name,
            draw=draw,
            defect=name,
            in_gradient=defect.in_gradient,
            blind=pair.blind,
            answer=answer,
            verdict=str(case.verdict),
            change=max(changes.values()),
            powers=tuple(leaf.power for leaf in case.leaves),
            vacuity=case.vacuity,
            others=_ask_others(pair, bad, run),
            details=tuple(map(_describe, case.leaves)) if answer == "pass" else (),
        )


def find_worse(before: CaseResult, after: CaseResult) -> Literal["fail", "warn"] | None:
    """The worst outcome of the leaves that come out worse than without the mistake, if any do.

    A warning that is there in any case, as that a gradient is zero, notices nothing.
    """
    ranks = {_name(leaf): _RANKS[leaf.outcome] for leaf in before.leaves}
    worse = {
        leaf.outcome
        for leaf in after.leaves
        if _RANKS[leaf.outcome] > ranks.get(_name(leaf), _RANKS["pass"])
    }
    return "fail" if "fail" in worse else "warn" if worse else None


def excuse(case: CaseResult, changes: dict[str, float], blind: bool) -> Answer:
    """Why a mistake may go unnoticed; ``"pass"`` if nothing excuses it.

    What excuses it is what the comparison's own report says to whoever reads it. If the mistake
    changes nothing beyond ROUNDING, that these inputs hide something (``CaseResult.vacuity``); it
    is an accident of the draw, and no mistake at all, if the inputs were not made to hide it. If it
    changes something, that in every leaf that it changes so small a change goes unnoticed
    (``LeafResult.power``; None says that not even a wrong sign would be noticed).
    """
    if max(changes.values()) < ROUNDING:
        if case.vacuity:
            return "vacuous"
        return "pass" if blind else "no effect"
    powers = {_name(leaf): leaf.power for leaf in case.leaves}
    unseen = all(
        change < (math.inf if (power := powers[name]) is None else power)
        for name, change in changes.items()
        if change >= ROUNDING
    )
    return "below power" if unseen else "pass"


def measure_changes(good: _Run, bad: _Run) -> dict[str, float]:
    """By how much a mistake changes each leaf, relative to the leaf's greatest element.

    Raises:
        ValueError: It changes a shape or a name, which needs no instrument.
    """
    for before, after in ((good.jax64, bad.jax64), (good.jax, bad.jax)):
        if {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in after.items()}:
            raise ValueError("a planted mistake must keep the shapes and names of the results")
        changes = {name: _measure_change(before[name], after[name]) for name in before}
        if any(changes.values()):
            break
    return changes


def _measure_change(before: Any, after: Any) -> float:
    if not before.size:
        return 0.0
    before, after = (array.astype(np.result_type(array, np.float64)) for array in (before, after))
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(all="ignore"):
        gap = np.where(same, 0.0, np.abs(before - after))
    greatest = np.max(np.abs(before[np.isfinite(before)]), initial=0.0)
    change = float(np.max(np.nan_to_num(gap, nan=np.inf)))
    return change and (change / float(greatest) if greatest else math.inf)


def _prepare(fun: Callable[..., Any], jitted: bool) -> Callable[..., Any]:
    return jax.jit(fun) if jitted else fun


def _compare(
    pair: Pair, fun: Callable[..., Any], draw: Draw, inputs: tuple[Any, ...]
) -> CaseResult:
    report = compare(fun, pair.torch, inputs, orders=pair.orders, dtype=draw.dtype, name=pair.name)
    return report.cases[0]


def _run_sides(pair: Pair, fun: Callable[..., Any], draw: Draw, inputs: tuple[Any, ...]) -> _Run:
    """The same runs as those of the comparison, which keeps the numbers of small leaves only."""
    case = ParityCase(
        name=pair.name, title="", jax=fun, torch=pair.torch, inputs=inputs, orders=pair.orders
    )
    trial = Trial(case, draw.dtype)
    ours, ours64 = trial.jax_runs[0], trial.jax64
    theirs = trial.torch_runs[0]
    return _Run(*(_flatten(outputs, pair) for outputs in (ours, ours64, theirs)), trial.inputs)


def _flatten(outputs: Any, pair: Pair) -> Leaves:
    return {
        f"{order}:{path}": leaf for order in pair.orders for path, leaf in outputs[order].items()
    }


def _name(leaf: LeafResult) -> str:
    return f"{leaf.quantity}:{leaf.path}"


def _ask_others(pair: Pair, fun: Callable[..., Any], run: _Run) -> dict[str, bool]:
    answers = {
        other_tools.ASSERT_CLOSE: other_tools.ask_assert_close(run.jax, run.torch),
        other_tools.ASSERT_ALLCLOSE: other_tools.ask_assert_allclose(run.jax, run.torch),
    }
    if "vjp" in pair.orders:
        answers[other_tools.CHECK_GRADS] = other_tools.ask_check_grads(fun, run.inputs)
    return answers


def _describe(leaf: LeafResult) -> str:
    figures = {
        "gap": leaf.float64_gap,
        "noise": leaf.float64_noise,
        "JAX error": leaf.jax_error,
        "PyTorch error": leaf.torch_error,
        "allowed": leaf.allowed,
        "power": leaf.power,
    }
    written = ", ".join(
        f"{name} {value:.3g}" for name, value in figures.items() if value is not None
    )
    return f"{_name(leaf)} at {leaf.worst}: {leaf.verdict}: {leaf.reason} ({written})"
