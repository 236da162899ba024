"""torch.utils.checkpoint."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.ad_checkpoint import checkpoint_name
from torch.utils import checkpoint as ckpt

from comparisons.cases.surface._row import (
    Row,
    list_names,
)

X = np.array([[0.5, -1.5], [2.0, 0.1], [-0.4, 1.3]])
W = np.array([[0.6, -0.3], [0.2, 0.9]])


def checkpoint_torch(w, x):
    def block(x):
        return (x @ w).sin().exp()

    return ckpt.checkpoint(
        block, x, use_reentrant=False
    )


def checkpoint_jax(w, x):
    @jax.checkpoint
    def block(x):
        return jnp.exp(jnp.sin(x @ w))

    return block(x)


def sequential_torch(weights, x):
    layers = [
        lambda x, w=w: (x @ w).tanh() for w in weights
    ]
    return ckpt.checkpoint_sequential(
        layers, len(layers), x, use_reentrant=False
    )


def sequential_jax(weights, x):
    @jax.checkpoint
    def layer(x, w):
        return jnp.tanh(x @ w), None

    return jax.lax.scan(layer, x, weights)[0]


def selective_torch(w, x):
    def block(x):
        return (x @ w).sin().exp()

    save = [torch.ops.aten.mm.default]
    contexts = partial(
        ckpt.create_selective_checkpoint_contexts, save
    )
    return ckpt.checkpoint(
        block,
        x,
        use_reentrant=False,
        context_fn=contexts,
    )


def selective_jax(w, x):
    policy = jax.checkpoint_policies.dots_saveable

    @partial(jax.checkpoint, policy=policy)
    def block(x):
        return jnp.exp(jnp.sin(x @ w))

    return block(x)


def policy_torch(w, x):
    def policy(ctx, op, *args, **kwargs):
        if op == torch.ops.aten.sin.default:
            return ckpt.CheckpointPolicy.MUST_SAVE
        return ckpt.CheckpointPolicy.PREFER_RECOMPUTE

    contexts = partial(
        ckpt.create_selective_checkpoint_contexts,
        policy,
    )
    return ckpt.checkpoint(
        lambda x: (x @ w).sin().exp(),
        x,
        use_reentrant=False,
        context_fn=contexts,
    )


def policy_jax(w, x):
    policies = jax.checkpoint_policies
    policy = policies.save_only_these_names("sin")

    @partial(jax.checkpoint, policy=policy)
    def block(x):
        h = checkpoint_name(jnp.sin(x @ w), "sin")
        return jnp.exp(h)

    return block(x)


BOTH = ("value", "vjp")
PAGE = "checkpoint.html#torch.utils.checkpoint."

# Parts that its functions are made of.
OTHERS = list_names(
    "torch.utils.checkpoint.",
    "CheckpointFunction DefaultDeviceType GraphExecGroup SAC_IGNORED_OPS "
    "check_backward_validity detach_variable get_device_states set_device_states",
)

ROWS = (
    Row(
        "torch.utils.checkpoint.checkpoint",
        "jax.checkpoint(fun)(*args)",
        "A function of a function. Random keys are arguments: no generator's state to restore.",
        checkpoint_torch,
        checkpoint_jax,
        inputs=(W, X),
        orders=BOTH,
        page=PAGE + "checkpoint",
    ),
    Row(
        "torch.utils.checkpoint.checkpoint_sequential",
        "jax.lax.scan(jax.checkpoint(layer), x, weights)",
        "Equal layers are a scan over their stacked weights, compiled once.",
        sequential_torch,
        sequential_jax,
        inputs=(np.stack([W, W.T, W + 0.1]), X),
        orders=BOTH,
        page=PAGE + "checkpoint_sequential",
    ),
    Row(
        "torch.utils.checkpoint.create_selective_checkpoint_contexts",
        "jax.checkpoint(fun, policy=jax.checkpoint_policies.dots_saveable)",
        "A policy says what is saved.",
        selective_torch,
        selective_jax,
        inputs=(W, X),
        orders=BOTH,
        page=PAGE
        + "create_selective_checkpoint_contexts",
        also=(
            "torch.utils.checkpoint.SelectiveCheckpointContext",
        ),
    ),
    Row(
        "torch.utils.checkpoint.CheckpointPolicy",
        "jax.checkpoint_policies.save_only_these_names(...)",
        "Values are named in the function with `checkpoint_name`, and chosen by name.",
        policy_torch,
        policy_jax,
        inputs=(W, X),
        orders=BOTH,
        page=PAGE + "CheckpointPolicy",
    ),
    Row(
        "torch.utils.checkpoint.set_checkpoint_debug_enabled",
        "",
        "A program that is replayed cannot differ from itself. What is saved is shown by "
        "`jax.ad_checkpoint.print_saved_residuals`.",
        page=PAGE + "set_checkpoint_debug_enabled",
        also=(
            "torch.utils.checkpoint.CheckpointError",
        ),
    ),
    Row(
        "torch.utils.checkpoint.set_checkpoint_early_stop",
        "",
        "The compiler removes what the backward pass does not need.",
        page=PAGE + "set_checkpoint_early_stop",
    ),
    Row(
        "torch.utils.checkpoint.noop_context_fn",
        "",
        "No contexts: leave `policy` out.",
        page="checkpoint.html",
        also=OTHERS,
    ),
)
