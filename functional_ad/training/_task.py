"""What is trained: a model, its optimizer, and which of its leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import jax
import optax
from jaxtyping import PyTree

from functional_ad import select
from functional_ad.training._config import Config
from functional_ad.training._models import Model, build_model

_OPTIMIZERS: Final[dict[str, Callable[[float], optax.GradientTransformation]]] = {
    "sgd": optax.sgd,
    "adam": optax.adam,
    "adamw": optax.adamw,
}


class Task(NamedTuple):
    """All that is static, and that the compiled programs are built from.

    Attributes:
        config: The run's configuration.
        model: Its model.
        optimizer: Its optimizer, of the leaves that are trained.
        trainable: Which leaves of the parameters are: a tree of booleans.
    """

    config: Config
    model: Model
    optimizer: optax.GradientTransformationExtraArgs
    trainable: PyTree


def build_task(config: Config, model: Model | None = None) -> Task:
    """Builds what the configuration names; another model may take the place of its own."""
    model = build_model(config) if model is None else model
    optimizer = _OPTIMIZERS[config.optimizer](config.learning_rate)
    params = jax.eval_shape(model.init, jax.random.key(0))
    return Task(
        config=config,
        model=model,
        optimizer=optax.with_extra_args_support(optimizer),
        trainable=select(params),
    )
