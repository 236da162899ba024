"""Rectified Adam (torch.optim.RAdam)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import optax

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Betas,
    Scalar,
    check_betas,
    check_common,
    check_flags,
)
from functional_ad.torch_semantics.optim._moments import scale_by_moments

THRESHOLD: Final = 5.0
"""PyTorch rectifies steps whose average is longer than this."""

SERIES: Final = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)
SERIES_BELOW: Final = 0.5
"""Where the next term of the series, x to the 13th times 1e-11, is below float64's last bit."""


def radam(
    lr: optax.ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam whose first steps are plain momentum, until its averaged squares can be trusted.

    PyTorch's ``torch.optim.RAdam``. ``optax.radam`` adds ``eps`` to the corrected root, PyTorch to
    the root as it is. And in float32 ``optax.radam`` loses digits of the rectification, a part in
    10,000 in the first steps that have one; here it keeps them.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        betas: How much is kept of the averages of gradients and of their squares, each at least 0
            and below 1; the first may be a schedule.
        eps: What is added to the root of the averaged squares, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        decoupled_weight_decay: Whether weights decay as in ``adamw``.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByAdamState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> optimizer = radam(lr=0.1)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(jnp.array([0.5, -3.0]), state, params)
        >>> [round(float(x), 4) for x in optax.apply_updates(params, updates)]
        [0.95, -1.7]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html
    """
    check_common("radam", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_betas("radam", betas)
    check_number("optim.radam", "eps", eps, low=0.0)
    check_flags("optim.radam", decoupled_weight_decay=decoupled_weight_decay)

    scale, decay = _scale_by_radam(*betas, eps), add_weight_decay(weight_decay)
    order = (scale, decay) if decoupled_weight_decay else (decay, scale)
    return compose(*order, optax.scale_by_learning_rate(lr), maximize=maximize)


def _scale_by_radam(beta1: Any, beta2: Any, eps: Any) -> optax.GradientTransformation:
    def make_direction(step: Any, correction: Any) -> Callable[[Any, Any], Any]:
        rectified, factor = _rectify(beta2, step)
        return lambda m, v: m / correction * jnp.where(rectified, factor / (jnp.sqrt(v) + eps), 1.0)

    return scale_by_moments(beta1, beta2, make_direction)


def _rectify(beta2: Any, count: Any) -> tuple[Any, Any]:
    """Whether a step is rectified, and by what, the correction of the root included.

    The length of the average, ρ∞ - 2t β₂ᵗ / (1 - β₂ᵗ), is a small difference of numbers in the
    thousands. With x = -t log β₂ it is t + (ρ∞ + 2 / log β₂) - 2t (1 / (eˣ - 1) - 1 / x + 1 / 2),
    where nothing cancels: the first bracket is a constant, and the second is small.
    """
    known = isinstance(beta2, float | int)
    log = (math.log(beta2) if beta2 else -math.inf) if known else jnp.log(beta2)
    limit = 2 / (1 - beta2) - 1
    constant = limit + 2 / log
    x = -count * log
    rest = jnp.where(x < SERIES_BELOW, _sum_series(x), 1 / jnp.expm1(x) - 1 / x + 0.5)
    length = count + constant - 2 * count * rest
    share = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    rectified = length > THRESHOLD
    # The root of what is negative before that would be NaN.
    return rectified, jnp.sqrt(jnp.where(rectified, share, 1.0) * -jnp.expm1(-x))


def _sum_series(x: Any) -> Any:
    """``1 / (eˣ - 1) - 1 / x + 1 / 2`` for small x: the Bernoulli numbers' series."""
    square = x * x
    total = jnp.zeros_like(x)
    for coefficient in reversed(SERIES):
        total = total * square + coefficient
    return total * x
