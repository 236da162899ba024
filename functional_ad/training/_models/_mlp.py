"""A perceptron."""

from __future__ import annotations

import itertools
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from functional_ad.training._config import Config
from functional_ad.training._models._layers import build_classifier, drop, make_linear, remat, tag
from functional_ad.training._models._model import Model


def build_mlp(config: Config, *, inputs: int, classes: int) -> Model:
    """Builds a perceptron: ``nn.Linear`` and ``nn.ReLU``, as often as there are hidden layers."""
    return build_classifier(lambda rngs: MLP(config, inputs, classes, rngs))


class MLP(nnx.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, config: Config, inputs: int, classes: int, rngs: nnx.Rngs) -> None:
        assert config.hidden is not None
        assert config.layers is not None
        widths = [inputs, *[config.hidden] * config.layers]
        he = nnx.initializers.he_normal()
        self.layers = nnx.List(
            make_linear(config, before, after, rngs, kernel_init=he)
            for before, after in itertools.pairwise(widths)
        )
        self.head = make_linear(config, config.hidden, classes, rngs)
        self.config = config

    def __call__(self, x: Float[Array, "examples inputs"], key: Any = None) -> Array:
        """The logits of the classes."""
        for number, linear in enumerate(self.layers):
            layer = remat(self.config, lambda x, linear=linear: jax.nn.relu(linear(x)))
            x = drop(self.config.dropout or 0.0, layer(x), key, number)
            x = tag(x, f"layers/{number}")
        return self.head(x)
