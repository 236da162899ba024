"""Adam with Nesterov's momentum (torch.optim.NAdam)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
    evaluate,
    get_scalar_dtype,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Betas,
    Scalar,
    check_betas,
    check_common,
    check_flags,
)
from functional_ad.torch_semantics.optim._moments import correct_bias


class ScaleByNadamState(NamedTuple):
    """The state of ``nadam``.

    Attributes:
        count: How many steps were made, an int32 scalar.
        mu_product: The product of the momentum's share in all of them.
        mu: The average of the gradients.
        nu: The average of their squares.
    """

    count: Any
    mu_product: Any
    mu: Any
    nu: Any


def nadam(
    lr: optax.ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam that looks ahead by Nesterov's rule, with a momentum that grows to its full share.

    PyTorch's ``torch.optim.NAdam``. ``optax.nadam`` has the full share from the start, which
    ``momentum_decay=1e9`` gives here.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        betas: How much is kept of the averages of gradients and of their squares, each at least 0
            and below 1; the first may be a schedule.
        eps: What is added to the root of the averaged squares, not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        momentum_decay: How fast the momentum's share grows from half of ``betas[0]``, not negative.
        decoupled_weight_decay: Whether weights decay as in ``adamw``.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> optimizer = nadam(lr=0.1)
        >>> params = jnp.array([1.0, -2.0])
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(jnp.array([0.5, -3.0]), state, params)
        >>> [round(float(x), 4) for x in optax.apply_updates(params, updates)]
        [0.8944, -1.8944]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """
    check_common("nadam", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_betas("nadam", betas)
    check_number("optim.nadam", "eps", eps, low=0.0)
    check_number("optim.nadam", "momentum_decay", momentum_decay, low=0.0)
    check_flags("optim.nadam", decoupled_weight_decay=decoupled_weight_decay)
    scale, decay = _scale_by_nadam(*betas, eps, momentum_decay), add_weight_decay(weight_decay)
    order = (scale, decay) if decoupled_weight_decay else (decay, scale)
    return compose(*order, optax.scale_by_learning_rate(lr), maximize=maximize)


def _scale_by_nadam(
    beta1: Any, beta2: Any, eps: Any, momentum_decay: Any
) -> optax.GradientTransformation:
    def init(params: PyTree) -> ScaleByNadamState:
        one = jnp.ones((), get_scalar_dtype(params))
        zeros = optax.tree.zeros_like(params), optax.tree.zeros_like(params)
        return ScaleByNadamState(jnp.zeros((), jnp.int32), one, *zeros)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, ScaleByNadamState]:
        del params
        b1 = evaluate(beta1, state.count)
        count: Any = optax.safe_increment(state.count)
        share, next_share = (
            b1 * (1 - 0.5 * 0.96 ** (step * momentum_decay)) for step in (count, count + 1)
        )
        product = state.mu_product * share
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, beta2, 2)
        of_gradient = (1 - share) / (1 - product)
        of_average = next_share / (1 - product * next_share)
        correction = correct_bias(beta2, count.astype(get_scalar_dtype(updates)))

        def look_ahead(g: Any, m: Any, v: Any) -> Any:
            a, b, c = (x.astype(g.dtype) for x in (of_gradient, of_average, correction))
            return (a * g + b * m) / (jnp.sqrt(v / c) + eps)

        new_updates = jax.tree.map(look_ahead, updates, mu, nu)
        return new_updates, ScaleByNadamState(count, product, mu, nu)

    return optax.GradientTransformation(init, update)
