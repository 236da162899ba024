"""Live schedulers of torch.optim.lr_scheduler as schedules that go on where they are."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp

from comparisons._translation._refusal import is_of, name_class, refuse
from functional_ad.torch_semantics import lr_scheduler
from functional_ad.torch_semantics.lr_scheduler import ReduceLROnPlateau, Schedule
from functional_ad.torch_semantics.lr_scheduler._chain import chain
from functional_ad.torch_semantics.lr_scheduler._course import begin, resume, shift
from functional_ad.torch_semantics.lr_scheduler._sequence import join

Translation: TypeAlias = Schedule | ReduceLROnPlateau

_PACKAGE = "torch.optim.lr_scheduler"
_OTHERS = ("ChainedScheduler", "ReduceLROnPlateau", "SequentialLR")


def is_scheduler(value: Any) -> bool:
    """Whether it has an optimizer and is none; wrappers of optimizers have one, too."""
    return hasattr(value, "optimizer") and not hasattr(value, "param_groups")


def translate_scheduler(scheduler: Any) -> list[Translation]:
    """What a scheduler does from its step on, for each group of its optimizer.

    Raises:
        ValueError: It is of no class that PyTorch has, or in a state without a counterpart.
    """
    groups = range(len(scheduler.optimizer.param_groups))
    if is_of(scheduler, _PACKAGE, ["ReduceLROnPlateau"]):
        return [_translate_plateau(scheduler, group) for group in groups]
    return [_resume(scheduler, group) for group in groups]


def read_rate(group: Any) -> float:
    """The learning rate that a group has now.

    Raises:
        ValueError: It is trained itself.
    """
    rate = group["lr"]
    if getattr(rate, "requires_grad", False):
        raise refuse(
            "cannot translate an optimizer whose `lr` is trained.",
            expected="a number, or a tensor that requires no gradient",
            got="a tensor with requires_grad=True",
            fix="Pass `lr=rate.item()` to PyTorch's optimizer; in JAX differentiate the step.",
        )
    return float(rate)


def _resume(scheduler: Any, group: int) -> Schedule:
    """From the rate and the momentum that the optimizer has."""
    options = scheduler.optimizer.param_groups[group]
    rate = read_rate(options)
    if not is_of(scheduler, _PACKAGE, ["SequentialLR"]):
        return resume(_translate(scheduler, group), rate)
    head, later, milestones = _take_apart(scheduler, group)
    return resume(_join(resume(head, rate), later, milestones, options), rate)


def _translate(scheduler: Any, group: int) -> Schedule:
    """A scheduler from its step on, whatever else acts on the rate."""
    if is_of(scheduler, _PACKAGE, ["ChainedScheduler"]):
        parts = tuple(_translate(part, group) for part in scheduler._schedulers)
        return chain(parts, parts[0].lr)
    if is_of(scheduler, _PACKAGE, ["SequentialLR"]):
        return _join(*_take_apart(scheduler, group), scheduler.optimizer.param_groups[group])
    _check_restarts(scheduler)
    schedule = shift(_translate_from_start(scheduler, group), scheduler.last_epoch)
    if schedule.restarts:
        return schedule
    rate = read_rate(scheduler.optimizer.param_groups[group])
    return begin(schedule, lambda: rate)


def _take_apart(scheduler: Any, group: int) -> tuple[Schedule, list[Schedule], list[int]]:
    """The part that a sequence is at, those after it, and in how many steps they begin."""
    now = scheduler.last_epoch
    place = bisect_right(scheduler._milestones, now)
    later: list[Schedule] = []
    for part in scheduler._schedulers[place + 1 :]:
        if is_of(part, _PACKAGE, ["SequentialLR", "ChainedScheduler"]):
            raise refuse(
                "cannot translate a SequentialLR that comes to a chain or to a sequence.",
                expected="a scheduler that PyTorch can set to its beginning",
                got=f"{name_class(part)}, at which PyTorch raises NotImplementedError",
                fix="Write a sequence in a sequence as one.",
            )
        later.append(_translate_from_start(part, group))
    milestones = [milestone - now for milestone in scheduler._milestones[place:]]
    return _translate(scheduler._schedulers[place], group), later, milestones


def _join(
    head: Schedule, later: Sequence[Schedule], milestones: Sequence[int], options: Any
) -> Schedule:
    cycles = any(part.momentum is not None for part in (head, *later))
    momentum = read_momentum(options) if cycles else 0.0
    return join(head, later, milestones, held=(lambda: momentum) if cycles else None)


def read_momentum(options: Any) -> float:
    """What schedulers cycle: the momentum of a group, or its first beta."""
    return float(options["betas"][0] if "betas" in options else options["momentum"])


def _translate_from_start(scheduler: Any, group: int) -> Schedule:
    name = type(scheduler).__name__
    if not is_of(scheduler, _PACKAGE, _MAKERS):
        raise refuse(
            "can translate PyTorch's own schedulers only.",
            expected=", ".join(sorted([*_MAKERS, *_OTHERS])),
            got=name_class(scheduler),
            fix="Write its rates as a function of the count, as optax takes it.",
        )
    return _MAKERS[name](scheduler, group)


def _base(scheduler: Any, group: int) -> float:
    return float(scheduler.base_lrs[group])


def _check_restarts(scheduler: Any) -> None:
    """Of its count alone, where a scheduler has another state that its count might not give."""
    if not is_of(scheduler, _PACKAGE, ["CosineAnnealingWarmRestarts"]):
        return
    now = scheduler.last_epoch
    first, times = scheduler.T_0, scheduler.T_mult
    begun, length = 0, first
    while begun + length <= now:
        begun, length = begun + length, length * times
    if (scheduler.T_cur, scheduler.T_i) != (now - begun, length):
        raise refuse(
            "cannot translate a CosineAnnealingWarmRestarts that was stepped with `epoch`.",
            expected=f"T_cur={now - begun}, T_i={length} after {now} steps",
            got=f"T_cur={scheduler.T_cur}, T_i={scheduler.T_i}",
            fix="Call `scheduler.step()` without an argument, once in each update.",
        )


def _make_one_cycle(scheduler: Any, group: int) -> Schedule:
    options = scheduler.optimizer.param_groups[group]
    phases, total = scheduler._schedule_phases, scheduler.total_steps
    cycles = scheduler.cycle_momentum
    momenta = {key: options[key] for key in ("base_momentum", "max_momentum") if cycles}
    return lr_scheduler.one_cycle_lr(
        float(options["max_lr"]),
        total,
        pct_start=(phases[0]["end_step"] + 1) / total,
        anneal_strategy=scheduler._anneal_func_type,
        cycle_momentum=cycles,
        div_factor=_divide(options["max_lr"], options["initial_lr"]),
        final_div_factor=_divide(options["initial_lr"], options["min_lr"]),
        three_phase=len(phases) == 3,
        **momenta,
    )


def _divide(greater: float, less: float) -> float:
    """Their ratio, of which nothing depends if both are 0."""
    return float(greater) / float(less) if less else 1.0


def _make_cyclic(scheduler: Any, group: int) -> Schedule:
    up = scheduler.total_size * scheduler.step_ratio
    up = round(up) if abs(up - round(up)) < 1e-9 else up  # as it was given
    cycles = scheduler.cycle_momentum
    return lr_scheduler.cyclic_lr(
        _base(scheduler, group),
        float(scheduler.max_lrs[group]),
        step_size_up=up,
        step_size_down=scheduler.total_size - up,
        mode=scheduler.mode,
        gamma=scheduler.gamma,
        scale_fn=scheduler._scale_fn_custom,
        scale_mode=scheduler.scale_mode,
        cycle_momentum=cycles,
        base_momentum=scheduler.base_momentums[group] if cycles else 0.0,
        max_momentum=scheduler.max_momentums[group] if cycles else 0.0,
    )


def _translate_plateau(scheduler: Any, group: int) -> ReduceLROnPlateau:
    plateau = lr_scheduler.reduce_lr_on_plateau(
        read_rate(scheduler.optimizer.param_groups[group]),
        mode=scheduler.mode,
        factor=scheduler.factor,
        patience=scheduler.patience,
        threshold=scheduler.threshold,
        threshold_mode=scheduler.threshold_mode,
        cooldown=scheduler.cooldown,
        min_lr=scheduler.min_lrs[group],
        eps=scheduler.eps,
    )
    return dataclasses.replace(
        plateau,
        best=jnp.asarray(scheduler.best, plateau.best.dtype),
        num_bad_epochs=jnp.asarray(scheduler.num_bad_epochs, jnp.int32),
        cooldown_counter=jnp.asarray(scheduler.cooldown_counter, jnp.int32),
    )


# By the name of PyTorch's class: the schedule from its beginning, for a group.
_MAKERS: dict[str, Callable[[Any, int], Schedule]] = {
    "StepLR": lambda s, g: lr_scheduler.step_lr(_base(s, g), s.step_size, s.gamma),
    "MultiStepLR": lambda s, g: lr_scheduler.multi_step_lr(
        _base(s, g), list(s.milestones.elements()), s.gamma
    ),
    "ConstantLR": lambda s, g: lr_scheduler.constant_lr(_base(s, g), s.factor, s.total_iters),
    "LinearLR": lambda s, g: lr_scheduler.linear_lr(
        _base(s, g), s.start_factor, s.end_factor, s.total_iters
    ),
    "ExponentialLR": lambda s, g: lr_scheduler.exponential_lr(_base(s, g), s.gamma),
    "PolynomialLR": lambda s, g: lr_scheduler.polynomial_lr(_base(s, g), s.total_iters, s.power),
    "CosineAnnealingLR": lambda s, g: lr_scheduler.cosine_annealing_lr(
        _base(s, g), s.T_max, s.eta_min
    ),
    "CosineAnnealingWarmRestarts": lambda s, g: lr_scheduler.cosine_annealing_warm_restarts(
        _base(s, g), s.T_0, s.T_mult, s.eta_min
    ),
    "OneCycleLR": _make_one_cycle,
    "CyclicLR": _make_cyclic,
    "LambdaLR": lambda s, g: lr_scheduler.lambda_lr(_base(s, g), s.lr_lambdas[g]),
    "MultiplicativeLR": lambda s, g: lr_scheduler.multiplicative_lr(_base(s, g), s.lr_lambdas[g]),
}
