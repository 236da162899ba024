"""For every cause a pair that has it, and the JAX function mended as the printed fix says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F

from comparisons._case import Order, ParityCase


@dataclasses.dataclass(frozen=True)
class Pair:
    """A JAX function with one known difference from PyTorch's, and without it."""

    cause: str
    broken: Callable[..., Any]
    fixed: Callable[..., Any]
    torch: Callable[..., Any]
    inputs: tuple[Any, ...]
    orders: tuple[Order, ...] = ("value", "vjp")
    also: tuple[str, ...] = ()  # other causes that are truly the same here

    def case(self, fn: Callable[..., Any] | None = None) -> ParityCase:
        return ParityCase(
            name=self.cause,
            title=self.cause,
            jax=fn or self.broken,
            torch=self.torch,
            inputs=self.inputs,
            orders=self.orders,
        )


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


X, W, V = draw(6, 4), draw(4, 4), draw(5)
LABELS = np.array([0, 3, 1, 2, 3, 0])
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
IMAGE = draw(2, 8, 8, 3)
VALUE: tuple[Order, ...] = ("value",)
VJP: tuple[Order, ...] = ("vjp",)


def norm_by_hand(x, eps=1e-6, outside=False):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / (jnp.sqrt(var) + eps if outside else jnp.sqrt(var + eps))


def train(optimizer):
    """Three steps on a quadratic."""

    def run(w):
        state = optimizer.init(w)
        for _ in range(3):
            grads = jax.grad(lambda w: jnp.sum((w @ w.T - 1) ** 2))(w)
            updates, state = optimizer.update(grads, state, w)
            w = optax.apply_updates(w, updates)
        return w

    return run


def train_torch(make, clip=None):
    def run(w):
        w = w.detach().clone().requires_grad_()
        optimizer = make([w])
        for _ in range(3):
            optimizer.zero_grad()
            ((w @ w.T - 1) ** 2).sum().backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_([w], clip)
            optimizer.step()
        return w.detach()

    return run


def adagrad(lr):
    """optax has no option for an epsilon outside the root."""

    def update(grads, total, params=None):
        total = total + grads**2
        return -lr * grads / (jnp.sqrt(total) + 1e-10), total

    return optax.GradientTransformation(jnp.zeros_like, update)


def clip_as_torch(limit):
    def update(grads, state, params=None):
        factor = jnp.minimum(1.0, limit / (optax.tree.norm(grads) + 1e-6))
        return jax.tree.map(lambda g: g * factor, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def attend(q, k, v, scale=1.0, causal=False):
    scores = q @ k.T * scale
    if causal:
        scores = jnp.where(jnp.tri(len(q), dtype=bool), scores, -jnp.inf)
    return jax.nn.softmax(scores) @ v


def attend_torch(q, k, v, **options):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], **options)[0]


def batch_norm_stats(x, momentum=0.9, factor=1.0):
    mean, var = x.mean(0), x.var(0)
    running_mean, running_var = jnp.zeros_like(mean), jnp.ones_like(var)
    return {
        "y": (x - mean) / jnp.sqrt(var + 1e-5),
        "mean": momentum * running_mean + (1 - momentum) * mean,
        "var": momentum * running_var + (1 - momentum) * (var * factor),
    }


def batch_norm_stats_torch(x):
    norm = torch.nn.BatchNorm1d(4, affine=False, dtype=x.dtype)
    return {"y": norm(x), "mean": norm.running_mean, "var": norm.running_var}


def ema(x, new=0.9):
    total = jnp.zeros_like(x[0])
    for row in x:
        total = (1 - new) * total + new * row
    return total


def ema_torch(x):
    total = torch.zeros_like(x[0])
    for row in x:
        total = total.lerp(row, 0.1)
    return total


def conv(x, w, padding="SAME", strides=(2, 2)):
    return jax.lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv_torch(x, w, **options):
    y = F.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), **options)
    return y.permute(0, 2, 3, 1)


def conv_transpose(x, w):
    return jax.lax.conv_transpose(x, w, (2, 2), "VALID", dimension_numbers=("NCHW", "IOHW", "NCHW"))


def gates(x, order):
    parts = jnp.split(x, 4, axis=1)
    i, f, g, o = (parts[k] for k in order)
    return jax.nn.sigmoid(f) + jax.nn.sigmoid(i) * jnp.tanh(g) * jax.nn.sigmoid(o)


