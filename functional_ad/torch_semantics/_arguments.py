"""Checks of the numbers that an optimizer, a schedule or a loss is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain

_FIX = "Leave it out for PyTorch's default, where it has one."


def check_number(
    function: str,
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float | None = None,
    below: float | None = None,
    fix: str = _FIX,
) -> None:
    """Raises unless a value is a real scalar within bounds.

    What is traced or an array on a device has no value to look at, and only its shape is checked.

    Args:
        function: The function's name below `functional_ad.torch_semantics`, e.g. ``optim.sgd``.
        name: The argument's name.
        value: What was given.
        low: The smallest value allowed, itself included.
        high: The greatest value allowed, itself included.
        above: The value that it must be above.
        below: The value that it must be below.
        fix: What to do about it.

    Raises:
        ArgumentError: It is no real scalar, or out of bounds.
    """
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, jax.Array):
        kinds = (jnp.floating, jnp.integer)
        if value.shape == () and any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
            return
    elif isinstance(value, int | float | np.number) and not isinstance(
        value, bool | np.complexfloating
    ):
        least = low <= value and (above is None or value > above)
        if least and value <= high and (below is None or value < below):
            return
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.{function}({name}=...)` is out of bounds.",
            expected=_describe_bounds(low, high, above, below),
            got=_tree.describe(value) if np.shape(value) else _tree.describe_value(value),
            fix=fix,
        )
    )


def check_integer(function: str, name: str, value: Any, *, low: int, fix: str = _FIX) -> None:
    """Raises unless a value is an integer within bounds, and not traced.

    Args:
        function: The function's name below `functional_ad.torch_semantics`.
        name: The argument's name.
        value: What was given.
        low: The smallest value allowed, itself included.
        fix: What to do about it.

    Raises:
        ArgumentError: It is something else.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= low:
        return
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.{function}({name}=...)` must be an integer.",
            expected=f"an int of at least {low}, and not traced",
            got=_tree.describe_value(value),
            fix=fix,
        )
    )


def check_choice(function: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raises unless a value is one of a few.

    Raises:
        ArgumentError: It is another.
    """
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.{function}({name}=...)` is unknown.",
            expected=" or ".join(repr(choice) for choice in choices),
            got=_tree.describe_value(value),
            fix=_FIX,
        )
    )


def _describe_bounds(low: float, high: float, above: float | None, below: float | None) -> str:
    parts = [
        f"at least {low:g}" if low > -math.inf and above is None else "",
        f"above {above:g}" if above is not None else "",
        f"at most {high:g}" if high < math.inf and below is None else "",
        f"below {below:g}" if below is not None else "",
    ]
    bounds = " and ".join(part for part in parts if part)
    return f"a number{' ' + bounds if bounds else ''}"
