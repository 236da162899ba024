"""A batch's loss and its gradients, whole or one microbatch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32

from functional_ad import accumulate_grads, value_and_grad
from functional_ad.training._models import Params
from functional_ad.training._task import Task


class Batch(NamedTuple):
    """Examples, and what of them counts.

    Attributes:
        inputs: The inputs, example by example.
        targets: The targets.
        mask: What counts in the loss and is not padding: a flag for each example, or each token of
            each. None if everything does.
    """

    inputs: Array
    targets: Array
    mask: Bool[Array, "examples ..."] | None


Gradients = Callable[[Params, Batch, Any, Any], tuple[Array, Params]]
"""From parameters, a batch, a PRNG key and the update's number to the batch's mean loss and the
gradients, None at frozen leaves."""


def count_real(batch: Batch) -> Float32[Array, ""]:
    """Counts what of a batch counts in its loss: its weight among others."""
    if batch.mask is None:
        return jnp.float32(len(batch.targets))
    return jnp.sum(batch.mask, dtype=jnp.float32)


def build_gradients(task: Task) -> Gradients:
    """Builds the function that an update gets its loss and gradients from."""
    model, microbatches = task.model, task.config.microbatches

    def batch_loss(params: Params, batch: Batch, key: Any = None) -> Array:
        losses = model.losses(model.apply(params, batch.inputs, key), batch.targets)
        if batch.mask is None:
            return jnp.mean(losses)
        # At least 1, for a microbatch that is all padding: its loss and gradients are then zero.
        return jnp.sum(losses, where=batch.mask) / jnp.maximum(count_real(batch), 1)

    def gradients(params: Params, batch: Batch, key: Any, step: Any) -> tuple[Array, Params]:
        key = jax.random.fold_in(key, step) if task.config.dropout else None
        if microbatches == 1:
            return value_and_grad(batch_loss, where=task.trainable)(params, batch, key)
        # Parts that all count the same need no weights.
        weigh = None if batch.mask is None else count_real
        accumulated = accumulate_grads(
            batch_loss, microbatches, where=task.trainable, weight_fn=weigh
        )
        return accumulated(params, batch, key)

    return gradients
