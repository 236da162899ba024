"""torch.autograd."""

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
    y = torch.sin(w * x)
    torch.autograd.backward(y, torch.cos(x))
    return w.grad


def backward_jax(w, x):
    _, grad = functional_ad.vjp(
        lambda w: jnp.sin(w * x),
        w,
        cotangent=jnp.cos(x),
    )
    return grad


def grad_torch(w, x):
    w.requires_grad_()
    x.requires_grad_()
    loss = torch.sin(w * x).sum()
    return torch.autograd.grad(loss, (w, x))


def grad_jax(w, x):
    def loss(w, x):
        return jnp.sum(jnp.sin(w * x))

    return jax.grad(loss, argnums=(0, 1))(w, x)


def unused_torch(w, x):
    w.requires_grad_()
    x.requires_grad_()
    loss = torch.sin(w).sum()
    grads = torch.autograd.grad(
        loss, (w, x), allow_unused=True
    )
    return [grad is not None for grad in grads]


def unused_jax(w, x):
    def loss(w, x):
        return jnp.sum(jnp.sin(w))

    return list(functional_ad.connected(loss, w, x))


def materialize_torch(w, x):
    w.requires_grad_()
    x.requires_grad_()
    loss = torch.sin(w).sum()
    return torch.autograd.grad(
        loss, (w, x), materialize_grads=True
    )


def materialize_jax(w, x):
    def loss(w, x):
        return jnp.sum(jnp.sin(w))

    return jax.grad(loss, argnums=(0, 1))(w, x)


def create_graph_torch(x):
    x.requires_grad_()
    (slope,) = torch.autograd.grad(
        (x**3).sum(), x, create_graph=True
    )
    return torch.autograd.grad(slope.sum(), x)[0]


def create_graph_jax(x):
    def slope(x):
        return jax.grad(lambda x: jnp.sum(x**3))(x)

    return jax.grad(lambda x: jnp.sum(slope(x)))(x)


def batched_torch(x, v):
    x.requires_grad_()
    y = torch.sin(x) * x.sum()
    (rows,) = torch.autograd.grad(
        y, x, v, is_grads_batched=True
    )
    return rows


def batched_jax(x, v):
    _, pullback = jax.vjp(
        lambda x: jnp.sin(x) * jnp.sum(x), x
    )
    (rows,) = jax.vmap(pullback)(v)
    return rows


def complex_torch(z):
    z.requires_grad_()
    loss = (z**2).abs().sum() + z.real.sum()
    return torch.autograd.grad(loss, z)[0]


def complex_jax(z):
    def loss(z):
        return jnp.sum(jnp.abs(z**2)) + jnp.sum(z.real)

    return jnp.conj(jax.grad(loss)(z))


ROWS = (
    Row(
        "torch.autograd.backward",
        "functional_ad.vjp(fun, *primals, cotangent=...)",
        "The gradients are returned; there is no `.grad` that they are added to.",
        backward_torch,
        backward_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.autograd.grad",
        "jax.grad(fun, argnums=(0, 1))(x, y)",
        "The function is differentiated, not its result: there is no graph to keep or to lose.",
        grad_torch,
        grad_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.autograd.grad(allow_unused=True)",
        "functional_ad.connected(fun, *args)",
        "`jax.grad` gives zeros where there is no path; whether there is one is asked apart.",
        unused_torch,
        unused_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.autograd.grad(materialize_grads=True)",
        "jax.grad(fun, argnums=(0, 1))(x, y)",
        "Zeros for what is not used are the only way JAX has.",
        materialize_torch,
        materialize_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.autograd.grad(create_graph=True)",
        "jax.grad(lambda x: jnp.sum(jax.grad(fun)(x)))",
        "A gradient is a function like any other, and can be differentiated again.",
        create_graph_torch,
        create_graph_jax,
        inputs=(X,),
    ),
    Row(
        "torch.autograd.grad(is_grads_batched=True)",
        "jax.vmap(pullback)(cotangents)",
        "The pullback of `jax.vjp` is a function: `vmap` takes many cotangents at once.",
        batched_torch,
        batched_jax,
        inputs=(
            X,
            np.array(
                [[1.0, 0.5, 0.0], [0.2, -1.0, 2.0]]
            ),
        ),
    ),
    Row(
        "torch.autograd.grad(complex)",
        "jnp.conj(jax.grad(fun)(z))",
        "JAX gives the conjugate of PyTorch's gradient; it is `jnp.conj(grad)` that one descends.",
        complex_torch,
        complex_jax,
        inputs=(np.array([0.5 + 1j, -1.5 + 0.25j]),),
        dtype="complex64",
        page="notes/autograd.html#autograd-for-complex-numbers",
    ),
    Row(
        "torch.autograd.Variable",
        "",
        "Deprecated in PyTorch too: a tensor, or a `jax.Array`, is all there is.",
        also=("torch.autograd.variable",),
        page="autograd.html#variable-deprecated",
    ),
)
