"""Checks of the options that several optimizers share, with torch.optim's own bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
import optax

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_choice, check_number

Scalar: TypeAlias = float | jax.Array
Betas: TypeAlias = tuple[optax.ScalarOrSchedule, Scalar]


def check_common(function: str, *, lr: Any, weight_decay: Any, maximize: Any) -> None:
    """Checks what nearly every optimizer of torch.optim takes.

    Raises:
        ArgumentError: One of them is out of torch.optim's bounds.
    """
    check_scheduled(f"optim.{function}", "lr", lr, low=0.0)
    check_number(f"optim.{function}", "weight_decay", weight_decay, low=0.0)
    check_flags(f"optim.{function}", maximize=maximize)


def check_scheduled(function: str, name: str, value: Any, **bounds: Any) -> None:
    """Checks a number that may be a schedule, of which nothing can be said beforehand.

    Raises:
        ArgumentError: It is neither, or out of bounds.
    """
    if not callable(value):
        check_number(function, name, value, **bounds)


def check_flags(function: str, **flags: Any) -> None:
    """Checks switches, which decide what is computed and so cannot be traced.

    Raises:
        ArgumentError: One of them is not a bool.
    """
    for name, value in flags.items():
        check_choice(function, name, value, (True, False))


def check_betas(function: str, betas: Any) -> None:
    """Checks the two decay rates of Adam and its kin, of which the first may be a schedule.

    Raises:
        ArgumentError: They are not two, or one is out of bounds.
    """
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise ArgumentError(
            explain(
                f"`functional_ad.torch_semantics.optim.{function}(betas=...)` must be two numbers.",
                expected="(beta1, beta2), each at least 0 and below 1",
                got=_tree.describe_value(betas),
                fix="Leave it out for PyTorch's default, (0.9, 0.999).",
            )
        )
    check_scheduled(f"optim.{function}", "betas[0]", betas[0], low=0.0, below=1.0)
    check_number(f"optim.{function}", "betas[1]", betas[1], low=0.0, below=1.0)


def check_tuple(function: str, name: str, value: Any, length: int) -> tuple[Any, ...]:
    """Takes an option apart that is several numbers.

    Raises:
        ArgumentError: They are not so many.
    """
    if isinstance(value, Sequence) and len(value) == length:
        return tuple(value)
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.optim.{function}({name}=...)` must be {length} "
            "numbers.",
            expected=f"a tuple of {length}",
            got=_tree.describe_value(value),
            fix="Leave it out for PyTorch's default.",
        )
    )


def check_count(function: str, name: str, value: Any, *, low: int, high: int | None = None) -> None:
    """Checks a number of times, on which the program's shape depends.

    Raises:
        ArgumentError: It is no int, or out of bounds.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and low <= value and (high is None or value <= high):
        return
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.optim.{function}({name}=...)` must be a number of "
            "times.",
            expected=f"an int of at least {low}" + ("" if high is None else f", at most {high}"),
            got=_tree.describe_value(value),
            fix="Leave it out for PyTorch's default.",
        )
    )
