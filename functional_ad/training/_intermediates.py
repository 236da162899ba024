"""The gradients of a network's hidden values: their norms, for the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32

from functional_ad import intermediate_grads
from functional_ad.training._data import Examples
from functional_ad.training._gradients import compute_loss
from functional_ad.training._interval import take_batch
from functional_ad.training._models import Params
from functional_ad.training._plan import Rows
from functional_ad.training._state import State
from functional_ad.training._task import Task

Measure = Callable[[State, Rows, Examples], dict[str, Float32[Array, ""]]]


def build_measure(task: Task, **jit_options: Any) -> Measure:
    """Builds the program that measures gradients of hidden values.

    Args:
        task: What is trained.
        **jit_options: For ``jax.jit``, as is ``in_shardings``.

    Returns:
        A jitted function of the state after an interval, the interval's rows and the data. It
        gives the norm of the gradient of each tagged value: that of the last batch's loss, or of
        its first microbatch's, at the parameters after the interval. It is a program of its own, so
        that an update costs nothing more.
    """
    microbatches = task.config.microbatches

    def measure(state: State, rows: Rows, data: Examples) -> dict[str, Array]:
        last = jax.tree.map(lambda array: array[-1, ::microbatches], rows)
        batch = take_batch(data, last)
        key = jax.random.fold_in(state.key, state.step) if task.config.dropout else None

        def loss(params: Params) -> Array:
            return compute_loss(task, params, batch, key)

        _, _, intermediates = intermediate_grads(loss, where=task.trainable)(state.params)
        return {name: jnp.linalg.norm(_widen(grad)) for name, grad in intermediates.items()}

    return jax.jit(measure, **jit_options)


def _widen(grad: Array) -> Array:
    return grad.astype(jnp.promote_types(grad.dtype, jnp.float32)).ravel()
