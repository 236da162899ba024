"""torch.amp.GradScaler."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import (
    Row,
)

W = np.array([[0.6, -0.3], [0.2, 0.9]])
X = np.array([[0.5, -1.5], [2.0, 0.1]])
SCALER = "torch.amp.GradScaler"
PAGE = "amp.html#gradient-scaling"


def make_scaler():
    scaler = torch.amp.GradScaler(
        "cpu", init_scale=1024.0, growth_interval=2
    )
    scaler.scale(torch.ones(()))  # makes its state
    return scaler


def scaler_torch(w, overflow):
    w.requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.1)
    scaler, scales = make_scaler(), []
    for bad in overflow:
        optimizer.zero_grad()
        loss = (w**2).sum() * (torch.inf if bad else 1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    scales = torch.tensor(scales, dtype=torch.float32)
    return {"w": w, "scales": scales}


def scaler_jax(w, overflow):
    def loss(w, bad):
        return jnp.sum(w**2) * jnp.where(
            bad, jnp.inf, 1
        )

    def step(state, bad):
        w, scaler = state
        grad = jax.grad(
            lambda w: scaler.scale(loss(w, bad))
        )(w)
        grad, is_finite = scaler.unscale(grad)
        w = jnp.where(is_finite, w - 0.1 * grad, w)
        scaler = scaler.update(is_finite)
        return (w, scaler), scaler.current

    scaler = functional_ad.LossScale(
        1024.0, growth_interval=2
    )
    (w, _), scales = jax.lax.scan(
        step, (w, scaler), overflow
    )
    return {"w": w, "scales": scales}


def scale_torch(loss):
    return make_scaler().scale(loss)


def scale_jax(loss):
    return functional_ad.LossScale(1024.0).scale(loss)


def unscale_torch(grads):
    w = torch.zeros_like(grads, requires_grad=True)
    w.grad = grads.clone()
    make_scaler().unscale_(torch.optim.SGD([w]))
    return w.grad


def unscale_jax(grads):
    scaler = functional_ad.LossScale(1024.0)
    return scaler.unscale(grads)[0]


def step_torch(w, grads):
    w.requires_grad_()
    kept = []
    for factor in (1.0, torch.inf):
        w.grad = grads * factor
        scaler = make_scaler()
        scaler.step(torch.optim.SGD([w], lr=100.0))
        kept.append(w.detach().clone())
    return kept


def step_jax(w, grads):
    scaler = functional_ad.LossScale(1024.0)
    kept = []
    for factor in (1.0, jnp.inf):
        grad, is_finite = scaler.unscale(grads * factor)
        w = jnp.where(is_finite, w - 100.0 * grad, w)
        kept.append(w)
    return kept


def update_torch(w):
    scaler, scales = make_scaler(), []
    for factor in (1.0, 1.0, torch.inf, 1.0):
        param = w.clone().requires_grad_()
        param.grad = w * factor
        scaler.step(torch.optim.SGD([param]))
        scaler.update()
        scales.append(scaler.get_scale())
    return torch.tensor(scales, dtype=torch.float32)


def update_jax(w):
    scaler, scales = (
        functional_ad.LossScale(
            1024.0, growth_interval=2
        ),
        [],
    )
    for factor in (1.0, 1.0, jnp.inf, 1.0):
        _, is_finite = scaler.unscale(w * factor)
        scaler = scaler.update(is_finite)
        scales.append(scaler.current)
    return jnp.stack(scales)


ROWS = (
    Row(
        SCALER,
        "functional_ad.LossScale(init_scale)",
        "A value that goes through the step and comes out of it: it is carried, as parameters are.",
        scaler_torch,
        scaler_jax,
        inputs=(
            W,
            np.array([False, False, True, False]),
        ),
        page=PAGE,
    ),
    Row(
        SCALER + ".scale",
        "scaler.scale(loss)",
        "The same, inside of the function that is differentiated.",
        scale_torch,
        scale_jax,
        inputs=(np.array(0.75),),
        page=PAGE,
    ),
    Row(
        SCALER + ".unscale_",
        "grads, is_finite = scaler.unscale(grads)",
        "Gradients go in and come out, in float32; the flag comes with them.",
        unscale_torch,
        unscale_jax,
        inputs=(X,),
        page=PAGE,
    ),
    Row(
        SCALER + ".step",
        "jnp.where(is_finite, new, old)",
        "Whether a step is taken is yours to write, for a tree with `jax.tree.map`.",
        step_torch,
        step_jax,
        inputs=(W, X),
        page=PAGE,
    ),
    Row(
        SCALER + ".update",
        "scaler = scaler.update(is_finite)",
        "Returns the next scale.",
        update_torch,
        update_jax,
        inputs=(X,),
        page=PAGE,
    ),
)
