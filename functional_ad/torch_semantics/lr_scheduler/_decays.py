"""Learning rates that are multiplied by a factor at some steps, or at each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from functional_ad.torch_semantics._arguments import check_integer, check_number
from functional_ad.torch_semantics.lr_scheduler._curves import take_power
from functional_ad.torch_semantics.lr_scheduler._schedule import Schedule, multiply


def step_lr(lr: Any, step_size: int, gamma: Any = 0.1) -> Schedule:
    """Multiplies the rate by a factor every few steps.

    PyTorch's ``StepLR``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        step_size: How many steps a rate holds.
        gamma: The factor, not negative.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> schedule = step_lr(0.5, step_size=30, gamma=0.1)
        >>> print(schedule(jnp.array([0, 29, 30, 60])))
        [0.5   0.5   0.05  0.005]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """
    _check("step_lr", lr, gamma)
    check_integer("lr_scheduler.step_lr", "step_size", step_size, low=1)
    return multiply(
        lr,
        lambda count: take_power(gamma, count // step_size),
        lambda count: jnp.where((count % step_size == 0) & (count > 0), gamma, 1.0),
    )


def multi_step_lr(lr: Any, milestones: Iterable[int], gamma: Any = 0.1) -> Schedule:
    """Multiplies the rate by a factor at chosen steps.

    PyTorch's ``MultiStepLR``. As there, a milestone that is given twice counts twice.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        milestones: The counts at which it is multiplied, in any order.
        gamma: The factor, not negative.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> schedule = multi_step_lr(0.5, [30, 80], gamma=0.1)
        >>> print(schedule(jnp.array([29, 30, 80])))
        [0.5   0.05  0.005]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """
    _check("multi_step_lr", lr, gamma)
    milestones = list(milestones)
    for milestone in milestones:
        check_integer("lr_scheduler.multi_step_lr", "milestones", milestone, low=0)

    def count_where(compare: Any, count: Any) -> Any:
        return sum((compare(count, m).astype(int) for m in milestones), jnp.zeros_like(count))

    return multiply(
        lr,
        lambda count: take_power(gamma, count_where(jnp.greater_equal, count)),
        lambda count: take_power(gamma, count_where(jnp.equal, count)),
        first=gamma ** milestones.count(0),
    )


def exponential_lr(lr: Any, gamma: Any) -> Schedule:
    """Multiplies the rate by a factor in each step.

    PyTorch's ``ExponentialLR``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        gamma: The factor, not negative.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(exponential_lr(0.5, gamma=0.5)(jnp.arange(3)))
        [0.5   0.25  0.125]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html
    """
    _check("exponential_lr", lr, gamma)
    return multiply(lr, lambda count: take_power(gamma, count), lambda count: gamma)


def _check(function: str, lr: Any, gamma: Any) -> None:
    check_number(f"lr_scheduler.{function}", "lr", lr, low=0.0)
    check_number(f"lr_scheduler.{function}", "gamma", gamma, low=0.0)
