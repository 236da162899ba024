"""Functions that work element by element."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.scipy import special
from torch.nn import functional

from benchmarks.verdict.pair import Pair

Function = Callable[..., Any]
HALF = ("float32", "bfloat16", "float16")


def _normal(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=size),)


def _positive(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.uniform(0.01, 1, size),)


def _inside(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (rng.uniform(-0.97, 0.97, size),)


def _two(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=size), scale * rng.normal(size=size)


def _gelu_quick(x: Any) -> Any:
    return x * jax.nn.sigmoid(1.702 * x)


def _tanh_rational(x: Any) -> Any:
    return x * (27 + x * x) / (27 + 9 * x * x)


def _mish_of_exp(x: Any) -> Any:
    return x * jnp.tanh(jnp.log1p(jnp.exp(x)) + 1e-6)


# name: JAX side, PyTorch side, inputs, scales, dtypes, defects
_TABLE: dict[str, tuple[Function, Function, Function, tuple[float, ...], Any, Mapping]] = {
    "exp": (jnp.exp, torch.exp, _normal, (1, 5), HALF, {"exp2 for exp": jnp.exp2}),
    "expm1": (
        jnp.expm1,
        torch.expm1,
        _normal,
        (1, 1e-2),
        ("float32",),
        {"exp for expm1": jnp.exp},
    ),
    "log": (jnp.log, torch.log, _positive, (1, 1e4), HALF, {"log2 for log": jnp.log2}),
    "log1p": (
        jnp.log1p,
        torch.log1p,
        _positive,
        (1, 1e-4),
        ("float32",),
        {"log for log1p": jnp.log, "an epsilon inside": lambda x: jnp.log1p(x + 1e-8)},
    ),
    "sqrt": (
        jnp.sqrt,
        torch.sqrt,
        _positive,
        (1, 1e4),
        HALF,
        {"an epsilon inside": lambda x: jnp.sqrt(x + 1e-6)},
    ),
    "rsqrt": (jax.lax.rsqrt, torch.rsqrt, _positive, (1, 1e4), HALF, {"no root": lambda x: 1 / x}),
    "power 1.7": (
        lambda x: x**1.7,
        lambda x: x**1.7,
        _positive,
        (1, 50),
        ("float32",),
        {"1.75 for 1.7": lambda x: x**1.75},
    ),
    "cube": (lambda x: x**3, lambda x: x**3, _normal, (1, 1e5), ("float32", "bfloat16"), {}),
    "reciprocal": (
        lambda x: 1 / x,
        torch.reciprocal,
        _positive,
        (1, 1e3),
        HALF,
        {"an epsilon in the denominator": lambda x: 1 / (x + 1e-5)},
    ),
    "tanh": (
        jnp.tanh,
        torch.tanh,
        _normal,
        (1, 3),
        HALF,
        {"a rational approximation": _tanh_rational},
    ),
    "sigmoid": (
        jax.nn.sigmoid,
        torch.sigmoid,
        _normal,
        (1, 5),
        HALF,
        {"hard sigmoid": jax.nn.hard_sigmoid},
    ),
    "sin": (jnp.sin, torch.sin, _normal, (1, 100), HALF, {"degrees": lambda x: jnp.sin(x / 57.3)}),
    "cos": (jnp.cos, torch.cos, _normal, (1, 100), ("float32",), {}),
    "atan": (jnp.arctan, torch.atan, _normal, (1, 30), ("float32",), {}),
    "asinh": (jnp.arcsinh, torch.asinh, _normal, (1, 30), ("float32",), {}),
    "asin": (jnp.arcsin, torch.asin, _inside, (1,), ("float32",), {"acos for asin": jnp.arccos}),
    "atanh": (jnp.arctanh, torch.atanh, _inside, (1,), ("float32",), {}),
    "erf": (special.erf, torch.erf, _normal, (1, 2), HALF, {"tanh for erf": jnp.tanh}),
    "erfinv": (special.erfinv, torch.erfinv, _inside, (1,), ("float32",), {}),
    "lgamma": (
        special.gammaln,
        torch.lgamma,
        _positive,
        (10, 100),
        ("float32",),
        {"log of n factorial": lambda x: special.gammaln(x + 1)},
    ),
    "gelu": (
        functools.partial(jax.nn.gelu, approximate=False),
        functional.gelu,
        _normal,
        (1, 2),
        HALF,
        {"the tanh formula": jax.nn.gelu, "the sigmoid formula": _gelu_quick},
    ),
    "gelu by tanh": (
        jax.nn.gelu,
        functools.partial(functional.gelu, approximate="tanh"),
        _normal,
        (1, 2),
        ("float32", "bfloat16"),
        {"exact for tanh": functools.partial(jax.nn.gelu, approximate=False)},
    ),
    "silu": (
        jax.nn.silu,
        functional.silu,
        _normal,
        (1, 5),
        HALF,
        {"beta 1.1": lambda x: x * jax.nn.sigmoid(1.1 * x)},
    ),
    "softplus": (
        jax.nn.softplus,
        functional.softplus,
        _normal,
        (1, 3),
        ("float32", "bfloat16"),
        {"beta 2": lambda x: jax.nn.softplus(2 * x) / 2},
    ),
    "elu": (
        jax.nn.elu,
        functional.elu,
        _normal,
        (1, 2),
        ("float32",),
        {"alpha 1.1": lambda x: jax.nn.elu(x, 1.1)},
    ),
    "selu": (
        jax.nn.selu,
        functional.selu,
        _normal,
        (1,),
        ("float32",),
        {"elu for selu": jax.nn.elu},
    ),
    "mish": (
        jax.nn.mish,
        functional.mish,
        _normal,
        (1, 3),
        ("float32",),
        {"an epsilon after softplus": _mish_of_exp},
    ),
    "leaky relu": (
        lambda x: jax.nn.leaky_relu(x, 0.2),
        lambda x: functional.leaky_relu(x, 0.2),
        _normal,
        (1, 1e3),
        ("float32", "bfloat16"),
        {"the default slope": jax.nn.leaky_relu},
    ),
    "log sigmoid": (
        jax.nn.log_sigmoid,
        functional.logsigmoid,
        _normal,
        (1, 10),
        ("float32",),
        {"log softplus": lambda x: -jax.nn.softplus(x)},
    ),
    "hypotenuse": (jnp.hypot, torch.hypot, _two, (1, 1e3), ("float32",), {}),
    "angle of two": (
        jnp.arctan2,
        torch.atan2,
        _two,
        (1,),
        ("float32",),
        {"swapped arguments": lambda y, x: jnp.arctan2(x, y)},
    ),
    "log of added exponentials": (
        jnp.logaddexp,
        torch.logaddexp,
        _two,
        (1, 10),
        ("float32",),
        {"the greater one": jnp.maximum},
    ),
}

PAIRS = tuple(
    Pair(
        name=name,
        jax=ours,
        torch=theirs,
        inputs=inputs,
        sizes=(65, 200),
        scales=scales,
        dtypes=dtypes,
        defects=defects,
    )
    for name, (ours, theirs, inputs, scales, dtypes, defects) in _TABLE.items()
)
