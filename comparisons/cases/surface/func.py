"""torch.func."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
V = np.array([1.0, -0.25, 0.5])
ROWS_OF_X = np.array(
    [[0.5, -1.5], [2.0, 0.1], [-0.4, 1.3]]
)


def grad_torch(x):
    return torch.func.grad(lambda x: (x**3).sum())(x)


def grad_jax(x):
    return jax.grad(lambda x: jnp.sum(x**3))(x)


def grad_and_value_torch(x):
    grad, value = torch.func.grad_and_value(
        lambda x: x.sin().sum()
    )(x)
    return {"value": value, "grad": grad}


def grad_and_value_jax(x):
    value, grad = jax.value_and_grad(
        lambda x: jnp.sum(jnp.sin(x))
    )(x)
    return {"value": value, "grad": grad}


def has_aux_torch(x):
    def fun(x):
        y = x.sin()
        return y.sum(), {"y": y}

    grad, aux = torch.func.grad(fun, has_aux=True)(x)
    return {"grad": grad, "aux": aux}


def has_aux_jax(x):
    def fun(x):
        y = jnp.sin(x)
        return jnp.sum(y), {"y": y}

    grad, aux = jax.grad(fun, has_aux=True)(x)
    return {"grad": grad, "aux": aux}


def vjp_torch(x, v):
    y, pullback = torch.func.vjp(torch.tanh, x)
    (grad,) = pullback(v)
    return {"y": y, "grad": grad}


def vjp_jax(x, v):
    y, pullback = jax.vjp(jnp.tanh, x)
    (grad,) = pullback(v)
    return {"y": y, "grad": grad}


def jvp_torch(x, v):
    y, tangent = torch.func.jvp(torch.tanh, (x,), (v,))
    return {"y": y, "tangent": tangent}


def jvp_jax(x, v):
    y, tangent = jax.jvp(jnp.tanh, (x,), (v,))
    return {"y": y, "tangent": tangent}


def jacrev_torch(x):
    def fun(x):
        return torch.stack([x[0] * x[1], x.sum()])

    return torch.func.jacrev(fun)(x)


def jacrev_jax(x):
    def fun(x):
        return jnp.stack([x[0] * x[1], jnp.sum(x)])

    return jax.jacrev(fun)(x)


def chunk_size_torch(x):
    def fun(x):
        return x.sin() * x.sum()

    return torch.func.jacrev(fun, chunk_size=2)(x)


def chunk_size_jax(x):
    def fun(x):
        return jnp.sin(x) * jnp.sum(x)

    return functional_ad.jacobian(
        fun, mode="rev", chunk_size=2
    )(x)


def jacfwd_torch(x):
    def fun(x):
        return x.sin() * x.sum()

    return torch.func.jacfwd(fun)(x)


def jacfwd_jax(x):
    def fun(x):
        return jnp.sin(x) * jnp.sum(x)

    return jax.jacfwd(fun)(x)


def hessian_torch(x):
    def fun(x):
        return (x**3).sum() * x.sum()

    return torch.func.hessian(fun)(x)


def hessian_jax(x):
    def fun(x):
        return jnp.sum(x**3) * jnp.sum(x)

    return jax.hessian(fun)(x)


def linearize_torch(x, v):
    with warnings.catch_warnings(action="ignore"):
        # from the graph that it makes
        y, push = torch.func.linearize(torch.sin, x)
    return {
        "y": y,
        "once": push(v),
        "twice": push(2 * v),
    }


def linearize_jax(x, v):
    y, push = jax.linearize(jnp.sin, x)
    return {
        "y": y,
        "once": push(v),
        "twice": push(2 * v),
    }


FIRST = {
    "weight": np.array([[0.5, -1.0], [0.25, 2.0]]),
    "bias": np.array([0.1, -0.2]),
}
SECOND = {
    name: 1 - leaf for name, leaf in FIRST.items()
}

ROWS = (
    Row(
        "torch.func.grad",
        "jax.grad(fun)(x)",
        "The same function of a function.",
        grad_torch,
        grad_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.grad(has_aux=True)",
        "jax.grad(fun, has_aux=True)(x)",
        "The same: the function returns a pair, and so does its gradient.",
        has_aux_torch,
        has_aux_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.grad_and_value",
        "value, grad = jax.value_and_grad(fun)(x)",
        "The other order: in JAX the value comes first.",
        grad_and_value_torch,
        grad_and_value_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.vjp",
        "y, pullback = jax.vjp(fun, x)",
        "The same. The pullback is a tree of arrays, and may leave `jit`.",
        vjp_torch,
        vjp_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.func.jvp",
        "y, tangent = jax.jvp(fun, primals, tangents)",
        "The same.",
        jvp_torch,
        jvp_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.func.jacrev",
        "jax.jacrev(fun)(x)",
        "The same, for trees too.",
        jacrev_torch,
        jacrev_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.jacrev(chunk_size=2)",
        'functional_ad.jacobian(fun, mode="rev", chunk_size=2)(x)',
        "Rows in parts, in bounded memory; `jax.jacrev` takes all of them at once.",
        chunk_size_torch,
        chunk_size_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.jacfwd",
        "jax.jacfwd(fun)(x)",
        "The same, for trees too.",
        jacfwd_torch,
        jacfwd_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.hessian",
        "jax.hessian(fun)(x)",
        "The same; in parts with `functional_ad.hessian(fun, chunk_size=...)`.",
        hessian_torch,
        hessian_jax,
        inputs=(X,),
    ),
    Row(
        "torch.func.linearize",
        "y, push = jax.linearize(fun, x)",
        "The same.",
        linearize_torch,
        linearize_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.func.functionalize",
        "",
        "Every function is functional: there is no mutation to take away.",
    ),
    Row(
        "torch.func.replace_all_batch_norm_modules_",
        "",
        "Running statistics are returned as aux or as a collection, so `vmap` knows of them.",
    ),
    Row(
        "torch.func.debug_unwrap",
        "",
        "A tracer has no value to look at; `jax.debug.print` shows it when the program runs.",
    ),
)
