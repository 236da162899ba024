"""Adam and AdamW, with AMSGrad (torch.optim.Adam, torch.optim.AdamW)."""

from __future__ import annotations

from collections.abc import Callable
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
from functional_ad.torch_semantics.optim._moments import correct_bias, scale_by_moments


def adam(
    lr: optax.ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam, and with ``amsgrad`` the variant that never forgets a large gradient.

    PyTorch's ``torch.optim.Adam``. ``optax.adam`` is the same where weights do not decay. The decay
    goes into the gradient before the averages (L2), and not where ``optax.adamw`` has it.
    ``optax.amsgrad`` is another rule: it takes the largest of the corrected averages, PyTorch
    corrects the largest of the averages as they are.

    In float32, too, it is PyTorch's to rounding. ``optax.adam`` is not: its correction 1 − β2ᵗ is
    that of a rounded β2, and with 0.999 its first updates are off by up to 1e-5 of their size.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        betas: How much is kept of the averages of gradients and of their squares, each at least 0
            and below 1; the first may be a schedule.
        eps: What is added to the root of the averaged squares, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        amsgrad: Whether to divide by the largest averaged square so far.
        maximize: Whether to climb instead.
        decoupled_weight_decay: Whether weights decay as in ``adamw``.

    Returns:
        A gradient transformation. ``optax.ScaleByAdamState`` is in its state
        (``optax.ScaleByAmsgradState``).

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> optimizer = adam(lr=0.1)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(jnp.array([0.5, -3.0]), state, params)
        >>> [round(float(x), 4) for x in optax.apply_updates(params, updates)]
        [0.9, -1.9]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """
    return _make(
        *("adam", lr, betas, eps, weight_decay, amsgrad, maximize), decoupled=decoupled_weight_decay
    )


def adamw(
    lr: optax.ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam whose weights decay apart from the gradient, by the learning rate's share of them.

    PyTorch's ``torch.optim.AdamW``. ``optax.adamw`` is the same rule with another default: a
    ``weight_decay`` of 1e-4, a hundredth of PyTorch's. What is said of float32 and of ``amsgrad``
    at ``adam`` holds here, too.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        betas: How much is kept of the averages of gradients and of their squares, each at least 0
            and below 1; the first may be a schedule.
        eps: What is added to the root of the averaged squares, not negative.
        weight_decay: How much of a parameter decays in a step of learning rate 1, not negative.
        amsgrad: Whether to divide by the largest averaged square so far.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByAdamState`` is in its state
        (``optax.ScaleByAmsgradState``).

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> optimizer = adamw(lr=0.1, weight_decay=0.5)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(jnp.array([0.5, -3.0]), state, params)
        >>> [round(float(x), 4) for x in optax.apply_updates(params, updates)]
        [0.85, -1.8]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """
    return _make("adamw", lr, betas, eps, weight_decay, amsgrad, maximize, decoupled=True)


def _make(
    function: str,
    lr: Any,
    betas: Betas,
    eps: Any,
    weight_decay: Any,
    amsgrad: bool,
    maximize: bool,
    *,
    decoupled: bool,
) -> optax.GradientTransformationExtraArgs:
    check_common(function, lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_betas(function, betas)
    check_number(f"optim.{function}", "eps", eps, low=0.0)
    check_flags(f"optim.{function}", amsgrad=amsgrad, decoupled_weight_decay=decoupled)
    moments = _scale_by_amsgrad if amsgrad else _scale_by_adam
    scale, decay = moments(*betas, eps), add_weight_decay(weight_decay)
    order = (scale, decay) if decoupled else (decay, scale)
    return compose(*order, optax.scale_by_learning_rate(lr), maximize=maximize)


def _scale_by_adam(beta1: Any, beta2: Any, eps: Any) -> optax.GradientTransformation:
    def make_direction(step: Any, correction: Any) -> Callable[[Any, Any], Any]:
        root = jnp.sqrt(correct_bias(beta2, step))
        return lambda m, v: m / correction / (jnp.sqrt(v) / root + eps)

    return scale_by_moments(beta1, beta2, make_direction)


def _scale_by_amsgrad(beta1: Any, beta2: Any, eps: Any) -> optax.GradientTransformation:
    """The largest average v is corrected only now: m / (√v / c + eps) is c · m / (√v + c · eps)."""

    def correct(count: Any) -> Any:
        return jnp.sqrt(correct_bias(beta2, optax.safe_increment(count)))

    def make(count: Any) -> optax.GradientTransformation:
        return optax.scale_by_amsgrad(
            evaluate(beta1, count), beta2, eps * correct(count), bias_correction_nu=False
        )

    return optax.chain(with_own_count(make), optax.scale_by_schedule(correct))
