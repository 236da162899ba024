"""Several schedules that act on one rate in each step."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics.lr_scheduler._course import begin, begin_with_step
from functional_ad.torch_semantics.lr_scheduler._parts import check_schedules, find_base, pass_base
from functional_ad.torch_semantics.lr_scheduler._schedule import Change, Schedule


def chained_scheduler(schedulers: Sequence[Schedule]) -> Schedule:
    """Takes a step of each of several schedules in each step, one on what the other left.

    PyTorch's ``ChainedScheduler``. What it gives depends on what the steps do, which are
    PyTorch's own:

    - `step_lr`, `multi_step_lr`, `exponential_lr`, `constant_lr`, `linear_lr`, `polynomial_lr` and
      `multiplicative_lr` multiply the rate that they find. A chain of them multiplies their
      factors.
    - `lambda_lr`, `cosine_annealing_warm_restarts`, `one_cycle_lr` and `cyclic_lr` overwrite it.
      What stands before them has no effect; of what stands after them, the one step has, and not
      those before it: a `step_lr` after a `lambda_lr` lowers the rate at every ``step_size``-th
      update, and not from there on.
    - `cosine_annealing_lr` multiplies the height above ``eta_min``, and rises from its least by
      what it would rise alone. As it rises it multiplies roundings, too, by up to ``T_max ** 2``,
      which is too much for float32 where ``T_max`` is in the hundreds and ``eta_min`` is not 0.

    Where there is no formula for all steps together they are taken anew at each call, in blocks of
    1,024. The base rate is in the schedules, so ``lr`` is no argument.

    Args:
        schedulers: The schedules, of one base rate as they have one optimizer in PyTorch. They
            are taken to be made in this order in PyTorch, too.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: There is no schedule, or something else among them; they differ in their
            base rates; or two of them cycle the momentum.

    Example:
        >>> import jax.numpy as jnp
        >>> from functional_ad.torch_semantics.lr_scheduler import constant_lr, exponential_lr
        >>> parts = [constant_lr(0.5, factor=0.5, total_iters=2), exponential_lr(0.5, gamma=0.5)]
        >>> print(chained_scheduler(parts)(jnp.arange(4)))
        [0.25   0.125  0.125  0.0625]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html
    """
    parts = check_schedules("chained_scheduler", schedulers)
    return chain(parts, find_base("chained_scheduler", parts))


def chain(parts: tuple[Schedule, ...], lr: Any) -> Schedule:
    """Chains schedules that need no check."""

    def change(count: Any) -> Change:
        return functools.reduce(
            lambda done, next_: next_.after(done), (p.change(count) for p in parts)
        )

    def go_first(rate: Any) -> Schedule:
        ahead = chain(tuple(p.as_first(rate) if p.as_first else p for p in parts), lr)
        return begin_with_step(ahead, rate)

    def first(initial: Any) -> Change:
        made = Change(1.0, 0.0)
        for part in parts:
            made = part.first(initial).after(made)
            initial = pass_base(initial, part)
        return made

    factors = [part.factor for part in parts]
    momenta = [part.momentum for part in parts if part.momentum is not None]
    if len(momenta) > 1:
        _refuse_momenta(len(momenta))
    schedule = Schedule(
        lr,
        momenta[0] if momenta else None,
        course=lambda count: lr,
        first=first,
        change=change,
        overwrites=any(part.overwrites for part in parts),
        restarts=False,
        parts=parts,
        as_first=go_first,
    )
    if len(parts) == 1:
        return dataclasses.replace(schedule, course=parts[0].course, factor=parts[0].factor)
    if any(factor is None for factor in factors):
        return dataclasses.replace(begin(schedule, lambda: first(None)(lr)), first=first)

    def factor(count: Any) -> Any:
        return math.prod(f(count) for f in factors if f is not None)

    return dataclasses.replace(schedule, factor=factor, course=lambda count: lr * factor(count))


def _refuse_momenta(count: int) -> None:
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.lr_scheduler.chained_scheduler(schedulers=...)` can "
            "have one schedule that cycles the momentum.",
            expected="at most one `one_cycle_lr` or `cyclic_lr` with cycle_momentum",
            got=str(count),
            fix="Pass `cycle_momentum=False` to the others.",
        )
    )
