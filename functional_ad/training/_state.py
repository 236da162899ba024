"""The training state: one pytree of everything that an update changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32, Key

from functional_ad import LossScale, partition
from functional_ad.training._models import Params
from functional_ad.training._task import Task


class State(NamedTuple):
    """All that an update changes, and so all that is donated to the next interval.

    With the configuration and the data it is the whole run: which examples come next is a function
    of the seed and ``step`` alone, so a run goes on from a saved state bit for bit.

    Attributes:
        params: The parameters, those that are frozen among them.
        grads: The gradients of the last update, zeros before the first; None at frozen leaves.
            None altogether unless the configuration keeps them.
        optimizer: The optimizer's state, of the leaves that are trained.
        loss_scale: The scale of the loss, where it is scaled.
        plateau: The learning rate and what it takes to lower it, with that schedule.
        key: What dropout draws from, folded with ``step`` for each update. It does not change.
        step: How many updates there have been.
    """

    params: Params
    grads: Params | None
    optimizer: optax.OptState
    loss_scale: LossScale | None
    plateau: Any
    key: Key[Array, ""]
    step: Int32[Array, ""]


def init_state(task: Task) -> State:
    """Makes the state before the first update: a pure function, to be jitted.

    Outside of ``jax.jit`` some leaves may share a buffer, and could not be donated.
    """
    params_key, key = jax.random.split(jax.random.key(task.config.seed))
    params = task.model.init(params_key)
    trained, _ = partition(params, task.trainable)
    recipe, scale = task.recipe, task.config.first_loss_scale
    momentum = None if recipe.momentum is None else recipe.momentum(0)
    return State(
        params=params,
        grads=jax.tree.map(jnp.zeros_like, trained) if task.config.keep_grads else None,
        optimizer=recipe.make(recipe.rate(0), momentum).init(trained),
        loss_scale=None if scale is None else LossScale(scale),
        plateau=None if recipe.plateau is None else recipe.plateau(),
        key=key,
        step=jnp.zeros((), jnp.int32),
    )
