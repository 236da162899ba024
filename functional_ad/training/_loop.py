"""The training loop: intervals, each one compiled call, and what is known after each."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from functional_ad.training._config import Config, check_batch_size
from functional_ad.training._data import Dataset, load_data
from functional_ad.training._diagnosis import Diagnosis, copy_state, diagnose
from functional_ad.training._errors import ConfigError, DivergedError
from functional_ad.training._models import Params
from functional_ad.training._plan import Plan, Rows, make_plan
from functional_ad.training._programs import Programs, build_programs
from functional_ad.training._resumption import Checkpoints
from functional_ad.training._sharding import make_layout
from functional_ad.training._state import State
from functional_ad.training._task import build_task
from functional_ad.training._tracing import Tracer


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """What is known after a logging interval: by default, an epoch.

    Attributes:
        number: The interval, counted from 1.
        step: How many updates there have been.
        epoch: How often the training examples have been gone through; a whole number at the end of
            an epoch.
        loss: Mean training loss over the interval's examples, each before its batch's update.
        test_loss: Mean loss over the test examples after the interval; None where there are none,
            or the interval is none after which the configuration asks for it.
        test_accuracy: Share of the test examples that are classified rightly after the interval, 0
            to 1; None as for the loss.
        learning_rate: That of the last update.
        grad_norm: The norm of the last update's gradients, before they are clipped; None unless
            they are clipped or kept, or the configuration asks for it.
        loss_scale: The scale of the loss after the interval; None where it is not scaled.
        intermediates: The norms of the gradients of hidden values, by name; None unless the
            configuration asks for them.
        examples: How many examples it had.
        seconds: How long it took, the first one with its compilation.

    Example:
        >>> from functional_ad.training import Config, train
        >>> interval = train(Config(epochs=1)).intervals[0]
        >>> interval.step, interval.epoch, interval.loss, interval.test_accuracy
        (1, 1.0, 5.75, None)
    """

    number: int
    step: int
    epoch: float
    loss: float
    test_loss: float | None
    test_accuracy: float | None
    learning_rate: float
    grad_norm: float | None
    loss_scale: float | None
    intermediates: dict[str, float] | None
    examples: int
    seconds: float

    @classmethod
    def recall(cls, fields: Mapping[str, Any]) -> Interval:
        """Makes an interval of what a checkpoint has of it; None where that is of an older kind."""
        known: dict[str, Any] = {
            field.name: fields.get(field.name) for field in dataclasses.fields(cls)
        }
        return cls(**known)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a finished run leaves.

    Attributes:
        config: The run's configuration.
        intervals: Each logging interval, in order.
        params: The parameters after the last update.
        grads: The gradients of the last update, what PyTorch's ``.grad`` holds at the end; None
            unless the configuration keeps them.

    Example:
        >>> from functional_ad.training import train
        >>> result = train()
        >>> {name: round(float(value), 4) for name, value in result.params.items()}
        {'a': 0.1832, 'b': 1.8135}
        >>> {name: round(float(value), 4) for name, value in result.grads.items()}
        {'a': 0.0792, 'b': -0.1857}
    """

    config: Config
    intervals: tuple[Interval, ...]
    params: Params
    grads: Params | None


def train(
    config: Config | None = None, *, on_interval: Callable[[Interval], None] | None = None
) -> Result:
    """Trains as configured.

    PyTorch's loop of ``zero_grad``, ``backward`` and ``step``: here gradients are values, so there
    is nothing to zero, and a logging interval of many updates is one compiled call. The state
    before each interval is kept as long as that lasts, so that an error can say where NaN begins.

    Args:
        config: The configuration; the tutorial's worked case if left out.
        on_interval: Called after each logging interval, e.g. to print or to stop by raising.

    Returns:
        The trained parameters, the last gradients if they are kept, and every interval's figures.

    Raises:
        DivergedError: The loss or a parameter is not finite; ``on_interval`` has seen that
            interval.
        MissingExtraError: The data need a package that is not installed.

    Example:
        >>> from functional_ad.training import Config, train
        >>> result = train(Config(epochs=2))
        >>> [round(interval.loss, 4) for interval in result.intervals]
        [5.75, 4.5746]
    """
    config = Config() if config is None else config
    return run_training(config, load_data(config.data, config.context), on_interval=on_interval)


