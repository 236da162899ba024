"""RMSprop, centered and with momentum if asked for (torch.optim.RMSprop)."""

from __future__ import annotations

import optax

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import add_weight_decay, compose, is_zero
from functional_ad.torch_semantics.optim._hyperparameters import (
    Scalar,
    check_common,
    check_flags,
)


def rmsprop(
    lr: optax.ScalarOrSchedule = 1e-2,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Divides gradients by the root of a running mean of their squares.

    PyTorch's ``torch.optim.RMSprop``. Against ``optax.rmsprop`` the mean decays by 0.99 by default
    and not by 0.9, ``eps`` is added to the root and not under it, weights decay (L2), and the
    momentum is taken of the divided gradients before the learning rate, so that a schedule acts on
    all of it at once.

    Centered, the root is taken of the mean square minus the squared mean. Where a gradient hardly
    changes, that difference cancels, in PyTorch as here: a rounding of 1e-16 in the mean square
    becomes one of 1e-16 times mean square over variance. In the tests' runs parameters were 4e-13
    apart with ``alpha`` from 0.9 on, and 2e-10 at 0.5. Where the difference is rounded below 0 both
    give NaN, not always in the same step.

    Args:
        lr: The learning rate: a number that is not negative, a scalar array or an optax schedule.
        alpha: How much of the running means is kept, not negative.
        eps: What is added to the root, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        momentum: How much of the momentum is kept, not negative. With the number 0 there is none,
            and no state for it.
        centered: Whether to divide by the standard deviation instead.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByRmsState`` is in its state, or
        ``optax.ScaleByRStdDevState``; with momentum, ``optax.TraceState``.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = rmsprop(lr=0.25, alpha=0.9375, eps=0.0)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([0.5, -0.1]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [ 0. -1.]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.rmsprop
    """
    check_common("rmsprop", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_number("optim.rmsprop", "alpha", alpha, low=0.0)
    check_number("optim.rmsprop", "eps", eps, low=0.0)
    check_number("optim.rmsprop", "momentum", momentum, low=0.0)
    check_flags("optim.rmsprop", centered=centered)
    scale = optax.scale_by_stddev if centered else optax.scale_by_rms
    return compose(
        add_weight_decay(weight_decay),
        scale(alpha, eps, eps_in_sqrt=False),
        optax.identity() if is_zero(momentum) else optax.trace(momentum),
        optax.scale_by_learning_rate(lr),
        maximize=maximize,
    )
