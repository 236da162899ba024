"""torch.func: vmap and modules."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
ROWS_OF_X = np.array(
    [[0.5, -1.5], [2.0, 0.1], [-0.4, 1.3]]
)
FIRST = {
    "weight": np.array([[0.5, -1.0], [0.25, 2.0]]),
    "bias": np.array([0.1, -0.2]),
}
SECOND = {
    name: 1 - leaf for name, leaf in FIRST.items()
}


def vmap_torch(w, rows):
    def loss(w, row):
        return (w[:2] @ row).tanh()

    # gradients example by example
    gradient = torch.func.grad(loss)
    return torch.func.vmap(gradient, (None, 0))(w, rows)


def vmap_jax(w, rows):
    def loss(w, row):
        return jnp.tanh(w[:2] @ row)

    # gradients example by example
    gradient = jax.grad(loss)
    return jax.vmap(gradient, (None, 0))(w, rows)


def vmap_chunk_torch(rows):
    def fun(row):
        return row.tanh() / row.norm()

    return torch.func.vmap(fun, chunk_size=2)(rows)


def vmap_chunk_jax(rows):
    def fun(row):
        return jnp.tanh(row) / jnp.linalg.norm(row)

    return jax.lax.map(fun, rows, batch_size=2)


def functional_call_torch(params, x):
    model = torch.nn.Linear(2, 2)
    return torch.func.functional_call(
        model, params, (x,)
    )


def functional_call_jax(params, x):
    def apply(params, x):
        return x @ params["weight"].T + params["bias"]

    return apply(params, x)


def stack_torch(first, second, x):
    models = [torch.nn.Linear(2, 2) for _ in range(2)]
    for model, params in zip(
        models, (first, second), strict=True
    ):
        model.load_state_dict(params)
    stacked, _ = torch.func.stack_module_state(models)

    def call(params, x):
        return torch.func.functional_call(
            models[0], params, (x,)
        )

    return torch.func.vmap(call, (0, None))(stacked, x)


def stack_jax(first, second, x):
    stacked = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), first, second
    )

    def apply(params, x):
        return x @ params["weight"].T + params["bias"]

    return jax.vmap(apply, (0, None))(stacked, x)


def rearrange_torch(x):
    return torch.func.rearrange(
        x, "a (b c) -> b a c", b=2
    )


def rearrange_jax(x):
    parts = x.reshape(len(x), 2, -1)
    return parts.transpose(1, 0, 2)


ROWS = (
    Row(
        "torch.func.vmap",
        "jax.vmap(fun, in_axes=(None, 0))(w, rows)",
        "`in_dims` is `in_axes`. A random key is an argument: split it, and map over the keys.",
        vmap_torch,
        vmap_jax,
        inputs=(X, ROWS_OF_X),
        also=("torch.vmap",),
    ),
    Row(
        "torch.func.vmap(chunk_size=2)",
        "jax.lax.map(fun, rows, batch_size=2)",
        "A loop over parts, each of them mapped at once.",
        vmap_chunk_torch,
        vmap_chunk_jax,
        inputs=(ROWS_OF_X,),
    ),
    Row(
        "torch.func.functional_call",
        "apply(params, x)",
        "A model is a function of its parameters: flax's `apply`, or a function of your own.",
        functional_call_torch,
        functional_call_jax,
        inputs=(FIRST, ROWS_OF_X),
    ),
    Row(
        "torch.func.stack_module_state",
        "jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)",
        "Parameters are a tree: stack its leaves, and map over the first axis.",
        stack_torch,
        stack_jax,
        inputs=(FIRST, SECOND, ROWS_OF_X),
    ),
    Row(
        "torch.func.rearrange",
        "x.reshape(...).transpose(...)",
        "Or `einops.rearrange`, which takes JAX arrays.",
        rearrange_torch,
        rearrange_jax,
        inputs=(np.arange(12.0).reshape(3, 4),),
        page="func.api.html",
    ),
)
