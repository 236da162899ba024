"""torch.autograd.Function."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.autograd import Function

from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])


def function_torch(x):
    class Clip(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clamp(-1, 1)

        @staticmethod
        def backward(ctx, grad):
            return grad  # straight through

    return Clip.apply(x)


def function_jax(x):
    @jax.custom_vjp
    def clip(x):
        return jnp.clip(x, -1, 1)

    clip.defvjp(
        lambda x: (clip(x), None),
        lambda _, grad: (grad,),
    )
    return clip(x)


def forward_torch(x):
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    return Square.apply(x)


def forward_jax(x):
    def forward(x):
        return x * x, x

    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(forward, lambda x, g: (2 * x * g,))
    return square(x)


def backward_torch(x):
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.y = x.exp()
            return ctx.y

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.y

    return Exp.apply(x)


def backward_jax(x):
    def backward(y, grad):
        return (grad * y,)

    exp = jax.custom_vjp(jnp.exp)
    exp.defvjp(
        lambda x: (jnp.exp(x), jnp.exp(x)), backward
    )
    return exp(x)


def vjp_torch(x):
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.y = x.exp()
            return ctx.y

        @staticmethod
        def vjp(ctx, grad):  # the same as backward
            return grad * ctx.y

    return Exp.apply(x)


def apply_torch(x):
    class Scale(Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor, None

    return Scale.apply(x, 3)


def apply_jax(x):
    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def scale(x, factor):
        return x * factor

    scale.defvjp(
        lambda x, factor: (scale(x, factor), None),
        lambda factor, _, grad: (grad * factor,),
    )
    return scale(x, 3)


def setup_context_torch(x):
    class Cube(Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * grad

    return Cube.apply(x)


def setup_context_jax(x):
    cube = jax.custom_vjp(lambda x: x**3)

    def fwd(x):
        residuals = x
        return x**3, residuals

    cube.defvjp(fwd, lambda x, g: (3 * x**2 * g,))
    return cube(x)


RULE = ("value", "vjp")

ROWS = (
    Row(
        "torch.autograd.Function",
        "jax.custom_vjp(fun)",
        "A decorated function with two rules, not a class; no `ctx` that is written to.",
        function_torch,
        function_jax,
        inputs=(X,),
        orders=RULE,
        also=("torch.autograd.function.Function",),
        page="autograd.html#function",
    ),
    Row(
        "torch.autograd.Function.forward",
        "fun.defvjp(forward, backward)",
        "Returns the value and the residuals, as a pair.",
        forward_torch,
        forward_jax,
        inputs=(X,),
        orders=RULE,
    ),
    Row(
        "torch.autograd.Function.backward",
        "fun.defvjp(forward, backward)",
        "Gets the residuals and the cotangent, and returns a tuple: one for each argument.",
        backward_torch,
        backward_jax,
        inputs=(X,),
        orders=RULE,
    ),
    Row(
        "torch.autograd.Function.vjp",
        "fun.defvjp(forward, backward)",
        "Another name of `backward`.",
        vjp_torch,
        backward_jax,
        inputs=(X,),
        orders=RULE,
        page="generated/torch.autograd.Function.backward.html",
    ),
    Row(
        "torch.autograd.Function.apply",
        "jax.custom_vjp(fun, nondiff_argnums=(1,))",
        "Call the function. Arguments that are no arrays are declared, and need no `None`.",
        apply_torch,
        apply_jax,
        inputs=(X,),
        orders=RULE,
        page="notes/extending.html#extending-torch-autograd",
    ),
    Row(
        "torch.autograd.Function.setup_context",
        "fun.defvjp(forward, backward)",
        "What backward needs is what forward returns beside the value.",
        setup_context_torch,
        setup_context_jax,
        inputs=(X,),
        orders=RULE,
        page="notes/extending.html#combined-or-separate-forward-and-setup-context",
    ),
    Row(
        "torch.autograd.function.once_differentiable",
        "",
        "The backward rule is JAX code, and is differentiated like any other: nothing to forbid.",
    ),
    Row(
        "torch.autograd.function.InplaceFunction",
        "",
        "Arrays are immutable.",
    ),
    Row(
        "torch.autograd.function.NestedIOFunction",
        "",
        "Trees go in and out of every function: `jax.custom_vjp` takes them as they are.",
        also=("torch.autograd.NestedIOFunction",),
    ),
    Row(
        "torch.autograd.function.FunctionCtx",
        "",
        "No context is handed from one rule to the other: residuals are returned.",
        also=(
            "torch.autograd.function.BackwardCFunction",
            "torch.autograd.function.FunctionMeta",
            "torch.autograd.Function.boxed_grads_call",
            "torch.autograd.Function.clear_saved_tensors_on_access",
            "torch.autograd.Function.maybe_clear_saved_tensors",
            "torch.autograd.Function.saved_variables",
            "torch.autograd.Function.requires_grad",
        ),
        page="autograd.html#context-method-mixins",
    ),
)
