"""What the networks share: modules as pure functions, tags, dropout and rematerialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array

from functional_ad.training._config import Config
from functional_ad.training._models._model import Model, Params
from functional_ad.training._models._products import dot_general

_POLICIES: Final[dict[str, Any]] = {
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_saveable,
    "dots_with_no_batch_dims": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}

_Layer = TypeVar("_Layer", bound=Callable[..., Array])


def build_classifier(make: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    """Makes pure functions of a module that gives logits, with the cross entropy as its loss.

    Args:
        make: Makes the module, whose call takes the inputs and a key.
    """
    graph, _ = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

    def init(key: Any) -> Params:
        return cast(Params, nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param)))

    def apply(params: Params, inputs: Array, key: Any) -> Array:
        module: Any = nnx.merge(graph, nnx.State(params))
        logits = module(inputs, key)
        # A softmax over numbers of half precision would lose what tells the likely ones apart.
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    return Model(
        init=init,
        apply=apply,
        losses=optax.losses.softmax_cross_entropy_with_integer_labels,
        correct=lambda logits, labels: jnp.argmax(logits, axis=-1) == labels,
    )


def get_dtype(config: Config) -> Any:
    """The dtype that layers compute in: None, which is that of what they get, for float32."""
    return None if config.compute_dtype == "float32" else jnp.dtype(config.compute_dtype)


def make_linear(
    config: Config, before: int, after: int, rngs: nnx.Rngs, **options: Any
) -> nnx.Linear:
    """A linear layer, with ``kernel_init`` and others of Flax's options."""
    return nnx.Linear(
        before, after, dtype=get_dtype(config), dot_general=dot_general, rngs=rngs, **options
    )


def remat(config: Config, layer: _Layer) -> _Layer:
    """Lets a layer be computed again in the backward pass, as far as the configuration says."""
    if config.remat == "none":
        return layer
    return cast(_Layer, jax.checkpoint(layer, policy=_POLICIES[config.remat]))


def drop(rate: float, x: Array, key: Any, number: int) -> Array:
    """Dropout: leaves values out and scales the others up; nothing without a key.

    Args:
        rate: The share that is left out.
        x: The values.
        key: The key of the update, or None.
        number: The place of the dropout in the model, which makes its own key of it.
    """
    if key is None or rate == 0.0:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1.0 - rate, x.shape)
    return jnp.where(kept, x / (1.0 - rate), 0)


def tag(x: Array, name: str) -> Array:
    """Names a value, so that its gradient can be asked for."""
    return checkpoint_name(x, name)
