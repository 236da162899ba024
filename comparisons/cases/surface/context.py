"""torch.autograd.Function: its context."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.custom_derivatives import SymbolicZero
from torch.autograd import Function

from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
Y = np.array([1.2, 0.3, -0.7])


def save_torch(x, y):
    class Product(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return grad * y, grad * x

    return Product.apply(x, y)


def save_jax(x, y):
    @jax.custom_vjp
    def product(x, y):
        return x * y

    def forward(x, y):
        residuals = (x, y)
        return x * y, residuals

    def backward(residuals, grad):
        x, y = residuals
        return grad * y, grad * x

    product.defvjp(forward, backward)
    return product(x, y)


def saved_tensors_torch(x):
    class Tanh(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.tanh()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * (1 - y * y)

    return Tanh.apply(x)


def saved_tensors_jax(x):
    tanh = jax.custom_vjp(jnp.tanh)

    def forward(x):
        y = jnp.tanh(x)
        return y, y

    def backward(residuals, grad):
        y = residuals
        return (grad * (1 - y * y),)

    tanh.defvjp(forward, backward)
    return tanh(x)


def needs_input_grad_torch(x, y):
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, x, y):
            seen.extend(ctx.needs_input_grad)
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return grad * y, grad * x

    x.requires_grad_()
    Product.apply(x, y.detach()).sum().backward()
    return {"needed": seen, "x.grad": x.grad}


def needs_input_grad_jax(x, y):
    seen = []

    @jax.custom_vjp
    def product(x, y):
        return x * y

    def forward(x, y):
        seen.extend([x.perturbed, y.perturbed])
        return x.value * y.value, (x.value, y.value)

    def backward(residuals, grad):
        x, y = residuals
        return grad * y, grad * x

    product.defvjp(
        forward, backward, symbolic_zeros=True
    )
    grad = jax.grad(lambda x: jnp.sum(product(x, y)))(x)
    return {"needed": seen, "x.grad": grad}


def mark_torch(x):
    class SortWithIndex(Function):
        @staticmethod
        def forward(ctx, x):
            values, index = x.sort()
            ctx.save_for_backward(index)
            ctx.mark_non_differentiable(index)
            return values, index

        @staticmethod
        def backward(ctx, grad, _):
            (index,) = ctx.saved_tensors
            out = torch.zeros_like(grad)
            return out.scatter(0, index, grad)

    x.requires_grad_()
    values, index = SortWithIndex.apply(x)
    (values**2 * values[0]).sum().backward()
    return {"index": index, "x.grad": x.grad}


def mark_jax(x):
    @jax.custom_vjp
    def sort(x):
        index = jnp.argsort(x)
        return x[index], index

    def backward(index, cotangents):
        grad, _ = cotangents  # of float0: no grad
        return (
            jnp.zeros_like(grad).at[index].set(grad),
        )

    sort.defvjp(
        lambda x: (sort(x), jnp.argsort(x)), backward
    )

    def fun(x):
        values, index = sort(x)
        return jnp.sum(values**2 * values[0]), index

    grad, index = jax.grad(fun, has_aux=True)(x)
    return {"index": index, "x.grad": grad}


def materialize_torch(x):
    used = []

    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            used.extend(
                g is not None for g in (first, second)
            )
            return 2 * first

    x.requires_grad_()
    Split.apply(x)[0].sum().backward()
    return {"used": used, "x.grad": x.grad}


def materialize_jax(x):
    used = []

    @jax.custom_vjp
    def split(x):
        return x * 2, x * 3

    def backward(_, grads):
        used.extend(
            not isinstance(g, SymbolicZero)
            for g in grads
        )
        return (2 * grads[0],)

    split.defvjp(
        lambda x: (split(x.value), None),
        backward,
        symbolic_zeros=True,
    )
    grad = jax.grad(lambda x: jnp.sum(split(x)[0]))(x)
    return {"used": used, "x.grad": grad}


CTX = "torch.autograd.function.FunctionCtx."
PAGE = "generated/" + CTX

ROWS = (
    Row(
        CTX + "save_for_backward",
        "def forward(x, y): return x * y, residuals",
        "Residuals are the second thing that the forward rule returns: any tree.",
        save_torch,
        save_jax,
        inputs=(X, Y),
        orders=("value", "vjp"),
        also=(
            "torch.autograd.Function.save_for_backward",
            "torch.autograd.Function.to_save",
        ),
    ),
    Row(
        "torch.autograd.Function.saved_tensors",
        "def backward(residuals, grad): ...",
        "The backward rule's first argument.",
        saved_tensors_torch,
        saved_tensors_jax,
        inputs=(X,),
        orders=("value", "vjp"),
        page="notes/extending.html#how-to-use",
    ),
    Row(
        "torch.autograd.Function.needs_input_grad",
        "fun.defvjp(forward, backward, symbolic_zeros=True); x.perturbed",
        "The forward rule then gets each argument with `.value` and `.perturbed`.",
        needs_input_grad_torch,
        needs_input_grad_jax,
        inputs=(X, Y),
        page="notes/extending.html#how-to-use",
    ),
    Row(
        CTX + "mark_non_differentiable",
        "grad, _ = cotangents",
        "Integer outputs are so by their dtype: their cotangent is of dtype float0.",
        mark_torch,
        mark_jax,
        inputs=(X,),
        also=(
            "torch.autograd.Function.mark_non_differentiable",
            "torch.autograd.Function.non_differentiable",
        ),
    ),
    Row(
        CTX + "set_materialize_grads",
        "fun.defvjp(forward, backward, symbolic_zeros=True)",
        "A cotangent that is zero for certain is then a `SymbolicZero`, in place of `None`.",
        materialize_torch,
        materialize_jax,
        inputs=(X,),
        also=(
            "torch.autograd.Function.set_materialize_grads",
            "torch.autograd.Function.materialize_grads",
        ),
    ),
    Row(
        CTX + "mark_dirty",
        "",
        "Arrays are immutable: no input is written to.",
        also=(
            "torch.autograd.Function.mark_dirty",
            "torch.autograd.Function.dirty_tensors",
        ),
    ),
    Row(
        CTX + "mark_shared_storage",
        "",
        "Deprecated, without effect in PyTorch; in JAX, storage cannot be seen.",
        also=(
            "torch.autograd.Function.mark_shared_storage",
        ),
        page="autograd.html#context-method-mixins",
    ),
)
