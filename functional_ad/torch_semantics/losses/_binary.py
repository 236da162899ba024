"""Losses of the probability, or of the logit, that something is so."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from functional_ad.torch_semantics.losses import _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce
from functional_ad.torch_semantics.losses._slopes import give_slopes


def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """The negative log-probability of what is so, ``-(t * log(p) + (1 - t) * log(1 - p))``.

    ``torch.nn.functional.binary_cross_entropy``. As there, a logarithm is at least -100, and the
    gradient is divided by at least 1e-12: both are finite at 0 and 1.

    Args:
        input: Probabilities. One that is not between 0 and 1 raises if its value can be seen;
            traced, it makes the loss NaN.
        target: Whether it is so, 0, 1 or a probability, of the shape of ``input``; another number
            raises or makes the loss NaN as there.
        weight: A weight for each loss; broadcast to the shape of ``input``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean is divided by the number of
            losses, also if they are weighted.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> loss = binary_cross_entropy(jnp.array([0.5, 0.0]), jnp.array([1.0, 1.0]))
        >>> print(f"{loss:.4f}")
        50.3466

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html
    """
    name = "binary_cross_entropy"
    (p, t, *weights), dtype = _take(name, reduction, input, target, weight=weight)
    for argument, value in (("input", input), ("target", target)):
        known = _operands.read_values(value)
        if known is not None:
            _operands.check_all(
                name,
                argument,
                value,
                (known >= 0) & (known <= 1),
                "from 0 to 1",
                "For logits there is `binary_cross_entropy_with_logits`.",
            )
    loss = _probability_loss(p, jnp.where((t >= 0) & (t <= 1), t, jnp.nan))
    return _reduce_weighted(loss, weights, reduction, dtype)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> jax.Array:
    """The negative log-probability of what is so, from logits.

    ``torch.nn.functional.binary_cross_entropy_with_logits``, in PyTorch's order of operations: it
    is PyTorch's loss at infinite logits too. Of arguments of two dtypes PyTorch's has the dtype of
    the target; here they are promoted. ``optax.losses.sigmoid_binary_cross_entropy`` has the
    same gradients; its value keeps more digits where the loss is far smaller than the logit.

    Args:
        input: Logits.
        target: Whether it is so, 0, 1 or a probability, of the shape of ``input``.
        weight: A weight for each loss; broadcast to the shape of ``input``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean is divided by the number of
            losses, also if they are weighted.
        pos_weight: By what to multiply the losses of what is so; broadcast to the shape of
            ``input``, so that ``(C)`` has one for each class of ``(N, C)``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> logits, target = jnp.array([0.0, 200.0]), jnp.array([1.0, 0.0])
        >>> print(f"{binary_cross_entropy_with_logits(logits, target):.4f}")
        100.3466

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html
    """
    name = "binary_cross_entropy_with_logits"
    (x, t, *more), dtype = _take(
        name, reduction, input, target, weight=weight, pos_weight=pos_weight
    )
    loss = _logit_loss(x, t) if pos_weight is None else _weighted_logit_loss(x, t, more.pop())
    return _reduce_weighted(loss, more, reduction, dtype)


def _take(function: str, reduction: str, input: Any, target: Any, **weights: Any) -> Any:
    """The arrays, those that are not None, all of the shape of the input."""
    check_reduction(function, reduction)
    weights = {name: value for name, value in weights.items() if value is not None}
    given = {"input": input, "target": target} | weights
    (x, t, *more), dtype = _operands.take_floats(function, given)
    _operands.check_shape(
        function,
        "target",
        target,
        t.shape == x.shape,
        f"the shape of `input`, {x.shape}",
        "Reshape it.",
    )
    for i, (name, value) in enumerate(weights.items()):
        more[i] = _operands.broadcast_to(function, name, value, more[i], x.shape)
    return (x, t, *more), dtype


def _reduce_weighted(
    loss: jax.Array, weights: list[jax.Array], reduction: str, dtype: Any
) -> jax.Array:
    return reduce(loss * weights[0] if weights else loss, reduction, dtype)


# PyTorch's bounds: of the first derivative in float32, of the second in float64.
_EPSILON = float(np.float32(1e-12))
_FINE_EPSILON = 1e-12


def _loss_curvature(p: Any, t: Any) -> Any:
    square = (p + _FINE_EPSILON) ** 2 * (1 - p + _FINE_EPSILON) ** 2
    return (p * p - 2 * p * t + t) / square


@give_slopes(_loss_curvature, lambda p, t: -1 / jnp.maximum((1 - p) * p, _FINE_EPSILON))
def _loss_slope(p: Any, t: Any) -> Any:
    return (p - t) / jnp.maximum((1 - p) * p, _EPSILON)


@give_slopes(_loss_slope, lambda p, t: jnp.log(1 - p) - jnp.log(p))
def _probability_loss(p: Any, t: Any) -> Any:
    log_p = jnp.maximum(jnp.log(p), -100)
    log_not_p = jnp.maximum(jnp.log1p(-p), -100)
    return (t - 1) * log_not_p - t * log_p


@give_slopes(lambda x, t: jax.nn.sigmoid(x) - t, lambda x, t: -x)
def _logit_loss(x: Any, t: Any) -> Any:
    return (1 - t) * x - jax.nn.log_sigmoid(x)


@give_slopes(
    lambda x, t, w: (w * t + 1 - t) * jax.nn.sigmoid(x) - w * t,
    lambda x, t, w: -x - (w - 1) * jax.nn.log_sigmoid(x),
    lambda x, t, w: -t * jax.nn.log_sigmoid(x),
)
def _weighted_logit_loss(x: Any, t: Any, w: Any) -> Any:
    return (1 - t) * x - ((w - 1) * t + 1) * jax.nn.log_sigmoid(x)
