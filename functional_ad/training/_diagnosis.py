"""Which update of an interval went wrong first, and where in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad import NonFinite, combine, first_nonfinite, no_grad, partition
from functional_ad.training._data import Examples
from functional_ad.training._gradients import build_gradients, compute_loss
from functional_ad.training._interval import RunInterval, descend, take_batch
from functional_ad.training._plan import Rows
from functional_ad.training._state import State
from functional_ad.training._task import Task


class Diagnosis(NamedTuple):
    """Where NaN or infinity begins in a run.

    Attributes:
        step: The update, counted from 1.
        found: The operation in it; None if it cannot be told.
    """

    step: int
    found: NonFinite | None


@jax.jit
def copy_state(state: State) -> State:
    """Copies a state, so that it outlives the interval that the other is donated to."""
    return jax.tree.map(jnp.copy, state)


def diagnose(
    task: Task,
    state: State,
    rows: Rows,
    data: Examples,
    *,
    run_interval: RunInterval,
    place: Callable[[Rows], Rows],
) -> Diagnosis | None:
    """Runs an interval again, update by update, up to the one that goes wrong.

    Args:
        task: What is trained.
        state: The state before the interval. It is donated.
        rows: The rows of the interval's updates.
        data: The examples, on the devices.
        run_interval: The program of an interval, which is compiled once more, for one update.
        place: Puts rows where they are needed.

    Returns:
        What was found; None if every number was finite this time.
    """
    plateau = jax.device_get(state.plateau)
    for number in range(len(rows.positions)):
        row = jax.tree.map(lambda array, number=number: array[number : number + 1], rows)
        before = copy_state(state)
        # A plateau looks at whole intervals, and not at updates.
        state = state._replace(plateau=plateau)
        state, outcome = run_interval(state, place(row), data)
        loss, finite = jax.device_get((outcome.loss, outcome.finite))
        if not (finite and jnp.isfinite(loss)):
            return Diagnosis(int(before.step) + 1, _search(task, before, row, data))
    return None


def _search(task: Task, state: State, row: Rows, data: Examples) -> NonFinite | None:
    """Searches the loss and its gradient, and then the whole update."""
    if jax.process_count() > 1:  # what the others have is out of reach
        return None
    batch = take_batch(data, jax.tree.map(lambda array: array[0], row))
    batch, params, memory = jax.device_get((batch, state.params, state.optimizer))
    state = state._replace(params=None, optimizer=None)
    trained, frozen = partition(params, task.trainable)
    key = jax.random.fold_in(state.key, state.step) if task.config.dropout else None

    def loss(trained: PyTree) -> jax.Array:
        return compute_loss(task, combine(trained, frozen), batch, key)

    found = first_nonfinite(loss, trained)
    if found is not None and not found.harmless:
        return found

    def update(trained: PyTree, memory: optax.OptState) -> tuple[PyTree, optax.OptState]:
        begun = state._replace(params=trained, optimizer=memory)
        whole = combine(trained, frozen)
        loss, grads = build_gradients(task)(whole, batch, state.key, state.step, state.loss_scale)
        after, _ = descend(task, begun, loss, grads, jnp.bool_(False))
        return after.params, after.optimizer

    found = first_nonfinite(no_grad(update), trained, memory)
    return None if found is None or found.harmless else found
