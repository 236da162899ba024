"""torch.autograd.functional."""

import jax
import jax.numpy as jnp
import numpy as np
from torch.autograd import functional

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
V = np.array([1.0, -0.25, 0.5])


def jacobian_torch(x):
    def fun(x):
        return x.sin() * x.sum()

    return functional.jacobian(fun, x)


def jacobian_jax(x):
    def fun(x):
        return jnp.sin(x) * jnp.sum(x)

    return functional_ad.jacobian(fun)(x)


def forward_mode_torch(x):
    def fun(x):
        return x.sin() * x.sum()

    return functional.jacobian(
        fun,
        x,
        strategy="forward-mode",
        vectorize=True,
    )


def forward_mode_jax(x):
    def fun(x):
        return jnp.sin(x) * jnp.sum(x)

    return functional_ad.jacobian(fun, mode="fwd")(x)


def hessian_torch(x):
    def fun(x):
        return (x**3).sum() * x.sum()

    return functional.hessian(fun, x)


def hessian_jax(x):
    def fun(x):
        return jnp.sum(x**3) * jnp.sum(x)

    return functional_ad.hessian(fun)(x)


def hvp_torch(x, v):
    def fun(x):
        return (x**3).sum() * x.sum()

    _, product = functional.hvp(fun, x, v)
    return product


def hvp_jax(x, v):
    def fun(x):
        return jnp.sum(x**3) * jnp.sum(x)

    _, products = functional_ad.hvp(fun, (x,), (v,))
    return products


def vhp_torch(x, v):
    def fun(x):
        return (x**3).sum() * x.sum()

    _, product = functional.vhp(fun, x, v)
    return product


def vhp_jax(x, v):
    def fun(x):
        return jnp.sum(x**3) * jnp.sum(x)

    _, products = functional_ad.hvp(fun, (x,), (v,))
    return products


def jvp_torch(x, v):
    value, product = functional.jvp(
        lambda x: x.sin() * x.sum(), x, v
    )
    return {"value": value, "jvp": product}


def jvp_jax(x, v):
    value, product = jax.jvp(
        lambda x: jnp.sin(x) * jnp.sum(x), (x,), (v,)
    )
    return {"value": value, "jvp": product}


def vjp_torch(x, v):
    value, product = functional.vjp(
        lambda x: x.sin() * x.sum(), x, v
    )
    return {"value": value, "vjp": product}


def vjp_jax(x, v):
    value, pullback = jax.vjp(
        lambda x: jnp.sin(x) * jnp.sum(x), x
    )
    (product,) = pullback(v)
    return {"value": value, "vjp": product}


ROWS = (
    Row(
        "torch.autograd.functional.jacobian",
        "functional_ad.jacobian(fun, chunk_size=...)(x)",
        "`jax.jacrev` with bounded memory; a function is returned, and takes trees.",
        jacobian_torch,
        jacobian_jax,
        inputs=(X,),
    ),
    Row(
        "torch.autograd.functional.jacobian(strategy='forward-mode')",
        'functional_ad.jacobian(fun, mode="fwd")(x)',
        "All columns at once by `vmap`, as `vectorize=True` does; or `jax.jacfwd`.",
        forward_mode_torch,
        forward_mode_jax,
        inputs=(X,),
    ),
    Row(
        "torch.autograd.functional.hessian",
        "functional_ad.hessian(fun, chunk_size=...)(x)",
        "`jax.hessian` with bounded memory.",
        hessian_torch,
        hessian_jax,
        inputs=(X,),
    ),
    Row(
        "torch.autograd.functional.hvp",
        "grads, products = functional_ad.hvp(fun, primals, tangents)",
        "Forward over reverse: no double backward, and the gradients come along, not the value.",
        hvp_torch,
        hvp_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.functional.vhp",
        "grads, products = functional_ad.hvp(fun, primals, tangents)",
        "A Hessian is symmetric, so vhp and hvp are one; the fast way needs no second name.",
        vhp_torch,
        vhp_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.functional.jvp",
        "jax.jvp(fun, primals, tangents)",
        "One forward pass, where PyTorch's function goes backward twice.",
        jvp_torch,
        jvp_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.functional.vjp",
        "value, pullback = jax.vjp(fun, *primals)",
        "The pullback is returned, and can be called with many cotangents.",
        vjp_torch,
        vjp_jax,
        inputs=(X, V),
    ),
)
