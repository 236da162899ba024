"""Learning rates that are led from one factor to another in a number of steps."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from functional_ad.torch_semantics._arguments import check_integer, check_number
from functional_ad.torch_semantics.lr_scheduler._curves import to_float
from functional_ad.torch_semantics.lr_scheduler._schedule import Schedule, multiply


def constant_lr(lr: Any, factor: Any = 1.0 / 3, total_iters: int = 5) -> Schedule:
    """Keeps the rate small for a few steps.

    PyTorch's ``ConstantLR``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        factor: By what it is multiplied at first, above 0 and at most 1. With 0, PyTorch divides
            by 0 when it comes to ``total_iters``.
        total_iters: For how many steps, at least 1. With 0, PyTorch keeps the factor for ever.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(constant_lr(0.5, factor=0.5, total_iters=2)(jnp.arange(4)))
        [0.25 0.25 0.5  0.5 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html
    """
    _check("constant_lr", lr, total_iters)
    check_number("lr_scheduler.constant_lr", "factor", factor, above=0.0, high=1.0)

    def step(count: Any) -> Any:
        back = jnp.where(count == total_iters, 1.0 / factor, 1.0)
        return jnp.where(count == 0, factor, back)

    return multiply(
        lr, lambda count: jnp.where(count < total_iters, factor, 1.0), step, first=factor
    )


def linear_lr(
    lr: Any, start_factor: Any = 1.0 / 3, end_factor: Any = 1.0, total_iters: int = 5
) -> Schedule:
    """Moves the rate on a straight line from one factor of it to another.

    PyTorch's ``LinearLR``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        start_factor: By what it is multiplied at first, above 0 and at most 1.
        end_factor: By what in the end, between 0 and 1.
        total_iters: In how many steps, at least 1. With 0, PyTorch keeps the first factor for ever.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(linear_lr(0.5, start_factor=0.2, total_iters=4)(jnp.arange(6)))
        [0.1 0.2 0.3 0.4 0.5 0.5]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html
    """
    _check("linear_lr", lr, total_iters)
    check_number("lr_scheduler.linear_lr", "start_factor", start_factor, above=0.0, high=1.0)
    check_number("lr_scheduler.linear_lr", "end_factor", end_factor, low=0.0, high=1.0)

    def factor(count: Any) -> Any:
        passed = to_float(jnp.minimum(count, total_iters))
        # Not start + (end - start) * share: in float32 a small start would be lost in it.
        return ((total_iters - passed) * start_factor + passed * end_factor) / total_iters

    def step(count: Any) -> Any:
        before = jnp.clip(count - 1, 0, total_iters - 1)
        on = jnp.where(count > total_iters, 1.0, factor(before + 1) / factor(before))
        return jnp.where(count == 0, start_factor, on)

    return multiply(lr, factor, step, first=start_factor)


def polynomial_lr(lr: Any, total_iters: int = 5, power: Any = 1.0) -> Schedule:
    """Lets the rate go to 0 as a power of the steps that are left.

    PyTorch's ``PolynomialLR``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        total_iters: In how many steps, at least 1. With 0, PyTorch leaves the rate as it is.
        power: The power, not negative.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(polynomial_lr(0.5, total_iters=4, power=1.0)(jnp.arange(6)))
        [0.5   0.375 0.25  0.125 0.    0.   ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html
    """
    _check("polynomial_lr", lr, total_iters)
    check_number("lr_scheduler.polynomial_lr", "power", power, low=0.0)

    def factor(count: Any) -> Any:
        return (to_float(jnp.maximum(total_iters - count, 0)) / total_iters) ** power

    def step(count: Any) -> Any:
        left = to_float(jnp.maximum(total_iters - count, 0))
        return jnp.where(count > total_iters, 1.0, (left / (left + 1.0)) ** power)

    return multiply(lr, factor, step)


def _check(function: str, lr: Any, total_iters: Any) -> None:
    check_number(f"lr_scheduler.{function}", "lr", lr, low=0.0)
    check_integer(f"lr_scheduler.{function}", "total_iters", total_iters, low=1)
