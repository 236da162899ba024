"""The course of a rate of which only the single steps are known, and one that is taken up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from functional_ad.torch_semantics.lr_scheduler._schedule import Change, Schedule, check_count

BLOCK = 1024
"""How many steps are put together at once: as many as cost little more than one."""


def follow(change: Callable[[Any], Change], rate: Any, count: Any) -> Any:
    """Takes the steps 1 to ``count`` from a rate.

    Args:
        change: The step to a count, for an array of counts.
        rate: The rate at count 0.
        count: The count, an array of any shape.

    Returns:
        The rate at the count.
    """

    def take(count: Any) -> Any:
        def take_block(carry: tuple[Any, Any]) -> tuple[Any, Any]:
            done, rate = carry
            steps = done + 1 + jnp.arange(BLOCK, dtype=done.dtype)
            made = change(steps)
            block = Change(
                jnp.where(steps <= count, made.factor, 1.0),
                jnp.where(steps <= count, made.term, 0.0),
            )
            while block.term.size > 1:
                early = Change(block.factor[0::2], block.term[0::2])
                block = Change(block.factor[1::2], block.term[1::2]).after(early)
            return done + BLOCK, block(rate)[0]

        start = jnp.zeros_like(count), jnp.asarray(rate, float)
        return jax.lax.while_loop(lambda carry: carry[0] < count, take_block, start)[1]

    return jnp.vectorize(take)(count)


def begin(schedule: Schedule, find_rate: Callable[[], Any]) -> Schedule:
    """The schedule from another rate at count 0, by its single steps.

    The rate is a function, so that making a schedule computes nothing: a script may do so before
    it has chosen its devices.
    """

    def course(count: Any) -> Any:
        if schedule.overwrites:
            return jnp.where(count == 0, find_rate(), schedule.change(count).term)
        return follow(schedule.change, find_rate(), count)

    def first(initial: Any) -> Change:
        del initial
        return Change(0.0, find_rate())

    return dataclasses.replace(schedule, course=course, first=first, factor=None)


def begin_with_step(schedule: Schedule, rate: Any) -> Schedule:
    """The schedule from what its own step to count 0 makes of a rate, not its constructor."""
    return begin(schedule, lambda: schedule.change(check_count(0))(rate))


def resume(schedule: Schedule, rate: float) -> Schedule:
    """The schedule from the rate that an optimizer has, by its own course where that agrees."""
    own = schedule(0)
    # The roundings of many steps, and not a rate that someone has set.
    tolerance = 1e-10 if own.dtype == jnp.float64 else 1e-5
    agrees = abs(own - rate) <= tolerance * jnp.maximum(abs(own), abs(schedule.lr))
    return schedule if agrees else begin(schedule, lambda: rate)


def shift(schedule: Schedule, count: int) -> Schedule:
    """The schedule from a later count on.

    Not for one that is put together of others, which have counts of their own.
    """
    assert not schedule.parts
    factor, momentum = schedule.factor, schedule.momentum
    return dataclasses.replace(
        schedule,
        course=lambda now: schedule.course(now + count),
        change=lambda now: schedule.change(now + count),
        factor=factor and (lambda now: factor(now + count)),
        momentum=momentum and (lambda now: momentum(now + count)),
    )
