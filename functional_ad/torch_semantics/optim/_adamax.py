"""Adamax (torch.optim.Adamax)."""

from __future__ import annotations

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
)


def adamax(
    lr: optax.ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam with the largest gradient, fading, in place of the root of the averaged squares.

    PyTorch's ``torch.optim.Adamax``. ``optax.adamax`` is the same where weights do not decay.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        betas: How much is kept of the average of gradients and of the largest one, each at least 0
            and below 1; the first may be a schedule.
        eps: What is added to a gradient's magnitude, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByAdamState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = adamax(lr=0.1)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(jnp.array([0.5, -3.0]), state, params)
        >>> print(optax.apply_updates(params, updates))
        [ 0.90000004 -1.9       ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html
    """
    check_common("adamax", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_betas("adamax", betas)
    check_number("optim.adamax", "eps", eps, low=0.0)
    return compose(
        add_weight_decay(weight_decay),
        with_own_count(
            lambda count: optax.scale_by_adamax(evaluate(betas[0], count), betas[1], eps)
        ),
        optax.scale_by_learning_rate(lr),
        maximize=maximize,
    )
