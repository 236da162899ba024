"""Chapter 3: no_grad in three ways, accumulation, and zeroing."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

import functional_ad
from comparisons import ParityCase

NO_GRAD = "https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html"
MODE = "https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.set_grad_enabled.html"
ZERO = "https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html"
ACCUMULATE = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation"


def no_grad_with_torch(x, w):
    w.requires_grad_()
    with torch.no_grad():
        target = w * x
    loss = ((2 * w * x - target) ** 2).sum()
    loss.backward()
    return {"loss": loss, "w.grad": w.grad}


def no_grad_with_jax(x, w):
    def loss(w):
        target = lax.stop_gradient(w * x)
        return jnp.sum((2 * w * x - target) ** 2)

    value, grad = jax.value_and_grad(loss)(w)
    return {"loss": value, "w.grad": grad}


NO_GRAD_WITH = ParityCase(
    name="tutorial/control/no_grad_with",
    title="no_grad as a `with` block",
    torch=no_grad_with_torch,
    jax=no_grad_with_jax,
    inputs=(
        np.array([1.0, 2.0, 3.0]),
        np.array([0.5, -0.5, 2.0]),
    ),
    note="There is no mode to switch: jax.lax.stop_gradient on the values that leave the block "
    "says the same, and says it where it can be seen.",
    citation=NO_GRAD,
)


def no_grad_decorator_torch(x, w):
    @torch.no_grad()
    def target(w, x):
        return w * x

    w.requires_grad_()
    loss = ((2 * w * x - target(w, x)) ** 2).sum()
    loss.backward()
    return {"loss": loss, "w.grad": w.grad}


def no_grad_decorator_jax(x, w):
    @functional_ad.no_grad
    def target(w, x):
        return w * x

    def loss(w):
        return jnp.sum((2 * w * x - target(w, x)) ** 2)

    value, grad = jax.value_and_grad(loss)(w)
    return {"loss": value, "w.grad": grad}


NO_GRAD_DECORATOR = ParityCase(
    name="tutorial/control/no_grad_decorator",
    title="no_grad as a decorator",
    torch=no_grad_decorator_torch,
    jax=no_grad_decorator_jax,
    inputs=(
        np.array([1.0, 2.0, 3.0]),
        np.array([0.5, -0.5, 2.0]),
    ),
    note="Both give w * x as a constant. JAX's decorator puts jax.lax.stop_gradient on what goes in "
    "and on what comes out; it takes no parentheses.",
    citation=NO_GRAD,
)


def global_torch(w):
    w.requires_grad_()
    torch.set_grad_enabled(False)
    try:
        (w**2).sum().backward()
        refused = False
    except RuntimeError:
        # element 0 of tensors does not require grad
        refused = True
    off = not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    (w**2).sum().backward()
    return {
        "is off": off,
        "refuses": refused,
        "w.grad when on again": w.grad,
    }


def global_jax(w):
    def loss(w):
        return jnp.sum(w**2)

    step = functional_ad.value_and_grad(loss)
    functional_ad.set_grad_enabled(False)
    try:
        step(w)
        refused = False
    except functional_ad.GradModeError:
        refused = True
    off = not functional_ad.is_grad_enabled()
    functional_ad.set_grad_enabled(True)
    return {
        "is off": off,
        "refuses": refused,
        "w.grad when on again": step(w)[1],
    }


GLOBAL = ParityCase(
    name="tutorial/control/no_grad_global",
    title="Gradients switched off for the whole thread",
    torch=global_torch,
    jax=global_jax,
    inputs=(np.array([0.5, -0.5, 2.0]),),
    note="Be very careful with the global switch, says the tutorial. In JAX it only guards the "
    "functions of this library, which then raise; jax.grad knows no switch.",
    citation=MODE,
)


def repeated_torch(x):
    x.requires_grad_()
    history = []
    for _ in range(3):
        (x**2).sum().backward()
        history.append(x.grad.clone())
    return {"x.grad each time": torch.stack(history)}


def repeated_jax(x):
    total, history = jax.tree.map(jnp.zeros_like, x), []
    for _ in range(3):
        grad = jax.grad(lambda x: jnp.sum(x**2))(x)
        total = jax.tree.map(jnp.add, total, grad)
        history.append(total)
    return {"x.grad each time": jnp.stack(history)}


REPEATED = ParityCase(
    name="tutorial/control/repeated_backward",
    title="Repeated backward adds into .grad",
    torch=repeated_torch,
    jax=repeated_jax,
    inputs=(np.array([1.0, -2.0, 0.5]),),
    note="A gradient is a value: it adds to nothing unless one adds it. Adding two trees is "
    "jax.tree.map(jnp.add, a, b).",
    citation=ZERO,
)


def microbatches_torch(w, x, y):
    w.requires_grad_()
    total = 0.0
    for i in range(4):
        loss = ((x[i::4] @ w - y[i::4]) ** 2).mean() / 4
        loss.backward()
        total = total + loss.detach()
    return {"loss": total, "w.grad": w.grad}


def microbatches_jax(w, x, y):
    def loss(w, batch):
        x, y = batch
        return jnp.mean((x @ w - y) ** 2)

    step = functional_ad.accumulate_grads(loss, 4)
    value, grad = step(w, (x, y))
    return {"loss": value, "w.grad": grad}


_RNG = np.random.default_rng(0)

MICROBATCHES = ParityCase(
    name="tutorial/control/microbatches",
    title="Accumulating a large batch in four parts",
    torch=microbatches_torch,
    jax=microbatches_jax,
    inputs=(
        _RNG.normal(size=3),
        _RNG.normal(size=(16, 3)),
        _RNG.normal(size=16),
    ),
    note="What repeated backward is used for. accumulate_grads is one scan: nothing to divide, "
    "nothing to zero, and the memory of one part.",
    citation=ACCUMULATE,
)


def zeroing_torch(x):
    x.requires_grad_()
    history = []
    for _ in range(3):
        if x.grad is not None:
            x.grad.zero_()
        (x**2).sum().backward()
        history.append(x.grad.clone())
    return {"x.grad each time": torch.stack(history)}


def zeroing_jax(x):
    gradient = jax.grad(lambda x: jnp.sum(x**2))
    history = [gradient(x) for _ in range(3)]
    return {"x.grad each time": jnp.stack(history)}


ZEROING = ParityCase(
    name="tutorial/control/zeroing",
    title="Zeroing .grad before each backward",
    torch=zeroing_torch,
    jax=zeroing_jax,
    inputs=(np.array([1.0, -2.0, 0.5]),),
    note="There is nothing to zero, since nothing was added to.",
    citation=ZERO,
)


def update_torch(w, x):
    w.requires_grad_()
    for _ in range(2):
        w.grad = None
        (w**2 * x).sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
    return {"w": w, "w.grad": w.grad}


def update_jax(w, x):
    for _ in range(2):
        grad = jax.grad(lambda w: jnp.sum(w**2 * x))(w)
        w = w - 0.1 * grad
    return {"w": w, "w.grad": grad}


UPDATE = ParityCase(
    name="tutorial/control/update_under_no_grad",
    title="The update in place, under no_grad",
    torch=update_torch,
    jax=update_jax,
    inputs=(
        np.array([0.5, -0.5, 2.0]),
        np.array([1.0, 2.0, 3.0]),
    ),
    note="PyTorch must hide the update from autograd. In JAX it stands outside of the function "
    "that is differentiated, and makes a new array.",
    citation=NO_GRAD,
)
