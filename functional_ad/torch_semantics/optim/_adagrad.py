"""Adagrad (torch.optim.Adagrad)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
    evaluate,
    is_zero,
)
from functional_ad.torch_semantics.optim._hyperparameters import Scalar, check_common


def adagrad(
    lr: optax.ScalarOrSchedule = 1e-2,
    lr_decay: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    initial_accumulator_value: Scalar = 0.0,
    eps: Scalar = 1e-10,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Divides gradients by the root of the sum of all their squares so far.

    PyTorch's ``torch.optim.Adagrad``. Against ``optax.adagrad`` the sum begins at 0 by default and
    not at 0.1, ``eps`` is added to the root and not under it, weights decay (L2), and the learning
    rate decays by itself. Where the sum and ``eps`` are 0 the result is NaN, where optax has 0.

    Args:
        lr: The learning rate: a number that is not negative, a scalar array or an optax schedule.
        lr_decay: By how much the learning rate's divisor grows in each step, from 1 in the first;
            not negative.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        initial_accumulator_value: Where the sum begins, not negative.
        eps: What is added to the root, not negative.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByRssState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = adagrad(lr=0.1, initial_accumulator_value=0.09)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([0.4, 0.0]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [ 0.92 -2.  ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.adagrad
    """
    check_common("adagrad", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_number("optim.adagrad", "lr_decay", lr_decay, low=0.0)
    check_number("optim.adagrad", "initial_accumulator_value", initial_accumulator_value, low=0.0)
    check_number("optim.adagrad", "eps", eps, low=0.0)

    def rate(count: Any) -> Any:
        return evaluate(lr, count) / (1 + count * lr_decay)

    return compose(
        add_weight_decay(weight_decay),
        _scale_by_sum(initial_accumulator_value, eps),
        optax.scale_by_learning_rate(lr if is_zero(lr_decay) else rate),
        maximize=maximize,
    )


def _scale_by_sum(initial: Any, eps: Any) -> optax.GradientTransformation:
    """``optax.scale_by_rss`` with ``eps`` beside the root."""

    def init(params: PyTree) -> optax.ScaleByRssState:
        return optax.ScaleByRssState(optax.tree.full_like(params, initial))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, optax.ScaleByRssState]:
        del params
        sums = jax.tree.map(lambda g, s: s + g * g, updates, state.sum_of_squares)
        updates = jax.tree.map(lambda g, s: g / (jnp.sqrt(s) + eps), updates, sums)
        return updates, optax.ScaleByRssState(sums)

    return optax.GradientTransformation(init, update)
