"""Inputs that cannot show a mistake: a comparison on them passes, and ought to say what it missed.

Each pair is correct, and each of its defects changes nothing at all on these inputs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.verdict.pair import Pair


def _zeros(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (np.zeros((size, size)),)


def _zero_bias(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    weight = rng.normal(size=(size, size))
    return rng.normal(size=(4, size)), {"w": weight, "b": np.zeros(size)}


def _zero_weights(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return rng.normal(size=(4, size)), np.zeros((size, size))


def _constant(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (np.full((size, size), rng.normal()),)


def _symmetric(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    a = rng.normal(size=(size, size))
    return (a + a.T,)


def _ones(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return rng.normal(size=(4, size)), np.ones(size)


def _negative(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (1 + rng.random(size),)


PAIRS = (
    Pair(
        name="zeros",
        jax=lambda x: 2 * x,
        torch=lambda x: 2 * x,
        inputs=_zeros,
        orders=("value",),
        blind=True,
        defects={"three for two": lambda x: 3 * x, "transposed": lambda x: 2 * x.T},
    ),
    Pair(
        name="a bias at its zero initialisation",
        jax=lambda x, p: x @ p["w"] + p["b"],
        torch=lambda x, p: x @ p["w"] + p["b"],
        inputs=_zero_bias,
        orders=("value",),
        blind=True,
        defects={
            "no bias": lambda x, p: x @ p["w"] + 0 * p["b"],
            "the bias subtracted": lambda x, p: x @ p["w"] - p["b"],
        },
    ),
    Pair(
        name="weights at zero",
        jax=lambda x, w: jnp.tanh(x @ w),
        torch=lambda x, w: torch.tanh(x @ w),
        inputs=_zero_weights,
        blind=True,
        defects={"sine for tanh": lambda x, w: jnp.sin(x @ w)},
    ),
    Pair(
        name="one number everywhere",
        jax=lambda x: x - jnp.mean(x, -1, keepdims=True),
        torch=lambda x: x - x.mean(-1, keepdim=True),
        inputs=_constant,
        orders=("value",),
        blind=True,
        defects={"the other axis": lambda x: x - jnp.mean(x, 0)},
    ),
    Pair(
        name="a symmetric matrix",
        jax=lambda a: jnp.tanh(a),
        torch=lambda a: torch.tanh(a),
        inputs=_symmetric,
        orders=("value",),
        blind=True,
        defects={"transposed": lambda a: jnp.tanh(a.T)},
    ),
    Pair(
        name="a scale at its initialisation of one",
        jax=lambda x, w: x * w,
        torch=lambda x, w: x * w,
        inputs=_ones,
        orders=("value",),
        blind=True,
        defects={"the scale squared": lambda x, w: x * w**2, "no scale": lambda x, w: x + 0 * w},
    ),
    Pair(
        name="NaN everywhere",
        jax=lambda x: jnp.log(-x),
        torch=lambda x: torch.log(-x),
        inputs=_negative,
        blind=True,
        defects={"three times that": lambda x: 3 * jnp.log(-x)},
    ),
    Pair(
        name="a gradient that is truly zero",
        jax=lambda x: jnp.sum(jax.nn.softmax(x)),
        torch=lambda x: torch.softmax(x, 0).sum(),
        inputs=lambda rng, size, scale: (rng.normal(size=size),),
        orders=("vjp",),
        blind=True,
        defects={"twice that": lambda x: 2 * jnp.sum(jax.nn.softmax(x))},
    ),
)
