"""A small convolutional network."""

from __future__ import annotations

from typing import Any, Final

import jax
from flax import nnx
from jaxtyping import Array, Float

from functional_ad.training._config import Config
from functional_ad.training._models._images import conv_general_dilated, pool
from functional_ad.training._models._layers import (
    build_classifier,
    drop,
    get_dtype,
    make_linear,
    remat,
    tag,
)
from functional_ad.training._models._model import Model

_KERNEL: Final = (3, 3)


def build_cnn(config: Config, *, side: int, classes: int) -> Model:
    """Builds two convolutions, a pooling and two linear layers, for square images in grey."""
    return build_classifier(lambda rngs: CNN(config, side, classes, rngs))


class CNN(nnx.Module):
    """Convolutions of 3 x 3 with a margin of 1, ``nn.MaxPool2d(2)``, and linear layers.

    Its arrays have the channels last, and so has what is flattened: PyTorch's have them first.
    """

    def __init__(self, config: Config, side: int, classes: int, rngs: nnx.Rngs) -> None:
        assert config.hidden is not None
        assert config.channels is not None
        first, second = config.channels, 2 * config.channels
        pooled = (side // 2) ** 2 * second
        he = nnx.initializers.he_normal()
        self.conv1 = _make_convolution(config, 1, first, rngs)
        self.conv2 = _make_convolution(config, first, second, rngs)
        self.linear1 = make_linear(config, pooled, config.hidden, rngs, kernel_init=he)
        self.linear2 = make_linear(config, config.hidden, classes, rngs)
        self.side = side
        self.config = config

    def __call__(self, x: Float[Array, "examples pixels"], key: Any = None) -> Array:
        """The logits of the classes."""
        x = x.reshape(-1, self.side, self.side, 1)
        for name, conv in (("conv1", self.conv1), ("conv2", self.conv2)):
            x = remat(self.config, lambda x, conv=conv: jax.nn.relu(conv(x)))(x)
            x = tag(x, name)
        x = pool(x)
        x = jax.nn.relu(self.linear1(x.reshape(len(x), -1)))
        x = drop(self.config.dropout or 0.0, tag(x, "linear1"), key, 0)
        return self.linear2(x)


def _make_convolution(config: Config, before: int, after: int, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        before,
        after,
        _KERNEL,
        kernel_init=nnx.initializers.he_normal(),
        dtype=get_dtype(config),
        conv_general_dilated=conv_general_dilated,
        rngs=rngs,
    )
