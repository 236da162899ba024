"""The compiled program of one logging interval: a scan over its updates, the state donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float32, PyTree

from functional_ad import clip_by_norm, combine, partition
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
        learning_rate: That of the last update.
        grad_norm: The norm of the last update's gradients, before they are clipped; None unless
            they are clipped or kept, or the configuration asks for it.
        loss_scale: The scale of the loss after it, where it is scaled.
    """

    loss: Float32[Array, ""]
    losses: Float32[Array, " updates"]
    finite: Bool[Array, ""]
    learning_rate: Float32[Array, ""]
    grad_norm: Float32[Array, ""] | None
    loss_scale: Float32[Array, ""] | None


class _Figures(NamedTuple):
    """What an update tells."""

    loss: Array
    weight: Array
    norm: Array | None


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
        updates = len(rows.positions)
        is_last = jnp.arange(updates) == updates - 1

        def update(carry: State, scanned: tuple[Rows, Array]) -> tuple[State, _Figures]:
            row, is_last = scanned
            batch = take_batch(data, row)
            params = combine(carry.params, frozen)
            loss, grads = gradients(params, batch, carry.key, carry.step, carry.loss_scale)
            carry, norm = descend(task, carry, loss, grads, is_last)
            return carry, _Figures(loss, count_real(batch), norm)

        state, figures = jax.lax.scan(update, state._replace(params=trained), (rows, is_last))
        norm = None if figures.norm is None else figures.norm[-1]
        if norm is None and state.grads is not None:
            norm = _compute_norm(state.grads)
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state.params)]
        # Divided first: the share of a single update is exactly 1, and its loss stays as it is.
        loss = jnp.sum(figures.loss * (figures.weight / jnp.sum(figures.weight)))
        outcome = Outcome(
            loss=loss,
            losses=figures.loss,
            finite=jnp.all(jnp.stack(finite)),
            learning_rate=jnp.float32(_get_rate(task, state, state.step - 1)),
            grad_norm=norm,
            loss_scale=None if state.loss_scale is None else state.loss_scale.current,
        )
        if state.plateau is not None:
            state = state._replace(plateau=state.plateau.step(loss))
        return state._replace(params=combine(state.params, frozen)), outcome

    return jax.jit(run_interval, donate_argnums=0, **jit_options)


def descend(
    task: Task, state: State, loss: Array, grads: PyTree, is_last: Array
) -> tuple[State, Array | None]:
    """Takes the step that gradients give; returns their norm, too, if it is asked for."""
    config, recipe = task.config, task.recipe
    scale, taken = state.loss_scale, None
    if scale is not None:
        grads, taken = scale.unscale(grads)
        scale = scale.update(taken)
    norm = None
    if config.max_norm is not None:
        grads, norm, _ = clip_by_norm(grads, config.max_norm)
    elif config.log_grad_norm and not config.keep_grads:
        # Whatever else the gradients are used for costs a pass over them: a sixth of an update of
        # a small perceptron. So it is not computed unasked, and of the last update only.
        norm = jax.lax.cond(is_last, _compute_norm, lambda grads: jnp.float32(0), grads)
    momentum = None if recipe.momentum is None else recipe.momentum(state.step)
    optimizer = recipe.make(_get_rate(task, state, state.step), momentum)
    updates, memory = optimizer.update(grads, state.optimizer, state.params, value=loss)
    params = cast(PyTree, optax.apply_updates(state.params, updates))
    if taken is not None:
        # As GradScaler's step, which leaves the optimizer alone if a gradient is not finite.
        old = state.params, state.optimizer
        params, memory = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old), (params, memory), old
        )
    state = state._replace(
        params=params,
        grads=grads if config.keep_grads else None,
        optimizer=memory,
        loss_scale=scale,
        step=state.step + 1,
    )
    return state, norm


def _get_rate(task: Task, state: State, step: Array) -> Any:
    return task.recipe.rate(step) if state.plateau is None else state.plateau.lr


def _compute_norm(grads: PyTree) -> Array:
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(grads)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def take_batch(data: Examples, row: Rows) -> Batch:
    """Takes the examples of one update from the data."""
    inputs, targets = data.inputs[row.positions], data.targets[row.positions]
    mask = None if data.mask is None else data.mask[row.positions]
    if row.real is not None:
        real = jnp.asarray(row.real)
        mask = real if mask is None else mask & real.reshape(-1, *[1] * (mask.ndim - 1))
    return Batch(jnp.asarray(inputs), jnp.asarray(targets), mask)
