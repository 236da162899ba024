"""Losses of numbers that should be apart by a margin."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.losses import _kinks, _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce


def hinge_embedding_loss(
    input: ArrayLike, target: ArrayLike, margin: float = 1.0, *, reduction: str = "mean"
) -> jax.Array:
    """A distance where the target is 1, and what it is short of a margin where it is -1.

    ``torch.nn.functional.hinge_embedding_loss``. ``optax.losses.hinge_loss`` is another function.
    At the margin the gradient is -1, as in PyTorch; of ``jnp.maximum`` it would be -1/2.

    Args:
        input: Distances.
        target: 1 or -1, floating-point numbers or integers; broadcast with ``input``. For other
            numbers it is both parts together.
        margin: The distance that is enough.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> x = jnp.array([0.25, 0.25])
        >>> print(hinge_embedding_loss(x, jnp.array([1, -1]), reduction="none"))
        [0.25 0.75]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hinge_embedding_loss.html
    """
    name = "hinge_embedding_loss"
    check_reduction(name, reduction)
    check_number(f"losses.{name}", "margin", margin)
    given = {"input": input, "target": target}
    (x, t), dtype = _operands.take_floats(name, given, integers=("target",))
    x, t = _operands.broadcast(name, input=x, target=t)
    short = jnp.where(t == 1, 0, _kinks.clamp_min(margin - x))
    return reduce(short + jnp.where(t == -1, 0, x), reduction, dtype)


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """What the first number is short of exceeding the second by a margin.

    ``torch.nn.functional.margin_ranking_loss``: ``max(0, -target * (input1 - input2) + margin)``.
    Where it becomes 0 the gradient is that of the part above 0, as in PyTorch.

    Args:
        input1: The first numbers.
        input2: The second ones; broadcast with the first, and of as many dimensions.
        target: 1 where the first should be the greater, -1 where the second should; floating-point
            numbers or integers, of as many dimensions.
        margin: By how much.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(margin_ranking_loss(jnp.array([1.0]), jnp.array([3.0]), jnp.array([1])))
        2.0

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.margin_ranking_loss.html
    """
    name = "margin_ranking_loss"
    check_reduction(name, reduction)
    check_number(f"losses.{name}", "margin", margin)
    given = {"input1": input1, "input2": input2, "target": target}
    (x, y, t), dtype = _operands.take_floats(name, given, integers=("target",))
    for argument, array in (("input2", y), ("target", t)):
        _operands.check_shape(
            name,
            argument,
            given[argument],
            array.ndim == x.ndim,
            f"as many dimensions as `input1`, {x.ndim}",
            "Reshape it.",
        )
    x, y, t = _operands.broadcast(name, input1=x, input2=y, target=t)
    return reduce(_kinks.clamp_min(-t * (x - y) + margin), reduction, dtype)


def soft_margin_loss(input: ArrayLike, target: ArrayLike, *, reduction: str = "mean") -> jax.Array:
    """The logistic loss, ``log(1 + exp(-target * input))``.

    ``torch.nn.functional.soft_margin_loss``, which is infinite and its gradient NaN where the
    exponential is, above 88 in float32. Here both are finite.

    Args:
        input: Scores.
        target: 1 or -1, floating-point numbers or integers; broadcast to the shape of ``input``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(f"{soft_margin_loss(jnp.array([0.0, 2.0]), jnp.array([1, -1])):.4f}")
        1.4100

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.soft_margin_loss.html
    """
    name = "soft_margin_loss"
    check_reduction(name, reduction)
    given = {"input": input, "target": target}
    (x, t), dtype = _operands.take_floats(name, given, integers=("target",))
    t = _operands.broadcast_to(name, "target", target, t, x.shape)
    return reduce(jax.nn.softplus(-t * x), reduction, dtype)
