"""torch.amp."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.amp import custom_bwd, custom_fwd

from comparisons.cases.surface._row import (
    Row,
    list_names,
)

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


SCALER = "torch.amp.GradScaler"
PAGE = "amp.html#gradient-scaling"

# What torch.autocast sets and asks for.
SETTINGS = list_names(
    "torch.",
    "is_autocast_enabled set_autocast_enabled get_autocast_dtype set_autocast_dtype "
    "is_autocast_cache_enabled set_autocast_cache_enabled clear_autocast_cache "
    "autocast_increment_nesting autocast_decrement_nesting get_autocast_gpu_dtype "
    "set_autocast_gpu_dtype get_autocast_cpu_dtype set_autocast_cpu_dtype is_autocast_cpu_enabled "
    "set_autocast_cpu_enabled get_autocast_ipu_dtype set_autocast_ipu_dtype "
    "is_autocast_ipu_enabled set_autocast_ipu_enabled get_autocast_xla_dtype "
    "set_autocast_xla_dtype is_autocast_xla_enabled set_autocast_xla_enabled",
)

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
        "torch.amp.is_autocast_available",
        "",
        "No mode to ask for: an array has the dtype that it has.",
        also=SETTINGS,
        page="amp.html#torch.amp.autocast_mode.is_autocast_available",
    ),
)
