"""Rows of the optimizers that divide by a root of squares: RMSprop, Adagrad and so on."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from benchmarks._optimizer_row import ASCENT, DECAY, EPS, RATE, Range, Row, add_decay
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim._adafactor import scale_by_factors

# --- rmsprop


def _twin_rmsprop(*, lr, alpha, eps, weight_decay, momentum, centered=False, **_):
    twin = optax.rmsprop(
        lr, alpha, eps, eps_in_sqrt=False, centered=centered, momentum=momentum or None
    )
    return add_decay(weight_decay, twin)


def _eps_in_root(*, lr, alpha, eps, weight_decay, momentum, centered=False, **_):
    twin = optax.rmsprop(lr, alpha, eps, centered=centered, momentum=momentum)
    return add_decay(weight_decay, twin)


def _momentum_before(*, lr, alpha, eps, weight_decay, momentum, **_):
    return optax.chain(
        optax.scale(-1.0),
        optax.add_decayed_weights(weight_decay),
        optax.trace(momentum),
        optax.scale_by_rms(alpha, eps, eps_in_sqrt=False),
        optax.scale_by_learning_rate(lr),
    )


_RMSPROP = Row(
    "RMSprop",
    ranges={
        "lr": RATE,
        "alpha": Range(0.9, 0.999),  # below, the centered one's difference cancels too much
        "eps": EPS,
        "weight_decay": DECAY,
        "momentum": Range(0.1, 0.95),
    },
    variants={
        "plain": {"momentum": 0.0, "weight_decay": 0.0},
        "ascent": ASCENT,
        "centered": {"centered": True},
    },
    twin={"plain": _twin_rmsprop, "centered": _twin_rmsprop},
    defects={
        "eps is in the root": ("centered", _eps_in_root),
        "the gradient has the momentum": ("ascent", _momentum_before),
    },
)

# --- adagrad


def _twin_adagrad(*, lr, lr_decay, weight_decay, initial_accumulator_value, eps, shift=0, **_):
    twin = optax.adagrad(
        lambda count: lr / (1 + (count + shift) * lr_decay), initial_accumulator_value, eps
    )
    return add_decay(weight_decay, twin)


def _decay_at_once(**options):
    return _twin_adagrad(**{**options, "eps": 0.0}, shift=1)


_ADAGRAD = Row(
    "Adagrad",
    ranges={
        "lr": RATE,
        "lr_decay": DECAY,
        "weight_decay": DECAY,
        "initial_accumulator_value": Range(0.0, 0.5),
        "eps": Range(1e-6, 0.1, log=True),
    },
    variants={
        "plain": {"lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0},
        "ascent": ASCENT,
        "decay": {},
    },
    twin={"plain": _twin_adagrad},
    defects={
        "eps is in the root": ("decay", _twin_adagrad),
        "the rate decays in the first step": ("decay", _decay_at_once),
    },
)

# --- adadelta


def _twin_adadelta(*, lr, rho, eps, weight_decay, **_):
    return optax.adadelta(lr, rho, eps, weight_decay)


def _steps_with_rate(*, lr, rho, eps, weight_decay, **_):
    """The mean of the squared steps is taken of what is subtracted, as the paper's is."""

    def rated(transform):
        def update(updates, state, params=None):
            means = optax.tree.scale(lr**2, state.e_x)
            return transform.update(updates, state._replace(e_x=means), params)

        return optax.GradientTransformation(transform.init, update)

    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        rated(optax.scale_by_adadelta(rho, eps)),
        optax.scale_by_learning_rate(lr),
    )


def _decay_beside(*, lr, rho, eps, weight_decay, **_):
    return optax.chain(
        optax.scale_by_adadelta(rho, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(lr),
    )


_ADADELTA = Row(
    "Adadelta",
    ranges={
        "lr": Range(0.1, 1.0),
        "rho": Range(0.5, 0.99),
        "eps": Range(1e-8, 1e-3, log=True),
        "weight_decay": DECAY,
    },
    variants={"plain": {"weight_decay": 0.0}, "ascent": ASCENT, "decay": {}},
    twin={"plain": _twin_adadelta},
    defects={
        "the rate is in the mean": ("decay", _steps_with_rate),
        "weights decay beside it": ("decay", _decay_beside),
    },
)

# --- adafactor


def _twin_adafactor(*, lr, eps, d, weight_decay, **_):
    return optax.adafactor(
        lambda count: jnp.minimum(lr, 1 / jnp.sqrt(count + 1.0)),
        min_dim_size_to_factor=1,
        clipping_threshold=d,
        eps=eps[0] or 1e-30,
        weight_decay_rate=weight_decay * lr or None,
    )


def _eps_as_given(*, eps, **options):
    return optim.adafactor(eps=(jnp.sqrt(eps[0]), eps[1]), **options)


def _put_together(*, lr, beta2_decay, eps, d, step, decay):
    return optax.chain(
        scale_by_factors(beta2_decay, eps[0]),
        optax.clip_by_block_rms(d),
        optax.scale_by_param_block_rms(eps[1]),
        optax.scale_by_schedule(lambda count: -step(lr, count)),
        optax.add_decayed_weights(lambda count: -decay(lr, count)),
    )


def _lower(lr, count):
    return jnp.minimum(lr, 1 / jnp.sqrt(count + 1.0))


def _absolute_rate(*, weight_decay, **options):
    return _put_together(step=lambda lr, _: lr, decay=lambda lr, _: lr * weight_decay, **options)


def _decay_at_step(*, weight_decay, **options):
    return _put_together(step=_lower, decay=lambda *at: _lower(*at) * weight_decay, **options)


_ADAFACTOR = Row(
    "Adafactor",
    ranges={
        "lr": Range(1e-2, 0.5, log=True),
        "beta2_decay": Range(-1.0, -0.5),
        "eps": (Range(1e-2, 1.0, log=True), Range(1e-3, 1.0, log=True)),
        "d": Range(1.0, 2.0),
        "weight_decay": DECAY,
    },
    variants={
        "plain": {"eps": (None, 1e-3), "weight_decay": 0.0},
        "ascent": ASCENT,
        "decay": {},
    },
    twin={"plain": _twin_adafactor},
    defects={
        "eps is not squared": ("decay", _eps_as_given),
        "the rate is not bounded by the steps": ("decay", _absolute_rate),
        "weights decay at the bounded rate": ("decay", _decay_at_step),
    },
    shapes={"weight": (4, 3, 2), "bias": (2,), "scale": ()},
)

SQUARES = {
    "rmsprop": _RMSPROP,
    "adagrad": _ADAGRAD,
    "adadelta": _ADADELTA,
    "adafactor": _ADAFACTOR,
}
