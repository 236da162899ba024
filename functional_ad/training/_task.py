"""What is trained: a model, how, and which of its leaves."""

from __future__ import annotations

from typing import NamedTuple

import jax
from jaxtyping import PyTree

from functional_ad import SelectionError, select
from functional_ad.training._config import Config
from functional_ad.training._errors import ConfigError
from functional_ad.training._models import Model, build_model
from functional_ad.training._optimizers import Recipe


class Task(NamedTuple):
    """All that is static, and that the compiled programs are built from.

    Attributes:
        config: The run's configuration.
        model: Its model.
        recipe: Its optimizer and schedule, of the leaves that are trained.
        trainable: Which leaves of the parameters are: a tree of booleans.
    """

    config: Config
    model: Model
    recipe: Recipe
    trainable: PyTree


def build_task(config: Config, updates: int, model: Model | None = None) -> Task:
    """Builds what the configuration names.

    Args:
        config: The configuration.
        updates: How many updates the run has.
        model: A model in place of the configuration's.

    Raises:
        ConfigError: The schedule does not go with so few updates, or a pattern of leaves to freeze
            matches none.
        MissingExtraError: The model needs a package that is not installed.
    """
    model = build_model(config) if model is None else model
    params = jax.eval_shape(model.init, jax.random.key(0))
    return Task(
        config=config,
        model=model,
        recipe=config.build_recipe(updates),
        trainable=_choose(config, params),
    )


def _choose(config: Config, params: PyTree) -> PyTree:
    if not config.freeze:
        return select(params)
    try:
        frozen = select(params, list(config.freeze))
    except SelectionError as error:
        _, expected, got, *_ = str(error).splitlines()
        parts = (line.partition(":")[2].strip() for line in (expected, got))
        raise ConfigError("freeze", expected=next(parts), got=next(parts)) from error
    if all(jax.tree.leaves(frozen)):
        expected = "patterns that leave something to train"
        raise ConfigError("freeze", expected=expected, got=repr(list(config.freeze)))
    return jax.tree.map(lambda flag: not flag, frozen)
