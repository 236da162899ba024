"""The models, each as pure functions of its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from functional_ad.training._config import Config

Params = dict[str, Any]
"""A model's parameters: a dictionary, by name, of float32 arrays or of such dictionaries."""


class Model(NamedTuple):
    """A model as four functions.

    Attributes:
        init: Makes the parameters from a PRNG key.
        apply: The outputs, from the parameters and the inputs.
        losses: The loss of each example or token, from the outputs and the targets.
        correct: Whether each is classified rightly; None where nothing is classified.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[[Params, Array], Array]
    losses: Callable[[Array, Array], Array]
    correct: Callable[[Array, Array], Array] | None


def build_model(config: Config) -> Model:
    """Builds the model that the configuration names."""
    hidden = config.hidden
    if hidden is None:
        return Model(init=_init_linear, apply=_apply_linear, losses=_square_errors, correct=None)
    return Model(
        init=functools.partial(_init_mlp, hidden=hidden),
        apply=_apply_mlp,
        losses=optax.losses.softmax_cross_entropy_with_integer_labels,
        correct=lambda logits, labels: jnp.argmax(logits, axis=-1) == labels,
    )


def _init_linear(key: Key[Array, ""]) -> Params:
    del key  # the tutorial starts from fixed numbers
    return {"a": jnp.ones((), jnp.float32), "b": jnp.full((), 2.0, jnp.float32)}


def _apply_linear(params: Params, x: Float[Array, " examples"]) -> Float[Array, " examples"]:
    return params["a"] * x + params["b"]


def _square_errors(
    outputs: Float[Array, " examples"], targets: Float[Array, " examples"]
) -> Float[Array, " examples"]:
    return (targets - outputs) ** 2


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
