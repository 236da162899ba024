"""The tutorial's linear regression."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from functional_ad.training._models._model import Model, Params


def build_linear() -> Model:
    """Builds y = a·x + b, with the squared error."""
    return Model(init=_init, apply=_apply, losses=_square_errors, correct=None)


def _init(key: Key[Array, ""]) -> Params:
    del key  # the tutorial starts from fixed numbers
    return {"a": jnp.ones((), jnp.float32), "b": jnp.full((), 2.0, jnp.float32)}


def _apply(params: Params, x: Float[Array, " examples"], key: Any) -> Float[Array, " examples"]:
    del key
    return params["a"] * x + params["b"]


def _square_errors(
    outputs: Float[Array, " examples"], targets: Float[Array, " examples"]
) -> Float[Array, " examples"]:
    return (targets - outputs) ** 2
