"""Adadelta (torch.optim.Adadelta)."""

from __future__ import annotations

import optax

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import add_weight_decay, compose
from functional_ad.torch_semantics.optim._hyperparameters import Scalar, check_common


def adadelta(
    lr: optax.ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Scales gradients by the ratio of two running means: of squared steps, and of squares.

    PyTorch's ``torch.optim.Adadelta``. ``optax.adadelta`` does the same with the same numbers, but
    its ``learning_rate`` must be given.

    Args:
        lr: What steps are multiplied by: a number that is not negative, a scalar array or an optax
            schedule.
        rho: How much of the running means is kept, 0 to 1.
        eps: What is added under both roots, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByAdaDeltaState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = adadelta(rho=0.75, eps=0.01)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([2.0, 0.0]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [ 0.80099255 -2.        ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.adadelta
    """
    check_common("adadelta", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_number("optim.adadelta", "rho", rho, low=0.0, high=1.0)
    check_number("optim.adadelta", "eps", eps, low=0.0)
    return compose(
        add_weight_decay(weight_decay),
        optax.scale_by_adadelta(rho, eps),
        optax.scale_by_learning_rate(lr),
        maximize=maximize,
    )
