"""Losses of a distance between numbers: l1, mse, smooth l1 and huber."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from functional_ad import _tree
from functional_ad._errors import explain
from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.losses import _kinks, _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce


def l1_loss(
    input: ArrayLike, target: ArrayLike, *, reduction: str = "mean", weight: ArrayLike | None = None
) -> jax.Array:
    """The absolute difference, ``|input - target|``.

    ``torch.nn.functional.l1_loss``. Where the two are equal the gradient is 0, as in PyTorch;
    ``jnp.abs`` has 1.

    Args:
        input: Predictions.
        target: What they should be, floating-point numbers or integers. Of another shape, it is
            broadcast with a warning, as in PyTorch.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        weight: A weight for each prediction, of the shape of ``input``. The mean is the weighted
            one: divided by the sum of the weights.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(l1_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0])))
        1.5

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.l1_loss.html
    """
    x, y, w, dtype = _take("l1_loss", input, target, reduction, weight)
    return _reduce_weighted(_kinks.absolute(x - y), w, reduction, dtype)


def mse_loss(
    input: ArrayLike, target: ArrayLike, *, reduction: str = "mean", weight: ArrayLike | None = None
) -> jax.Array:
    """The squared difference, ``(input - target) ** 2``.

    ``torch.nn.functional.mse_loss``. ``optax.losses.l2_loss`` is half of it.

    Args:
        input: Predictions.
        target: What they should be, floating-point numbers or integers. Of another shape, it is
            broadcast with a warning, as in PyTorch.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        weight: A weight for each prediction, of the shape of ``input``. The mean is the weighted
            one: divided by the sum of the weights.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(mse_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0])))
        4.5

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    x, y, w, dtype = _take("mse_loss", input, target, reduction, weight)
    return _reduce_weighted(optax.losses.squared_error(x, y), w, reduction, dtype)


def smooth_l1_loss(
    input: ArrayLike, target: ArrayLike, *, reduction: str = "mean", beta: float = 1.0
) -> jax.Array:
    """The squared difference over ``2 * beta`` where it is below ``beta``, else the absolute one.

    ``torch.nn.functional.smooth_l1_loss``. At a difference of ``beta`` the second derivative is 0,
    as in PyTorch.

    Args:
        input: Predictions.
        target: What they should be, floating-point numbers or integers. Of another shape, it is
            broadcast with a warning, as in PyTorch.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        beta: Where the two parts meet, at least 0; for 0 it is ``l1_loss``. It may be traced, but
            must not be 0 then.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(smooth_l1_loss(jnp.array([1.0, 2.0]), jnp.array([1.5, 5.0]), reduction="none"))
        [0.125 2.5  ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.smooth_l1_loss.html
    """
    x, y, _, dtype = _take("smooth_l1_loss", input, target, reduction)
    check_number("losses.smooth_l1_loss", "beta", beta, low=0)
    known = _operands.read_values(beta)
    if known is not None and known == 0:
        return reduce(_kinks.absolute(x - y), reduction, dtype)
    square, excess = _split(x - y, beta)
    return reduce(square / beta + excess, reduction, dtype)


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Half the squared difference where it is below ``delta``, else ``delta`` times the absolute.

    ``torch.nn.functional.huber_loss``. At a difference of ``delta`` the second derivative is 0, as
    in PyTorch; ``optax.losses.huber_loss`` has 1/4. As in PyTorch, the loss has the dtype of
    ``input`` also where the target's is wider.

    Args:
        input: Predictions.
        target: What they should be, floating-point numbers or integers. Of another shape, it is
            broadcast with a warning, as in PyTorch.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        delta: Where the two parts meet, above 0.
        weight: A weight for each prediction, of the shape of ``input``. The mean is divided by the
            number of predictions, not by the sum of the weights as in ``mse_loss``: so in PyTorch.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(huber_loss(jnp.array([1.0, 2.0]), jnp.array([1.5, 5.0]), "none", delta=2.0))
        [0.125 4.   ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.huber_loss.html
    """
    x, y, w, _ = _take("huber_loss", input, target, reduction, weight)
    check_number("losses.huber_loss", "delta", delta, above=0)
    square, excess = _split(x - y, delta)
    loss = square + delta * excess
    if w is None:
        return reduce(loss, reduction, jnp.result_type(input))
    return reduce(loss * w, reduction, jnp.result_type(input, weight))


def _take(
    function: str, input: Any, target: Any, reduction: str, weight: Any = None
) -> tuple[jax.Array, jax.Array, jax.Array | None, Any]:
    """The two arrays, of one shape, the weights, and the dtype of the loss."""
    check_reduction(function, reduction)
    given = {"input": input, "target": target} | ({} if weight is None else {"weight": weight})
    (x, y, *weights), dtype = _operands.take_floats(function, given, integers=("target",))
    w = weights[0] if weights else None
    if w is not None:
        _operands.check_shape(
            function,
            "weight",
            weight,
            w.shape == x.shape,
            f"the shape of `input`, {x.shape}",
            "Broadcast it with `jnp.broadcast_to`.",
        )
    if x.shape != y.shape:
        shape = x.shape
        x, y = _operands.broadcast(function, input=x, target=y)
        warnings.warn(
            explain(
                f"{_operands.name_argument(function, 'target')} has another shape than `input`, "
                "and is broadcast.",
                expected=str(shape),
                got=_tree.describe(target),
                fix="Reshape it, or broadcast it yourself if that is what you mean.",
            ),
            stacklevel=3,
        )
    if w is not None:
        w = jnp.broadcast_to(w, x.shape)
    return x, y, w, dtype


def _reduce_weighted(
    loss: jax.Array, weight: jax.Array | None, reduction: str, dtype: Any
) -> jax.Array:
    if weight is None:
        return reduce(loss, reduction, dtype)
    if reduction == "mean":
        return (jnp.sum(loss * weight) / jnp.sum(weight)).astype(dtype)
    return reduce(loss * weight, reduction, dtype)


def _split(x: jax.Array, bound: Any) -> tuple[jax.Array, jax.Array]:
    """Half the square where the magnitude is below a bound, and what the slope 1 adds elsewhere.

    The argument is selected, not the result: 0 times the slope of a square that is infinite would
    be NaN.
    """
    magnitude = jnp.abs(x)
    beyond = magnitude >= bound
    inside = jnp.where(beyond, 0, x)
    return 0.5 * inside * inside, jnp.where(beyond, magnitude - 0.5 * bound, 0)
