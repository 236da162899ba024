"""Losses of logits, or of their logarithms, against the classes that are right."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.losses import _classes, _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> jax.Array:
    """The negative log-probability of the right class.

    ``torch.nn.functional.nll_loss``, which takes int64 and uint8 labels only.

    Args:
        input: Log-probabilities of the classes, ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: The right classes, integers, ``()``, ``(N)`` or ``(N, d1, ...)``. One that is out
            of range raises if its value can be seen; traced, it makes the loss NaN.
        weight: A weight for each class, ``(C)``.
        ignore_index: A label that does not count: its loss and its gradient are 0.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean is the weighted one: divided by
            the sum of the weights of the labels that count. If none does, it is NaN and its
            gradient 0.

    Returns:
        The loss; of the target's shape if it is not reduced.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> log_p = jax.nn.log_softmax(jnp.array([[1.0, 2.0, 3.0], [1.0, 0.0, 0.0]]))
        >>> print(f"{nll_loss(log_p, jnp.array([2, -100])):.4f}")
        0.4076

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html
    """
    check_reduction("nll_loss", reduction)
    _check_ignore_index("nll_loss", ignore_index)
    x, w, dtype = _classes.take_scores("nll_loss", input, weight)
    index, weights, ignored = _classes.take_classes("nll_loss", x, target, w, ignore_index)
    loss = jnp.where(ignored, 0, -_classes.pick(x, index) * weights)
    return _classes.reduce_counted(loss, weights, reduction, dtype)


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> jax.Array:
    """The negative log-probability of the right class, from logits.

    ``torch.nn.functional.cross_entropy``, which takes int64 and uint8 labels only. As there, a
    target of the shape of ``input`` has the probabilities of the classes. Where a logit is -inf
    and its probability 0, the loss is NaN and its gradient finite, as in PyTorch;
    ``optax.losses.safe_softmax_cross_entropy`` takes the product as 0.

    Args:
        input: Logits of the classes, ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: The right classes, integers, ``()``, ``(N)`` or ``(N, d1, ...)``, or the
            probabilities of the classes, of the shape of ``input``. A class that is out of range
            raises if its value can be seen; traced, it makes the loss NaN.
        weight: A weight for each class, ``(C)``.
        ignore_index: A label that does not count: its loss and its gradient are 0.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. For labels the mean is the weighted one:
            divided by the sum of the weights of the labels that count. If none does, it is NaN and
            its gradient 0. For probabilities it is divided by the number of predictions.
        label_smoothing: The share of the target that is spread evenly over the classes, between
            0 and 1.

    Returns:
        The loss; of the shape of ``input`` without the classes if it is not reduced.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> logits = jnp.array([[1.0, 2.0, 3.0], [1.0, 0.0, 0.0]])
        >>> print(f"{cross_entropy(logits, jnp.array([2, -100])):.4f}")
        0.4076
        >>> print(f"{cross_entropy(logits, jnp.array([2, 0]), label_smoothing=0.1):.4f}")
        0.5629

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    return _cross_entropy(
        "cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing
    )


