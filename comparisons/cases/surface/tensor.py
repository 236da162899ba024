"""torch.Tensor: flags, graph and hooks."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
W = np.array([1.2, 0.3, -0.7])


def requires_grad_torch(w, x):
    w.requires_grad = True
    return {"w": w.requires_grad, "x": x.requires_grad}


def requires_grad_jax(w, x):
    params = {"w": w, "x": x}
    return functional_ad.select(params, where="w")


def requires_grad__torch(w, b, x):
    w.requires_grad_(True)
    b.requires_grad_(False)
    (w * x + b).sin().sum().backward()
    return {"w": w.grad, "b": b.grad}


def requires_grad__jax(w, b, x):
    def fun(params):
        y = params["w"] * x + params["b"]
        return jnp.sum(jnp.sin(y))

    _, grads = functional_ad.value_and_grad(
        fun, where="w"
    )({"w": w, "b": b})
    return grads


def detach_torch(x):
    x.requires_grad_()
    y = (x.detach() * x).sum()
    y.backward()
    return {"y": y, "x.grad": x.grad}


def detach_jax(x):
    def fun(x):
        return jnp.sum(lax.stop_gradient(x) * x)

    y, grad = jax.value_and_grad(fun)(x)
    return {"y": y, "x.grad": grad}


def data_torch(w, x):
    w.requires_grad_()
    (w.data * w * x).sum().backward()
    return w.grad


def data_jax(w, x):
    def fun(w):
        return jnp.sum(lax.stop_gradient(w) * w * x)

    return jax.grad(fun)(w)


def retain_grad_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.retain_grad()
    h.sin().sum().backward()
    return {"w": w.grad, "h": h.grad}


def retain_grad_jax(w, x):
    def fun(w):
        h = checkpoint_name(w * x, "h")
        return jnp.sum(jnp.sin(h))

    _, grad, found = functional_ad.intermediate_grads(
        fun
    )(w)
    return {"w": grad, "h": found["h"]}


def retains_grad_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.retain_grad()
    k = h.sin()
    k.sum().backward()
    return {"h": h.retains_grad, "k": k.retains_grad}


def retains_grad_jax(w, x):
    def fun(w):
        h = checkpoint_name(w * x, "h")
        return jnp.sum(jnp.sin(h))

    _, _, found = functional_ad.intermediate_grads(fun)(
        w
    )
    return {name: name in found for name in ("h", "k")}


def register_hook_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.register_hook(lambda grad: grad.clamp(-0.5, 0.5))
    h.exp().sum().backward()
    return w.grad


def register_hook_jax(w, x):
    def fun(w):
        h = functional_ad.grad_hook(
            w * x, lambda g: jnp.clip(g, -0.5, 0.5)
        )
        return jnp.sum(jnp.exp(h))

    return jax.grad(fun)(w)


def reversal_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.register_hook(lambda grad: -0.1 * grad)
    h.exp().sum().backward()
    return w.grad


def reversal_jax(w, x):
    def fun(w):
        h = functional_ad.scale_grad(w * x, -0.1)
        return jnp.sum(jnp.exp(h))

    return jax.grad(fun)(w)


ROWS = (
    Row(
        "torch.Tensor.requires_grad",
        "functional_ad.select(params, where=...)",
        "A tree of booleans beside the parameters; an array carries no flag.",
        requires_grad_torch,
        requires_grad_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.requires_grad_",
        "functional_ad.value_and_grad(fun, where=...)(params)",
        "Said where the gradient is taken. Frozen leaves get `None`, and no backward pass.",
        requires_grad__torch,
        requires_grad__jax,
        inputs=(W, X, X + 1),
    ),
    Row(
        "torch.Tensor.detach",
        "jax.lax.stop_gradient(x)",
        "The value goes on, its derivative is zero.",
        detach_torch,
        detach_jax,
        inputs=(X,),
        also=("torch.detach", "torch.detach_copy"),
    ),
    Row(
        "torch.Tensor.data",
        "jax.lax.stop_gradient(x)",
        "To write through it is not possible; to read without a gradient is this.",
        data_torch,
        data_jax,
        inputs=(W, X),
        page="autograd.html#variable-deprecated",
    ),
    Row(
        "torch.Tensor.detach_",
        "",
        "Arrays are immutable: use `jax.lax.stop_gradient(x)` and its result.",
        also=("torch.detach_",),
    ),
    Row(
        "torch.Tensor.retain_grad",
        'checkpoint_name(h, "h"), then functional_ad.intermediate_grads(fun)(w)',
        "An intermediate value is named in the function; its gradient is returned under that name.",
        retain_grad_torch,
        retain_grad_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.retains_grad",
        'value, grads, found = functional_ad.intermediate_grads(fun)(w); "h" in found',
        "What was named has a gradient in the result.",
        retains_grad_torch,
        retains_grad_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.register_hook",
        "x = functional_ad.grad_hook(x, fn)",
        "Put into the function, so it holds under `jit`, `vmap` and `scan`; nothing to remove.",
        register_hook_torch,
        register_hook_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.register_hook(scale)",
        "x = functional_ad.scale_grad(x, scale)",
        "The commonest hook, gradient reversal among them; it may be differentiated again.",
        reversal_torch,
        reversal_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.output_nr",
        "",
        "A function returns a tree: an output's place in it is its number.",
    ),
)
