"""Matrix products, perceptrons and linear algebra."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import torch

from benchmarks.verdict.pair import Pair

HALF = ("float32", "bfloat16", "float16")


def _two_square(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=(size, size)), rng.normal(size=(size, size))


def _layer(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    weight = rng.normal(size=(size, size)) / np.sqrt(size)
    return scale * rng.normal(size=(8, size)), weight, 0.1 * rng.normal(size=size)


def _perceptron(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    layers = [
        {"w": rng.normal(size=(size, size)) / np.sqrt(size), "b": 0.1 * rng.normal(size=size)}
        for _ in range(3)
    ]
    return layers, scale * rng.normal(size=(8, size))


def _positive_definite(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    a = rng.normal(size=(size, size))
    return (scale * (a @ a.T + size * np.eye(size)),)


def _system(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    a = rng.normal(size=(size, size)) + 2 * np.sqrt(size) * np.eye(size)
    return scale * a, rng.normal(size=size)


def _tall(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=(size + 2, size)),)


def _small_square(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=(size, size)) / size,)


def _apply_layer(x: Any, w: Any, b: Any, times_b: float = 1.0) -> Any:
    return x @ w.T + times_b * b


def _apply_layers(
    layers: Any,
    x: Any,
    activation: Callable[[Any], Any] = jnp.tanh,
    last: bool = False,
    detach: int | None = None,
    skip_bias: int | None = None,
    share: bool = False,
) -> Any:
    for i, layer in enumerate(layers):
        w = layers[0]["w"] if share else layer["w"]
        if detach == i:
            x = jax.lax.stop_gradient(x)
        x = x @ w + (0 if skip_bias == i else layer["b"])
        if last or i < len(layers) - 1:
            x = activation(x)
    return {"out": x, "loss": jnp.mean(x**2)}


def _apply_layers_torch(layers: Any, x: Any, activation: Callable[[Any], Any] = torch.tanh) -> Any:
    for i, layer in enumerate(layers):
        x = torch.nn.functional.linear(x, layer["w"].T, layer["b"])
        if i < len(layers) - 1:
            x = activation(x)
    return {"out": x, "loss": torch.mean(x**2)}


_with = functools.partial

PAIRS = (
    Pair(
        name="matrix product",
        jax=lambda a, b: a @ b,
        torch=lambda a, b: a @ b,
        inputs=_two_square,
        sizes=(16, 64),
        scales=(1.0, 1e-8, 1e8),
        dtypes=("float32", "bfloat16", "complex64"),
        defects={
            "swapped operands": lambda a, b: b @ a,
            "a transposed operand": lambda a, b: a @ b.T,
            "elementwise": lambda a, b: a * b,
        },
    ),
    Pair(
        name="linear layer",
        jax=_apply_layer,
        torch=torch.nn.functional.linear,
        inputs=_layer,
        sizes=(16, 50),
        scales=(1.0, 100.0),
        dtypes=HALF,
        defects={
            "the weight not transposed": lambda x, w, b: x @ w + b,
            "no bias": _with(_apply_layer, times_b=0.0),
            "the bias twice": _with(_apply_layer, times_b=2.0),
            "the weight detached": lambda x, w, b: _apply_layer(x, jax.lax.stop_gradient(w), b),
        },
    ),
    Pair(
        name="perceptron of three layers, tanh",
        jax=_apply_layers,
        torch=_apply_layers_torch,
        inputs=_perceptron,
        sizes=(16, 32),
        scales=(1.0, 3.0),
        dtypes=("float32", "bfloat16"),
        defects={
            "an activation after the last layer": _with(_apply_layers, last=True),
            "the second bias left out": _with(_apply_layers, skip_bias=1),
            "a detached branch": _with(_apply_layers, detach=1),
            "one weight for all layers": _with(_apply_layers, share=True),
        },
    ),
    Pair(
        name="perceptron of three layers, relu",
        jax=_with(_apply_layers, activation=jax.nn.relu),
        torch=_with(_apply_layers_torch, activation=torch.relu),
        inputs=_perceptron,
        sizes=(16, 32),
        defects={"gelu for relu": _with(_apply_layers, activation=jax.nn.gelu)},
    ),
    Pair(
        name="perceptron of three layers, gelu",
        jax=_with(_apply_layers, activation=_with(jax.nn.gelu, approximate=False)),
        torch=_with(_apply_layers_torch, activation=torch.nn.functional.gelu),
        inputs=_perceptron,
        sizes=(16, 32),
        defects={"the tanh formula of gelu": _with(_apply_layers, activation=jax.nn.gelu)},
    ),
    Pair(
        name="bilinear form",
        jax=lambda x, w, b: jnp.einsum("ni,ij,nj->n", x, w, x[::-1]) + x @ b,
        torch=lambda x, w, b: torch.einsum("ni,ij,nj->n", x, w, x.flip(0)) + x @ b,
        inputs=_layer,
        sizes=(8, 30),
        defects={
            "two indices swapped": lambda x, w, b: jnp.einsum("ni,ji,nj->n", x, w, x[::-1]) + x @ b
        },
    ),
    Pair(
        name="long dot product",
        jax=lambda a: a[: len(a) // 2] @ a[len(a) // 2 :],
        torch=lambda a: a[: len(a) // 2] @ a[len(a) // 2 :],
        inputs=lambda rng, size, scale: (scale * rng.normal(size=size),),
        sizes=(50_000,),
        defects={"off by one": lambda a: a[: len(a) // 2] @ jnp.roll(a, 1)[len(a) // 2 :]},
    ),
    Pair(
        name="power of a matrix",
        jax=lambda a: a @ a @ a @ a,
        torch=lambda a: torch.linalg.matrix_power(a, 4),
        inputs=_small_square,
        sizes=(8, 24),
        scales=(1.0, 10.0),
        defects={"elementwise": lambda a: a**4, "one too few": lambda a: a @ a @ a},
    ),
    Pair(
        name="solve",
        jax=jnp.linalg.solve,
        torch=torch.linalg.solve,
        inputs=_system,
        sizes=(6, 20),
        scales=(1.0, 1e4),
        defects={"the matrix transposed": lambda a, b: jnp.linalg.solve(a.T, b)},
    ),
    Pair(
        name="inverse",
        jax=jnp.linalg.inv,
        torch=torch.linalg.inv,
        inputs=lambda rng, size, scale: _system(rng, size, scale)[:1],
        sizes=(6, 20),
        defects={"reciprocal elements": lambda a: 1 / a},
    ),
    Pair(
        name="Cholesky factor",
        jax=jnp.linalg.cholesky,
        torch=torch.linalg.cholesky,
        inputs=_positive_definite,
        sizes=(4, 12),
        defects={
            "the upper one": lambda a: jnp.linalg.cholesky(a).T,
            "a jitter on the diagonal": lambda a: jnp.linalg.cholesky(a + 1e-6 * jnp.eye(len(a))),
        },
    ),
    Pair(
        name="log determinant",
        jax=lambda a: jnp.linalg.slogdet(a)[1],
        torch=lambda a: torch.linalg.slogdet(a)[1],
        inputs=_positive_definite,
        sizes=(4, 12),
        scales=(1.0, 1e3),
        defects={"base 2": lambda a: jnp.linalg.slogdet(a)[1] / jnp.log(2.0)},
    ),
    Pair(
        name="eigenvalues of a symmetric matrix",
        jax=jnp.linalg.eigvalsh,
        torch=torch.linalg.eigvalsh,
        inputs=_positive_definite,
        sizes=(4, 12),
        defects={"descending": lambda a: jnp.linalg.eigvalsh(a)[::-1]},
    ),
    Pair(
        name="singular values",
        jax=lambda a: jnp.linalg.svd(a, compute_uv=False),
        torch=torch.linalg.svdvals,
        inputs=_tall,
        sizes=(4, 10),
        defects={"their squares": lambda a: jnp.linalg.svd(a, compute_uv=False) ** 2},
    ),
    Pair(
        name="matrix exponential",
        jax=jax.scipy.linalg.expm,
        torch=torch.linalg.matrix_exp,
        inputs=_small_square,
        sizes=(4, 8),
        defects={"elementwise": jnp.exp},
    ),
)
