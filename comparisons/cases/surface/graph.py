"""Autograd graph: saved tensors and edges."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.ad_checkpoint import checkpoint_name
from torch.autograd import graph

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
W = np.array([1.2, 0.3, -0.7])


def edge_torch(w, x):
    w.requires_grad_()
    h = w * x
    edge = graph.get_gradient_edge(h)
    loss = h.sin().sum()
    del h  # the edge is enough
    return torch.autograd.grad(loss, edge)[0]


def edge_jax(w, x):
    def fun(w):
        h = checkpoint_name(w * x, "h")
        return jnp.sum(jnp.sin(h))

    return functional_ad.intermediate_grads(fun)(w)[2][
        "h"
    ]


def edges_torch(w, x):
    w.requires_grad_()
    h = w * x
    k = h.sin()
    edges = [
        graph.GradientEdge(value.grad_fn, 0)
        for value in (h, k)
    ]
    grads = torch.autograd.grad(k.exp().sum(), edges)
    return dict(zip(("h", "k"), grads, strict=True))


def edges_jax(w, x):
    def fun(w):
        h = checkpoint_name(w * x, "h")
        k = checkpoint_name(jnp.sin(h), "k")
        return jnp.sum(jnp.exp(k))

    return functional_ad.intermediate_grads(
        fun, names=("h", "k")
    )(w)[2]


def saved_hooks_torch(x):
    def pack(tensor):
        return tensor.numpy().copy()

    x.requires_grad_()
    with graph.saved_tensors_hooks(
        lambda t: pack(t.detach()), torch.from_numpy
    ):
        loss = (x.sin() ** 2).sum()
    loss.backward()
    return x.grad


def saved_hooks_jax(x):
    def fun(x):
        return jnp.sum(jnp.sin(x) ** 2)

    y, pullback = jax.vjp(fun, x)
    packed = jax.tree.map(np.asarray, pullback)
    pullback = jax.tree.map(jnp.asarray, packed)
    return pullback(jnp.ones_like(y))[0]


def save_on_cpu_torch(x):
    x.requires_grad_()
    with graph.save_on_cpu():
        loss = (x.sin() ** 2).sum()
    loss.backward()
    return x.grad


def save_on_cpu_jax(x):
    policies = jax.checkpoint_policies
    save = policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=["h"],
        offload_src="device",
        offload_dst="pinned_host",
    )

    def fun(x):
        h = checkpoint_name(jnp.sin(x), "h")
        return jnp.sum(h**2)

    fun = jax.checkpoint(fun, policy=save)
    return jax.jit(jax.grad(fun))(x)


def multi_torch(w, x):
    w.requires_grad_()
    x.requires_grad_()
    seen = []
    graph.register_multi_grad_hook(
        (w, x), lambda grads: seen.extend(grads)
    )
    (w * x).sin().sum().backward()
    return sum(grad.abs().sum() for grad in seen)


def multi_jax(w, x):
    def fun(w, x):
        return jnp.sum(jnp.sin(w * x))

    seen = jax.grad(fun, argnums=(0, 1))(w, x)
    return sum(jnp.sum(jnp.abs(grad)) for grad in seen)


def mutation_torch(x):
    x.requires_grad_()
    with graph.allow_mutation_on_saved_tensors():
        y = x * 2
        loss = (y**2).sum()
        y[0] = 0  # after it was saved
        loss = loss + y.sum()
        loss.backward()
    return {"y": y, "x.grad": x.grad}


def mutation_jax(x):
    def fun(x):
        y = x * 2
        loss = jnp.sum(y**2)
        y = y.at[0].set(0)
        return loss + jnp.sum(y), y

    grad, y = jax.grad(fun, has_aux=True)(x)
    return {"y": y, "x.grad": grad}


GRAPH = "torch.autograd.graph."
PAGE = "autograd.html#" + GRAPH

ROWS = (
    Row(
        GRAPH + "get_gradient_edge",
        'checkpoint_name(h, "h"), then functional_ad.intermediate_grads(fun)(w)',
        "A point of the graph has a name; nothing has to be kept alive for it.",
        edge_torch,
        edge_jax,
        inputs=(W, X),
        page=PAGE + "get_gradient_edge",
    ),
    Row(
        GRAPH + "GradientEdge",
        'functional_ad.intermediate_grads(fun, names=("h", "k"))(w)',
        "The names are the edges.",
        edges_torch,
        edges_jax,
        inputs=(W, X),
        page=PAGE + "GradientEdge",
    ),
    Row(
        GRAPH + "saved_tensors_hooks",
        "pullback = jax.tree.map(pack, pullback)",
        "The pullback of `jax.vjp` is a tree of what was saved: map over it, and back.",
        saved_hooks_torch,
        saved_hooks_jax,
        inputs=(X,),
        page=PAGE + "saved_tensors_hooks",
    ),
    Row(
        GRAPH + "save_on_cpu",
        "jax.checkpoint_policies.save_and_offload_only_these_names(...)",
        "Values to be moved to the host are named; needs `jit`.",
        save_on_cpu_torch,
        save_on_cpu_jax,
        inputs=(X,),
        page=PAGE + "save_on_cpu",
    ),
    Row(
        GRAPH + "register_multi_grad_hook",
        "fn(jax.grad(fun, argnums=(0, 1))(w, x))",
        "All gradients come at once; in the midst of the function, `functional_ad.grad_hook` on a "
        "tree.",
        multi_torch,
        multi_jax,
        inputs=(W, X),
        page=PAGE + "register_multi_grad_hook",
    ),
    Row(
        GRAPH + "allow_mutation_on_saved_tensors",
        "y = y.at[0].set(0)",
        "A new array: what was saved stays as it was.",
        mutation_torch,
        mutation_jax,
        inputs=(X,),
        page=PAGE + "allow_mutation_on_saved_tensors",
    ),
    Row(
        GRAPH + "disable_saved_tensors_hooks",
        "",
        "No hook is active from outside of a function, so none is to be forbidden.",
        page=PAGE + "disable_saved_tensors_hooks",
    ),
    Row(
        GRAPH + "increment_version",
        "",
        "Arrays are immutable: they have no version.",
    ),
    Row(
        GRAPH + "region_activation_memory_budget",
        "",
        "A budget for torch.compile. Say what is saved with `jax.checkpoint(policy=...)`.",
        page=PAGE + "region_activation_memory_budget",
    ),
    Row(
        GRAPH + "set_override_stale_capture_stream",
        "",
        "Streams are the compiler's business.",
        also=(
            GRAPH
            + "set_warn_on_accumulate_grad_stream_mismatch",
        ),
        page="autograd.html#autograd-graph",
    ),
)
