"""Every optimizer of `torch_semantics.optim`, with what its tests and its benchmark need.

A new optimizer joins by a `Row`, which `_optimizer_row.py` explains, here or in a file that this
one adds, and by a row in `functional_ad/torch_semantics/optim/_slots.py`.
"""

from __future__ import annotations

import optax

from benchmarks._optimizer_row import ASCENT, BETAS, DECAY, EPS, RATE, Range, Row, add_decay
from benchmarks._optimizer_rows_squares import SQUARES
from benchmarks._optimizer_rows_steps import STEPS
from functional_ad.torch_semantics import optim

ROWS: dict[str, Row] = {**SQUARES, **STEPS}


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
        "ascent": {"maximize": True},
        "dampened": {},
        "nesterov": {"nesterov": True, "dampening": 0.0},
    },
    twin={"plain": _twin_sgd, "nesterov": _twin_sgd},
    defects={
        "the first gradient is dampened": ("dampened", _damp_the_first),
        "weights decay beside the momentum": ("nesterov", _decay_apart),
        "the rate is inside the momentum": ("nesterov", _rate_inside),
    },
)

# --- adam, adamw


def _twin_adam(*, lr, betas, eps, weight_decay=0.0, amsgrad=False, **_):
    adam = (optax.amsgrad if amsgrad else optax.adam)(lr, *betas, eps)
    return add_decay(weight_decay, adam)


def _twin_adamw(*, lr, betas, eps, weight_decay, **_):
    return optax.adamw(lr, *betas, eps, weight_decay=weight_decay)


def _eps_in_root(*, lr, betas, eps, weight_decay, **_):
    return add_decay(weight_decay, optax.adam(lr, *betas, eps=0.0, eps_root=eps))


def _eps_in_root_apart(*, lr, betas, eps, weight_decay, **_):
    return optax.adamw(lr, *betas, eps=0.0, eps_root=eps, weight_decay=weight_decay)


def _no_correction(*, lr, betas, eps, weight_decay, **_):
    corrected = optax.scale_by_amsgrad(*betas, eps, bias_correction_nu=False)
    return add_decay(weight_decay, optax.chain(corrected, optax.scale_by_learning_rate(lr)))


_ADAM = {"lr": RATE, "betas": BETAS, "eps": EPS, "weight_decay": DECAY}

ROWS["adam"] = Row(
    "Adam",
    ranges=_ADAM,
    variants={
        "plain": {"weight_decay": 0.0},
        "amsgrad": {"amsgrad": True},
        "ascent": ASCENT,
        "decay": {},
    },
    twin={"plain": _twin_adam, "amsgrad": _twin_adam},
    defects={
        "eps is in the root": ("decay", _eps_in_root),
        "weights decay apart": ("decay", _twin_adamw),
        "the largest of the corrected": ("amsgrad", _twin_adam),
        "the largest is not corrected": ("amsgrad", _no_correction),
    },
)

ROWS["adamw"] = Row(
    "AdamW",
    ranges=_ADAM,
    variants={"amsgrad": {"amsgrad": True, "maximize": True}, "decay": {}},
    twin={"decay": _twin_adamw},
    defects={
        "eps is in the root": ("decay", _eps_in_root_apart),
        "weights decay in the gradient": ("decay", _twin_adam),
    },
)

# --- adamax


def _twin_adamax(*, lr, betas, eps, weight_decay, **_):
    return add_decay(weight_decay, optax.adamax(lr, *betas, eps))


def _eps_outside(*, lr, betas, eps, weight_decay, **_):
    return _twin_adamax(lr=lr, betas=betas, eps=0.0, weight_decay=weight_decay)


ROWS["adamax"] = Row(
    "Adamax",
    ranges=_ADAM,
    variants={"plain": {"weight_decay": 0.0}, "ascent": ASCENT},
    twin={"plain": _twin_adamax},
    defects={"there is no eps": ("plain", _eps_outside)},
)

# --- nadam


def _twin_nadam(*, lr, betas, eps, weight_decay, decoupled_weight_decay=False, **_):
    if decoupled_weight_decay:
        return optax.nadamw(lr, *betas, eps, weight_decay=weight_decay)
    return add_decay(weight_decay, optax.nadam(lr, *betas, eps))


def _full_share(*, momentum_decay, **options):
    return optim.nadam(momentum_decay=1e9, **options)


def _slower_share(*, momentum_decay, **options):
    return optim.nadam(momentum_decay=0.99 * momentum_decay, **options)


ROWS["nadam"] = Row(
    "NAdam",
    ranges={**_ADAM, "momentum_decay": Range(1e-3, 0.1, log=True)},
    variants={
        "plain": {"weight_decay": 0.0},
        "ascent": ASCENT,
        "apart": {"decoupled_weight_decay": True},
    },
    twin={"plain": _twin_nadam, "apart": _twin_nadam},
    defects={
        "the momentum has its full share at once": ("plain", _full_share),
        "the share grows a hundredth slower": ("apart", _slower_share),
    },
)

# --- radam


def _twin_radam(*, lr, betas, eps, weight_decay, **_):
    return add_decay(weight_decay, optax.radam(lr, *betas, eps))


ROWS["radam"] = Row(
    "RAdam",
    ranges=_ADAM,
    variants={
        "plain": {"weight_decay": 0.0},
        "ascent": ASCENT,
        "apart": {"decoupled_weight_decay": True},
    },
    twin={"plain": _twin_radam},
    defects={"eps is added to the corrected root": ("plain", _twin_radam)},
)