def gates_torch(x):
    i, f, g, o = x.chunk(4, 1)
    return f.sigmoid() + i.sigmoid() * g.tanh() * o.sigmoid()


def spread(logits, labels, smoothing, classes):
    """Cross entropy; the smoothing goes to the other classes, or to all if ``classes`` is None."""
    hot = jax.nn.one_hot(labels, 4)
    if classes is None:
        soft = optax.smooth_labels(hot, smoothing)
    else:
        soft = (1 - smoothing) * hot + smoothing / (classes - 1) * (1 - hot)
    return -jnp.mean(jnp.sum(soft * jax.nn.log_softmax(logits), -1))


def safe_norm(x):
    square = jnp.sum(x**2, -1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def safe_std(x):
    v = jnp.var(x, axis=-1, ddof=1)
    return jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1)), 0)


def safe_arctan2(y, x):
    origin = (x == 0) & (y == 0)
    return jnp.where(origin, 0, jnp.arctan2(y, jnp.where(origin, 1, x)))


def multiply_like_tf32(x, w):
    """What a product is on an accelerator: 10 bits of mantissa unless more are asked for."""
    if x.dtype == jnp.float32 and jax.config.jax_default_matmul_precision != "highest":
        x, w = (jax.lax.reduce_precision(a, 8, 10) for a in (x, w))
    return jnp.matmul(x, w)


def holomorphic(fn):
    def gradient(re, im):
        g = jax.grad(lambda z: jnp.real(fn(z)))(re + 1j * im)
        return {"re": jnp.real(g), "im": jnp.imag(g)}

    return gradient


def holomorphic_torch(re, im):
    z = torch.complex(re.detach(), im.detach()).requires_grad_()
    (g,) = torch.autograd.grad((z**3).real.sum(), z)
    return {"re": g.real, "im": g.imag}


ZEROS = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]])
TIES = np.array([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 0.0, 1.0]])
EDGES = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
WEIGHTS = (0.3 * draw(4, 4, seed=1),)