def linear_cross_entropy(
    input: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> jax.Array:
    """The cross entropy of a linear layer's output.

    ``torch.nn.functional.linear_cross_entropy``. PyTorch's ``options``, with which it works in
    chunks and needs less memory for the same loss, is not taken: ``jax.checkpoint`` and
    ``functional_ad.accumulate_grads`` do that.

    Args:
        input: What the layer is given, ``(features)`` or ``(N, features)``.
        linear_weight: The layer's weights, ``(C, features)`` or ``(C, d1, ..., features)``.
        target: As in ``cross_entropy``, whose input has shape ``(C)``, ``(N, C)`` or
            ``(N, C, d1, ...)``.
        linear_bias: The layer's bias, of the shape of ``linear_weight`` without the features.
        weight: A weight for each class, ``(C)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        ignore_index: A label that does not count; left out, -100. Not for probabilities.
        label_smoothing: The share of the target that is spread evenly over the classes.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> x, w = jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> print(f"{linear_cross_entropy(x, w, jnp.array([2])):.4f}")
        0.4076

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html
    """
    name = "linear_cross_entropy"
    given = {"input": input, "linear_weight": linear_weight}
    given |= {} if linear_bias is None else {"linear_bias": linear_bias}
    (x, w, *bias), dtype = _operands.take_floats(name, given)
    _operands.check_shape(
        name, "input", input, x.ndim in (1, 2), "(features) or (N, features)", "Reshape it."
    )
    batched = x.ndim == 2
    _operands.check_shape(
        name,
        "linear_weight",
        linear_weight,
        w.ndim >= 2 and w.shape[-1] == x.shape[-1] and (batched or w.ndim == 2),
        f"(C, {x.shape[-1]})" + (f" or (C, d1, ..., {x.shape[-1]})" if batched else ""),
        "Reshape it.",
    )
    # In the dtype that was given, as a layer would multiply.
    product = jnp.tensordot(x.astype(dtype), w.astype(dtype), axes=(-1, -1))
    if bias:
        _operands.check_shape(
            name,
            "linear_bias",
            linear_bias,
            bias[0].shape == w.shape[:-1],
            str(w.shape[:-1]),
            "Reshape it.",
        )
        product = product + jnp.broadcast_to(bias[0].astype(dtype), product.shape)
    if ignore_index is not None and jnp.shape(target) == product.shape:
        raise ArgumentError(
            explain(
                f"{_operands.name_argument(name, 'ignore_index')} is for labels, not for "
                "probabilities.",
                expected="None",
                got=_tree.describe_value(ignore_index),
                fix="Leave it out.",
            )
        )
    index = -100 if ignore_index is None else ignore_index
    return _cross_entropy(name, product, target, weight, index, reduction, label_smoothing)


def _cross_entropy(
    function: str,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> jax.Array:
    check_reduction(function, reduction)
    _check_ignore_index(function, ignore_index)
    check_number(f"losses.{function}", "label_smoothing", label_smoothing, low=0, high=1)
    if jnp.shape(target) == jnp.shape(input):
        return _compare_distributions(
            function, input, target, weight, ignore_index, reduction, label_smoothing
        )
    x, w, dtype = _classes.take_scores(function, input, weight)
    index, weights, ignored = _classes.take_classes(function, x, target, w, ignore_index)
    axis = _classes.find_classes(x)
    # The normaliser is not subtracted from all logits, but from those that are picked. PyTorch
    # subtracts the greatest first, which keeps the digits of large logits.
    shifted = x - lax.stop_gradient(jnp.max(x, axis, keepdims=True))
    normalizer = jnp.log(jnp.sum(jnp.exp(shifted), axis))
    loss = (normalizer - _classes.pick(shifted, index)) * weights
    if _is_smoothed(label_smoothing):
        if w is None:
            spread = x.shape[axis] * normalizer - jnp.sum(shifted, axis)
        else:
            spread = jnp.sum(w) * normalizer - jnp.sum(shifted * _classes.align(w, x), axis)
        loss = (1 - label_smoothing) * loss + label_smoothing / x.shape[axis] * spread
    return _classes.reduce_counted(jnp.where(ignored, 0, loss), weights, reduction, dtype)


def _compare_distributions(
    function: str,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> jax.Array:
    given = {"input": input, "target": target} | ({} if weight is None else {"weight": weight})
    (x, p, *weights), dtype = _operands.take_floats(function, given)
    _classes.check_scores(function, input, x)
    if ignore_index >= 0:
        raise ArgumentError(
            explain(
                f"{_operands.name_argument(function, 'ignore_index')} is for labels, not for "
                "probabilities.",
                expected="a negative number, the default",
                got=_tree.describe_value(ignore_index),
                fix="Leave it out, or pass labels as `target`.",
            )
        )
    axis = _classes.find_classes(x)
    if _is_smoothed(label_smoothing):
        p = p * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    if weights:
        _classes.check_weight(function, x, weight, weights[0])
        p = p * _classes.align(weights[0], x)
    return reduce(optax.losses.softmax_cross_entropy(x, p, axis), reduction, dtype)


def _is_smoothed(label_smoothing: Any) -> bool:
    known = _operands.read_values(label_smoothing)
    return known is None or bool(known > 0)


def _check_ignore_index(function: str, ignore_index: Any) -> None:
    _operands.check_index(
        function, "ignore_index", ignore_index, -(2**31), 2**31 - 1, "Leave it out for -100."
    )
