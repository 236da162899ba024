"""torch.Tensor: backward and .grad."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
W = np.array([1.2, 0.3, -0.7])


def backward_torch(w, x):
    w.requires_grad_()
    loss = (w * x).sin().sum()
    loss.backward()
    return {"loss": loss, "w.grad": w.grad}


def backward_jax(w, x):
    def fun(w):
        return jnp.sum(jnp.sin(w * x))

    loss, grad = functional_ad.value_and_grad(fun)(w)
    return {"loss": loss, "w.grad": grad}


def gradient_torch(w, x):
    w.requires_grad_()
    y = (w * x).sin()
    y.backward(gradient=x)
    return {"y": y, "w.grad": w.grad}


def gradient_jax(w, x):
    def fun(w):
        return jnp.sin(w * x)

    y, grad = functional_ad.vjp(fun, w, cotangent=x)
    return {"y": y, "w.grad": grad}


def retain_graph_torch(x):
    x.requires_grad_()
    y = (x**2).sum()
    y.backward(retain_graph=True)
    first = x.grad.clone()
    y.backward()
    return {"first": first, "both": x.grad}


def retain_graph_jax(x):
    y, pullback = jax.vjp(lambda x: jnp.sum(x**2), x)
    (first,) = pullback(jnp.ones_like(y))
    (second,) = pullback(jnp.ones_like(y))
    return {"first": first, "both": first + second}


def create_graph_torch(w, x):
    w.requires_grad_()
    loss = (w * x).sin().sum()
    with warnings.catch_warnings(action="ignore"):
        # the graph and w.grad hold each other
        loss.backward(create_graph=True)
    penalty = (w.grad**2).sum()
    w.grad = None
    penalty.backward()
    return {"penalty": penalty, "w.grad": w.grad}


def create_graph_jax(w, x):
    def loss(w):
        return jnp.sum(jnp.sin(w * x))

    def penalty(w):
        return jnp.sum(jax.grad(loss)(w) ** 2)

    value, grad = jax.value_and_grad(penalty)(w)
    return {"penalty": value, "w.grad": grad}


def inputs_torch(w, b, x):
    w.requires_grad_()
    b.requires_grad_()
    loss = (w * x + b).sin().sum()
    loss.backward(inputs=[w])
    return {"w": w.grad, "b": b.grad is not None}


def inputs_jax(w, b, x):
    def fun(params):
        y = params["w"] * x + params["b"]
        return jnp.sum(jnp.sin(y))

    _, grads = functional_ad.value_and_grad(
        fun, where="w"
    )({"w": w, "b": b})
    return {
        "w": grads["w"],
        "b": grads["b"] is not None,
    }


def grad_torch(w, x):
    w.requires_grad_()
    for _ in range(2):
        (w * x).sin().sum().backward()
    return w.grad


def grad_jax(w, x):
    def fun(w):
        return jnp.sum(jnp.sin(w * x))

    first, second = jax.grad(fun)(w), jax.grad(fun)(w)
    return jax.tree.map(jnp.add, first, second)


def grad_dtype_torch(w, x):
    w.requires_grad_()
    wide = torch.promote_types(w.dtype, torch.float32)
    w.grad_dtype = wide
    for row in x:
        (w * row).sin().sum().backward()
    return w.grad.to(w.dtype)


def grad_dtype_jax(w, x):
    def fun(w, rows):
        return jnp.sum(jnp.sin(w * rows))

    wide = jnp.promote_types(w.dtype, jnp.float32)
    step = functional_ad.accumulate_grads(
        fun, len(x), reduction="sum", accum_dtype=wide
    )
    return step(w, x)[1]


def post_accumulate_torch(w, x):
    def descend(param):
        param.data -= 0.1 * param.grad

    w.requires_grad_()
    w.register_post_accumulate_grad_hook(descend)
    for row in x:
        (w * row).sin().sum().backward()
        w.grad = None
    return w


def post_accumulate_jax(w, x):
    def fun(w, row):
        return jnp.sum(jnp.sin(w * row))

    for row in x:
        w = w - 0.1 * jax.grad(fun)(w, row)
    return w


ROWS = (
    Row(
        "torch.Tensor.backward",
        "value, grads = functional_ad.value_and_grad(fun)(params)",
        "The function is given, not its result; the gradients are returned, not stored.",
        backward_torch,
        backward_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.backward(gradient=...)",
        "functional_ad.vjp(fun, x, cotangent=...)",
        "PyTorch's `gradient` is the cotangent: a weight for each element of the output.",
        gradient_torch,
        gradient_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.backward(retain_graph=True)",
        "y, pullback = jax.vjp(fun, x)",
        "The pullback is a value: call it as often as you like; what it holds goes when it goes.",
        retain_graph_torch,
        retain_graph_jax,
        inputs=(X,),
    ),
    Row(
        "torch.Tensor.backward(create_graph=True)",
        "jax.grad(lambda w: penalty(jax.grad(loss)(w)))",
        "A loss may contain `jax.grad`.",
        create_graph_torch,
        create_graph_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.backward(inputs=...)",
        "functional_ad.value_and_grad(fun, where=...)(params)",
        "Leaves that are not asked for get `None`, and cost nothing.",
        inputs_torch,
        inputs_jax,
        inputs=(W, X, X + 1),
    ),
    Row(
        "torch.Tensor.grad",
        "jax.tree.map(jnp.add, grads, more_grads)",
        "A gradient is a returned tree. Nothing is added to it unless you add it.",
        grad_torch,
        grad_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.grad_dtype",
        "functional_ad.accumulate_grads(fun, n, accum_dtype=jnp.float32)",
        "Said where the sum is made; one gradient alone has the dtype of its parameter.",
        grad_dtype_torch,
        grad_dtype_jax,
        inputs=(W, np.stack([X, X + 1])),
        dtype="bfloat16",
        page="autograd.html#tensor-autograd-functions",
    ),
    Row(
        "torch.Tensor.register_post_accumulate_grad_hook",
        "w - lr * jax.grad(fun)(w, batch)",
        "The line after the gradient is the place for what is done with it.",
        post_accumulate_torch,
        post_accumulate_jax,
        inputs=(W, np.stack([X, X + 1])),
    ),
)
