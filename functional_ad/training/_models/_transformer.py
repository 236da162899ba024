"""A transformer that predicts the next byte."""

from __future__ import annotations

import math
from typing import Any, Final

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from functional_ad.training._config import Config
from functional_ad.training._models._layers import (
    build_classifier,
    drop,
    get_dtype,
    make_linear,
    remat,
    tag,
)
from functional_ad.training._models._model import Model

_EPSILON: Final = 1e-5  # of PyTorch's nn.LayerNorm
_SPREAD: Final = 0.02  # of the first parameters
_DROPOUTS: Final = 3  # in a block


def build_transformer(config: Config, *, tokens: int) -> Model:
    """Builds a decoder: embeddings, blocks that normalise first, and a linear layer on top."""
    return build_classifier(lambda rngs: Transformer(config, tokens, rngs))


class Transformer(nnx.Module):
    """Blocks of causal attention and a perceptron, as PyTorch's ``nn.TransformerEncoderLayer``.

    That with ``norm_first=True``, ``activation="gelu"`` and a causal mask.
    """

    def __init__(self, config: Config, tokens: int, rngs: nnx.Rngs) -> None:
        assert config.layers is not None
        assert config.width is not None
        assert config.context is not None
        self.token_embedding = Embedding(config, tokens, rngs)
        self.position_embedding = Embedding(config, config.context, rngs)
        self.blocks = nnx.List(Block(config, number, rngs) for number in range(config.layers))
        self.norm = _make_norm(config, rngs)
        self.head = _make_linear(config, config.width, tokens, rngs)
        self.config = config

    def __call__(self, tokens: Int[Array, "examples context"], key: Any = None) -> Array:
        """The logits of the token after each."""
        x = self.token_embedding(tokens) + self.position_embedding(jnp.arange(tokens.shape[1]))
        x = drop(self.config.dropout or 0.0, x, key, 0)
        for number, block in enumerate(self.blocks):
            x = remat(self.config, lambda x, block=block: block(x, key))(x)
            x = tag(x, f"blocks/{number}")
        return self.head(self.norm(x))


class Embedding(nnx.Module):
    """A vector for each of some numbers, as ``nn.Embedding``; in float64, too, if it is given so.

    ``nnx.Embed`` computes in the dtype of its first parameters.
    """

    def __init__(self, config: Config, count: int, rngs: nnx.Rngs) -> None:
        assert config.width is not None
        shape = count, config.width
        self.embedding = nnx.Param(_normal(_SPREAD)(rngs.params(), shape, jnp.float32))
        self.dtype = get_dtype(config)

    def __call__(self, numbers: Int[Array, "... n"]) -> Float[Array, "... n width"]:
        """Looks the vectors up."""
        return jnp.asarray(self.embedding[...], self.dtype)[numbers]


class Block(nnx.Module):
    """Attention, then a perceptron of two layers, each added to what it gets."""

    def __init__(self, config: Config, number: int, rngs: nnx.Rngs) -> None:
        assert config.width is not None
        assert config.hidden is not None
        self.norm1 = _make_norm(config, rngs)
        self.attention = Attention(config, rngs)
        self.norm2 = _make_norm(config, rngs)
        self.linear1 = _make_linear(config, config.width, config.hidden, rngs)
        self.linear2 = _make_linear(config, config.hidden, config.width, rngs, last=True)
        self.rate = config.dropout or 0.0
        self.number = number

    def __call__(self, x: Float[Array, "examples context width"], key: Any) -> Array:
        """The block's outputs."""
        first = 1 + self.number * _DROPOUTS
        x = x + drop(self.rate, self.attention(self.norm1(x), key, first), key, first + 1)
        hidden = _compute_gelu(self.linear1(self.norm2(x)))
        return x + drop(self.rate, self.linear2(hidden), key, first + 2)


class Attention(nnx.Module):
    """Attention of each token to itself and to those before it."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        assert config.width is not None
        assert config.heads is not None
        # Queries, keys and values in one product, in that order, as in `nn.MultiheadAttention`.
        self.in_proj = _make_linear(config, config.width, 3 * config.width, rngs)
        self.out_proj = _make_linear(config, config.width, config.width, rngs, last=True)
        self.heads = config.heads
        self.rate = config.dropout or 0.0

    def __call__(self, x: Float[Array, "examples context width"], key: Any, number: int) -> Array:
        """What each token gets from those that it attends to."""
        examples, context, width = x.shape
        # Heads first, and plain products: what XLA makes of an `einsum` takes twice as long.
        query, keys, values = (
            part.reshape(examples, context, self.heads, -1).swapaxes(1, 2)
            for part in jnp.split(self.in_proj(x), 3, axis=-1)
        )
        scores = query @ keys.swapaxes(2, 3) / math.sqrt(width // self.heads)
        visible = jnp.tril(jnp.ones((context, context), jnp.bool_))
        # Exponentials are summed in float32 at least.
        scores = jnp.where(visible, scores, -jnp.inf).astype(jnp.promote_types(x.dtype, "float32"))
        weights = drop(self.rate, jax.nn.softmax(scores), key, number).astype(values.dtype)
        mixed = weights @ values
        return self.out_proj(mixed.swapaxes(1, 2).reshape(examples, context, width))


def _compute_gelu(x: Array) -> Array:
    """The GELU by the error function, as PyTorch's: of half precision, computed in float32.

    That of ``jax.nn.gelu`` goes by its complement, which is more exact far below 0 and takes twice
    as long.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (wide * (0.5 * (1 + lax.erf(wide * math.sqrt(0.5))))).astype(x.dtype)


def _make_norm(config: Config, rngs: nnx.Rngs) -> nnx.LayerNorm:
    assert config.width is not None
    return nnx.LayerNorm(
        config.width,
        epsilon=_EPSILON,
        use_fast_variance=False,  # the difference of two large numbers, in float32
        dtype=get_dtype(config),
        rngs=rngs,
    )


def _make_linear(
    config: Config, before: int, after: int, rngs: nnx.Rngs, *, last: bool = False
) -> nnx.Linear:
    """A linear layer; the last one before a sum starts small, by the number of sums."""
    assert config.layers is not None
    spread = _SPREAD / math.sqrt(2 * config.layers) if last else _SPREAD
    return make_linear(config, before, after, rngs, kernel_init=_normal(spread))


def _normal(spread: float) -> Any:
    return nnx.initializers.normal(spread)
