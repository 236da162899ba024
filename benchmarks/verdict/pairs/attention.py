"""Attention and positions."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from benchmarks.verdict.pair import Pair

HEADS, WIDTH = 2, 8
_with = functools.partial


def _heads(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    q, k, v = rng.normal(size=(3, HEADS, size, WIDTH))
    return scale * q, k, v


def _packed(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    width = HEADS * WIDTH
    weight = rng.normal(size=(width, 3 * width)) / np.sqrt(width)
    return scale * rng.normal(size=(size, width)), weight, 0.1 * rng.normal(size=3 * width)


def _attend(
    q: Any,
    k: Any,
    v: Any,
    divisor: float = WIDTH**0.5,
    axis: int = -1,
    diagonal: int | None = None,
    after: bool = False,
    stop: bool = False,
) -> Any:
    logits = jnp.einsum("hqd,hkd->hqk", q, k) / divisor
    mask = jnp.ones(logits.shape[1:], bool)
    mask = mask if diagonal is None else jnp.tril(mask, diagonal)
    weights = jax.nn.softmax(logits if after else jnp.where(mask, logits, -jnp.inf), axis)
    weights = jax.lax.stop_gradient(weights) if stop else weights
    return jnp.where(mask, weights, 0) @ v


def _attend_packed(
    x: Any, w: Any, b: Any, order: str = "qkv", inner: bool = False, merge: bool = True
) -> Any:
    shape = (len(x), WIDTH, HEADS) if inner else (len(x), HEADS, WIDTH)
    parts = dict(zip(order, jnp.split(x @ w + b, 3, -1), strict=True))
    axes = (2, 0, 1) if inner else (1, 0, 2)
    q, k, v = (parts[name].reshape(shape).transpose(axes) for name in "qkv")
    out = _attend(q, k, v)
    return (out.swapaxes(0, 1) if merge else out).reshape(len(x), -1)


def _attend_packed_torch(x: Any, w: Any, b: Any) -> Any:
    q, k, v = (
        part.unflatten(1, (HEADS, WIDTH)).transpose(0, 1) for part in (x @ w + b).chunk(3, 1)
    )
    return functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)


def _rotate(
    q: Any,
    base: float = 1e4,
    sign: float = 1.0,
    start: int = 0,
    pairs: bool = False,
) -> Any:
    half = q.shape[-1] // 2
    positions = start + jnp.arange(q.shape[1], dtype=q.dtype)
    angle = positions[:, None] * base ** (-jnp.arange(half, dtype=q.dtype) / half)
    cos, sin = jnp.cos(angle), sign * jnp.sin(angle)
    if pairs:
        a, b = q[..., ::2], q[..., 1::2]
        return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(q.shape)
    a, b = q[..., :half], q[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def _rotate_torch(q: Any) -> Any:
    half = q.shape[-1] // 2
    frequencies = 1e4 ** (-torch.arange(half, dtype=q.dtype) / half)
    angle = torch.outer(torch.arange(q.shape[1], dtype=q.dtype), frequencies).repeat(1, 2)
    turned = torch.cat([-q[..., half:], q[..., :half]], -1)
    return q * angle.cos() + turned * angle.sin()


def _attend_with_slopes(q: Any, k: Any, v: Any, slopes: tuple[float, ...] = (2**-4, 2**-8)) -> Any:
    places = jnp.arange(q.shape[1])
    distance = jnp.abs(places[:, None] - places[None]).astype(q.dtype)
    bias = -jnp.array(slopes, q.dtype)[:, None, None] * distance
    logits = jnp.einsum("hqd,hkd->hqk", q, k) / WIDTH**0.5 + bias
    return jax.nn.softmax(logits, -1) @ v


def _attend_with_slopes_torch(q: Any, k: Any, v: Any) -> Any:
    places = torch.arange(q.shape[1])
    distance = (places[:, None] - places[None]).abs().to(q.dtype)
    bias = -torch.tensor([2**-4, 2**-8], dtype=q.dtype)[:, None, None] * distance
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def _share_keys(q: Any, k: Any, v: Any) -> Any:
    return _attend(q, k[:1], v[:1])


PAIRS = (
    Pair(
        name="attention",
        jax=_attend,
        torch=functional.scaled_dot_product_attention,
        inputs=_heads,
        sizes=(6, 16),
        scales=(1.0, 10.0),
        dtypes=("float32", "bfloat16"),
        defects={
            "not scaled": _with(_attend, divisor=1.0),
            "scaled by the width": _with(_attend, divisor=float(WIDTH)),
            "softmax over the queries": _with(_attend, axis=-2),
            "detached weights": _with(_attend, stop=True),
            "keys and values swapped": lambda q, k, v: _attend(q, v, k),
        },
    ),
    Pair(
        name="causal attention",
        jax=_with(_attend, diagonal=0),
        torch=_with(functional.scaled_dot_product_attention, is_causal=True),
        inputs=_heads,
        sizes=(6, 16),
        scales=(1.0, 10.0),
        dtypes=("float32", "bfloat16"),
        defects={
            "sees one token ahead": _with(_attend, diagonal=1),
            "sees everything": _attend,
            "masked after the softmax": _with(_attend, diagonal=0, after=True),
        },
    ),
    Pair(
        name="attention of several heads, packed",
        jax=_attend_packed,
        torch=_attend_packed_torch,
        inputs=_packed,
        sizes=(5, 12),
        defects={
            "packed as keys, queries, values": _with(_attend_packed, order="kqv"),
            "heads innermost": _with(_attend_packed, inner=True),
            "heads not merged back": _with(_attend_packed, merge=False),
        },
    ),
    Pair(
        name="rotary positions",
        jax=_rotate,
        torch=_rotate_torch,
        inputs=lambda rng, size, scale: _heads(rng, size, scale)[:1],
        sizes=(6, 40),
        defects={
            "base 5e5": _with(_rotate, base=5e5),
            "turned the other way": _with(_rotate, sign=-1.0),
            "positions from 1": _with(_rotate, start=1),
            "neighbours paired": _with(_rotate, pairs=True),
        },
    ),
    Pair(
        name="attention with linear biases",
        jax=_attend_with_slopes,
        torch=_attend_with_slopes_torch,
        inputs=_heads,
        sizes=(6, 16),
        defects={"slopes of other heads": _with(_attend_with_slopes, slopes=(2**-8, 2**-4))},
    ),
    Pair(
        name="attention with shared keys",
        jax=_share_keys,
        torch=lambda q, k, v: functional.scaled_dot_product_attention(
            q[None], k[None, :1], v[None, :1], enable_gqa=True
        )[0],
        inputs=_heads,
        sizes=(6, 16),
        defects={"not shared": _attend},
    ),
)
