"""torch.autograd.Function: forward mode and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.custom_batching import custom_vmap
from torch.autograd import Function

from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
RULE = ("value", "vjp")


def jvp_torch(x):
    class Sin(Function):
        @staticmethod
        def forward(x):
            return x.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_forward(*inputs)

        @staticmethod
        def jvp(ctx, tangent):
            (x,) = ctx.saved_tensors
            return tangent * x.cos()

    return Sin.apply(x)


def jvp_jax(x):
    @jax.custom_jvp
    def sin(x):
        return jnp.sin(x)

    @sin.defjvp
    def jvp(primals, tangents):
        (x,), (tangent,) = primals, tangents
        return jnp.sin(x), tangent * jnp.cos(x)

    return sin(x)


def save_for_forward_torch(x):
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x * x

        @staticmethod
        def jvp(ctx, tangent):
            (x,) = ctx.saved_tensors
            return 2 * x * tangent

    return Square.apply(x)


def save_for_forward_jax(x):
    @jax.custom_jvp
    def square(x):
        return x * x

    @square.defjvp
    def jvp(primals, tangents):
        (x,), (tangent,) = primals, tangents
        return x * x, 2 * x * tangent

    return square(x)


def vmap_torch(x):
    class Sort(Function):
        @staticmethod
        def forward(x):
            return x.sort().values

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x):
            rows = x.movedim(in_dims[0], 0)
            return rows.sort(dim=1).values, 0

    return torch.func.vmap(Sort.apply)(x)


def vmap_jax(x):
    @custom_vmap
    def sort(x):
        return jnp.sort(x)

    @sort.def_vmap
    def rule(axis_size, in_batched, rows):
        return jnp.sort(rows, axis=1), True

    return jax.vmap(sort)(x)


def generate_torch(x):
    class Square(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x * grad  # ours, on purpose

    return torch.func.vmap(Square.apply)(x)


def generate_jax(x):
    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(
        lambda x: (square(x), x),
        lambda x, grad: (3 * x * grad,),
    )
    return jax.vmap(square)(x)


ROWS = (
    Row(
        "torch.autograd.Function.jvp",
        "jax.custom_jvp(fun)",
        "If the rule is linear in the tangent, JAX makes the backward rule of it.",
        jvp_torch,
        jvp_jax,
        inputs=(X,),
        orders=("value", "jvp"),
    ),
    Row(
        "torch.autograd.function.FunctionCtx.save_for_forward",
        "@fun.defjvp",
        "One rule of `jax.custom_jvp` gets primals and tangents: nothing has to be saved for it.",
        save_for_forward_torch,
        save_for_forward_jax,
        inputs=(X,),
        orders=("value", "jvp"),
        also=(
            "torch.autograd.Function.save_for_forward",
            "torch.autograd.Function.saved_for_forward",
        ),
        page="notes/extending.html#forward-mode-ad",
    ),
    Row(
        "torch.autograd.Function.vmap",
        "jax.custom_batching.custom_vmap(fun)",
        "Only where the rule that `vmap` derives is not wanted.",
        vmap_torch,
        vmap_jax,
        inputs=(
            np.array(
                [[0.5, -1.5, 2.0], [3.0, 1.0, -2.0]]
            ),
        ),
    ),
    Row(
        "torch.autograd.Function.generate_vmap_rule",
        "jax.vmap(fun)",
        "Always: what `jax.custom_vjp` holds is JAX code, and is batched like any other.",
        generate_torch,
        generate_jax,
        inputs=(X,),
        orders=RULE,
        page="notes/extending.func.html#automatically-generate-a-vmap-rule",
    ),
)
