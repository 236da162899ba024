"""The compiled program of one logging interval: a scan over its updates, the state donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float32, PyTree

from functional_ad import combine, partition
from functional_ad.training._data import Examples
from functional_ad.training._gradients import Batch, Gradients, build_gradients, count_real
from functional_ad.training._plan import Rows
from functional_ad.training._state import State
from functional_ad.training._task import Task


class Outcome(NamedTuple):
    """What an interval tells.

    Attributes:
        loss: The mean loss over all of its examples, each before its batch's update.
        losses: The mean loss of each update's batch.
        finite: Whether every parameter that is trained is finite after it.
    """

    loss: Float32[Array, ""]
    losses: Float32[Array, " updates"]
    finite: Bool[Array, ""]


RunInterval = Callable[[State, Rows, Examples], tuple[State, Outcome]]


def build_interval(
    task: Task, gradients: Gradients | None = None, **jit_options: Any
) -> RunInterval:
    """Builds the program of an interval, compiled at its first call for each number of updates.

    Args:
        task: What is trained.
        gradients: How a batch's loss and gradients are computed; `build_gradients` by default.
        **jit_options: For ``jax.jit``, as are ``in_shardings`` and ``out_shardings``.

    Returns:
        A jitted function of a state, which is donated, the rows of the interval's updates, and the
        data. Frozen leaves pass through it untouched.
    """
    gradients = build_gradients(task) if gradients is None else gradients

    def run_interval(state: State, rows: Rows, data: Examples) -> tuple[State, Outcome]:
        trained, frozen = partition(state.params, task.trainable)

        def update(carry: State, row: Rows) -> tuple[State, tuple[Array, Array]]:
            batch = take_batch(data, row)
            params = combine(carry.params, frozen)
            loss, grads = gradients(params, batch, carry.key, carry.step)
            updates, optimizer = task.optimizer.update(
                grads, carry.optimizer, carry.params, value=loss
            )
            carry = carry._replace(
                params=cast(PyTree, optax.apply_updates(carry.params, updates)),
                grads=grads if task.config.keep_grads else None,
                optimizer=optimizer,
                step=carry.step + 1,
            )
            return carry, (loss, count_real(batch))

        state, (losses, weights) = jax.lax.scan(update, state._replace(params=trained), rows)
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state.params)]
        outcome = Outcome(
            # Divided first: the share of a single update is exactly 1, and its loss stays as it is.
            loss=jnp.sum(losses * (weights / jnp.sum(weights))),
            losses=losses,
            finite=jnp.all(jnp.stack(finite)),
        )
        return state._replace(params=combine(state.params, frozen)), outcome

    return jax.jit(run_interval, donate_argnums=0, **jit_options)


def take_batch(data: Examples, row: Rows) -> Batch:
    """Takes the examples of one update from the data."""
    inputs, targets = data.inputs[row.positions], data.targets[row.positions]
    mask = None if data.mask is None else data.mask[row.positions]
    if row.real is not None:
        real = jnp.asarray(row.real)
        mask = real if mask is None else mask & real.reshape(-1, *[1] * (mask.ndim - 1))
    return Batch(jnp.asarray(inputs), jnp.asarray(targets), mask)
