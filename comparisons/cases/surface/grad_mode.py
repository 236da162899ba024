"""Locally disabling gradient computation."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import Row
from functional_ad import experimental

X = np.array([0.5, -1.5, 2.0])
W = np.array([1.2, 0.3, -0.7])


def no_grad_torch(w, x):
    @torch.no_grad()
    def target(x):
        return w * x

    w.requires_grad_()
    loss = ((2 * w * x - target(x)) ** 2).sum()
    return torch.autograd.grad(loss, w)[0]


def no_grad_jax(w, x):
    def loss(w):
        @functional_ad.no_grad
        def target(x):
            return w * x

        return jnp.sum((2 * w * x - target(x)) ** 2)

    return jax.grad(loss)(w)


def block_torch(w, x):
    w.requires_grad_()
    with torch.no_grad():
        target = w * x
    loss = ((2 * w * x - target) ** 2).sum()
    return torch.autograd.grad(loss, w)[0]


def block_jax(w, x):
    def loss(w):
        with experimental.no_grad_block():
            target = w * x
        return jnp.sum((2 * w * x - target) ** 2)

    return jax.grad(loss)(w)


def set_grad_enabled_torch(w):
    w.requires_grad_()
    with torch.set_grad_enabled(False):
        y = (w**2).sum()
    return {"can be differentiated": y.requires_grad}


def set_grad_enabled_jax(w):
    with functional_ad.set_grad_enabled(False):
        try:
            functional_ad.vjp(
                lambda w: jnp.sum(w**2), w
            )
            refused = False
        except functional_ad.GradModeError:
            refused = True
    return {"can be differentiated": not refused}


def is_grad_enabled_torch():
    before = torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        within = torch.is_grad_enabled()
    after = torch.is_grad_enabled()
    return [before, within, after]


def is_grad_enabled_jax():
    before = functional_ad.is_grad_enabled()
    with functional_ad.set_grad_enabled(False):
        within = functional_ad.is_grad_enabled()
    after = functional_ad.is_grad_enabled()
    return [before, within, after]


MODE = "generated/torch.autograd.grad_mode."

ROWS = (
    Row(
        "torch.no_grad",
        "functional_ad.no_grad(fun)",
        "A function of a function; for one value, `jax.lax.stop_gradient(x)`.",
        no_grad_torch,
        no_grad_jax,
        inputs=(W, X),
        also=(
            "torch.autograd.no_grad",
            "torch.autograd.grad_mode.no_grad",
        ),
    ),
    Row(
        "torch.no_grad(block)",
        "with functional_ad.experimental.no_grad_block(): ...",
        "The `with` form; it stands on undocumented parts of JAX, the function form does not.",
        block_torch,
        block_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.set_grad_enabled",
        "functional_ad.set_grad_enabled(mode)",
        "Guards the functions of functional_ad, which then raise; `jax.grad` knows no switch.",
        set_grad_enabled_torch,
        set_grad_enabled_jax,
        inputs=(W,),
        also=(
            "torch.autograd.set_grad_enabled",
            "torch.autograd.grad_mode.set_grad_enabled",
        ),
        page=MODE + "set_grad_enabled.html",
    ),
    Row(
        "torch.is_grad_enabled",
        "functional_ad.is_grad_enabled()",
        "The state of that guard.",
        is_grad_enabled_torch,
        is_grad_enabled_jax,
    ),
    Row(
        "torch.enable_grad",
        "",
        "Nothing is switched off, so nothing is to be switched on: leave out `no_grad`.",
        also=(
            "torch.autograd.enable_grad",
            "torch.autograd.grad_mode.enable_grad",
        ),
    ),
    Row(
        "torch.inference_mode",
        "",
        "Call the function: JAX records nothing unless it is asked for a derivative.",
        also=(
            *(
                "torch.autograd.inference_mode",
                "torch.autograd.grad_mode.inference_mode",
            ),
            *(
                "torch.is_inference_mode_enabled",
                "torch.is_inference",
                "torch.Tensor.is_inference",
            ),
        ),
        page=MODE + "inference_mode.html",
    ),
    Row(
        "torch.autograd.set_multithreading_enabled",
        "",
        "The compiler schedules the backward pass; no engine has threads of its own.",
        also=(
            "torch.autograd.grad_mode.set_multithreading_enabled",
            "torch.autograd.is_multithreading_enabled",
        ),
        page=MODE + "set_multithreading_enabled.html",
    ),
    Row(
        "torch.autograd.enforce_grad_layout_policy",
        "",
        "The compiler chooses layouts; arrays have no strides that one could see.",
        also=(
            "torch.autograd.grad_mode.enforce_grad_layout_policy",
        ),
        page="autograd.html#default-gradient-layouts",
    ),
    Row(
        "torch.autograd.is_view_replay_enabled",
        "",
        "There are no views: nothing can be written through one.",
        page="autograd.html#in-place-operations-on-tensors",
    ),
)
