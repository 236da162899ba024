"""Losses."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from torch.nn import functional

from benchmarks.verdict.pair import Pair

CLASSES = 7
_with = functools.partial


def _classified(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=(size, CLASSES)), rng.integers(0, CLASSES, size)


def _ignored(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    logits, labels = _classified(rng, size, scale)
    labels[::3] = -100
    return logits, labels


def _weighted(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (*_classified(rng, size, scale), rng.uniform(0.2, 2, CLASSES))


def _fitted(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    logits, labels = _classified(rng, size, 1.0)
    return logits + scale * np.eye(CLASSES)[labels], labels


def _binary(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=size), (rng.random(size) > 0.5).astype(float)


def _pairs(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=(size, 3)), scale * rng.normal(size=(size, 3))


def _counts(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=size), rng.poisson(2.0, size).astype(float)


def _gaussian(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return rng.normal(size=size), rng.normal(size=size), scale * rng.uniform(0.1, 2, size)


def _cross_entropy(
    logits: Any, labels: Any, smoothing: float = 0.0, others: bool = False, total: bool = False
) -> Any:
    logs = jax.nn.log_softmax(logits, -1)
    right = jnp.take_along_axis(logs, labels[:, None], 1)[:, 0]
    rest = (logs.sum(-1) - right) / (CLASSES - 1) if others else logs.mean(-1)
    losses = -(1 - smoothing) * right - smoothing * rest
    return losses.sum() if total else losses.mean()


def _cross_entropy_ignoring(logits: Any, labels: Any, all_counted: bool = False) -> Any:
    kept = labels != -100
    logs = jax.nn.log_softmax(logits, -1)
    right = jnp.take_along_axis(logs, jnp.where(kept, labels, 0)[:, None], 1)[:, 0]
    count = kept.size if all_counted else jnp.sum(kept).astype(logits.dtype)
    return -jnp.sum(jnp.where(kept, right, 0)) / count


def _cross_entropy_weighted(logits: Any, labels: Any, weight: Any, plain: bool = False) -> Any:
    logs = jax.nn.log_softmax(logits, -1)
    weights = weight[labels]
    weighed = -weights * jnp.take_along_axis(logs, labels[:, None], 1)[:, 0]
    return jnp.mean(weighed) if plain else jnp.sum(weighed) / jnp.sum(weights)


def _binary_cross_entropy(x: Any, y: Any, clip: float = 0.0) -> Any:
    if clip:
        p = jnp.clip(jax.nn.sigmoid(x), clip, 1 - clip)
        return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log1p(-p))
    return jnp.mean(jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x))))


def _huber(a: Any, b: Any, delta: float = 0.5, divide: bool = False) -> Any:
    gap = jnp.abs(a - b)
    loss = jnp.where(gap < delta, 0.5 * gap**2, delta * (gap - 0.5 * delta))
    return jnp.mean(loss / delta if divide else loss)


def _divergence(p: Any, q: Any, divisor: str = "rows") -> Any:
    log_p, log_q = jax.nn.log_softmax(p, -1), jax.nn.log_softmax(q, -1)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q)) / (len(p) if divisor == "rows" else p.size)


def _divergence_torch(p: Any, q: Any) -> Any:
    log_p, log_q = functional.log_softmax(p, -1), functional.log_softmax(q, -1)
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def _poisson(x: Any, y: Any, is_log: bool = True) -> Any:
    return jnp.mean(jnp.exp(x) - y * x) if is_log else jnp.mean(x - y * jnp.log(jnp.abs(x) + 1e-8))


def _gaussian_nll(mean: Any, target: Any, variance: Any, half: float = 0.5) -> Any:
    return jnp.mean(half * (jnp.log(variance) + (mean - target) ** 2 / variance))


def _triplet(a: Any, b: Any, eps: float = 1e-6, squared: bool = False) -> Any:
    power = 1.0 if squared else 0.5
    near = jnp.sum((a - b + eps) ** 2, -1) ** power
    far = jnp.sum((a - b[::-1] + eps) ** 2, -1) ** power
    return jnp.mean(jnp.maximum(near - far + 1.0, 0))


PAIRS = (
    Pair(
        name="cross-entropy",
        jax=_cross_entropy,
        torch=functional.cross_entropy,
        inputs=_classified,
        sizes=(5, 32),
        scales=(1.0, 10.0, 50.0),
        dtypes=("float32", "bfloat16"),
        defects={
            "sum for mean": _with(_cross_entropy, total=True),
            "softmax first": lambda x, y: _cross_entropy(jax.nn.softmax(x, -1), y),
            "labels from 1": lambda x, y: _cross_entropy(x, (y + 1) % CLASSES),
        },
    ),
    Pair(
        name="cross-entropy, fitted",
        jax=_cross_entropy,
        torch=functional.cross_entropy,
        inputs=_fitted,
        sizes=(16,),
        scales=(5.0, 10.0),
        defects={"a temperature of 1.001": lambda x, y: _cross_entropy(x / 1.001, y)},
    ),
    Pair(
        name="cross-entropy with smoothing",
        jax=_with(_cross_entropy, smoothing=0.1),
        torch=_with(functional.cross_entropy, label_smoothing=0.1),
        inputs=_classified,
        sizes=(5, 32),
        defects={
            "spread over the other classes": _with(_cross_entropy, smoothing=0.1, others=True),
            "not smoothed": _cross_entropy,
        },
    ),
    Pair(
        name="cross-entropy with ignored labels",
        jax=_cross_entropy_ignoring,
        torch=functional.cross_entropy,
        inputs=_ignored,
        sizes=(5, 32),
        defects={"ignored ones counted": _with(_cross_entropy_ignoring, all_counted=True)},
    ),
    Pair(
        name="cross-entropy with weights",
        jax=_cross_entropy_weighted,
        torch=functional.cross_entropy,
        inputs=_weighted,
        sizes=(5, 32),
        orders=("value",),
        defects={"a plain mean": _with(_cross_entropy_weighted, plain=True)},
    ),
    Pair(
        name="binary cross-entropy of logits",
        jax=_binary_cross_entropy,
        torch=functional.binary_cross_entropy_with_logits,
        inputs=_binary,
        sizes=(20, 64),
        scales=(1.0, 10.0),
        dtypes=("float32", "bfloat16"),
        defects={"clipped probabilities": _with(_binary_cross_entropy, clip=0.2)},
    ),
    Pair(
        name="mean squared error",
        jax=lambda a, b: jnp.mean((a - b) ** 2),
        torch=functional.mse_loss,
        inputs=_pairs,
        sizes=(5, 40),
        scales=(1.0, 1e-2, 10.0),
        dtypes=("float32", "bfloat16", "float16"),
        defects={
            "half of it": lambda a, b: 0.5 * jnp.mean((a - b) ** 2),
            "a sum over the features": lambda a, b: jnp.mean(jnp.sum((a - b) ** 2, -1)),
            "the target broadcast": lambda a, b: jnp.mean((a[:, None] - b) ** 2),
        },
    ),
    Pair(
        name="Huber",
        jax=_huber,
        torch=_with(functional.huber_loss, delta=0.5),
        inputs=_pairs,
        sizes=(5, 40),
        defects={"smooth L1": _with(_huber, divide=True), "delta 1": _with(_huber, delta=1.0)},
    ),
    Pair(
        name="Kullback-Leibler divergence",
        jax=_divergence,
        torch=_divergence_torch,
        inputs=_pairs,
        sizes=(5, 40),
        scales=(1.0, 5.0),
        defects={
            "swapped arguments": lambda p, q: _divergence(q, p),
            "a mean over all": _with(_divergence, divisor="all"),
        },
    ),
    Pair(
        name="Poisson",
        jax=_poisson,
        torch=functional.poisson_nll_loss,
        inputs=_counts,
        sizes=(20, 64),
        defects={"not of the logarithm": _with(_poisson, is_log=False)},
    ),
    Pair(
        name="Gaussian",
        jax=_gaussian_nll,
        torch=functional.gaussian_nll_loss,
        inputs=_gaussian,
        sizes=(20, 64),
        scales=(1.0, 0.1),
        defects={"not halved": _with(_gaussian_nll, half=1.0)},
    ),
    Pair(
        name="triplet margin",
        jax=_triplet,
        torch=lambda a, b: functional.triplet_margin_loss(a, b, b.flip(0)),
        inputs=_pairs,
        sizes=(6, 40),
        defects={"no eps": _with(_triplet, eps=0.0), "squared": _with(_triplet, squared=True)},
    ),
)
