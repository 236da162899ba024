"""Several schedules one after the other."""

from __future__ import annotations

import dataclasses
import functools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_integer
from functional_ad.torch_semantics.lr_scheduler._course import begin, begin_with_step, follow
from functional_ad.torch_semantics.lr_scheduler._parts import check_schedules, find_base, is_same
from functional_ad.torch_semantics.lr_scheduler._schedule import (
    Change,
    Course,
    Schedule,
    check_count,
)


def sequential_lr(schedulers: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """Goes through schedules one after the other, each from its own beginning.

    PyTorch's ``SequentialLR``. Each counts from its milestone, from the base rate; only
    `multiplicative_lr`, which PyTorch cannot set to its beginning, goes on from the rate that it
    finds. The base rate is in the schedules, so ``lr`` is no argument.

    PyTorch raises when it comes to a sequence or a chain in a sequence; here that is refused.
    As the first it can be, and goes as in PyTorch one step ahead: its milestones come one step
    earlier, and an `exponential_lr` in it begins with ``gamma * lr``.

    Args:
        schedulers: The schedules, of one base rate as they have one optimizer in PyTorch.
        milestones: The counts at which the second one begins, the third and so on, in order.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: There is no schedule, or something else among them; they differ in their
            base rates; a milestone lacks or is out of order; or PyTorch could not go on with one.

    Example:
        >>> from functional_ad.torch_semantics.lr_scheduler import cosine_annealing_lr, linear_lr
        >>> warmup, rest = linear_lr(0.5, 0.25, total_iters=3), cosine_annealing_lr(0.5, T_max=2)
        >>> print(sequential_lr([warmup, rest], milestones=[3])(jnp.arange(6)).round(4))
        [0.125 0.25  0.375 0.5   0.25  0.   ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html
    """
    parts = check_schedules("sequential_lr", schedulers)
    milestones = list(milestones)
    _check_milestones(milestones, len(parts))
    for position, part in enumerate(parts[1:], 1):
        if part.parts:
            _refuse_later(position)
    base = find_base("sequential_lr", parts)
    current = bisect_right(milestones, 0)
    leader = parts[current]
    if leader.as_first is not None:
        head = leader.as_first(base)
    elif leader.overwrites or is_same(base, leader.lr):
        head = leader
    else:
        head = begin(leader, lambda: leader.first(base)(base))
    momenta = [part.momentum for part in parts if part.momentum is not None]
    # The last constructor leaves it so.
    held = functools.partial(momenta[-1], 0) if momenta else None
    sequence = join(head, parts[current + 1 :], milestones[current:], held=held)
    return dataclasses.replace(sequence, lr=base, parts=parts)


def join(
    head: Schedule,
    later: Sequence[Schedule],
    milestones: Sequence[int],
    *,
    held: Callable[[], Any] | None,
) -> Schedule:
    """Puts schedules behind one that begins at count 0.

    Args:
        head: The one that goes at count 0.
        later: Those that come after it.
        milestones: When each of them begins.
        held: Gives the momentum before one of them cycles it; None if none does.

    Returns:
        The schedule.
    """
    followers = list(zip(later, milestones, strict=True))

    def restart(part: Schedule, count: Any) -> Change:
        """The step at which a later part begins, and those after it."""
        change = part.change(count)
        if not part.restarts:
            return change
        begins = count == 0
        return Change(
            jnp.where(begins, 0.0, change.factor),
            jnp.where(begins, part.course(jnp.zeros_like(count)), change.term),
        )

    def change(count: Any) -> Change:
        made = head.change(count)
        for part, milestone in followers:
            there = count >= milestone
            new = restart(part, count - milestone)
            made = Change(
                jnp.where(there, new.factor, made.factor), jnp.where(there, new.term, made.term)
            )
        return made

    def course(count: Any) -> Any:
        if not all(part.restarts for part in later):
            return follow(change, head.course(check_count(0)), count)
        rate = head.course(count)
        for part, milestone in followers:
            own = part.course(jnp.maximum(count - milestone, 0))
            rate = jnp.where(count >= milestone, own, rate)
        return rate

    def go_first(rate: Any) -> Schedule:
        begun = head.as_first(rate) if head.as_first else begin_with_step(head, rate)
        ahead = join(begun, later, [milestone - 1 for milestone in milestones], held=held)
        return begin_with_step(ahead, rate)

    return Schedule(
        head.lr,
        _join_momenta([head, *later], [0, *milestones], held),
        course=course,
        first=lambda initial: Change(0.0, head.course(check_count(0))),
        change=change,
        overwrites=all(part.overwrites for part in (head, *later)),
        parts=(head, *later),
        as_first=go_first,
    )


def _join_momenta(
    parts: Sequence[Schedule], starts: Sequence[int], held: Callable[[], Any] | None
) -> Course | None:
    """Each part's momentum while it goes, and its last one until the next part that has one."""
    if held is None:
        return None
    ends = [*starts[1:], None]
    cycles = [
        (part.momentum, start, end)
        for part, start, end in zip(parts, starts, ends, strict=True)
        if part.momentum is not None and start != end
    ]

    def momentum(count: Any) -> Any:
        count = check_count(count)
        value = jnp.asarray(held(), float)
        for cycle, start, end in cycles:
            last = None if end is None else end - start - 1
            own = cycle(jnp.clip(count - start, 0, last))
            value = jnp.where(count >= start, own, value)
        return value

    return momentum


def _check_milestones(milestones: Sequence[Any], count: int) -> None:
    for milestone in milestones:
        check_integer("lr_scheduler.sequential_lr", "milestones", milestone, low=0)
    if len(milestones) == count - 1 and list(milestones) == sorted(milestones):
        return
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.lr_scheduler.sequential_lr(milestones=...)` must say "
            "when each schedule but the first begins.",
            expected=f"{count - 1} counts, in ascending order",
            got=repr(list(milestones)),
            fix="Count the milestones from the first update.",
        )
    )


def _refuse_later(position: int) -> None:
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.lr_scheduler.sequential_lr(schedulers=...)` can have a "
            "chain or a sequence as its first schedule only.",
            expected="schedules that PyTorch can set to their beginning",
            got=f"one that is put together of others, at position {position}",
            fix="Write a sequence in a sequence as one; PyTorch raises NotImplementedError when "
            "it comes to a chain.",
        )
    )
