"""Chapter 1: tensors and requires_grad, the computation graph, leaf nodes, backward, .grad."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import functional_ad
from comparisons import ParityCase

NOTES = "https://docs.pytorch.org/docs/stable/notes/autograd.html"
TENSOR = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor"


def default_torch(x, w):
    w.requires_grad_()
    return {"x": x.requires_grad, "w": w.requires_grad}


def default_jax(x, w):
    return functional_ad.select(
        {"x": x, "w": w}, where="w"
    )


DEFAULT = ParityCase(
    name="tutorial/concepts/requires_grad_default",
    title="requires_grad is False until asked for",
    torch=default_torch,
    jax=default_jax,
    inputs=(
        np.array([1.0, 2.0]),
        np.array([0.5, -0.5]),
    ),
    note="An array carries no flag. Which leaves are differentiated is said where the gradient is "
    "taken, and kept as a tree of booleans beside the parameters.",
    citation=f"{TENSOR}.requires_grad.html",
)


def float_only_torch(w, n, mask):
    def can_require_grad(tensor):
        try:
            tensor.requires_grad_()
        except RuntimeError:
            # only floating point and complex dtypes can
            return False
        return tensor.requires_grad

    return {
        "w": can_require_grad(w),
        "n": can_require_grad(n),
        "mask": can_require_grad(mask),
    }


def float_only_jax(w, n, mask):
    tree = {"w": w, "n": n, "mask": mask}

    def can_be_selected(name):
        try:
            return functional_ad.select(
                tree, where=name
            )[name]
        except functional_ad.LeafTypeError:
            return False

    return {
        name: can_be_selected(name) for name in tree
    }


FLOAT_ONLY = ParityCase(
    name="tutorial/concepts/requires_grad_float_only",
    title="Only floating-point tensors can require gradients",
    torch=float_only_torch,
    jax=float_only_jax,
    inputs=(
        np.array([1.0, 2.0]),
        np.array([1, 2]),
        np.array([True, False]),
    ),
    note="Both refuse integers and booleans. functional_ad.select says which leaf it was, by its "
    "path in the tree.",
    citation=f"{TENSOR}.requires_grad_.html",
)


def tracking_torch(x, w, b):
    w.requires_grad_()
    tracked, untracked = w * x + b, x + b
    return {
        "w * x + b": tracked.requires_grad,
        "x + b": untracked.requires_grad,
    }


def tracking_jax(x, w, b):
    def depends_on_w(fun):
        _, linear = jax.linearize(fun, w)
        return bool(
            jnp.any(linear(jnp.ones_like(w)) != 0)
        )

    return {
        "w * x + b": depends_on_w(lambda w: w * x + b),
        "x + b": depends_on_w(lambda w: x + b),
    }


TRACKING = ParityCase(
    name="tutorial/concepts/graph_tracking",
    title="A result is tracked if one of its inputs is",
    torch=tracking_torch,
    jax=tracking_jax,
    inputs=(
        np.array([1.0, 2.0]),
        np.array([0.5, -0.5]),
        np.array([1.0, 1.0]),
    ),
    note="PyTorch builds the graph while it computes and marks each result. In JAX the graph is "
    "the function: what depends on its argument has a derivative, what does not has none.",
    citation=f"{NOTES}#how-autograd-encodes-the-history",
)


def leaf_torch(x, w):
    w.requires_grad_()
    h = w * x
    h.retain_grad()
    (h**2).sum().backward()
    return {
        "x is leaf": x.is_leaf,
        "w is leaf": w.is_leaf,
        "h is leaf": h.is_leaf,
        "w.grad": w.grad,
        "h.grad": h.grad,
    }


def leaf_jax(x, w):
    def of_result(h):
        return jnp.sum(h**2)

    graph = jax.make_jaxpr(lambda x, w: (x, w, w * x))(
        x, w
    ).jaxpr
    x_is_leaf, w_is_leaf, h_is_leaf = (
        node in graph.invars for node in graph.outvars
    )
    h, h_to_w = jax.vjp(lambda w: w * x, w)
    h_bar = jax.grad(of_result)(h)
    return {
        "x is leaf": x_is_leaf,
        "w is leaf": w_is_leaf,
        "h is leaf": h_is_leaf,
        "w.grad": h_to_w(h_bar)[0],
        "h.grad": h_bar,
    }


LEAF = ParityCase(
    name="tutorial/concepts/leaf_and_non_leaf",
    title="Leaf nodes, and the gradient of a node that is none",
    torch=leaf_torch,
    jax=leaf_jax,
    inputs=(
        np.array([1.0, 2.0, 3.0]),
        np.array([0.5, -0.5, 2.0]),
    ),
    note="Leaves are the arguments; results in between are not. PyTorch keeps .grad at leaves only "
    "unless retain_grad asks for it; in JAX one cuts the function where the gradient is wanted.",
    citation=f"{TENSOR}.is_leaf.html",
)


def non_leaf_grad_torch(x):
    x.requires_grad_()
    y = 2 * x
    y.sum().backward()
    with warnings.catch_warnings(action="ignore"):
        # torch warns that y is no leaf and has no .grad
        stored = {"leaf": x.grad, "non-leaf": y.grad}
    found = {
        k: v is not None for k, v in stored.items()
    }
    return {**found, "x.grad": x.grad}


def non_leaf_grad_jax(x):
    def fun(arguments):
        y = 2 * arguments["leaf"]
        return jnp.sum(y)

    grads = jax.grad(fun)({"leaf": x})
    found = {
        k: k in grads for k in ("leaf", "non-leaf")
    }
    return {**found, "x.grad": grads["leaf"]}


NON_LEAF_GRAD = ParityCase(
    name="tutorial/concepts/stored_at_leaves",
    title="Where the gradient is stored",
    torch=non_leaf_grad_torch,
    jax=non_leaf_grad_jax,
    inputs=(np.array([1.0, -2.0]),),
    note="PyTorch stores the gradient in the leaf. JAX returns it: a tree of the structure of the "
    "argument, which has a place for each leaf and for nothing else.",
    citation=f"{TENSOR}.grad.html",
)


def backward_torch(x):
    x.requires_grad_()
    y = (x**3).sum()
    y.backward()
    return {"y": y, "x.grad": x.grad}


def backward_jax(x):
    y, grad = jax.value_and_grad(
        lambda x: jnp.sum(x**3)
    )(x)
    return {"y": y, "x.grad": grad}


BACKWARD = ParityCase(
    name="tutorial/concepts/backward",
    title="backward() fills .grad",
    torch=backward_torch,
    jax=backward_jax,
    inputs=(np.array([1.0, -2.0, 0.5]),),
    note="jax.grad is a function of a function: it is given the computation, not its result.",
    citation=f"{TENSOR}.backward.html",
)


def retain_torch(x):
    x.requires_grad_()
    y = (x**2).sum()
    y.backward(retain_graph=True)
    first = x.grad.clone()
    y.backward()
    return {"first": first, "both": x.grad}


def retain_jax(x):
    y, pullback = jax.vjp(lambda x: jnp.sum(x**2), x)
    (first,) = pullback(jnp.ones_like(y))
    (second,) = pullback(jnp.ones_like(y))
    return {"first": first, "both": first + second}


RETAIN = ParityCase(
    name="tutorial/concepts/retain_graph",
    title="The graph is freed by backward, unless retained",
    torch=retain_torch,
    jax=retain_jax,
    inputs=(np.array([1.0, -2.0, 0.5]),),
    note="PyTorch frees the graph in backward unless it is retained. In JAX the pullback is a "
    "value: call it as often as you like, and what it holds goes when it goes.",
    citation=f"{TENSOR}.backward.html",
)


def detach_torch(x):
    x.requires_grad_()
    constant = (x**2).detach()
    y = (constant * x).sum()
    y.backward()
    return {
        "is tracked": constant.requires_grad,
        "y": y,
        "x.grad": x.grad,
    }


def detach_jax(x):
    def fun(x):
        constant = lax.stop_gradient(x**2)
        return jnp.sum(constant * x)

    _, linear = jax.linearize(
        lambda x: lax.stop_gradient(x**2), x
    )
    y, grad = jax.value_and_grad(fun)(x)
    return {
        "is tracked": bool(
            jnp.any(linear(jnp.ones_like(x)))
        ),
        "y": y,
        "x.grad": grad,
    }


DETACH = ParityCase(
    name="tutorial/concepts/detach",
    title="detach() takes a value out of the graph",
    torch=detach_torch,
    jax=detach_jax,
    inputs=(np.array([1.0, -2.0, 0.5]),),
    note="jax.lax.stop_gradient is detach: the value goes on, its derivative is zero.",
    citation=f"{TENSOR}.detach.html",
)
