"""torch.optim.Optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from comparisons.cases.surface._row import Row

W = np.array([1.2, 0.3, -0.7])
X = np.array([0.5, -1.5, 2.0])


def step_torch(w, x):
    w.requires_grad_()
    optimizer = torch.optim.SGD([w], 0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        (w * x).sin().sum().backward()
        optimizer.step()
    return w


def step_jax(w, x):
    def loss(w):
        return jnp.sum(jnp.sin(w * x))

    optimizer = optax.sgd(0.1, momentum=0.9)
    state = optimizer.init(w)
    for _ in range(3):
        grads = jax.grad(loss)(w)
        updates, state = optimizer.update(grads, state)
        w = optax.apply_updates(w, updates)
    return w


def groups_torch(w, b, x):
    w.requires_grad_()
    b.requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 1})
    (w * x + b).sin().sum().backward()
    optimizer.step()
    return {"w": w, "b": b}


def groups_jax(w, b, x):
    def loss(params):
        y = params["w"] * x + params["b"]
        return jnp.sum(jnp.sin(y))

    params = {"w": w, "b": b}
    optimizer = optax.partition(
        {
            "slow": optax.sgd(0.1),
            "fast": optax.sgd(1.0),
        },
        {"w": "slow", "b": "fast"},
    )
    updates, _ = optimizer.update(
        jax.grad(loss)(params), optimizer.init(params)
    )
    return optax.apply_updates(params, updates)


def resume_torch(w, grad):
    w.requires_grad_()
    first = torch.optim.SGD([w], 0.1, momentum=0.9)
    w.grad = grad
    first.step()
    second = torch.optim.SGD([w], 0.1, momentum=0.9)
    second.load_state_dict(first.state_dict())
    second.step()
    return w


def resume_jax(w, grad):
    optimizer = optax.sgd(0.1, momentum=0.9)
    updates, state = optimizer.update(
        grad, optimizer.init(w)
    )
    w = optax.apply_updates(w, updates)
    saved = jax.tree.leaves(state)
    tree = jax.tree.structure(optimizer.init(w))
    state = jax.tree.unflatten(tree, saved)
    updates, _ = optimizer.update(grad, state)
    return optax.apply_updates(w, updates)


def state_torch(w, grad):
    w.requires_grad_()
    w.grad = grad
    optimizer = torch.optim.SGD([w], 0.1, momentum=0.9)
    optimizer.step()
    state = optimizer.state_dict()["state"]
    return state[0]["momentum_buffer"]


def state_jax(w, grad):
    optimizer = optax.sgd(0.1, momentum=0.9)
    _, state = optimizer.update(grad, optimizer.init(w))
    return jax.tree.leaves(state)[0]


OPTIMIZER = "torch.optim.Optimizer."

ROWS = (
    Row(
        OPTIMIZER + "step",
        "updates, state = optimizer.update(grads, state); optax.apply_updates(w, updates)",
        "State and parameters go in and come out; nothing is updated in place.",
        step_torch,
        step_jax,
        inputs=(W, X),
    ),
    Row(
        OPTIMIZER + "add_param_group",
        "optax.partition(optimizers, labels)",
        "A tree of labels beside the parameters says which optimizer has which leaf.",
        groups_torch,
        groups_jax,
        inputs=(W, X + 1, X),
    ),
    Row(
        OPTIMIZER + "state_dict",
        "jax.tree.leaves(state)",
        "The state is a tree already: save it as you save the parameters, e.g. with orbax.",
        state_torch,
        state_jax,
        inputs=(W, X),
    ),
    Row(
        OPTIMIZER + "load_state_dict",
        "state = jax.tree.unflatten(tree, saved)",
        "Hand the restored tree to the next `update`.",
        resume_torch,
        resume_jax,
        inputs=(W, X),
    ),
    Row(
        OPTIMIZER + "zero_grad",
        "",
        "Every gradient is a new value: there is nothing to zero, or to forget to.",
    ),
    Row(
        OPTIMIZER + "register_step_pre_hook",
        "",
        "Write the lines before and after `update`, or `optax.chain` another transformation.",
        also=(
            OPTIMIZER + "register_step_post_hook",
            *(
                OPTIMIZER + f"Optimizer{when}Hook"
                for when in ("Pre", "Post")
            ),
        ),
    ),
    Row(
        OPTIMIZER + "register_state_dict_pre_hook",
        "",
        "The state is yours: change the tree before you save it, or after you restored it.",
        also=(
            OPTIMIZER + "register_state_dict_post_hook",
            OPTIMIZER
            + "register_load_state_dict_pre_hook",
            OPTIMIZER
            + "register_load_state_dict_post_hook",
        ),
    ),
    Row(
        OPTIMIZER + "profile_hook_step",
        "",
        "Internal to PyTorch; `jax.named_scope` names the step in a trace.",
        page="optim.html",
    ),
)
