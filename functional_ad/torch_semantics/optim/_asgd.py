"""Averaged stochastic gradient descent (torch.optim.ASGD)."""

from __future__ import annotations

from typing import Any, NamedTuple

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
from functional_ad.torch_semantics.optim._hyperparameters import Scalar, check_common


class AveragedState(NamedTuple):
    """The state of ``asgd``, with PyTorch's names.

    Attributes:
        count: How many steps were made, an int32 scalar.
        eta: The learning rate of the next step.
        mu: The share that the next parameters will have in the average.
        ax: The averaged parameters.
    """

    count: Any
    eta: Any
    mu: Any
    ax: PyTree


def asgd(
    lr: optax.ScalarOrSchedule = 1e-2,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent at a falling rate, which averages the parameters on its way.

    PyTorch's ``torch.optim.ASGD``. The parameters are those of descent; their average, ``ax``, is
    in the state, as it is there, for whoever wants it: ``optax.tree.get(state, "ax")``. It is the
    parameters themselves for the first ``t0`` + 1 steps, and the mean of those that follow. optax
    has no counterpart in one piece.

    Step t + 1 has the rate ``lr / (1 + lambd * lr * t) ** alpha``. Of a schedule that is the value
    of the step before, since PyTorch computes the next rate at the end of a step.

    PyTorch keeps the rate and the share of the average in ``torch.get_default_dtype()``. With its
    float32 they are rounded, and parameters differ from those here by 1e-9 to 1e-7 times the
    steps' length; here they are float64 if a parameter is.

    Args:
        lr: The learning rate: a number that is not negative, a scalar array or an optax schedule.
        lambd: How fast the rate falls, and, times the rate, how much of a parameter is taken off
            in each step.
        alpha: The power by which the rate falls.
        t0: After how many steps the average begins.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``AveragedState`` is in its state. Its ``update`` needs the
        parameters.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.
        ValueError: ``update`` gets no parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = asgd(lr=0.5, lambd=0.0, t0=0)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> for _ in range(3):
        ...     updates, state = optimizer.update(grads, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> print(params["w"], optax.tree.get(state, "ax")["w"])
        [-0.5  1. ] [-0.25  0.5 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html
    """
    check_common("asgd", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_number("optim.asgd", "lambd", lambd)
    check_number("optim.asgd", "alpha", alpha)
    check_number("optim.asgd", "t0", t0)

    def init(params: PyTree) -> AveragedState:
        dtype = get_scalar_dtype(params)
        return AveragedState(
            count=jnp.zeros((), jnp.int32),
            eta=jnp.asarray(evaluate(lr, 0), dtype),
            mu=jnp.ones((), dtype),
            ax=optax.tree.zeros_like(params),
        )

    def update(updates: PyTree, state: Any, params: Any = None) -> tuple[PyTree, AveragedState]:
        eta, mu, dtype = state.eta, state.mu, state.eta.dtype
        updates = optax.tree.scale(-eta, updates)
        new = optax.apply_updates(params, updates)
        ax = optax.incremental_update(new, state.ax, mu)
        count = optax.safe_increment(state.count)
        rate, steps = evaluate(lr, state.count), jnp.asarray(count, dtype)
        next_eta = rate / (1 + lambd * rate * steps) ** alpha
        next_mu = 1 / jnp.maximum(steps - t0, 1)
        return updates, AveragedState(count, next_eta, next_mu, ax)

    return compose(
        add_weight_decay(weight_decay),
        optax.add_decayed_weights(lambd),  # also if it is 0, to say that parameters are missing
        optax.GradientTransformation(init, update),
        maximize=maximize,
    )
