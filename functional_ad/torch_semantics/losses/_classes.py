"""The scores of classes, the labels that pick one of them, and the classes' weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from functional_ad.torch_semantics.losses import _operands
from functional_ad.torch_semantics.losses._reduction import reduce


def take_scores(function: str, input: Any, weight: Any) -> tuple[jax.Array, jax.Array | None, Any]:
    """The input, the weights of the classes, and the dtype of the loss."""
    given = {"input": input} | ({} if weight is None else {"weight": weight})
    (x, *weights), dtype = _operands.take_floats(function, given)
    check_scores(function, input, x)
    if weights:
        check_weight(function, x, weight, weights[0])
    return x, weights[0] if weights else None, dtype


def check_scores(function: str, input: Any, x: jax.Array) -> None:
    _operands.check_shape(
        function,
        "input",
        input,
        x.ndim >= 1 and x.shape[find_classes(x)] > 0,
        "(C), (N, C) or (N, C, d1, ...), with C of at least 1",
        "Reshape it.",
    )


def check_weight(function: str, x: jax.Array, weight: Any, w: jax.Array) -> None:
    classes = x.shape[find_classes(x)]
    _operands.check_shape(
        function,
        "weight",
        weight,
        w.shape == (classes,),
        f"({classes},): one for each class",
        "Reshape it.",
    )


def find_classes(x: jax.Array) -> int:
    """The axis of the classes."""
    return 0 if x.ndim == 1 else 1


def align(weight: jax.Array, x: jax.Array) -> jax.Array:
    """The weights of the classes along the axis of the classes."""
    return jnp.broadcast_to(weight.reshape(-1, *[1] * max(x.ndim - 2, 0)), x.shape)


def take_classes(
    function: str, x: jax.Array, target: Any, weight: jax.Array | None, ignore_index: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For each label a class to pick, its weight, and whether it is left out.

    The weight of what is left out is 0, and of what is out of range NaN.
    """
    axis = find_classes(x)
    classes = x.shape[axis]
    labels, wrong = _operands.take_labels(
        function, "target", target, 0, classes - 1, ignored=ignore_index
    )
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    _operands.check_shape(
        function,
        "target",
        target,
        labels.shape == shape,
        f"{shape}, as `input` without its classes",
        "Reshape it; for probabilities it has the shape of `input`.",
    )
    index = jnp.clip(labels, 0, classes - 1)
    weights = jnp.ones(shape, x.dtype) if weight is None else weight[index]
    ignored = labels == ignore_index
    weights = jnp.where(ignored, 0, jnp.where(wrong, jnp.nan, weights))
    return index, weights, ignored


def pick(x: jax.Array, index: jax.Array) -> jax.Array:
    axis = find_classes(x)
    return jnp.take_along_axis(
        x, jnp.expand_dims(index, axis), axis, mode="promise_in_bounds"
    ).squeeze(axis)


def reduce_counted(loss: jax.Array, weights: jax.Array, reduction: str, dtype: Any) -> jax.Array:
    """The mean is taken over what counts."""
    if reduction == "mean":
        return (jnp.sum(loss) / jnp.sum(weights)).astype(dtype)
    return reduce(loss, reduction, dtype)
