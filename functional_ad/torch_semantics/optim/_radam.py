"""Rectified Adam (torch.optim.RAdam)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
    evaluate,
    with_own_count,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Betas,
    Scalar,
    check_betas,
    check_common,
    check_flags,
)


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
    the root as it is.

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
        >>> print(optax.apply_updates(params, updates))
        [ 0.95 -1.7 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html
    """
    check_common("radam", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_betas("radam", betas)
    check_number("optim.radam", "eps", eps, low=0.0)
    check_flags("optim.radam", decoupled_weight_decay=decoupled_weight_decay)

    def make(count: Any) -> optax.GradientTransformation:
        # The root is corrected, so what is added to it is corrected with it.
        corrected = eps / jnp.sqrt(1 - betas[1] ** optax.safe_increment(count))
        return optax.scale_by_radam(evaluate(betas[0], count), betas[1], corrected)

    scale, decay = with_own_count(make), add_weight_decay(weight_decay)
    order = (scale, decay) if decoupled_weight_decay else (decay, scale)
    return compose(*order, optax.scale_by_learning_rate(lr), maximize=maximize)
