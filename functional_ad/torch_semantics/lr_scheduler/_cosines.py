"""Learning rates along a cosine."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from functional_ad.torch_semantics._arguments import check_integer, check_number
from functional_ad.torch_semantics.lr_scheduler._curves import fall
from functional_ad.torch_semantics.lr_scheduler._schedule import Change, Schedule, overwrite

_LARGEST = np.iinfo(np.int32).max  # what optax counts up to


def cosine_annealing_lr(lr: Any, T_max: int, eta_min: Any = 0.0) -> Schedule:  # noqa: N803 - PyTorch's
    """Lets the rate fall along half a cosine's wave, and rise again after it.

    PyTorch's ``CosineAnnealingLR``. ``optax.cosine_decay_schedule`` is the same up to ``T_max``,
    and stays at its least after it. The closed form is computed, with which PyTorch's recursion
    agrees to 1e-14 of ``lr`` up to ``T_max``. As it rises it multiplies its own roundings: up to
    1e-11 of ``lr``, for any ``T_max`` below 1,000.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        T_max: In how many steps it falls, at least 1.
        eta_min: The rate at ``T_max``.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(cosine_annealing_lr(0.5, T_max=2)(jnp.arange(5)).round(4))
        [0.5  0.25 0.   0.25 0.5 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
    """
    check_number("lr_scheduler.cosine_annealing_lr", "lr", lr, low=0.0)
    check_integer("lr_scheduler.cosine_annealing_lr", "T_max", T_max, low=1)
    check_number("lr_scheduler.cosine_annealing_lr", "eta_min", eta_min)

    def wave(count: Any) -> Any:
        return fall(T_max - count % (2 * T_max), T_max)

    def change(count: Any) -> Change:
        # From its least the rate rises by what it would alone, and else with its own height.
        from_least = (count - 1 - T_max) % (2 * T_max) == 0
        factor = jnp.where(
            from_least, 1.0, wave(count) / jnp.where(from_least, 1.0, wave(count - 1))
        )
        risen = (lr - eta_min) * fall(1, T_max)
        return Change(factor, jnp.where(from_least, risen, eta_min * (1.0 - factor)))

    return Schedule(
        lr,
        course=lambda count: eta_min + (lr - eta_min) * wave(count),
        first=lambda initial: Change(1.0, 0.0),
        change=change,
    )


def cosine_annealing_warm_restarts(
    lr: Any,
    T_0: int,  # noqa: N803 - PyTorch's
    T_mult: int = 1,  # noqa: N803 - PyTorch's
    eta_min: Any = 0.0,
) -> Schedule:
    """Lets the rate fall along half a cosine's wave, again and again from the start.

    PyTorch's ``CosineAnnealingWarmRestarts``, with whole steps.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        T_0: How many steps the first fall takes, at least 1.
        T_mult: How many times longer each fall is than the one before, an int.
        eta_min: The rate to which it falls.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> print(cosine_annealing_warm_restarts(0.5, T_0=2)(jnp.arange(5)).round(4))
        [0.5  0.25 0.5  0.25 0.5 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html
    """
    function = "lr_scheduler.cosine_annealing_warm_restarts"
    check_number(function, "lr", lr, low=0.0)
    check_integer(function, "T_0", T_0, low=1)
    check_integer(function, "T_mult", T_mult, low=1)
    check_number(function, "eta_min", eta_min)
    begins, lengths = _list_falls(T_0, T_mult)

    def course(count: Any) -> Any:
        if T_mult == 1:
            left, length = T_0 - count % T_0, T_0
        else:
            fall_number = jnp.searchsorted(jnp.asarray(begins), count, side="right") - 1
            length = jnp.asarray(lengths)[fall_number]
            left = length - (count - jnp.asarray(begins)[fall_number])
        return eta_min + (lr - eta_min) * fall(left, length)

    return overwrite(lr, course)


def _list_falls(first: int, times: int) -> tuple[Any, Any]:
    """The counts at which falls begin, and their lengths, as far as an int32 can count."""
    begins, lengths = [0], [first]
    while times > 1 and begins[-1] + lengths[-1] <= _LARGEST and lengths[-1] * times <= _LARGEST:
        begins.append(begins[-1] + lengths[-1])
        lengths.append(lengths[-1] * times)
    return np.asarray(begins, np.int32), np.asarray(lengths, np.int32)
