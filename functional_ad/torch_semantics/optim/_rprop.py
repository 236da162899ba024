"""Resilient backpropagation (torch.optim.Rprop)."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import compose, evaluate
from functional_ad.torch_semantics.optim._hyperparameters import (
    Scalar,
    check_flags,
    check_scheduled,
    check_tuple,
)


def rprop(
    lr: optax.ScalarOrSchedule = 1e-2,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50.0),
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Moves each number by a step size of its own, of which only the sign is the gradient's.

    PyTorch's ``torch.optim.Rprop``. A step size grows while the gradient keeps its sign, and
    shrinks when it changes; in that step the number stays, and the gradient counts as 0 in the
    next. ``optax.rprop`` moves by the gradient of the step before.

    A NaN in the gradient makes the number NaN, as in every other optimizer. In PyTorch it moves
    nothing, since its sign of NaN is 0.

    Args:
        lr: The step size to begin with: a number that is not negative or a scalar array. Of a
            schedule, PyTorch and this take the value in the first step only.
        etas: By what a step size is multiplied when the sign changes, between 0 and 1, and when it
            stays, above 1.
        step_sizes: The smallest and the largest step size, in this order.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``optax.ScaleByRpropState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = rprop(lr=0.1)
        >>> params = {"w": jnp.array([1.0, -2.0]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> for grad in (jnp.array([4.0, -0.3]), jnp.array([2.0, 0.1])):
        ...     grads = {"w": grad, "frozen": None}
        ...     updates, state = optimizer.update(grads, state, params)
        ...     params = optax.apply_updates(params, updates)
        ...     print(params["w"])
        [ 0.9 -1.9]
        [ 0.78 -1.9 ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.rprop
    """
    check_scheduled("optim.rprop", "lr", lr, low=0.0)
    shrink, grow = check_tuple("rprop", "etas", etas, 2)
    check_number("optim.rprop", "etas[0]", shrink, above=0.0, below=1.0)
    check_number("optim.rprop", "etas[1]", grow, above=1.0)
    least, most = check_tuple("rprop", "step_sizes", step_sizes, 2)
    check_number("optim.rprop", "step_sizes[0]", least)
    lowest = least if isinstance(least, int | float) else -math.inf
    check_number("optim.rprop", "step_sizes[1]", most, low=lowest)
    check_flags("optim.rprop", maximize=maximize)

    def init(params: PyTree) -> optax.ScaleByRpropState:
        # PyTorch bounds the first size in the first step, where here only changes are bounded.
        return optax.ScaleByRpropState(
            step_sizes=optax.tree.full_like(params, jnp.clip(evaluate(lr, 0), least, most)),
            prev_updates=optax.tree.zeros_like(params),
        )

    def resize(grad: Any, last: Any, size: Any) -> Any:
        product = grad * last
        smaller = jnp.maximum(size * shrink, least)
        larger = jnp.minimum(size * grow, most)
        return jnp.where(product > 0, larger, jnp.where(product < 0, smaller, size))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, optax.ScaleByRpropState]:
        del params
        sizes = jax.tree.map(resize, updates, state.prev_updates, state.step_sizes)
        grads = jax.tree.map(
            lambda grad, last: jnp.where(grad * last < 0, 0, grad), updates, state.prev_updates
        )
        updates = jax.tree.map(lambda grad, size: -jnp.sign(grad) * size, grads, sizes)
        return updates, optax.ScaleByRpropState(step_sizes=sizes, prev_updates=grads)

    return compose(optax.GradientTransformation(init, update), maximize=maximize)
