"""Chapter 4: the worked case, a linear regression trained by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from comparisons import ParityCase

GENERATOR = "https://docs.pytorch.org/docs/stable/notes/randomness.html"
EXAMPLES = "https://docs.pytorch.org/tutorials/beginner/pytorch_with_examples.html"


def data_torch():
    torch.manual_seed(21)
    x = torch.randint(1, 5, (1, 20)).float()
    y = torch.randint(1, 5, (1, 20)).float()
    return {"x": x, "y": y}


def data_jax():
    # MT19937, like torch's generator on a CPU
    generator = np.random.RandomState(21)
    raw = generator.randint(0, 2**32, 40, np.uint32)
    x, y = (raw % 4 + 1).reshape(2, 1, 20)
    return {"x": jnp.float32(x), "y": jnp.float32(y)}


DATA = ParityCase(
    name="tutorial/worked_case/data",
    title="The data: torch.manual_seed(21) without torch",
    torch=data_torch,
    jax=data_jax,
    note="torch.randint(1, 5) takes each 32-bit number of the generator modulo 4, plus 1.",
    citation=GENERATOR,
)

X, Y = (
    np.asarray(values, np.float32)
    for values in data_jax().values()
)


def first_step_torch(a, b, x, y):
    return torch.mean((y - (a * x + b)) ** 2)


def first_step_jax(a, b, x, y):
    return jnp.mean((y - (a * x + b)) ** 2)


FIRST_STEP = ParityCase(
    name="tutorial/worked_case/first_step",
    title="The loss before training, and its gradients",
    torch=first_step_torch,
    jax=first_step_jax,
    inputs=(1.0, 2.0, X, Y),
    orders=("value", "vjp"),
    note="The loss is 5.75 on both sides. The gradients, too, are sums of twenty small numbers.",
    citation=EXAMPLES,
)


NAMES = ("loss", "a", "b", "a.grad", "b.grad")


def training_torch(a, b, x, y):
    a.requires_grad_()
    b.requires_grad_()
    history = {name: [] for name in NAMES}
    for _ in range(50):
        loss = torch.mean((y - (a * x + b)) ** 2)
        if a.grad is not None:
            a.grad.zero_()
            b.grad.zero_()
        loss.backward()
        with torch.no_grad():
            a -= 0.01 * a.grad
            b -= 0.01 * b.grad
        now = (loss, a, b, a.grad, b.grad)
        for name, value in zip(NAMES, now, strict=True):
            history[name].append(value.detach().clone())
    return {
        k: torch.stack(v) for k, v in history.items()
    }


@jax.jit
def training_jax(a, b, x, y):
    def loss_fn(params):
        a, b = params
        return jnp.mean((y - (a * x + b)) ** 2)

    gradient = jax.value_and_grad(loss_fn)

    def descend(param, grad):
        return param - 0.01 * grad

    def epoch(params, _):
        loss, grads = gradient(params)
        params = jax.tree.map(descend, params, grads)
        return params, (loss, *params, *grads)

    _, history = jax.lax.scan(epoch, (a, b), length=50)
    return dict(zip(NAMES, history, strict=True))


TRAINING = ParityCase(
    name="tutorial/worked_case/training",
    title="The worked case: 50 epochs of linear regression by hand",
    torch=training_torch,
    jax=training_jax,
    inputs=(1.0, 2.0, X, Y),
    note="Both run freely from the same start. Each leaf holds one number per epoch: the loss, the "
    "parameters after the update, and the gradients it used.",
    citation=EXAMPLES,
    curves=("loss",),
)