PAIRS: tuple[Pair, ...] = (
    # Activations
    Pair("gelu-tanh", jax.nn.gelu, lambda x: jax.nn.gelu(x, approximate=False), F.gelu, (X,)),
    Pair(
        "gelu-exact",
        lambda x: jax.nn.gelu(x, approximate=False),
        lambda x: jax.nn.gelu(x, approximate=True),
        lambda x: F.gelu(x, approximate="tanh"),
        (X,),
    ),
    Pair(
        "softplus-threshold",
        jax.nn.softplus,
        lambda x: jnp.where(x > 20, x, jax.nn.softplus(x)),
        F.softplus,
        (np.array([-3.0, 1.0, 19.5, 20.5]),),
    ),
    Pair(
        "softmax-axis",
        lambda x: jax.nn.softmax(x),
        lambda x: jax.nn.softmax(x, axis=0),
        lambda x: x.softmax(0),
        (X,),
    ),
    Pair(
        "softmax-twice",
        lambda x: optax.softmax_cross_entropy(jax.nn.softmax(x), ONE_HOT).mean(),
        lambda x: optax.softmax_cross_entropy(x, ONE_HOT).mean(),
        lambda x: F.cross_entropy(x, torch.tensor(LABELS)),
        (X,),
        also=("softmax-without-log",),  # log_softmax of a log_softmax is that log_softmax
    ),
    Pair(
        "softmax-without-log",
        lambda x: -jnp.sum(jax.nn.softmax(x) * ONE_HOT),
        lambda x: -jnp.sum(jax.nn.log_softmax(x) * ONE_HOT),
        lambda x: F.nll_loss(x.log_softmax(-1), torch.tensor(LABELS), reduction="sum"),
        (X,),
    ),
    Pair(
        "attention-scale",
        attend,
        lambda *qkv: attend(*qkv, scale=0.5),
        attend_torch,
        (X, draw(5, 4), draw(5, 3)),
    ),
    Pair(
        "causal-mask",
        lambda *qkv: attend(*qkv, scale=0.5),
        lambda *qkv: attend(*qkv, scale=0.5, causal=True),
        lambda *qkv: attend_torch(*qkv, is_causal=True),
        (X, draw(6, 4, seed=2), draw(6, 3)),
    ),
    # Reductions
    Pair("ddof", lambda x: x.std(0), lambda x: x.std(0, ddof=1), lambda x: x.std(0), (X,)),
    Pair(
        "ddof-given",
        lambda x: jnp.var(x, -1, ddof=1),
        lambda x: jnp.var(x, -1),
        lambda x: x.var(-1, unbiased=False),
        (X,),
    ),
    Pair(
        "bessel",
        lambda x: jnp.tanh(jnp.mean((x - jnp.sum(x, 0) / 6) ** 2, 0)),
        lambda x: jnp.tanh(jnp.sum((x - jnp.sum(x, 0) / 6) ** 2, 0) / 5),
        lambda x: x.var(0).tanh(),
        (X,),
    ),
    Pair(
        "median-even",
        lambda x: jnp.median(x, axis=0),
        lambda x: jnp.sort(x, axis=0)[2],
        lambda x: x.median(0).values,
        (X,),
    ),
    Pair(
        "mean-for-sum",
        lambda x: jnp.log(jnp.mean(x**2, -1)),
        lambda x: jnp.log(jnp.sum(x**2, -1)),
        lambda x: (x**2).sum(-1).log(),
        (X,),
    ),
    Pair(
        "sum-for-mean",
        lambda x: jnp.sum(x**2),
        lambda x: jnp.mean(x**2),
        lambda x: (x**2).mean(),
        (X,),
    ),
    Pair(
        "masked-mean",
        lambda x, mask: jnp.mean(x**2 * mask),
        lambda x, mask: jnp.sum(x**2 * mask) / jnp.sum(mask),
        lambda x, mask: (x**2)[mask.bool()].mean(),
        (X, (X > 0.1).astype(np.int32)),
    ),
    Pair(
        "reduction-axis",
        lambda w: jnp.exp(w).sum(0),
        lambda w: jnp.exp(w).sum(1),
        lambda w: w.exp().sum(1),
        (W,),
        also=("weight-transposed",),
    ),
    Pair(
        "sign",
        lambda x: jnp.take_along_axis(jax.nn.log_softmax(x), LABELS[:, None], 1).mean(),
        lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x), LABELS[:, None], 1).mean(),
        lambda x: F.cross_entropy(x, torch.tensor(LABELS)),
        (X,),
    ),
    Pair(
        "half",
        lambda x: 0.5 * jnp.sum(x**3, 0),
        lambda x: jnp.sum(x**3, 0),
        lambda x: (x**3).sum(0),
        (draw(7, 3),),
    ),
    Pair(
        "log-base", lambda x: jnp.log(x**2), lambda x: jnp.log2(x**2), lambda x: (x**2).log2(), (X,)
    ),
    Pair(
        "remainder",
        lambda x: jnp.mod(x, 0.7),
        lambda x: jnp.fmod(x, 0.7),
        lambda x: torch.fmod(x, 0.7),
        (X,),
    ),
    # Norms
    Pair(
        "norm-epsilon",
        norm_by_hand,
        lambda x: norm_by_hand(x, 1e-5),
        lambda x: F.layer_norm(x, (4,)),
        (X,),
    ),
    Pair(
        "epsilon",
        lambda x: norm_by_hand(x, 1e-3),
        lambda x: norm_by_hand(x, 1e-5),
        lambda x: F.layer_norm(x, (4,)),
        (X,),
    ),
    Pair(
        "epsilon-in-root",
        lambda x: norm_by_hand(x, 1e-5),
        lambda x: norm_by_hand(x, 1e-5, outside=True),
        lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, unbiased=False) + 1e-5),
        (X,),
    ),
    Pair(
        "epsilon-outside-root",
        lambda x: norm_by_hand(x, 1e-5, outside=True),
        lambda x: norm_by_hand(x, 1e-5),
        lambda x: F.layer_norm(x, (4,)),
        (X,),
    ),
    Pair(
        "epsilon-missing",
        lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True)),
        lambda x: norm_by_hand(x, 1e-5),
        lambda x: F.layer_norm(x, (4,)),
        (X,),
    ),
    Pair("momentum-meaning", ema, lambda x: ema(x, 0.1), ema_torch, (X,), also=("norm-momentum",)),
    Pair(
        "norm-momentum",
        lambda x: {k: v for k, v in batch_norm_stats(x, 0.99).items() if k != "var"},
        lambda x: {k: v for k, v in batch_norm_stats(x, 0.9).items() if k != "var"},
        lambda x: {k: v for k, v in batch_norm_stats_torch(x).items() if k != "var"},
        (X,),
        orders=VALUE,
    ),
    Pair(
        "running-variance",
        batch_norm_stats,
        lambda x: batch_norm_stats(x, factor=6 / 5),
        batch_norm_stats_torch,
        (X,),
        orders=VALUE,
    ),
    # Losses
    Pair(
        "l2-loss-half",
        lambda x, y: jnp.exp(-optax.l2_loss(x, y)).mean(),
        lambda x, y: jnp.exp(-optax.squared_error(x, y)).mean(),
        lambda x, y: (-F.mse_loss(x, y, reduction="none")).exp().mean(),
        (X, draw(6, 4, seed=3)),
    ),
    Pair(
        "huber-smooth-l1",
        lambda x, y: jnp.tanh(optax.huber_loss(x, y, delta=0.3)),
        lambda x, y: jnp.tanh(optax.huber_loss(x, y, delta=0.3) / 0.3),
        lambda x, y: F.smooth_l1_loss(x, y, beta=0.3, reduction="none").tanh(),
        (X, draw(6, 4, seed=3)),
    ),
    Pair(
        "label-smoothing-missing",
        lambda x: optax.softmax_cross_entropy_with_integer_labels(x, LABELS).mean(),
        lambda x: optax.softmax_cross_entropy(
            x, optax.smooth_labels(jax.nn.one_hot(LABELS, 4), 0.1)
        ).mean(),
        lambda x: F.cross_entropy(x, torch.tensor(LABELS), label_smoothing=0.1),
        (X,),
    ),
    Pair(
        "label-smoothing-others",
        lambda x: spread(x, LABELS, 0.1, 4),
        lambda x: spread(x, LABELS, 0.1, None),
        lambda x: F.cross_entropy(x, torch.tensor(LABELS), label_smoothing=0.1),
        (X,),
    ),
    Pair(
        "log-clamp",
        lambda p: -jnp.mean(jnp.log(p)),
        lambda p: -jnp.mean(jnp.maximum(jnp.log(p), -100)),
        lambda p: F.binary_cross_entropy(p, torch.ones_like(p)),
        (np.array([0.0, 0.2, 0.9]),),
        orders=VALUE,
    ),
    Pair(
        "kl-arguments",
        lambda x, y: optax.kl_divergence(jax.nn.log_softmax(y), jax.nn.softmax(x)),
        lambda x, y: optax.kl_divergence(jax.nn.log_softmax(x), jax.nn.softmax(y)),
        lambda x, y: F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction="none").sum(-1),
        (X, draw(6, 4, seed=3)),
        also=("inputs-swapped",),
    ),
    Pair(
        "cosine-epsilon",
        lambda x, y: optax.losses.cosine_similarity(x, y),
        lambda x, y: optax.losses.cosine_similarity(x, y, epsilon=1e-8),
        lambda x, y: F.cosine_similarity(x, y),
        (ZEROS, ZEROS[::-1] + 0.5),
        orders=VALUE,
        also=("epsilon-missing",),
    ),
    # Optimizers
    Pair(
        "adamw-weight-decay",
        lambda w: train(optax.adamw(0.1))(w),
        train(optax.adamw(0.1, weight_decay=0.01)),
        train_torch(lambda p: torch.optim.AdamW(p, lr=0.1)),
        WEIGHTS,
        orders=VALUE,
    ),
    Pair(
        "adam-l2",
        lambda w: train(optax.adamw(0.1, weight_decay=0.05))(w),
        train(optax.chain(optax.add_decayed_weights(0.05), optax.adam(0.1))),
        train_torch(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.05)),
        WEIGHTS,
        orders=VALUE,
    ),
    Pair(
        "weight-decay-missing",
        lambda w: train(optax.sgd(0.01, momentum=0.9))(w),
        train(optax.chain(optax.add_decayed_weights(1e-2), optax.sgd(0.01, momentum=0.9))),
        train_torch(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-2)),
        WEIGHTS,
        orders=VALUE,
    ),
    Pair(
        "rmsprop",
        lambda w: train(optax.rmsprop(0.01))(w),
        train(optax.rmsprop(0.01, decay=0.99, eps=1e-8, eps_in_sqrt=False)),
        train_torch(lambda p: torch.optim.RMSprop(p, lr=0.01)),
        WEIGHTS,
        orders=VALUE,
    ),
    Pair(
        "adagrad-accumulator",
        lambda w: train(optax.adagrad(0.1))(w),
        train(adagrad(0.1)),
        train_torch(lambda p: torch.optim.Adagrad(p, lr=0.1)),
        WEIGHTS,
        orders=VALUE,
    ),
    Pair(
        "clip-norm-epsilon",
        lambda w: train(optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1)))(w),
        train(optax.chain(clip_as_torch(0.5), optax.sgd(0.1))),
        train_torch(lambda p: torch.optim.SGD(p, lr=0.1), clip=0.5),
        WEIGHTS,
        orders=VALUE,
    ),
    # Layout
    Pair(
        "conv-padding",
        conv,
        lambda x, w: conv(x, w, [(1, 1), (1, 1)]),
        lambda x, w: conv_torch(x, w, stride=2, padding=1),
        (IMAGE, draw(3, 3, 3, 2)),
    ),
    Pair(
        "conv-padding-missing",
        lambda x, w: conv(x, w, "VALID", (1, 1)).mean((1, 2)),
        lambda x, w: conv(x, w, [(2, 2), (2, 2)], (1, 1)).mean((1, 2)),
        lambda x, w: conv_torch(x, w, padding=2).mean((1, 2)),
        (IMAGE, draw(3, 3, 3, 2)),
    ),
    Pair(
        "conv-transpose-flip",
        conv_transpose,
        lambda x, w: conv_transpose(x, w[:, :, ::-1, ::-1]),
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        (draw(2, 3, 4, 4), draw(3, 2, 2, 2)),
    ),
    Pair(
        "convolve-flip",
        lambda x, w: jnp.convolve(x, w, mode="valid"),
        lambda x, w: jnp.convolve(x, w[::-1], mode="valid"),
        lambda x, w: F.conv1d(x[None, None], w[None, None])[0, 0],
        (draw(9), draw(3)),
    ),
    Pair(
        "resize-antialias",
        lambda x: jax.image.resize(x, (2, 3, 4, 4), "linear"),
        lambda x: jax.image.resize(x, (2, 3, 4, 4), "linear", antialias=False),
        lambda x: F.interpolate(x, (4, 4), mode="bilinear"),
        (draw(2, 3, 8, 8),),
    ),
    Pair(
        "resize-nearest",
        lambda x: jax.image.resize(x, (2, 3, 5, 5), "nearest"),
        lambda x: x[:, :, jnp.arange(5) * 8 // 5][:, :, :, jnp.arange(5) * 8 // 5],
        lambda x: F.interpolate(x, (5, 5), mode="nearest"),
        (draw(2, 3, 8, 8),),
    ),
    Pair(
        "weight-transposed", jnp.matmul, lambda x, w: x @ w.T, lambda x, w: F.linear(x, w), (X, W)
    ),
    Pair(
        "flatten-order",
        lambda x, w: x.reshape(2, -1) @ w,
        lambda x, w: jnp.moveaxis(x, -1, 1).reshape(2, -1) @ w,
        lambda x, w: x.permute(0, 3, 1, 2).flatten(1) @ w,
        (IMAGE, draw(192, 2)),
    ),
    Pair(
        "split-order",
        lambda x: gates(x, (0, 2, 1, 3)),
        lambda x: gates(x, (0, 1, 2, 3)),
        gates_torch,
        (draw(3, 8),),
    ),
    Pair(
        "input-unused",
        lambda x, w, b: jnp.tanh(x @ w),
        lambda x, w, b: jnp.tanh(x @ w + b),
        lambda x, w, b: (x @ w + b).tanh(),
        (X, draw(4, 3), draw(3)),
    ),
    Pair(
        "input-unused-by-torch",
        lambda x, w, b: jnp.tanh(x @ w + b),
        lambda x, w, b: jnp.tanh(x @ w),
        lambda x, w, b: (x @ w).tanh(),
        (X, draw(4, 3), draw(3)),
    ),
    Pair(
        "inputs-swapped",
        lambda x, a, b: jnp.tanh(x * b + a),
        lambda x, a, b: jnp.tanh(x * a + b),
        lambda x, a, b: (x * a + b).tanh(),
        (V, draw(5, seed=1), draw(5, seed=2)),
    ),
    Pair(
        "output-axes",
        lambda x, w: conv(x, w, "VALID", (1, 1)),
        lambda x, w: jnp.transpose(conv(x, w, "VALID", (1, 1)), (0, 3, 1, 2)),
        lambda x, w: conv_torch(x, w).permute(0, 3, 1, 2),
        (IMAGE, draw(3, 3, 3, 2)),
    ),
    Pair(
        "output-shape",
        lambda x: jnp.tanh(x).sum(-1),
        lambda x: jnp.tanh(x).sum(-1, keepdims=True),
        lambda x: x.tanh().sum(-1, keepdim=True),
        (X,),
    ),
    Pair(
        "output-order",
        lambda x: jnp.cumsum(x)[::-1],
        lambda x: jnp.cumsum(x),
        lambda x: x.cumsum(0),
        (V,),
    ),
    Pair(
        "complex-conjugate",
        holomorphic(lambda z: jnp.sum(z**3)),
        lambda re, im: {
            k: (-v if k == "im" else v)
            for k, v in holomorphic(lambda z: jnp.sum(z**3))(re, im).items()
        },
        holomorphic_torch,
        (V, draw(5, seed=1)),
        orders=VALUE,
        also=("sign",),
    ),
    # Kinks
    Pair(
        "abs-at-zero",
        lambda x: abs(x),
        lambda x: x * jax.lax.stop_gradient(jnp.sign(x)),
        torch.abs,
        (EDGES,),
    ),
    Pair(
        "clip-at-bound",
        lambda x: x.clip(-1, 1),
        lambda x: jnp.where(x < -1, -1, jnp.where(x > 1, 1, x)),
        lambda x: x.clamp(-1, 1),
        (EDGES,),
    ),
    Pair(
        "clamp-at-bound",
        lambda x: jax.lax.clamp(jnp.array(-1, x.dtype), x, jnp.array(1, x.dtype)),
        lambda x: jnp.where(x < -1, -1, jnp.where(x > 1, 1, x)),
        lambda x: x.clamp(-1, 1),
        (EDGES,),
    ),
    Pair("relu-by-maximum", lambda x: jnp.maximum(x, 0), jax.nn.relu, torch.relu, (EDGES,)),
    Pair(
        "clamp-by-maximum",
        lambda x: jnp.maximum(x, 0),
        lambda x: jnp.where(x >= 0, x, 0),
        lambda x: x.clamp(min=0),
        (EDGES,),
    ),
    Pair(
        "leaky-relu-at-zero",
        jax.nn.leaky_relu,
        lambda x: jnp.where(x > 0, x, 0.01 * x),
        F.leaky_relu,
        (EDGES,),
    ),
    Pair(
        "hard-tanh-at-bound",
        jax.nn.hard_tanh,
        lambda x: jnp.where(jnp.abs(x) < 1, x, jnp.sign(x)),
        F.hardtanh,
        (EDGES,),
    ),
    Pair(
        "norm-at-zero",
        lambda x: jnp.linalg.norm(x, axis=-1),
        safe_norm,
        lambda x: torch.linalg.norm(x, dim=-1),
        (ZEROS,),
    ),
    Pair(
        "std-at-constant",
        lambda x: jnp.std(x, axis=-1, ddof=1),
        safe_std,
        lambda x: x.std(-1),
        (ZEROS,),
    ),
    Pair(
        "max-ties",
        lambda x: x.max(-1),
        lambda x: jnp.take_along_axis(x, jnp.argmax(x, -1, keepdims=True), -1)[:, 0],
        lambda x: x.max(-1).values,
        (TIES,),
    ),
    Pair(
        "arctan2-at-origin",
        jnp.arctan2,
        safe_arctan2,
        torch.atan2,
        (np.array([0.0, 1.0]), np.array([0.0, 2.0])),
    ),
    # Precision
    Pair(
        "cast",
        lambda x: jnp.tanh(x.astype(jnp.bfloat16)).astype(x.dtype) * 3,
        lambda x: jnp.tanh(x) * 3,
        lambda x: x.tanh() * 3,
        (X,),
    ),
)
