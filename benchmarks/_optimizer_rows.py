"""Every optimizer of `torch_semantics.optim`, with what its tests and its benchmark need.

A new optimizer joins by a `Row`, which `_optimizer_row.py` explains, here or in a file that this
one adds, and by a row in `functional_ad/torch_semantics/optim/_slots.py`.
"""

from __future__ import annotations

import optax

from benchmarks._optimizer_row import DECAY, RATE, Range, Row, add_decay

ROWS: dict[str, Row] = {}


# --- sgd


def _twin_sgd(*, lr, momentum, weight_decay, nesterov=False, **_):
    return add_decay(weight_decay, optax.sgd(lr, momentum or None, nesterov))


def _damp_the_first(*, lr, momentum, dampening, weight_decay, **_):
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.scale(1 - dampening),
        optax.sgd(lr, momentum),
    )


def _decay_apart(*, lr, momentum, weight_decay, **_):
    return optax.chain(
        optax.trace(momentum, nesterov=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(lr),
    )


def _rate_inside(*, lr, momentum, weight_decay, **_):
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(lr),
        optax.trace(momentum, nesterov=True),
    )


ROWS["sgd"] = Row(
    "SGD",
    ranges={
        "lr": RATE,
        "momentum": Range(0.1, 0.95),
        "dampening": Range(0.0, 0.9),
        "weight_decay": DECAY,
    },
    variants={
        "plain": {"momentum": 0.0, "weight_decay": 0.0, "dampening": 0.0},
        "dampened": {"maximize": True},
        "nesterov": {"nesterov": True, "dampening": 0.0},
    },
    twin={"plain": _twin_sgd, "nesterov": _twin_sgd},
    defects={
        "the first gradient is dampened": ("dampened", _damp_the_first),
        "weights decay beside the momentum": ("nesterov", _decay_apart),
        "the rate is inside the momentum": ("nesterov", _rate_inside),
    },
)
