"""A small convolutional network."""

from __future__ import annotations

from typing import Any, Final

import jax
from flax import nnx
from jaxtyping import Array, Float

from functional_ad.training._config import Config
from functional_ad.training._models._layers import build_classifier, drop, get_dtype, remat, tag
from functional_ad.training._models._model import Model

_KERNEL: Final = (3, 3)
_WINDOW: Final = (2, 2)


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
        he, dtype = nnx.initializers.he_normal(), get_dtype(config)
        self.conv1 = nnx.Conv(1, first, _KERNEL, kernel_init=he, dtype=dtype, rngs=rngs)
        self.conv2 = nnx.Conv(first, second, _KERNEL, kernel_init=he, dtype=dtype, rngs=rngs)
        self.linear1 = nnx.Linear(pooled, config.hidden, kernel_init=he, dtype=dtype, rngs=rngs)
        self.linear2 = nnx.Linear(config.hidden, classes, dtype=dtype, rngs=rngs)
        self.side = side
        self.config = config

    def __call__(self, x: Float[Array, "examples pixels"], key: Any = None) -> Array:
        """The logits of the classes."""
        x = x.reshape(-1, self.side, self.side, 1)
        for name, conv in (("conv1", self.conv1), ("conv2", self.conv2)):
            x = remat(self.config, lambda x, conv=conv: jax.nn.relu(conv(x)))(x)
            x = tag(x, name)
        x = nnx.max_pool(x, _WINDOW, strides=_WINDOW)
        x = jax.nn.relu(self.linear1(x.reshape(len(x), -1)))
        x = drop(self.config.dropout or 0.0, tag(x, "linear1"), key, 0)
        return self.linear2(x)