def run_training(
    config: Config,
    data: Dataset,
    *,
    on_interval: Callable[[Interval], None] | None = None,
    checkpoints: Checkpoints | None = None,
    find_nonfinite: bool = True,
    profile: Path | None = None,
) -> Result:
    """Trains as configured on data that are loaded already; see `train`.

    Args:
        config: The configuration.
        data: The data.
        on_interval: Called after each logging interval.
        checkpoints: What the run goes on from, and what saves it; None for neither.
        find_nonfinite: Whether to keep the state before each interval, as long as that lasts, so
            that a `DivergedError` says where NaN or infinity begins.
        profile: The folder to write a trace of one interval into; None for none.

    Raises:
        CheckpointError: A checkpoint cannot be gone on from, or cannot be written.
        ConfigError: There are fewer examples than in a batch, or the mesh does not fit.
        Interrupted: A signal asked the run to stop, and it is saved.
    """
    check_batch_size(config, len(data.train.inputs))
    layout = make_layout(config.mesh, config.batch_size)
    devices = 1 if layout is None else layout.spread
    plan = make_plan(config, len(data.train.inputs), devices=devices)
    task = build_task(config, plan.updates)
    programs = build_programs(task, data, layout)
    intervals: list[Interval] = []
    state = None
    if checkpoints is not None:
        state, position = checkpoints.begin(programs.like)
        intervals += [Interval.recall(fields) for fields in position.get("intervals", [])]
    state = programs.init() if state is None else state
    if int(state.step) > plan.updates:
        done = -(-int(state.step) // plan.batches)
        expected = f"{done} or more, the epochs that the checkpoint has had"
        raise ConfigError("epochs", expected=expected, got=repr(config.epochs))

    def after_interval(interval: Interval) -> None:
        intervals.append(interval)
        if on_interval is not None:
            on_interval(interval)

    def after_check(state: State, interval: Interval) -> None:
        if checkpoints is not None:
            last = [dataclasses.asdict(interval)]
            done = interval.step == plan.updates
            checkpoints.after(state, interval.number, {"intervals": last}, done=done)

    def find(before: State, rows: Rows) -> Diagnosis | None:
        run, place = programs.run_interval, programs.place
        return diagnose(task, before, rows, programs.data, run_interval=run, place=place)

    state = run_intervals(
        config,
        plan,
        state,
        programs,
        after_interval=after_interval,
        after_check=after_check,
        find_nonfinite=find if find_nonfinite else None,
        tracer=Tracer(profile),
    )
    return Result(config=config, intervals=tuple(intervals), params=state.params, grads=state.grads)


def run_intervals(
    config: Config,
    plan: Plan,
    state: State,
    programs: Programs,
    *,
    after_interval: Callable[[Interval], None],
    after_check: Callable[[State, Interval], None],
    find_nonfinite: Callable[[State, Rows], Diagnosis | None] | None,
    tracer: Tracer,
) -> State:
    """Runs interval after interval, from the state's step to the plan's last.

    Args:
        config: The run's configuration.
        plan: Which examples each update takes.
        state: Where to begin. It is donated to the first interval.
        programs: What is called.
        after_interval: Called after each interval, before anything is made of its figures.
        after_check: Called when they are found to be finite. The state that it gets is donated
            afterwards: what is to be kept must be copied.
        find_nonfinite: Finds where an interval goes wrong, from the state before it and its rows;
            None if no copy of that state is to be made.
        tracer: Stands around each interval.

    Returns:
        The state after the last update.

    Raises:
        DivergedError: The loss or a parameter is not finite.
    """
    every = plan.batches if config.log_every is None else config.log_every

    def take_rows(step: int) -> Rows:
        return plan.take(step, min(every - step % every, plan.updates - step))

    step = int(state.step)
    rows = take_rows(step)
    while step < plan.updates:
        before, taken = None if find_nonfinite is None else copy_state(state), rows
        started = time.perf_counter()
        placed = programs.place(rows)
        step += len(rows.positions)
        number, is_last = -(-step // every), step == plan.updates
        with tracer.trace(is_last=is_last):
            state, outcome = programs.run_interval(state, placed, programs.data)
            rows = take_rows(step)  # while the devices compute
            due = is_last or (config.evaluate_every and number % config.evaluate_every == 0)
            evaluation = programs.evaluate(state.params) if due else None
            measured = programs.measure(state, placed, programs.data)
            outcome, evaluation, measured = jax.device_get((outcome, evaluation, measured))
        interval = Interval(
            number=number,
            step=step,
            epoch=step / plan.batches,
            loss=float(outcome.loss),
            test_loss=None if evaluation is None else float(evaluation.loss),
            test_accuracy=_to_float(None if evaluation is None else evaluation.accuracy),
            learning_rate=_shorten(outcome.learning_rate),
            grad_norm=_to_float(outcome.grad_norm),
            loss_scale=_to_float(outcome.loss_scale),
            intermediates=measured and {name: float(norm) for name, norm in measured.items()},
            examples=taken.count_examples(),
            seconds=time.perf_counter() - started,
        )
        after_interval(interval)
        if not (math.isfinite(interval.loss) and bool(outcome.finite)):
            told = None
            if find_nonfinite is not None and before is not None:
                told = find_nonfinite(before, taken)
            raise DivergedError(
                -(-step // plan.batches),
                interval.loss,
                config.learning_rate,
                step=None if told is None else told.step,
                found=None if told is None else told.found,
            )
        after_check(state, interval)
    return state


def _to_float(number: Any) -> float | None:
    return None if number is None else float(number)


def _shorten(number: Any) -> float:
    """The float that looks as a float32 does: 0.003, and not 0.003000000026077032."""
    return float(str(np.float32(number)))
