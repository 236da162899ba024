"""Correct pairs that fool a tolerance: cancellation, saturation, gradients that are truly zero."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from benchmarks.verdict.pair import Pair
from benchmarks.verdict.pairs.layers import normalize

_with = functools.partial


def _vector(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=size),)


def _rows(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=(8, size)),)


def _far(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (rng.normal(size=size) + scale,)


def _positive(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.random(size),)


def _equal_copies(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    x = scale * rng.normal(size=size)
    return x, x.copy()


def _mixed_scales(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return rng.normal(size=size), 10.0 ** rng.uniform(-scale, scale, size)


def _hilbert(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    i = np.arange(size)
    return (scale * (1 + 1e-3 * rng.normal(size=(size, size))) / (i[:, None] + i + 1),)


def _overflowing(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (np.concatenate([rng.normal(size=size), scale + rng.uniform(0, 5, 3)]),)


def _with_negatives(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * np.concatenate([rng.uniform(0.1, 1, size), -rng.uniform(0.1, 1, 3)]),)


def _keys_bias(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    weight = rng.normal(size=(8, 24)) / np.sqrt(8)
    return scale * rng.normal(size=(size, 8)), weight, 0.1 * rng.normal(size=24)


def _attend(x: Any, w: Any, b: Any, scale: float = 8**-0.5) -> Any:
    q, k, v = jnp.split(x @ w + b, 3, -1)
    return jax.nn.softmax(scale * q @ k.T, -1) @ v


def _attend_torch(x: Any, w: Any, b: Any) -> Any:
    q, k, v = (x @ w + b).chunk(3, -1)
    return functional.scaled_dot_product_attention(q, k, v)


def _recur(x: Any, gain: float = 1.5) -> Any:
    return jax.lax.fori_loop(0, 30, lambda _, h: jnp.sin(gain * jnp.roll(h, 1) + 0.3 * h), x)


def _recur_torch(x: Any) -> Any:
    for _ in range(30):
        x = torch.sin(1.5 * x.roll(1) + 0.3 * x)
    return x


def _norm_in_float32(x: Any, eps: float = 1e-5) -> Any:
    return normalize(x.astype(jnp.float32), -1, eps).astype(x.dtype)


def _norm_in_float32_torch(x: Any) -> Any:
    return functional.layer_norm(x.float(), x.shape[-1:]).to(x.dtype)


PAIRS = (
    Pair(
        name="softmax, saturated",
        jax=lambda x: jax.nn.softmax(x, -1),
        torch=lambda x: torch.softmax(x, -1),
        inputs=_rows,
        sizes=(32,),
        scales=(20.0, 60.0, 300.0),
        dtypes=("float32", "bfloat16"),
        defects={"a temperature of 1.01": lambda x: jax.nn.softmax(x / 1.01, -1)},
    ),
    Pair(
        name="tanh, saturated",
        jax=jnp.tanh,
        torch=torch.tanh,
        inputs=_vector,
        sizes=(200,),
        scales=(10.0, 30.0),
        defects={"a clipped tanh": lambda x: jnp.clip(x, -1, 1)},
    ),
    Pair(
        name="one minus tanh squared",
        jax=lambda x: 1 - jnp.tanh(x) ** 2,
        torch=lambda x: 1 - torch.tanh(x) ** 2,
        inputs=_vector,
        sizes=(200,),
        scales=(5.0, 10.0),
        defects={"not squared": lambda x: 1 - jnp.abs(jnp.tanh(x))},
    ),
    Pair(
        name="gelu's tail",
        jax=lambda x: jax.nn.gelu(x, approximate=False),
        torch=functional.gelu,
        inputs=_vector,
        sizes=(200,),
        scales=(5.0, 10.0),
        defects={"the tanh formula": jax.nn.gelu},
    ),
    Pair(
        name="a large number added and taken away",
        jax=lambda x: (x + 1e4) - 1e4,
        torch=lambda x: (x + 1e4) - 1e4,
        inputs=_vector,
        sizes=(65, 200),
        defects={"another one taken away": lambda x: (x + 1e4) - 9999.0},
    ),
    Pair(
        name="one minus cosine of small angles",
        jax=lambda x: 1 - jnp.cos(x),
        torch=lambda x: 1 - torch.cos(x),
        inputs=_vector,
        sizes=(65,),
        scales=(1e-2, 1e-3),
        defects={"one minus its square": lambda x: 1 - jnp.cos(x) ** 2},
    ),
    Pair(
        name="variance by the square of the mean",
        jax=lambda x: jnp.mean(x**2) - jnp.mean(x) ** 2,
        torch=lambda x: torch.mean(x**2) - torch.mean(x) ** 2,
        inputs=_far,
        sizes=(300,),
        scales=(10.0, 1000.0),
        defects={
            "a correction of n / (n - 1)": lambda x: 300 / 299 * (jnp.mean(x**2) - jnp.mean(x) ** 2)
        },
    ),
    Pair(
        name="variance far from zero",
        jax=jnp.var,
        torch=lambda x: torch.var(x, correction=0),
        inputs=_far,
        sizes=(20_000,),
        scales=(100.0, 1e4),
        defects={"standard deviation": jnp.std},
    ),
    Pair(
        name="a gradient that is zero: sum of a softmax",
        jax=lambda x: jnp.sum(jax.nn.softmax(x, -1)),
        torch=lambda x: torch.softmax(x, -1).sum(),
        inputs=_rows,
        sizes=(8, 64),
        scales=(1.0, 5.0),
        defects={"a mean for the sum": lambda x: jnp.mean(jax.nn.softmax(x, -1))},
    ),
    Pair(
        name="a gradient that is zero: mean square of a layer norm",
        jax=lambda x: jnp.mean(normalize(x, -1) ** 2),
        torch=lambda x: torch.mean(functional.layer_norm(x, x.shape[-1:]) ** 2),
        inputs=_rows,
        sizes=(32, 64),
        defects={"half of it": lambda x: 0.5 * jnp.mean(normalize(x, -1) ** 2)},
    ),
    Pair(
        name="a gradient that is zero: the bias of keys",
        jax=_attend,
        torch=_attend_torch,
        inputs=_keys_bias,
        sizes=(6, 16),
        defects={"not scaled": _with(_attend, scale=1.0)},
    ),
    Pair(
        name="equal inputs subtracted",
        jax=lambda x, y: jnp.sum((jnp.sin(x) - jnp.sin(y)) ** 2),
        torch=lambda x, y: ((x.sin() - y.sin()) ** 2).sum(),
        inputs=_equal_copies,
        sizes=(20,),
        blind=True,
        defects={"half of it": lambda x, y: 0.5 * jnp.sum((jnp.sin(x) - jnp.sin(y)) ** 2)},
    ),
    Pair(
        name="sum of a million",
        jax=jnp.sum,
        torch=torch.sum,
        inputs=_positive,
        sizes=(1_000_000,),
        defects={"one left out": lambda x: jnp.sum(x[1:])},
    ),
    Pair(
        name="mean of 30,000 in low precision",
        jax=jnp.mean,
        torch=torch.mean,
        inputs=_positive,
        sizes=(30_000,),
        dtypes=("bfloat16", "float16"),
        defects={"divided by one less": lambda x: jnp.sum(x / (len(x) - 1))},
    ),
    Pair(
        name="elements of many scales",
        jax=lambda x, y: jnp.tanh(x) * y,
        torch=lambda x, y: torch.tanh(x) * y,
        inputs=_mixed_scales,
        sizes=(65, 200),
        scales=(10.0, 30.0),
        defects={"one element of them": lambda x, y: (jnp.tanh(x) * y).at[3].multiply(1.001)},
    ),
    Pair(
        name="an ill-conditioned inverse",
        jax=jnp.linalg.inv,
        torch=torch.linalg.inv,
        inputs=_hilbert,
        sizes=(4, 5),
        defects={"of the transpose": lambda a: jnp.linalg.inv(a.T)},
    ),
    Pair(
        name="an amplifying recurrence",
        jax=_recur,
        torch=_recur_torch,
        jitted=True,
        inputs=_vector,
        sizes=(12,),
        defects={"a gain of 1.500001": _with(_recur, gain=1.500001)},
    ),
    Pair(
        name="denormal results",
        jax=lambda x: x * 1e-25 * 1e-14,
        torch=lambda x: x * 1e-25 * 1e-14,
        inputs=_vector,
        sizes=(65,),
        defects={"twice that": lambda x: x * 1e-25 * 2e-14},
    ),
    Pair(
        name="tiny and huge",
        jax=lambda x: x**2 * 1e-3,
        torch=lambda x: x**2 * 1e-3,
        inputs=_vector,
        sizes=(65,),
        scales=(1e-12, 1e-6, 1e12),
        defects={"1 % more": lambda x: x**2 * 1.01e-3},
    ),
    Pair(
        name="overflow on both sides",
        jax=jnp.exp,
        torch=torch.exp,
        inputs=_overflowing,
        sizes=(20, 65),
        scales=(90.0, 150.0),
        defects={"a hundredth more": lambda x: jnp.exp(x) * 1.01},
    ),
    Pair(
        name="NaN on both sides",
        jax=jnp.log,
        torch=torch.log,
        inputs=_with_negatives,
        sizes=(20, 65),
        defects={"the absolute value": lambda x: jnp.log(jnp.abs(x)), "log2": jnp.log2},
    ),
    Pair(
        name="float32 on both sides",
        jax=_norm_in_float32,
        torch=_norm_in_float32_torch,
        inputs=_rows,
        sizes=(32, 64),
        dtypes=("float32", "bfloat16"),
        defects={
            "eps 1e-3": _with(_norm_in_float32, eps=1e-3),
            "twice that": lambda x: 2 * _norm_in_float32(x),
        },
    ),
    Pair(
        name="another order of a sum",
        jax=lambda x: jnp.sum(x[::-1].reshape(10, -1), 1).sum(),
        torch=torch.sum,
        inputs=_vector,
        sizes=(1000,),
        dtypes=("float32", "bfloat16"),
        defects={"the last tenth left out": lambda x: jnp.sum(x[:900])},
    ),
    Pair(
        name="distances by the product formula",
        jax=lambda x: (x**2).sum(1)[:, None] + (x**2).sum(1)[None] - 2 * x @ x.T,
        torch=lambda x: ((x[:, None] - x[None]) ** 2).sum(-1),
        inputs=_rows,
        sizes=(5,),
        scales=(1.0, 100.0),
        defects={"the product once": lambda x: (x**2).sum(1)[:, None] + (x**2).sum(1) - x @ x.T},
    ),
)
