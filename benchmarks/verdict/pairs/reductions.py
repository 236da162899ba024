"""Reductions, scans, sorting and indexing."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.verdict.pair import Pair

HALF = ("float32", "bfloat16", "float16")


def _matrix(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=(size, 2 * size)),)


def _vector(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=size),)


def _masked(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    mask = rng.random((size, 2 * size)) < rng.random((size, 1))
    mask[:, 0] = True
    return scale * rng.normal(size=mask.shape), mask


def _table(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=(size, 8)), rng.integers(0, size, 3 * size)


def _near_one(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (1 + 0.1 * scale * rng.normal(size=size),)


def _std(x: Any, ddof: int = 1, eps: float = 0.0, axis: int = -1) -> Any:
    return jnp.sqrt(jnp.var(x, axis, ddof=ddof) + eps)


def _masked_mean(x: Any, mask: Any) -> Any:
    return jnp.sum(jnp.where(mask, x, 0)) / jnp.sum(mask).astype(x.dtype)


def _mean_of_means(x: Any, mask: Any) -> Any:
    counts = jnp.sum(mask, -1).astype(x.dtype)
    return jnp.mean(jnp.sum(jnp.where(mask, x, 0), -1) / counts)


def _count_all(x: Any, mask: Any) -> Any:
    return jnp.mean(jnp.where(mask, x, 0))


def _pool_embeddings(table: Any, index: Any, shift: int = 0, mean: bool = True) -> Any:
    rows = jnp.take(table, (index + shift) % len(table), axis=0).reshape(3, -1, table.shape[1])
    return rows.mean(1) if mean else rows.sum(1)


def _pool_embeddings_torch(table: Any, index: Any) -> Any:
    rows = torch.nn.functional.embedding(index, table)
    return rows.reshape(3, -1, table.shape[1]).mean(1)


def _scatter(table: Any, index: Any, by: str = "add") -> Any:
    rows = jnp.take(table, index[::-1], axis=0)
    return getattr(jnp.zeros_like(table).at[index], by)(rows)


PAIRS = (
    Pair(
        name="sum",
        jax=lambda x: jnp.sum(x, -1),
        torch=lambda x: torch.sum(x, -1),
        inputs=_matrix,
        sizes=(8, 50),
        scales=(1.0, 1e-12, 1e12),
        dtypes=("float32", "bfloat16"),
        defects={
            "mean for sum": lambda x: jnp.mean(x, -1),
            "the first element left out": lambda x: jnp.sum(x[:, 1:], -1),
        },
    ),
    Pair(
        name="mean",
        jax=lambda x: jnp.mean(x, -1),
        torch=lambda x: torch.mean(x, -1),
        inputs=_matrix,
        sizes=(8, 50),
        dtypes=HALF,
        defects={
            "divided by one less": lambda x: jnp.sum(x, -1) / (x.shape[-1] - 1),
            "sum for mean": lambda x: jnp.sum(x, -1),
        },
    ),
    Pair(
        name="mean over the first axis of a square",
        jax=lambda x: jnp.mean(x[:, : len(x)], 0),
        torch=lambda x: torch.mean(x[:, : len(x)], 0),
        inputs=_matrix,
        sizes=(8, 33),
        defects={"the other axis": lambda x: jnp.mean(x[:, : len(x)], 1)},
    ),
    Pair(
        name="standard deviation",
        jax=_std,
        torch=lambda x: torch.std(x, -1),
        inputs=_matrix,
        sizes=(8, 50),
        scales=(1.0, 1e3),
        defects={
            "ddof 0": functools.partial(_std, ddof=0),
            "an epsilon": functools.partial(_std, eps=1e-5),
            "no root": lambda x: jnp.var(x, -1, ddof=1),
        },
    ),
    Pair(
        name="variance",
        jax=lambda x: jnp.var(x, ddof=0),
        torch=lambda x: torch.var(x, correction=0),
        inputs=_vector,
        sizes=(65, 10_000),
        dtypes=("float32", "bfloat16"),
        defects={
            "ddof 1": lambda x: jnp.var(x, ddof=1),
            "not centred": lambda x: jnp.mean(x**2),
        },
    ),
    Pair(
        name="mean over a mask",
        jax=_masked_mean,
        torch=lambda x, mask: x[mask].mean(),
        inputs=_masked,
        sizes=(4, 16),
        defects={"a mean of means": _mean_of_means, "divided by all": _count_all},
    ),
    Pair(
        name="Euclidean norm",
        jax=lambda x: jnp.linalg.norm(x, axis=-1),
        torch=lambda x: torch.linalg.vector_norm(x, dim=-1),
        inputs=_matrix,
        sizes=(8, 50),
        scales=(1.0, 1e6),
        defects={"no root": lambda x: jnp.sum(x**2, -1), "1-norm": lambda x: jnp.abs(x).sum(-1)},
    ),
    Pair(
        name="log of a sum of exponentials",
        jax=lambda x: jax.nn.logsumexp(x, -1),
        torch=lambda x: torch.logsumexp(x, -1),
        inputs=_matrix,
        sizes=(8, 50),
        scales=(1.0, 50.0),
        dtypes=("float32", "bfloat16"),
        defects={"of a mean": lambda x: jax.nn.logsumexp(x, -1) - jnp.log(x.shape[-1])},
    ),
    Pair(
        name="product",
        jax=jnp.prod,
        torch=torch.prod,
        inputs=_near_one,
        sizes=(20, 60),
        defects={"the last one left out": lambda x: jnp.prod(x[:-1])},
    ),
    Pair(
        name="greatest element",
        jax=lambda x: jnp.max(x, -1),
        torch=lambda x: torch.max(x, -1).values,
        inputs=_matrix,
        sizes=(8, 50),
        defects={
            "the least": lambda x: jnp.min(x, -1),
            "of the absolute values": lambda x: jnp.abs(x).max(-1),
        },
    ),
    Pair(
        name="median of an odd count",
        jax=jnp.median,
        torch=torch.median,
        inputs=_vector,
        sizes=(65, 201),
        defects={"the mean": jnp.mean},
    ),
    Pair(
        name="running sum",
        jax=lambda x: jnp.cumsum(x, -1),
        torch=lambda x: torch.cumsum(x, -1),
        inputs=_matrix,
        sizes=(8, 40),
        dtypes=("float32", "bfloat16"),
        defects={
            "from the other end": lambda x: jnp.flip(jnp.cumsum(jnp.flip(x, -1), -1), -1),
            "without the element itself": lambda x: jnp.cumsum(x, -1) - x,
            "along the other axis": lambda x: jnp.cumsum(x, 0),
        },
    ),
    Pair(
        name="running sum of 20,000",
        jax=jnp.cumsum,
        torch=lambda x: torch.cumsum(x, 0),
        inputs=_vector,
        sizes=(20_000,),
        defects={"shifted by one": lambda x: jnp.roll(jnp.cumsum(x), 1)},
    ),
    Pair(
        name="running product",
        jax=jnp.cumprod,
        torch=lambda x: torch.cumprod(x, 0),
        inputs=_near_one,
        sizes=(20, 60),
        defects={"running sum": lambda x: 1 + jnp.cumsum(x - 1)},
    ),
    Pair(
        name="sorted",
        jax=jnp.sort,
        torch=lambda x: torch.sort(x).values,
        inputs=_vector,
        sizes=(65, 200),
        defects={"descending": lambda x: jnp.sort(x)[::-1], "not sorted": lambda x: x},
    ),
    Pair(
        name="five greatest",
        jax=lambda x: jax.lax.top_k(x, 5)[0],
        torch=lambda x: torch.topk(x, 5).values,
        inputs=_vector,
        sizes=(65, 200),
        defects={"five least": lambda x: jnp.sort(x)[:5]},
    ),
    Pair(
        name="order of the elements",
        jax=jnp.argsort,
        torch=torch.argsort,
        inputs=_vector,
        sizes=(65, 200),
        orders=("value",),
        defects={"ranks for order": lambda x: jnp.argsort(jnp.argsort(x))},
    ),
    Pair(
        name="mean of embeddings",
        jax=_pool_embeddings,
        torch=_pool_embeddings_torch,
        inputs=_table,
        sizes=(10, 40),
        dtypes=("float32", "bfloat16"),
        defects={
            "indices from 1": functools.partial(_pool_embeddings, shift=1),
            "sum for mean": functools.partial(_pool_embeddings, mean=False),
        },
    ),
    Pair(
        name="rows added at indices",
        jax=_scatter,
        torch=lambda table, index: torch.zeros_like(table).index_add(
            0, index, table[index.flip(0)]
        ),
        inputs=_table,
        sizes=(10, 40),
        defects={"the last one stays": functools.partial(_scatter, by="set")},
    ),
    Pair(
        name="squared distances",
        jax=lambda x: ((x[:, None] - x[None]) ** 2).sum(-1),
        torch=lambda x: ((x[:, None] - x[None]) ** 2).sum(-1),
        inputs=_matrix,
        sizes=(6, 12),
        scales=(1.0, 1e3),
        defects={"absolute distances": lambda x: jnp.abs(x[:, None] - x[None]).sum(-1)},
    ),
    Pair(
        name="cosine similarity",
        jax=lambda x: _cosine(x[:, ::2], x[:, 1::2]),
        torch=lambda x: torch.cosine_similarity(x[:, ::2], x[:, 1::2]),
        inputs=_matrix,
        sizes=(8, 50),
        scales=(1.0, 1e3),
        defects={
            "eps added to the norms": lambda x: _cosine(x[:, ::2], x[:, 1::2], 1e-6),
            "no norm of the second": lambda x: _dot_over_norm(x[:, ::2], x[:, 1::2]),
        },
    ),
)


def _cosine(a: Any, b: Any, eps: float = 0.0) -> Any:
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return jnp.sum(a * b, -1) / (norms + eps)


def _dot_over_norm(a: Any, b: Any) -> Any:
    return jnp.sum(a * b, -1) / jnp.linalg.norm(a, axis=-1)
