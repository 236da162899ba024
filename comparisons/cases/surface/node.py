"""Autograd graph: nodes."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])
W = np.array([1.2, 0.3, -0.7])


def is_leaf_torch(w, x):
    w.requires_grad_()
    h = w * x
    return [w.is_leaf, x.is_leaf, h.is_leaf]


def is_leaf_jax(w, x):
    drawn = functional_ad.graph(
        lambda w, x: w * x, w, x, where="w"
    )
    names = ("w", "x", "mul")
    return [drawn[name].is_leaf for name in names]


def grad_fn_torch(w, x):
    w.requires_grad_()
    values = w * x, x.sin(), (w * x).detach()
    return [y.grad_fn is not None for y in values]


def grad_fn_jax(w, x):
    def fun(w, x):
        y = w * x
        return y, jnp.sin(x), jax.lax.stop_gradient(y)

    drawn = functional_ad.graph(fun, w, x, where="w")
    names = ("mul", "sin", "stop_gradient")
    return [drawn[name].requires_grad for name in names]


def node_torch(w, x):
    w.requires_grad_()
    todo, seen = [(w * x).sin().sum().grad_fn], set()
    while todo:
        node = todo.pop()
        assert isinstance(
            node, torch.autograd.graph.Node
        )
        seen.add(node)
        todo += [n for n, _ in node.next_functions if n]
    # sum, sin, mul, and the one that fills w.grad
    return len(seen)


def node_jax(w, x):
    drawn = functional_ad.graph(
        lambda w, x: jnp.sum(jnp.sin(w * x)),
        *(w, x),
        where="w",
    )
    return sum(
        node.on_grad_path and node.kind != "output"
        for node in drawn.nodes
    )


def name_torch(x):
    x.requires_grad_()
    nodes = x.sin().grad_fn, x.cos().grad_fn
    return ["Sin" in node.name() for node in nodes]


def name_jax(x):
    drawn = functional_ad.graph(
        lambda x: (jnp.sin(x), jnp.cos(x)), x
    )
    nodes = drawn["sin"], drawn["cos"]
    return [node.op == "sin" for node in nodes]


def next_torch(w, x):
    w.requires_grad_()
    node = (w * x).grad_fn
    return [
        fn is not None for fn, _ in node.next_functions
    ]


def next_jax(w, x):
    drawn = functional_ad.graph(
        lambda w, x: w * x, w, x, where="w"
    )
    return [
        edge.requires_grad
        for edge in drawn.edges
        if edge.target == "mul"
    ]


def metadata_torch(x):
    x.requires_grad_()
    with (
        # anomaly detection is slow, it says
        warnings.catch_warnings(action="ignore"),
        torch.autograd.detect_anomaly(),
    ):
        node = x.sin().grad_fn
    lines = "".join(node.metadata["traceback_"])
    return Path(__file__).name in lines


def metadata_jax(x):
    drawn = functional_ad.graph(lambda x: jnp.sin(x), x)
    return Path(__file__).name in drawn["sin"].line


def register_hook_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.grad_fn.register_hook(
        lambda grad_inputs, grad_outputs: (
            grad_inputs[0] * 2,
            None,
        )
    )
    h.sin().sum().backward()
    return w.grad


def register_hook_jax(w, x):
    def fun(w):
        w = functional_ad.grad_hook(w, lambda g: g * 2)
        return jnp.sum(jnp.sin(w * x))

    return jax.grad(fun)(w)


def register_prehook_torch(w, x):
    w.requires_grad_()
    h = w * x
    h.grad_fn.register_prehook(
        lambda grad_outputs: (grad_outputs[0].abs(),)
    )
    h.sin().sum().backward()
    return w.grad


def register_prehook_jax(w, x):
    def fun(w):
        h = functional_ad.grad_hook(w * x, jnp.abs)
        return jnp.sum(jnp.sin(h))

    return jax.grad(fun)(w)


NODE = "torch.autograd.graph.Node."
FUNCTION = "torch.autograd.Function."

ROWS = (
    Row(
        "torch.Tensor.is_leaf",
        'functional_ad.graph(fun, *args)["w"].is_leaf',
        "What goes into the function is a leaf.",
        is_leaf_torch,
        is_leaf_jax,
        inputs=(W, X),
    ),
    Row(
        "torch.Tensor.grad_fn",
        "functional_ad.graph(fun, *args, where=...)",
        "The graph is read off the function, before anything runs; print it, or draw it.",
        grad_fn_torch,
        grad_fn_jax,
        inputs=(W, X),
        page="autograd.html#tensor-autograd-functions",
    ),
    Row(
        "torch.autograd.graph.Node",
        "functional_ad.graph(fun, *args).nodes",
        "Every op is a node, marked if the gradient passes it.",
        node_torch,
        node_jax,
        inputs=(W, X),
        page="autograd.html#autograd-graph",
    ),
    Row(
        NODE + "name",
        'functional_ad.graph(fun, *args)["sin"].op',
        "JAX's name for the op.",
        name_torch,
        name_jax,
        inputs=(X,),
        also=(FUNCTION + "name",),
    ),
    Row(
        NODE + "next_functions",
        "functional_ad.graph(fun, *args).edges",
        "Edges lead from where a value is made to where it is used.",
        next_torch,
        next_jax,
        inputs=(W, X),
        also=(FUNCTION + "next_functions",),
    ),
    Row(
        NODE + "metadata",
        'functional_ad.graph(fun, *args)["sin"].line',
        "The line of the source; PyTorch has it while anomalies are looked for.",
        metadata_torch,
        metadata_jax,
        inputs=(X,),
        also=(FUNCTION + "metadata",),
    ),
    Row(
        NODE + "register_hook",
        "x = functional_ad.grad_hook(x, fn)",
        "A hook on what goes into the op.",
        register_hook_torch,
        register_hook_jax,
        inputs=(W, X),
        also=(FUNCTION + "register_hook",),
    ),
    Row(
        NODE + "register_prehook",
        "y = functional_ad.grad_hook(y, fn)",
        "A hook on what comes out of the op.",
        register_prehook_torch,
        register_prehook_jax,
        inputs=(W, X),
        also=(FUNCTION + "register_prehook",),
    ),
)
