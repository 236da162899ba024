"""Learning rates by functions of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.lr_scheduler._course import follow
from functional_ad.torch_semantics.lr_scheduler._schedule import Change, Schedule, overwrite


def lambda_lr(lr: Any, lr_lambda: Callable[[Any], Any]) -> Schedule:
    """Multiplies the base rate by a function of the count.

    PyTorch's ``LambdaLR``. The function gets an array, which may be traced: write it with
    ``jnp.where`` in place of ``if``, and ``jnp.minimum`` in place of ``min``.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        lr_lambda: Gets the count and returns the factor.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: ``lr`` is negative, or JAX cannot trace ``lr_lambda``.

    Example:
        >>> schedule = lambda_lr(0.5, lambda count: jnp.minimum(1.0, (count + 1) / 4))
        >>> print(schedule(jnp.arange(5)))
        [0.125 0.25  0.375 0.5   0.5  ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """
    check_number("lr_scheduler.lambda_lr", "lr", lr, low=0.0)
    factor = check_function("lambda_lr", "lr_lambda", lr_lambda)
    return overwrite(lr, lambda count: lr * factor(count))


def multiplicative_lr(lr: Any, lr_lambda: Callable[[Any], Any]) -> Schedule:
    """Multiplies the rate in each step by a function of the count.

    PyTorch's ``MultiplicativeLR``: the rate at count i is the base rate by the function's values
    at 1 to i. They are computed and multiplied anew at each call, in blocks of 1,024. Where the
    product has a formula, `lambda_lr` is faster.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        lr_lambda: Gets the count and returns the factor; as for `lambda_lr`.

    Returns:
        The schedule: a function of the count that gives the rate.

    Raises:
        ArgumentError: ``lr`` is negative, or JAX cannot trace ``lr_lambda``.

    Example:
        >>> print(multiplicative_lr(0.5, lambda count: 0.5 + 0.5 / count)(jnp.arange(1, 4)))
        [0.5   0.375 0.25 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html
    """
    check_number("lr_scheduler.multiplicative_lr", "lr", lr, low=0.0)
    factor = check_function("multiplicative_lr", "lr_lambda", lr_lambda)

    def change(count: Any) -> Change:
        return Change(factor(count), 0.0)

    return Schedule(
        lr,
        course=lambda count: follow(change, lr, count),
        first=lambda initial: Change(1.0, 0.0),
        change=change,
        restarts=False,
    )


def check_function(function: str, name: str, value: Any) -> Callable[[Any], Any]:
    """A user's function of one count as one of an array of counts, of any shape.

    Raises:
        ArgumentError: It is no function of a count that JAX can trace.
    """

    def evaluate(count: Any) -> Any:
        # int64 where float64 is on: a user's count / 7 is of float32 for optax's int32.
        return jnp.asarray(value(count.astype(int)), float)

    try:
        got = str(jax.eval_shape(evaluate, jax.ShapeDtypeStruct((), jnp.int32)).shape)
    except TypeError as error:  # JAX's own for what cannot be traced are such
        got = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if got == "()":
        return jnp.vectorize(evaluate)
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.lr_scheduler.{function}({name}=...)` must be a "
            f"function that JAX can trace.",
            expected="a function of a count, an array of shape (), that returns a number",
            got=got,
            fix="Write `jnp.where` in place of `if`, and `jnp` in place of `math`.",
        )
    )
