"""Learning rates that go up and down, and momenta against them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_choice, check_integer, check_number
from functional_ad.torch_semantics.lr_scheduler._curves import fall, take_power, to_float
from functional_ad.torch_semantics.lr_scheduler._lambdas import check_function
from functional_ad.torch_semantics.lr_scheduler._schedule import Change, Schedule, overwrite


def one_cycle_lr(
    max_lr: Any,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: Any = 0.85,
    max_momentum: Any = 0.95,
    div_factor: Any = 25.0,
    final_div_factor: Any = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """Raises the rate to its greatest value once, and lets it fall far below the first one.

    PyTorch's ``OneCycleLR``. ``optax.cosine_onecycle_schedule`` turns at other counts and has
    other defaults. The optimizer's own learning rate and momentum have no part in it, in PyTorch
    either, so ``lr`` is no argument. Its momentum is the schedule's ``momentum``:

        schedule = one_cycle_lr(max_lr=0.1, total_steps=1000)
        optimizer = optim.sgd(schedule, momentum=schedule.momentum)

    For Adam and its kin it is beta1. At ``total_steps``, one update after the last, PyTorch goes a
    step beyond the end of the curve, and so does this; after that PyTorch raises, and here the
    rate stays as it is.

    Args:
        max_lr: The greatest rate: a number or a scalar array, traced or not.
        total_steps: How many updates there are.
        epochs: How many epochs, if ``total_steps`` is left out.
        steps_per_epoch: How many updates in each.
        pct_start: Which part of the updates the rise takes, between 0 and 1.
        anneal_strategy: Whether to go along a cosine or a straight line.
        cycle_momentum: Whether the momentum falls while the rate rises, and rises again.
        base_momentum: Its least value.
        max_momentum: Its greatest, at which it begins.
        div_factor: The greatest rate over the first one.
        final_div_factor: The first rate over the last one.
        three_phase: Whether to fall to the first rate as fast as it rose, and then on.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds, there is no number of updates, or the
            rise has no length, for which PyTorch divides by 0.

    Example:
        >>> schedule = one_cycle_lr(max_lr=1.0, total_steps=10, anneal_strategy="linear")
        >>> print(schedule(jnp.array([0, 1, 2, 9])).round(4))
        [0.04 0.52 1.   0.  ]
        >>> print(f"{schedule.momentum(0):.2f} {schedule.momentum(2):.2f}")
        0.95 0.85

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
    """
    function = "lr_scheduler.one_cycle_lr"
    total = _count_updates(total_steps, epochs, steps_per_epoch)
    check_number(function, "max_lr", max_lr, low=0.0)
    check_number(function, "pct_start", pct_start, low=0.0, high=1.0)
    check_choice(function, "anneal_strategy", anneal_strategy, ("cos", "linear"))
    check_choice(function, "cycle_momentum", cycle_momentum, (True, False))
    check_number(function, "base_momentum", base_momentum)
    check_number(function, "max_momentum", max_momentum)
    check_number(function, "div_factor", div_factor, above=0.0)
    check_number(function, "final_div_factor", final_div_factor, above=0.0)
    check_choice(function, "three_phase", three_phase, (True, False))
    first = max_lr / div_factor
    last = first / final_div_factor
    rise = float(pct_start * total) - 1
    ends = [rise, float(2 * pct_start * total) - 2, total - 1] if three_phase else [rise, total - 1]
    if rise == 0 or ends[-1] == ends[-2]:
        _refuse_empty_phase(pct_start, total)

    def travel(count: Any, stops: list[Any]) -> Any:
        """Goes from stop to stop; the last way is open at its end."""
        count = to_float(jnp.minimum(count, total))
        value = None
        for start, stop, begin, end in reversed(
            list(zip(stops[:-1], stops[1:], [0.0, *ends[:-1]], ends, strict=True))
        ):
            left = end - count
            way = fall(left, end - begin) if anneal_strategy == "cos" else left / (end - begin)
            here = stop + (start - stop) * way
            value = here if value is None else jnp.where(count <= end, here, value)
        return value

    rates = [first, max_lr, first, last] if three_phase else [first, max_lr, last]
    momenta = [max_momentum, base_momentum, max_momentum, max_momentum][: len(rates)]
    return overwrite(
        first,
        lambda count: travel(count, rates),
        momentum=(lambda count: travel(count, momenta)) if cycle_momentum else None,
        base="replace",
    )


def cyclic_lr(
    base_lr: Any,
    max_lr: Any,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Any = 1.0,
    scale_fn: Callable[[Any], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: Any = 0.8,
    max_momentum: Any = 0.9,
) -> Schedule:
    """Lets the rate go up and down between two bounds, again and again.

    PyTorch's ``CyclicLR``. The optimizer's own learning rate and momentum have no part in it, in
    PyTorch either, so ``lr`` is no argument. The momentum goes the other way; it is the schedule's
    ``momentum``, as for `one_cycle_lr`.

    In float32, the place in a cycle that is no whole number of steps long is rounded as the count
    is: after 1,000 steps the rate may be 1e-4 of the greatest off.

    Args:
        base_lr: The least rate: a number or a scalar array, traced or not.
        max_lr: The greatest rate of the first cycle.
        step_size_up: How many steps it takes up.
        step_size_down: How many down; left out, as many.
        mode: How high the cycles are: as the first (``"triangular"``), each half as high as the
            one before (``"triangular2"``), or ``gamma ** count`` times (``"exp_range"``).
        gamma: The factor of ``"exp_range"``.
        scale_fn: How high the cycles are, a function of their number from 1 or of the count, in
            place of ``mode``; one that JAX can trace, as for `lambda_lr`.
        scale_mode: What ``scale_fn`` gets: ``"cycle"`` or ``"iterations"``.
        cycle_momentum: Whether there is a schedule of the momentum.
        base_momentum: Its least value.
        max_momentum: Its greatest, at which it begins.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> schedule = cyclic_lr(0.1, 0.5, step_size_up=2, mode="triangular2")
        >>> print(schedule(jnp.arange(8)))
        [0.1 0.3 0.5 0.3 0.1 0.2 0.3 0.2]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html
    """
    function = "lr_scheduler.cyclic_lr"
    up, down = step_size_up, step_size_up if step_size_down is None else step_size_down
    check_number(function, "base_lr", base_lr, low=0.0)
    check_number(function, "max_lr", max_lr, low=0.0)
    check_number(function, "step_size_up", up, above=0.0)
    check_number(function, "step_size_down", down, low=0.0)
    if scale_fn is None:  # PyTorch does not look at it otherwise
        check_choice(function, "mode", mode, ("triangular", "triangular2", "exp_range"))
    check_number(function, "gamma", gamma, low=0.0)
    check_choice(function, "scale_mode", scale_mode, ("cycle", "iterations"))
    check_choice(function, "cycle_momentum", cycle_momentum, (True, False))
    check_number(function, "base_momentum", base_momentum)
    check_number(function, "max_momentum", max_momentum)
    own = None if scale_fn is None else check_function("cyclic_lr", "scale_fn", scale_fn)
    length = int(up + down) if float(up + down).is_integer() else up + down

    def height(count: Any) -> Any:
        """From 0 to 1 and back, and the cycles' heights in it."""
        steps = count if isinstance(length, int) else to_float(count)
        cycle = 1 + (steps // length).astype(count.dtype)
        place = to_float(steps % length)
        slope = jnp.where(place <= up, place / up, (length - place) / (down or 1))
        if own is not None:
            return slope * own(cycle if scale_mode == "cycle" else count)
        if mode == "triangular2":
            return slope * take_power(0.5, cycle - 1)
        return slope * take_power(gamma, count) if mode == "exp_range" else slope

    def cycle_the_momentum(count: Any) -> Any:
        return max_momentum - (max_momentum - base_momentum) * height(count)

    schedule = overwrite(
        base_lr,
        lambda count: base_lr + (max_lr - base_lr) * height(count),
        momentum=cycle_the_momentum if cycle_momentum else None,
        base="ignore",
    )
    # In PyTorch its first rate is the `initial_lr` of a scheduler that was made before it.
    return dataclasses.replace(
        schedule, first=lambda initial: Change(0.0, base_lr if initial is None else initial)
    )


def _count_updates(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    function = "lr_scheduler.one_cycle_lr"
    if total_steps is not None:
        check_integer(function, "total_steps", total_steps, low=1)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ArgumentError(
            explain(
                f"`functional_ad.torch_semantics.{function}` must be told how many updates there "
                f"are.",
                expected="total_steps, or epochs and steps_per_epoch",
                got=f"epochs={epochs!r}, steps_per_epoch={steps_per_epoch!r}",
                fix="Pass `total_steps=`.",
            )
        )
    check_integer(function, "epochs", epochs, low=1)
    check_integer(function, "steps_per_epoch", steps_per_epoch, low=1)
    return epochs * steps_per_epoch


def _refuse_empty_phase(pct_start: Any, total: int) -> None:
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.lr_scheduler.one_cycle_lr(pct_start=...)` leaves a "
            "phase without a step, for which PyTorch divides by 0.",
            expected="a rise that is not one update long, nor all that there are",
            got=f"pct_start={pct_start!r} of {total} updates",
            fix="Make it a little greater or less.",
        )
    )
