"""A model's loss and accuracy on examples held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32

from functional_ad.training._data import Examples
from functional_ad.training._interval import take_batch
from functional_ad.training._models import Params
from functional_ad.training._plan import Plan, Rows
from functional_ad.training._task import Task


class Evaluation(NamedTuple):
    """Means over the examples held out: the loss, and the share of what is classified rightly.

    Of a text they are means over its tokens. The accuracy is None where nothing is classified.
    """

    loss: Float32[Array, ""]
    accuracy: Float32[Array, ""] | None


Evaluate = Callable[[Params, Rows, Examples], Evaluation]


def plan_evaluation(task: Task, examples: int, *, devices: int = 1) -> Rows:
    """Cuts the examples held out into batches like those of the training, in their own order."""
    size = min(task.config.batch_size, examples)
    plan = Plan(examples=examples, batch_size=size, parts=devices, epochs=1, seed=None)
    return plan.take(0, plan.batches)


def build_evaluation(task: Task, **jit_options: Any) -> Evaluate:
    """Builds the program that evaluates parameters, in the memory of one batch.

    Args:
        task: What is trained.
        **jit_options: For ``jax.jit``, as are ``in_shardings`` and ``out_shardings``.

    Returns:
        A jitted function of parameters, the rows that `plan_evaluation` makes, and the data.
    """
    model = task.model

    def evaluate(params: Params, rows: Rows, data: Examples) -> Evaluation:
        def measure(_: None, row: Rows) -> tuple[None, tuple[Array, Array, Array]]:
            batch = take_batch(data, row)
            outputs = model.apply(params, batch.inputs, None)
            losses = model.losses(outputs, batch.targets)
            correct = jnp.zeros_like(losses, jnp.bool_)
            if model.correct is not None:
                correct = model.correct(outputs, batch.targets)
            mask = jnp.ones_like(losses, jnp.bool_) if batch.mask is None else batch.mask
            return None, (
                jnp.sum(losses, where=mask),
                jnp.sum(correct, where=mask, dtype=jnp.float32),
                jnp.sum(mask, dtype=jnp.float32),
            )

        _, sums = jax.lax.scan(measure, None, rows)
        loss, correct, count = (jnp.sum(column) for column in sums)
        return Evaluation(loss / count, None if model.correct is None else correct / count)

    return jax.jit(evaluate, **jit_options)
