"""Stochastic gradient descent (torch.optim.SGD)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
    evaluate,
    is_zero,
    with_count,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Scalar,
    check_common,
    check_flags,
    check_scheduled,
)


def sgd(
    lr: optax.ScalarOrSchedule = 1e-3,
    momentum: optax.ScalarOrSchedule = 0.0,
    dampening: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Stochastic gradient descent, with momentum if asked for.

    PyTorch's ``torch.optim.SGD``. Against ``optax.sgd`` it adds the decay of weights, which goes
    into the gradient before the momentum (L2), and dampening, by which every gradient but the
    first is scaled on its way into the momentum. As in PyTorch the momentum is not scaled by the
    learning rate, so that a schedule acts on all of it at once.

    One thing differs from PyTorch: a schedule of the momentum that passes 0 goes on keeping the
    momentum in that step, where PyTorch leaves it as it was.

    Args:
        lr: The learning rate: a number, a scalar array or an optax schedule.
        momentum: How much of the momentum is kept, not negative; a number, a scalar array or a
            schedule. With the number 0 there is none, and no state for it.
        dampening: How much of a gradient is left out of the momentum.
        weight_decay: How much of a parameter is added to its gradient, not negative.
        nesterov: Whether to look ahead by Nesterov's rule; needs momentum and no dampening.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. With momentum, ``optax.TraceState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> optimizer = sgd(lr=0.1, momentum=0.9, weight_decay=1e-2)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([0.5, 0.5]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [ 0.949 -2.048]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    check_common("sgd", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_scheduled("optim.sgd", "momentum", momentum, low=0.0)
    check_number("optim.sgd", "dampening", dampening)
    check_flags("optim.sgd", nesterov=nesterov)
    _check_nesterov(nesterov, momentum, dampening)
    return compose(
        add_weight_decay(weight_decay),
        _accumulate(momentum, dampening, nesterov),
        optax.scale_by_learning_rate(lr),
        maximize=maximize,
    )


def _accumulate(momentum: Any, dampening: Any, nesterov: bool) -> optax.GradientTransformation:
    if is_zero(momentum):
        return optax.identity()
    if is_zero(dampening) and not callable(momentum):
        return optax.trace(momentum, nesterov)

    def make(count: Any) -> optax.GradientTransformation:
        trace = optax.trace(evaluate(momentum, count), nesterov)
        if is_zero(dampening):
            return trace
        # PyTorch's momentum begins as the first gradient, undampened.
        share = jnp.where(count == 0, 1.0, 1.0 - dampening)
        return optax.GradientTransformation(
            trace.init,
            lambda updates, state, params=None: trace.update(
                optax.tree.scale(share, updates), state, params
            ),
        )

    return with_count(make)


def _check_nesterov(nesterov: bool, momentum: Any, dampening: Any) -> None:
    if not nesterov or (is_zero(dampening) and not is_zero(momentum)):
        return
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.optim.sgd(nesterov=True)` needs momentum, undampened.",
            expected="momentum above 0, and dampening=0",
            got=f"momentum={momentum!r}, dampening={dampening!r}",
            fix="Write e.g. `sgd(momentum=0.9, nesterov=True)`.",
        )
    )
