"""torch.autograd.forward_ad."""

import jax
import jax.numpy as jnp
import numpy as np
from torch.autograd import forward_ad

from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
V = np.array([1.0, -0.25, 0.5])


def make_dual_torch(x, v):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, v)
        return forward_ad.unpack_dual(
            dual.sin() * dual
        ).tangent


def make_dual_jax(x, v):
    def fun(x):
        return jnp.sin(x) * x

    return jax.jvp(fun, (x,), (v,))[1]


def unpack_dual_torch(x, v):
    with forward_ad.dual_level():
        y = forward_ad.make_dual(x, v) ** 3
        primal, tangent = forward_ad.unpack_dual(y)
    return {"primal": primal, "tangent": tangent}


def unpack_dual_jax(x, v):
    primal, tangent = jax.jvp(
        lambda x: x**3, (x,), (v,)
    )
    return {"primal": primal, "tangent": tangent}


def dual_level_torch(x, v):
    with forward_ad.dual_level():
        y = forward_ad.make_dual(x, v).exp().sum()
        return forward_ad.unpack_dual(y).tangent


def dual_level_jax(x, v):
    def fun(x):
        return jnp.sum(jnp.exp(x))

    return jax.jvp(fun, (x,), (v,))[1]


def enter_torch(x, v):
    level = forward_ad.enter_dual_level()
    y = forward_ad.make_dual(x, v).tanh()
    tangent = forward_ad.unpack_dual(y).tangent
    forward_ad.exit_dual_level(level=level)
    return tangent


def enter_jax(x, v):
    return jax.jvp(jnp.tanh, (x,), (v,))[1]


def exit_torch(x, v):
    level = forward_ad.enter_dual_level()
    y = forward_ad.make_dual(x, v) * 2
    forward_ad.exit_dual_level(level=level)
    return y  # a plain tensor again


def exit_jax(x, v):
    y, _ = jax.jvp(lambda x: x * 2, (x,), (v,))
    return y


def unpacked_torch(x, v):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, v)
        constant = dual.detach() * 2
        pair = forward_ad.unpack_dual(constant)
    assert isinstance(
        pair, forward_ad.UnpackedDualTensor
    )
    return {
        "primal": pair.primal,
        "is constant": pair.tangent is None,
    }


def unpacked_jax(x, v):
    def fun(x):
        return jax.lax.stop_gradient(x) * 2

    primal, tangent = jax.jvp(fun, (x,), (v,))
    return {
        "primal": primal,
        "is constant": not jnp.any(tangent),
    }


JVP = "jax.jvp(fun, primals, tangents)"

ROWS = (
    Row(
        "torch.autograd.forward_ad.dual_level",
        JVP,
        "No level to enter: tangents live within the call, and calls may be nested.",
        dual_level_torch,
        dual_level_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.forward_ad.make_dual",
        JVP,
        "Primals and tangents are two arguments, not one dual number.",
        make_dual_torch,
        make_dual_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.forward_ad.unpack_dual",
        "primal, tangent = " + JVP,
        "The pair is what `jax.jvp` returns.",
        unpack_dual_torch,
        unpack_dual_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.forward_ad.enter_dual_level",
        JVP,
        "The call is the level.",
        enter_torch,
        enter_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.forward_ad.exit_dual_level",
        JVP,
        "The level ends with the call; what comes out of it is a plain array.",
        exit_torch,
        exit_jax,
        inputs=(X, V),
    ),
    Row(
        "torch.autograd.forward_ad.UnpackedDualTensor",
        "primal, tangent = " + JVP,
        "A plain tuple; the tangent of a constant is zeros, not `None`.",
        unpacked_torch,
        unpacked_jax,
        inputs=(X, V),
    ),
)
