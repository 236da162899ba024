"""The two models, each as pure functions of its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from functional_ad.training._config import Config

Params = dict[str, Any]
"""A model's parameters: a dictionary, by name, of float32 arrays or of such dictionaries."""


class Model(NamedTuple):
    """A model as three functions.

    Attributes:
        init: Makes the parameters from a PRNG key.
        losses: The loss of each example, from the parameters, inputs and targets.
        correct: Whether each example is classified rightly; None where nothing is classified.
    """

    init: Callable[[Key[Array, ""]], Params]
    losses: Callable[[Params, Array, Array], Array]
    correct: Callable[[Params, Array, Array], Array] | None


def build_model(config: Config) -> Model:
    """Builds the model that the configuration names."""
    hidden = config.hidden
    if hidden is None:
        return Model(init=_init_linear, losses=_linear_losses, correct=None)
    init = functools.partial(_init_mlp, hidden=hidden)
    return Model(init=init, losses=_mlp_losses, correct=_mlp_correct)


def _init_linear(key: Key[Array, ""]) -> Params:
    del key  # the tutorial starts from fixed numbers
    return {"a": jnp.ones((), jnp.float32), "b": jnp.full((), 2.0, jnp.float32)}


def _linear_losses(
    params: Params, x: Float[Array, " examples"], y: Float[Array, " examples"]
) -> Float[Array, " examples"]:
    return (y - (params["a"] * x + params["b"])) ** 2


def _init_mlp(key: Key[Array, ""], hidden: int) -> Params:
    hidden_key, output_key = jax.random.split(key)
    he, glorot = jax.nn.initializers.he_normal(), jax.nn.initializers.glorot_normal()
    return {
        "hidden": {
            "w": he(hidden_key, (64, hidden), jnp.float32),
            "b": jnp.zeros(hidden, jnp.float32),
        },
        "output": {
            "w": glorot(output_key, (hidden, 10), jnp.float32),
            "b": jnp.zeros(10, jnp.float32),
        },
    }


def _apply_mlp(params: Params, pixels: Float[Array, "examples 64"]) -> Float[Array, "examples 10"]:
    hidden, output = params["hidden"], params["output"]
    return jax.nn.relu(pixels @ hidden["w"] + hidden["b"]) @ output["w"] + output["b"]


def _mlp_losses(
    params: Params, pixels: Float[Array, "examples 64"], labels: Int[Array, " examples"]
) -> Float[Array, " examples"]:
    return optax.losses.softmax_cross_entropy_with_integer_labels(
        _apply_mlp(params, pixels), labels
    )


def _mlp_correct(
    params: Params, pixels: Float[Array, "examples 64"], labels: Int[Array, " examples"]
) -> Array:
    return jnp.argmax(_apply_mlp(params, pixels), axis=-1) == labels
