"""torch.amp."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.amp import custom_bwd, custom_fwd

import functional_ad
from comparisons.cases.surface._row import Row

W = np.array([[0.6, -0.3], [0.2, 0.9]])
X = np.array([[0.5, -1.5], [2.0, 0.1]])


def autocast_torch(w, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ w
    return y.to(w.dtype)


def autocast_jax(w, x):
    half = jnp.bfloat16
    y = x.astype(half) @ w.astype(half)
    return y.astype(w.dtype)


def custom_fwd_torch(x):
    class Exp(torch.autograd.Function):
        @staticmethod
        @custom_fwd(
            device_type="cpu", cast_inputs=torch.float32
        )
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        @custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    with torch.autocast("cpu", dtype=torch.bfloat16):
        return Exp.apply(x)


def custom_fwd_jax(x):
    def forward(x):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        y = jnp.exp(x.astype(wide))
        return y, y

    exp = jax.custom_vjp(lambda x: forward(x)[0])
    exp.defvjp(
        forward,
        lambda y, grad: ((grad * y).astype(x.dtype),),
    )
    return exp(x)


def custom_bwd_torch(w, x):
    class MatMul(torch.autograd.Function):
        @staticmethod
        @custom_fwd(device_type="cpu")
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        @custom_bwd(device_type="cpu")
        def backward(ctx, grad):  # in bfloat16, too
            x, w = ctx.saved_tensors
            return grad @ w.T, x.T @ grad

    with torch.autocast("cpu", dtype=torch.bfloat16):
        return MatMul.apply(x, w).to(w.dtype)


def custom_bwd_jax(w, x):
    half = jnp.bfloat16

    @jax.custom_vjp
    def matmul(x, w):
        return x.astype(half) @ w.astype(half)

    def backward(residuals, grad):
        x, w = residuals
        x_bar = grad @ w.T.astype(half)
        w_bar = x.T.astype(half) @ grad
        return x_bar.astype(x.dtype), w_bar.astype(
            w.dtype
        )

    matmul.defvjp(
        lambda x, w: (matmul(x, w), (x, w)), backward
    )
    return matmul(x, w).astype(w.dtype)


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


SCALER = "torch.amp.GradScaler"
PAGE = "amp.html#gradient-scaling"

ROWS = (
    Row(
        "torch.amp.autocast",
        "x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)",
        "Casts are written, or are a policy of the layer: flax's `dtype=`, jmp's `Policy`.",
        autocast_torch,
        autocast_jax,
        inputs=(W, X),
        also=("torch.autocast",),
        page="amp.html#torch.autocast",
    ),
    Row(
        "torch.amp.custom_fwd",
        "fun.defvjp(forward, backward)",
        "The forward rule casts what it gets.",
        custom_fwd_torch,
        custom_fwd_jax,
        inputs=(X,),
        orders=("value", "vjp"),
        dtype="bfloat16",
        page="amp.html#torch.amp.custom_fwd",
    ),
    Row(
        "torch.amp.custom_bwd",
        "fun.defvjp(forward, backward)",
        "The backward rule casts what it gets; no state of the forward pass is restored.",
        custom_bwd_torch,
        custom_bwd_jax,
        inputs=(W, X),
        orders=("value", "vjp"),
        page="amp.html#torch.amp.custom_bwd",
    ),
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
    Row(
        "torch.amp.is_autocast_available",
        "",
        "No mode to ask for: an array has the dtype that it has.",
        also=tuple(
            "torch." + name
            for name in (
                *(
                    "is_autocast_enabled",
                    "set_autocast_enabled",
                    "is_autocast_cache_enabled",
                ),
                *(
                    "set_autocast_cache_enabled",
                    "clear_autocast_cache",
                    "get_autocast_dtype",
                ),
                *(
                    "set_autocast_dtype",
                    "autocast_increment_nesting",
                ),
                "autocast_decrement_nesting",
                *(
                    f"get_autocast_{kind}_dtype"
                    for kind in (
                        "cpu",
                        "gpu",
                        "ipu",
                        "xla",
                    )
                ),
                *(
                    f"set_autocast_{kind}_dtype"
                    for kind in (
                        "cpu",
                        "gpu",
                        "ipu",
                        "xla",
                    )
                ),
                *(
                    f"is_autocast_{kind}_enabled"
                    for kind in ("cpu", "ipu", "xla")
                ),
                *(
                    f"set_autocast_{kind}_enabled"
                    for kind in (
                        "cpu",
                        "gpu",
                        "ipu",
                        "xla",
                    )
                ),
            )
        ),
        page="amp.html#torch.amp.autocast_mode.is_autocast_available",
    ),
)
