"""What a schedule is: its rates over the updates, and what one step of it does to a rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain

Course: TypeAlias = Callable[[Any], Any]


class Change(NamedTuple):
    """What a step makes of the rate that it finds in the optimizer: ``factor * rate + term``."""

    factor: Any
    term: Any

    def __call__(self, rate: Any) -> Any:
        """The rate after the step."""
        return self.factor * rate + self.term

    def after(self, earlier: Change) -> Change:
        """Both as one."""
        return Change(self.factor * earlier.factor, self(earlier.term))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """A learning rate as a function of the number of updates made before, as optax takes it.

    The functions of `lr_scheduler` make them. PyTorch's ``LRScheduler`` is an object that
    overwrites the rate in its optimizer at each ``step()``; this is a pure function, which can be
    jitted and vmapped, and called with counts in any order. ``schedule(i)`` is the rate of
    PyTorch's i-th update, counted from 0, where a ``scheduler.step()`` follows each
    ``optimizer.step()``. In place of ``last_epoch=n`` and of ``step(epoch)``, evaluate it at
    ``count + n``. A scheduler that is stepped once in an epoch of k updates is
    ``lambda count: schedule(count // k)``.

    Attributes:
        lr: The optimizer's base learning rate (``initial_lr``).
        momentum: The momentum, or beta1, as a function of the count, where the schedule cycles it
            too (`one_cycle_lr`, `cyclic_lr`), else None.
        course: The rates, where it is alone with the optimizer. This and what follows is for
            `chained_scheduler` and `sequential_lr`.
        first: What PyTorch's constructor makes of the rate in the optimizer; it gets the
            ``initial_lr`` that another has left there, or None.
        change: What its step to a count makes of it.
        factor: The rates over the base rate, if the steps only multiply what they find.
        overwrites: Whether the steps put a rate in place whatever they find.
        restarts: Whether a sequence that comes to it puts its first rate in place.
        base: What the constructor does with ``initial_lr``: ``"take"``, ``"replace"`` or
            ``"ignore"`` it.
        parts: The schedules that it is put together of.
        as_first: What it is as the first of a sequence, from the optimizer's rate.

    Example:
        >>> from functional_ad.torch_semantics import lr_scheduler
        >>> schedule = lr_scheduler.step_lr(0.5, step_size=30)
        >>> print(schedule(0), schedule(jnp.array([29, 30, 60])))
        0.5 [0.5   0.05  0.005]

    Source:
        https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
    """

    lr: Any
    momentum: Course | None = None
    _: dataclasses.KW_ONLY
    course: Course
    first: Callable[[Any], Change]
    change: Callable[[Any], Change]
    factor: Course | None = None
    overwrites: bool = False
    restarts: bool = True
    base: str = "take"
    parts: tuple[Schedule, ...] = ()
    as_first: Callable[[Any], Schedule] | None = None

    def __call__(self, count: Any) -> jax.Array:
        """The learning rate of an update.

        Args:
            count: How many updates were made before it: an int, or an array of integers of any
                shape, traced or not.

        Returns:
            The rates, in JAX's default floating dtype.

        Raises:
            ArgumentError: ``count`` is no integer.
        """
        return jnp.asarray(self.course(check_count(count)), float)


def multiply(lr: Any, factor: Course, step: Course, *, first: Any = 1.0) -> Schedule:
    """Makes a schedule whose steps multiply the rate that they find.

    Args:
        lr: The base rate.
        factor: All factors up to a count together.
        step: That of the step to a count.
        first: That of the constructor.

    Returns:
        The schedule.
    """
    return Schedule(
        lr,
        course=lambda count: lr * factor(count),
        first=lambda initial: Change(first, 0.0),
        change=lambda count: Change(step(count), 0.0),
        factor=factor,
    )


def overwrite(
    lr: Any, course: Course, *, momentum: Course | None = None, base: str = "take"
) -> Schedule:
    """Makes a schedule whose steps put a rate in place, whatever they find."""
    return Schedule(
        lr,
        momentum and (lambda count: jnp.asarray(momentum(check_count(count)), float)),
        course=course,
        first=lambda initial: Change(0.0, course(check_count(0))),
        change=lambda count: Change(0.0, course(count)),
        overwrites=True,
        base=base,
    )


def check_count(count: Any) -> jax.Array:
    """A count as an array.

    Raises:
        ArgumentError: It is no integer.
    """
    if jnp.issubdtype(jnp.result_type(count), jnp.integer):
        return jnp.asarray(count)
    raise ArgumentError(
        explain(
            "A schedule must be called with a number of updates.",
            expected="an int, or an array of integers",
            got=_tree.describe_value(count),
            fix="Count the updates from 0, as optax does.",
        )
    )
