"""Parts of a small image classifier, ported from PyTorch, with ten mistakes: one in each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F
from jax.nn import gelu, one_hot

from comparisons import ParityCase

rng = np.random.default_rng(7)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)


# -- 1: the feed-forward block ---------------------------------------------------------------------


@jax.jit
def feed_forward(params, x):
    h = gelu(x @ params["up"] + params["up_bias"])
    return h @ params["down"] + params["down_bias"]


def feed_forward_torch(params, x):
    h = F.gelu(F.linear(x, params["up"].T, params["up_bias"]))
    return F.linear(h, params["down"].T, params["down_bias"])


FEED_FORWARD = {"up": draw(8, 16), "up_bias": draw(16), "down": draw(16, 8), "down_bias": draw(8)}


# -- 2: layer norm ---------------------------------------------------------------------------------


def layer_norm(x, scale, bias, eps=1e-6):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + eps) * scale + bias


def layer_norm_torch(x, scale, bias):
    return F.layer_norm(x, (8,), scale, bias)


# -- 3: the first convolution ----------------------------------------------------------------------


def stem(images, kernel):
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(2, 2),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def stem_torch(images, kernel):
    y = F.conv2d(images.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), stride=2, padding=1)
    return y.permute(0, 2, 3, 1)


# -- 4: from the convolutions to the dense head ----------------------------------------------------


class Head:
    def __init__(self, classes):
        self.classes = classes

    def __call__(self, features, weight):
        flat = features.reshape(features.shape[0], -1)
        return flat @ weight.T

    def torch(self, features, weight):
        return F.linear(torch.flatten(features.permute(0, 3, 1, 2), 1), weight)


head = Head(5)


# -- 5: a square projection ------------------------------------------------------------------------


def project(x, weight, bias):
    return jnp.tanh(x @ weight + bias)


def project_torch(x, weight, bias):
    return torch.tanh(F.linear(x, weight, bias))


# -- 6: standardised returns -----------------------------------------------------------------------


def standardize(returns):
    return (returns - returns.mean()) / (returns.std() + 1e-8)


def standardize_torch(returns):
    return (returns - returns.mean()) / (returns.std() + 1e-8)


# -- 7: a robust scale -----------------------------------------------------------------------------


def median_deviation(x):
    return jnp.median((x - jnp.median(x)) ** 2)


def median_deviation_torch(x):
    return torch.median((x - torch.median(x)) ** 2)


# -- 8: the loss -----------------------------------------------------------------------------------


def loss(logits, labels):
    return optax.softmax_cross_entropy(logits, one_hot(labels, 5)).mean()


def loss_torch(logits, labels):
    return F.cross_entropy(logits, labels.long(), label_smoothing=0.1)


# -- 9: gradient clipping --------------------------------------------------------------------------


def clip_gradients(grads, limit=1.0):
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
    factor = jnp.minimum(1.0, limit / norm)
    return jax.tree.map(lambda g: g * factor, grads)


def clip_gradients_torch(grads, limit=1.0):
    params = {name: torch.zeros_like(g) for name, g in grads.items()}
    for name, g in grads.items():
        params[name].grad = g.detach().clone()
    torch.nn.utils.clip_grad_norm_(list(params.values()), limit)
    return {name: param.grad for name, param in params.items()}


# -- 10: the optimizer -----------------------------------------------------------------------------


def train(w, x, y, steps=4):
    optimizer = optax.adamw(1e-2, weight_decay=0.01)
    state = optimizer.init(w)
    for _ in range(steps):
        grads = jax.grad(lambda w: jnp.mean((x @ w - y) ** 2))(w)
        updates, state = optimizer.update(grads, state, w)
        w = optax.apply_updates(w, updates)
    return w


def train_torch(w, x, y, steps=4):
    w = w.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([w], lr=1e-2, weight_decay=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(x @ w, y).backward()
        optimizer.step()
    return w.detach()


def case(name, ours, theirs, *inputs, orders=("value", "vjp")):
    return ParityCase(
        name=f"classifier/{name}",
        title=name.replace("-", " "),
        jax=ours,
        torch=theirs,
        inputs=inputs,
        orders=orders,
    )


CASES = [
    case("feed-forward", feed_forward, feed_forward_torch, FEED_FORWARD, draw(6, 8)),
    case("layer-norm", layer_norm, layer_norm_torch, draw(6, 8), draw(8), draw(8)),
    case("stem", stem, stem_torch, draw(2, 8, 8, 3), draw(3, 3, 3, 4)),
    case("head", head, head.torch, draw(2, 3, 3, 4), draw(5, 36)),
    case("projection", project, project_torch, draw(6, 8), draw(8, 8), draw(8)),
    case("returns", standardize, standardize_torch, draw(12)),
    case("median-deviation", median_deviation, median_deviation_torch, draw(10)),
    case("loss", loss, loss_torch, draw(6, 5), np.array([0, 4, 2, 2, 1, 3])),
    case(
        "clipping",
        clip_gradients,
        clip_gradients_torch,
        {"w": draw(4, 4), "b": draw(4)},
        orders=("value",),
    ),
    case("training", train, train_torch, draw(4, 2), draw(6, 4), draw(6, 2), orders=("value",)),
]
