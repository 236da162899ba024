"""Rows of the optimizers whose steps have a length of their own: Rprop, ASGD, Muon."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks._optimizer_row import ASCENT, DECAY, RATE, Range, Row
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim import _muon

# --- rprop


def _twin_rprop(*, lr, etas, step_sizes, **_):
    return optax.rprop(lr, *etas, *step_sizes)


def _step_back(*, lr, etas, step_sizes, **_):
    """Where the sign changes it goes on at the smaller size, as other rules of this name do."""
    right = optim.rprop(lr, etas, step_sizes)

    def update(updates, state, params=None):
        steps, new_state = right.update(updates, state, params)
        inner = optax.tree.get(new_state, "step_sizes")
        turned = jax.tree.map(lambda g, size: -jnp.sign(g) * size, updates, inner)
        del steps
        return turned, new_state

    return optax.GradientTransformation(right.init, update)


_RPROP = Row(
    "Rprop",
    ranges={
        "lr": RATE,
        "etas": (Range(0.2, 0.8), Range(1.05, 1.5)),
        "step_sizes": (Range(1e-6, 1e-3, log=True), Range(0.5, 50.0, log=True)),
    },
    variants={"plain": {}, "ascent": {"maximize": True}},
    twin={"plain": _twin_rprop},
    defects={
        "the last step's update": ("plain", _twin_rprop),
        "a turned gradient moves": ("plain", _step_back),
    },
)

# --- asgd


def _twin_asgd(*, lr, lambd, weight_decay, **_):
    """What one would put together: descent with decay, and a running mean of the parameters."""

    def init(params):
        return optax.tree.zeros_like(params)

    def update(updates, state, params=None):
        new = optax.apply_updates(params, updates)
        return updates, optax.incremental_update(new, state, 0.1)

    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.add_decayed_weights(lambd),
        optax.sgd(lr),
        optax.GradientTransformation(init, update),
    )


def _begin_early(*, t0, **options):
    return optim.asgd(t0=t0 - 1, **options)


def _keep_weights(*, lambd, weight_decay, **options):
    return optim.asgd(lambd=lambd, weight_decay=weight_decay - lambd, **options)


_ASGD = Row(
    "ASGD",
    ranges={
        "lr": RATE,
        "lambd": Range(1e-4, 0.1, log=True),
        "alpha": Range(0.5, 1.0),
        "t0": Range(0.0, 900.0),
        "weight_decay": DECAY,
    },
    variants={"plain": {"weight_decay": 0.0}, "ascent": ASCENT, "decay": {}},
    twin={"plain": _twin_asgd},
    defects={
        "the average begins a step early": ("decay", _begin_early),
        "lambd decays no weights": ("decay", _keep_weights),
    },
)

# --- muon


@contextlib.contextmanager
def _without_bfloat16() -> Iterator[None]:
    """The iterations in the parameters' dtype, in PyTorch and here, and all the rest as it is.

    How near they come in bfloat16 is tested apart.
    """
    import torch

    widest = jax.dtypes.canonicalize_dtype(np.float64)
    with (
        mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone),
        mock.patch.object(_muon, "_DTYPE", widest),
    ):
        yield


def _twin_muon(*, lr, weight_decay, momentum, nesterov=True, **_):
    return optax.contrib.muon(lr, beta=momentum, weight_decay=weight_decay, nesterov=nesterov)


def _no_look_ahead(**options):
    return optim.muon(**options, nesterov=False)


def _columns_by_rows(*, lr, **options):
    """The rate is adjusted for the transposed matrix."""
    whole = optim.muon(lr=1.0, **options)

    def update(updates, state, params=None):
        updates, state = whole.update(updates, state, params)

        def adjust(update):
            rows, columns = update.shape
            return update * lr * np.sqrt(max(1, columns / rows) / max(1, rows / columns))

        return jax.tree.map(adjust, updates), state

    return optax.GradientTransformation(whole.init, update)


_MUON = Row(
    "Muon",
    ranges={
        "lr": RATE,
        "weight_decay": DECAY,
        "momentum": Range(0.1, 0.99),
        "eps": Range(1e-4, 3.0, log=True),
    },
    variants={
        "plain": {"nesterov": False, "weight_decay": 0.0},
        "rms": {"adjust_lr_fn": "match_rms_adamw"},
        "ahead": {},
    },
    twin={"plain": _twin_muon, "ahead": _twin_muon},
    defects={
        "it does not look ahead": ("ahead", _no_look_ahead),
        "the rate is for columns by rows": ("ahead", _columns_by_rows),
    },
    setting=_without_bfloat16,
    layer={"weight": (64, 32)},
    shapes={"tall": (4, 3), "wide": (2, 5), "square": (3, 3)},
)

STEPS = {"rprop": _RPROP, "asgd": _ASGD, "muon": _MUON}
