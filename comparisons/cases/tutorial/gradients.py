"""Chapter 2: the gradient of a scalar, and the two ways to that of a vector."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons import ParityCase

BACKWARD = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html"
GRAD = "https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html"


def scalar_torch(x, w, b):
    for leaf in (x, w, b):
        leaf.requires_grad_()
    y = torch.tanh(w * x + b)
    y.backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "w.grad": w.grad,
        "b.grad": b.grad,
    }


def scalar_jax(x, w, b):
    fun = jax.value_and_grad(
        lambda x, w, b: jnp.tanh(w * x + b),
        argnums=(0, 1, 2),
    )
    y, (x_bar, w_bar, b_bar) = fun(x, w, b)
    return {
        "y": y,
        "x.grad": x_bar,
        "w.grad": w_bar,
        "b.grad": b_bar,
    }


SCALAR = ParityCase(
    name="tutorial/gradients/scalar",
    title="The gradient of a scalar",
    torch=scalar_torch,
    jax=scalar_jax,
    inputs=(0.7, -1.2, 0.3),
    note="backward() needs no argument if y is a scalar; nor does jax.grad.",
    citation=BACKWARD,
)


def scalar_of_vector_torch(x, w):
    return torch.sum(torch.sin(w @ x) ** 2)


def scalar_of_vector_jax(x, w):
    return jnp.sum(jnp.sin(w @ x) ** 2)


SCALAR_OF_VECTOR = ParityCase(
    name="tutorial/gradients/scalar_of_vectors",
    title="A scalar function of vectors and matrices",
    torch=scalar_of_vector_torch,
    jax=scalar_of_vector_jax,
    inputs=(
        np.array([0.3, -0.8, 1.1]),
        np.array([[0.2, -0.5, 0.9], [1.5, 0.4, -0.7]]),
    ),
    orders=("value", "vjp"),
    note="Here the report takes the gradients itself: torch.autograd.grad on one side, "
    "functional_ad.vjp on the other.",
    citation=GRAD,
)


def refused_torch(x):
    x.requires_grad_()
    try:
        (x**2).backward()
        text = ""
    except RuntimeError as error:
        text = str(error)
    return {
        "asks for a scalar": "scalar output" in text
    }


def refused_jax(x):
    try:
        functional_ad.vjp(lambda x: x**2, x)
        text = ""
    except functional_ad.OutputError as error:
        text = str(error)
    return {
        "asks for a scalar": "scalar output" in text
    }


REFUSED = ParityCase(
    name="tutorial/gradients/without_cotangent",
    title="A vector has no gradient of its own",
    torch=refused_torch,
    jax=refused_jax,
    inputs=(np.array([1.0, 2.0, 3.0]),),
    note="Both refuse, and say that the output must be a scalar or come with a cotangent.",
    citation=BACKWARD,
)


def cotangent_torch(x, gradient):
    x.requires_grad_()
    y = x**2
    y.backward(gradient)
    return {"y": y, "x.grad": x.grad}


def cotangent_jax(x, gradient):
    def fun(x):
        return x**2

    y, grad = functional_ad.vjp(
        fun, x, cotangent=gradient
    )
    return {"y": y, "x.grad": grad}


COTANGENT = ParityCase(
    name="tutorial/gradients/with_cotangent",
    title="The gradient of a vector, with a cotangent",
    torch=cotangent_torch,
    jax=cotangent_jax,
    inputs=(
        np.array([1.0, 2.0, 3.0]),
        np.array([1.0, 0.1, 0.01]),
    ),
    note="PyTorch's `gradient` argument is the cotangent: a weight for each element of y. The "
    "result is the vector-Jacobian product.",
    citation=BACKWARD,
)


def jacobian_torch(x):
    x.requires_grad_()
    y = torch.stack(
        [x[0] * x[1], x[1] * x[2], x[2] ** 2]
    )
    rows = [
        torch.autograd.grad(
            y, x, row, retain_graph=True
        )[0]
        for row in torch.eye(3)
    ]
    return {"jacobian": torch.stack(rows)}


def jacobian_jax(x):
    def fun(x):
        return jnp.stack(
            [x[0] * x[1], x[1] * x[2], x[2] ** 2]
        )

    y, pullback = jax.vjp(fun, x)
    (rows,) = jax.vmap(pullback)(
        jnp.eye(3, dtype=y.dtype)
    )
    return {"jacobian": rows}


JACOBIAN = ParityCase(
    name="tutorial/gradients/cotangents_are_rows",
    title="One cotangent for each row of the Jacobian",
    torch=jacobian_torch,
    jax=jacobian_jax,
    inputs=(np.array([0.5, -1.5, 2.5]),),
    note="With unit vectors as cotangents, the vector-Jacobian products are the rows of the "
    "Jacobian. JAX pulls all of them back at once with vmap.",
    citation=GRAD,
)


def mean_torch(x):
    x.requires_grad_()
    y = x**2
    y.mean().backward()
    return {"mean": y.mean(), "x.grad": x.grad}


def mean_jax(x):
    def fun(x):
        return jnp.mean(x**2)

    mean, grad = jax.value_and_grad(fun)(x)
    return {"mean": mean, "x.grad": grad}


MEAN = ParityCase(
    name="tutorial/gradients/reduced_by_mean",
    title="The gradient of a vector, reduced to its mean first",
    torch=mean_torch,
    jax=mean_jax,
    inputs=(np.array([1.0, 2.0, 3.0]),),
    note="The same as a cotangent of 1/n everywhere.",
    citation=BACKWARD,
)
