"""Losses of distances and angles between vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_choice, check_number
from functional_ad.torch_semantics.losses import _kinks, _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce

_EPSILON = float(np.float32(1e-12))  # as PyTorch has it, also in float64


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """By how much the distance to the positive is not yet below that to the negative by a margin.

    ``torch.nn.functional.triplet_margin_loss``. A distance is the norm of the difference with
    ``eps`` added to each element; ``optax.losses.triplet_margin_loss`` adds it elsewhere.

    Args:
        anchor: Vectors, along the last dimension.
        positive: Vectors that should be near; broadcast with ``anchor``, and of as many dimensions.
        negative: Vectors that should be far; likewise.
        margin: By how much, above 0.
        p: The order of the norm: a number, infinity among them.
        eps: What is added to each element of a difference.
        swap: Whether to take the distance from the positive to the negative where it is less than
            that from the anchor.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss; without the last dimension if it is not reduced.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> anchor, near, far = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.ones((1, 2))
        >>> print(f"{triplet_margin_loss(anchor, near, far):.4f}")
        4.5858

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_loss.html
    """
    name = "triplet_margin_loss"
    check_number(f"losses.{name}", "p", p)
    check_number(f"losses.{name}", "eps", eps)
    measure = _make_distance(name, float(p), eps)
    arrays = {"anchor": anchor, "positive": positive, "negative": negative}
    return _compare_distances(name, arrays, measure, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> jax.Array:
    """By how much the distance to the positive is not yet below that to the negative by a margin.

    ``torch.nn.functional.triplet_margin_with_distance_loss``.

    Args:
        anchor: What the distance function is given first.
        positive: What should be near; of as many dimensions.
        negative: What should be far; of as many dimensions.
        distance_function: A function of two arrays; left out, that of ``triplet_margin_loss``.
        margin: By how much, above 0.
        swap: Whether to take the distance from the positive to the negative where it is less than
            that from the anchor.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> def measure(x, y):
        ...     return jnp.max(jnp.abs(x - y), -1)
        >>> anchor, near, far = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.ones((1, 2))
        >>> print(triplet_margin_with_distance_loss(anchor, near, far, distance_function=measure))
        4.0

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_with_distance_loss.html
    """
    name = "triplet_margin_with_distance_loss"
    if distance_function is not None and not callable(distance_function):
        raise ArgumentError(
            explain(
                f"{_operands.name_argument(name, 'distance_function')} must be a function.",
                expected="a function of two arrays",
                got=_tree.describe_value(distance_function),
                fix="Leave it out for the distance of `triplet_margin_loss`.",
            )
        )
    measure = distance_function or _make_distance(name)
    arrays = {"anchor": anchor, "positive": positive, "negative": negative}
    return _compare_distances(name, arrays, measure, margin, swap, reduction)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """What the cosine of two vectors is short of 1, or is above a margin.

    ``torch.nn.functional.cosine_embedding_loss``. As there, 1e-12 is added to the square of each
    length, and vectors of zeros have the cosine 0.

    Args:
        input1: Vectors, ``(N, D)`` or ``(D)``.
        input2: Vectors; broadcast with the others.
        target: 1 where the two should be alike, -1 where they should not, ``(N)`` or ``()``;
            floating-point numbers or integers. For other numbers the loss is 0.
        margin: Which cosine is small enough.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> x, y = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 2.0], [3.0, 0.0]])
        >>> print(cosine_embedding_loss(x, y, jnp.array([1, -1]), reduction="none"))
        [1. 1.]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_embedding_loss.html
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction)
    check_number(f"losses.{name}", "margin", margin)
    given = {"input1": input1, "input2": input2, "target": target}
    (x, y, t), dtype = _operands.take_floats(name, given, integers=("target",))
    _operands.check_shape(name, "target", target, t.ndim <= 1, "(N) or ()", "Reshape it.")
    for argument, array in (("input1", x), ("input2", y)):
        _operands.check_shape(
            name,
            argument,
            given[argument],
            array.ndim == t.ndim + 1,
            "(N, D)" if t.ndim else "(D)",
            "Reshape it, or `target`, which has one dimension less.",
        )
    x, y = _operands.broadcast(name, input1=x, input2=y)
    dot = jnp.sum(x * y, -1)
    squares = (jnp.sum(x * x, -1) + _EPSILON) * (jnp.sum(y * y, -1) + _EPSILON)
    cosine, t = _operands.broadcast(name, inputs=dot / jnp.sqrt(squares), target=t)
    alike = jnp.where(t == 1, 1 - cosine, 0)
    unlike = jnp.where(t == -1, _kinks.clamp_min(cosine - margin), 0)
    return reduce(alike + unlike, reduction, dtype)


def _compare_distances(
    function: str,
    arrays: dict[str, Any],
    measure: Callable[[Any, Any], Any],
    margin: Any,
    swap: bool,
    reduction: str,
) -> jax.Array:
    check_reduction(function, reduction)
    check_number(f"losses.{function}", "margin", margin, above=0)
    check_choice(f"losses.{function}", "swap", swap, (False, True))
    (anchor, positive, negative), dtype = _operands.take_floats(function, arrays)
    for name, array in (("positive", positive), ("negative", negative)):
        _operands.check_shape(
            function,
            name,
            arrays[name],
            array.ndim == anchor.ndim,
            f"as many dimensions as `anchor`, {anchor.ndim}",
            "Reshape it.",
        )
    near, far = measure(anchor, positive), measure(anchor, negative)
    if swap:
        far = jnp.minimum(far, measure(positive, negative))
    near, far = _operands.broadcast(function, positive=near, negative=far)
    return reduce(_kinks.clamp_min(margin + near - far), reduction, dtype)


def _make_distance(function: str, p: float = 2.0, eps: Any = 1e-6) -> Callable[[Any, Any], Any]:
    """The norm of the difference along the last dimension; where it is 0, so is its gradient."""

    def measure(x: jax.Array, y: jax.Array) -> jax.Array:
        x, y = _operands.broadcast(function, positive=x, negative=y)
        return _compute_norm(jnp.atleast_1d(x - y + eps), p)

    return measure


def _compute_norm(x: jax.Array, p: float) -> jax.Array:
    magnitude = _kinks.absolute(x)
    if p == math.inf:
        return jnp.max(magnitude, -1)
    if p == -math.inf:
        return jnp.min(magnitude, -1)
    if p == 0:
        return jnp.sum(magnitude != 0, -1).astype(x.dtype)
    if p == 1:
        return jnp.sum(magnitude, -1)
    if p == 2:
        total = jnp.sum(x * x, -1)
        return jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))
    # The slopes of a root and of a power below 1 are infinite at 0, and times 0 NaN.
    is_zero = magnitude == 0
    powers = jnp.where(is_zero, 1, magnitude) ** p
    total = jnp.sum(jnp.where(is_zero, 0 if p > 0 else jnp.inf, powers), -1)
    empty = total == 0
    return jnp.where(empty, 0 if p > 0 else jnp.inf, jnp.where(empty, 1, total) ** (1 / p))
