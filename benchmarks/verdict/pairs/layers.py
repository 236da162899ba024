"""Layers of networks: norms, convolutions, pooling, resizing, dropout."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from benchmarks.verdict.pair import Pair

LAYOUT = ("NCHW", "OIHW", "NCHW")
_with = functools.partial


def _rows(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (
        scale * rng.normal(size=(6, size)),
        1 + 0.1 * rng.normal(size=size),
        rng.normal(size=size),
    )


def _far_rows(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    x, w, b = _rows(rng, size, 1.0)
    return x + scale, w, b


def _images(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    weight = rng.normal(size=(4, 3, 3, 3)) / 5
    return scale * rng.normal(size=(2, 3, size, size)), weight, rng.normal(size=4)


def _image(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=(2, 3, size, size)),)


def _channels(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    x = scale * rng.normal(size=(4, 4, size, size)) + rng.normal(size=(1, 4, 1, 1))
    return x, 1 + 0.1 * rng.normal(size=4), rng.normal(size=4)


def _statistics(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (*_channels(rng, size, scale), rng.normal(size=4), rng.uniform(0.5, 2, 4))


def _dropped(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=size), rng.random(size) > 0.2


def _residual(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (
        *_rows(rng, size, scale),
        rng.normal(size=(size, 2 * size)) / np.sqrt(size),
        rng.normal(size=(2 * size, size)) / np.sqrt(2 * size),
    )


def normalize(
    x: Any, axis: Any, eps: float = 1e-5, ddof: int = 0, outside: bool = False, root: bool = True
) -> Any:
    """Centred and divided by the standard deviation, with the mistakes that are made there."""
    centred = x - jnp.mean(x, axis, keepdims=True)
    variance = jnp.var(x, axis, ddof=ddof, keepdims=True)
    if not root:
        return centred / (variance + eps)
    return centred / (jnp.sqrt(variance) + eps if outside else jnp.sqrt(variance + eps))


def _layer_norm(x: Any, w: Any, b: Any, axis: int = -1, shift: float = 1.0, **more: Any) -> Any:
    return normalize(x, axis, **more) * w + shift * b


def _layer_norm_torch(x: Any, w: Any, b: Any) -> Any:
    return functional.layer_norm(x, w.shape, w, b)


def _rms_norm(x: Any, w: Any, eps: float = 1e-6, centre: bool = False) -> Any:
    x = x - jnp.mean(x, -1, keepdims=True) if centre else x
    return x * jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + eps) * w


def _batch_norm(x: Any, w: Any, b: Any, axis: Any = (0, 2, 3), **more: Any) -> Any:
    return normalize(x, axis, **more) * w[:, None, None] + b[:, None, None]


def _batch_norm_frozen(x: Any, w: Any, b: Any, mean: Any, var: Any, root: bool = True) -> Any:
    mean, var = mean[:, None, None], var[:, None, None] + 1e-5
    return (x - mean) / (jnp.sqrt(var) if root else var) * w[:, None, None] + b[:, None, None]


def _group_norm(x: Any, w: Any, b: Any, strided: bool = False) -> Any:
    n, c, height, width = x.shape
    if strided:
        groups = x.reshape(n, c // 2, 2, height, width).swapaxes(1, 2).reshape(n, 2, -1)
    else:
        groups = x.reshape(n, 2, -1)
    return normalize(groups, -1).reshape(x.shape) * w[:, None, None] + b[:, None, None]


def _convolve(
    x: Any, w: Any, b: Any, stride: int = 1, padding: Any = 1, dilation: int = 1, flip: bool = False
) -> Any:
    pads = padding if isinstance(padding, str) else [(padding, padding)] * 2
    out = jax.lax.conv_general_dilated(
        x,
        w[:, :, ::-1, ::-1] if flip else w,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=LAYOUT,
    )
    return out + b[:, None, None]


def _convolve_transposed(x: Any, w: Any, flip: bool = True) -> Any:
    # PyTorch's weight is laid out (in, out, h, w): here the four channels go in.
    x = jnp.concatenate([x, x[:, :1]], 1)
    kernel = w.swapaxes(0, 1)[:, :, ::-1, ::-1] if flip else w.swapaxes(0, 1)
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2), dimension_numbers=LAYOUT
    )


def _convolve_transposed_torch(x: Any, w: Any) -> Any:
    return functional.conv_transpose2d(torch.cat([x, x[:, :1]], 1), w, stride=2)


def _pool_mean(x: Any, count_padding: bool = True) -> Any:
    window = ((1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, *window)
    ones = jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, *window)
    return total / (9 if count_padding else ones)


def _pool_max(x: Any, padding: str = "VALID") -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), padding)


def _resize(x: Any, method: str = "bilinear") -> Any:
    return jax.image.resize(x, (*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]), method)


def _feed_forward(
    x: Any, w: Any, b: Any, up: Any, down: Any, late_norm: bool = False, skip: bool = True
) -> Any:
    h = x if late_norm else _layer_norm(x, w, b)
    h = jax.nn.gelu(h @ up, approximate=False) @ down
    h = _layer_norm(h, w, b) if late_norm else h
    return x + h if skip else h


def _feed_forward_torch(x: Any, w: Any, b: Any, up: Any, down: Any) -> Any:
    return x + functional.gelu(_layer_norm_torch(x, w, b) @ up) @ down


PAIRS = (
    Pair(
        name="layer norm",
        jax=_layer_norm,
        torch=_layer_norm_torch,
        inputs=_rows,
        sizes=(6, 32),
        scales=(1.0, 1e-2, 1e3),
        dtypes=("float32", "bfloat16"),
        defects={
            "eps 1e-6": _with(_layer_norm, eps=1e-6),
            "ddof 1": _with(_layer_norm, ddof=1),
            "eps outside the root": _with(_layer_norm, outside=True),
            "no root": _with(_layer_norm, root=False),
            "no bias": _with(_layer_norm, shift=0.0),
            "the other axis": _with(_layer_norm, axis=0),
        },
    ),
    Pair(
        name="layer norm far from zero",
        jax=_layer_norm,
        torch=_layer_norm_torch,
        inputs=_far_rows,
        sizes=(32,),
        scales=(10.0, 100.0),
        defects={"not centred": lambda x, w, b: x / jnp.std(x, -1, keepdims=True) * w + b},
    ),
    Pair(
        name="root-mean-square norm",
        jax=_rms_norm,
        torch=lambda x, w: functional.rms_norm(x, w.shape, w, eps=1e-6),
        inputs=lambda rng, size, scale: _rows(rng, size, scale)[:2],
        sizes=(6, 32),
        scales=(1.0, 1e3),
        dtypes=("float32", "bfloat16"),
        defects={"eps 1e-5": _with(_rms_norm, eps=1e-5), "centred": _with(_rms_norm, centre=True)},
    ),
    Pair(
        name="batch norm in training",
        jax=_batch_norm,
        torch=lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        inputs=_channels,
        sizes=(4, 6),
        scales=(1.0, 0.1),
        defects={
            "eps 1e-3": _with(_batch_norm, eps=1e-3),
            "ddof 1": _with(_batch_norm, ddof=1),
            "over the batch alone": _with(_batch_norm, axis=0),
        },
    ),
    Pair(
        name="batch norm in evaluation",
        jax=_batch_norm_frozen,
        torch=lambda x, w, b, m, v: functional.batch_norm(x, m, v, w, b),
        inputs=_statistics,
        sizes=(4, 6),
        orders=("value",),
        defects={"no root": _with(_batch_norm_frozen, root=False)},
    ),
    Pair(
        name="group norm",
        jax=_group_norm,
        torch=lambda x, w, b: functional.group_norm(x, 2, w, b),
        inputs=_channels,
        sizes=(3, 6),
        defects={"channels dealt in turn": _with(_group_norm, strided=True)},
    ),
    Pair(
        name="convolution",
        jax=_convolve,
        torch=_with(functional.conv2d, padding=1),
        inputs=_images,
        sizes=(6, 9),
        dtypes=("float32", "bfloat16"),
        defects={
            "the kernel flipped": _with(_convolve, flip=True),
            "the kernel transposed": lambda x, w, b: _convolve(x, w.swapaxes(2, 3), b),
            "no bias": lambda x, w, b: _convolve(x, w, 0 * b),
        },
    ),
    Pair(
        name="convolution with stride 2",
        jax=_with(_convolve, stride=2),
        torch=_with(functional.conv2d, padding=1, stride=2),
        inputs=_images,
        sizes=(6, 8),
        defects={"SAME for padding 1": _with(_convolve, stride=2, padding="SAME")},
    ),
    Pair(
        name="dilated convolution",
        jax=_with(_convolve, padding=2, dilation=2),
        torch=_with(functional.conv2d, padding=2, dilation=2),
        inputs=_images,
        sizes=(6, 9),
        defects={"not dilated": _convolve},
    ),
    Pair(
        name="transposed convolution",
        jax=_convolve_transposed,
        torch=_convolve_transposed_torch,
        inputs=lambda rng, size, scale: _images(rng, size, scale)[:2],
        sizes=(5, 7),
        defects={"the kernel not flipped": _with(_convolve_transposed, flip=False)},
    ),
    Pair(
        name="average pooling with padding",
        jax=_pool_mean,
        torch=lambda x: functional.avg_pool2d(x, 3, 2, 1),
        inputs=_image,
        sizes=(6, 9),
        dtypes=("float32", "bfloat16"),
        defects={"padding not counted": _with(_pool_mean, count_padding=False)},
    ),
    Pair(
        name="greatest of a window",
        jax=_pool_max,
        torch=lambda x: functional.max_pool2d(x, 2),
        inputs=_image,
        sizes=(6, 8),
        defects={"the mean of it with padding": _pool_mean},
    ),
    Pair(
        name="twice the size, bilinear",
        jax=_resize,
        torch=lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
        inputs=_image,
        sizes=(5, 8),
        defects={
            "bicubic": _with(_resize, method="cubic"),
            "nearest": _with(_resize, method="nearest"),
        },
    ),
    Pair(
        name="dropout with a given mask",
        jax=lambda x, keep: jnp.where(keep, x / 0.8, 0),
        torch=lambda x, keep: x * keep / 0.8,
        inputs=_dropped,
        sizes=(65, 200),
        dtypes=("float32", "bfloat16", "float16"),
        defects={
            "not scaled": lambda x, keep: jnp.where(keep, x, 0),
            "the mask inverted": lambda x, keep: jnp.where(keep, 0, x / 0.8),
        },
    ),
    Pair(
        name="feed-forward block",
        jax=_feed_forward,
        torch=_feed_forward_torch,
        inputs=_residual,
        sizes=(8, 32),
        dtypes=("float32", "bfloat16"),
        defects={
            "norm after the block": _with(_feed_forward, late_norm=True),
            "no residual": _with(_feed_forward, skip=False),
        },
    ),
)
