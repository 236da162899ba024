"""Adafactor (torch.optim.Adafactor)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad.torch_semantics._arguments import check_number
from functional_ad.torch_semantics.optim._composition import (
    compose,
    evaluate,
    is_zero,
    require_real,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Scalar,
    check_common,
    check_tuple,
)


class FactoredState(NamedTuple):
    """The mean squares that ``adafactor`` keeps, with PyTorch's names.

    Attributes:
        count: How many steps were made, an int32 scalar.
        row_var: Of each leaf of two or more dimensions the means along the last one; else None.
        col_var: The means along the last but one; else None.
        variance: Of each other leaf the mean square itself; None for those.
    """

    count: Any
    row_var: PyTree
    col_var: PyTree
    variance: PyTree


def adafactor(
    lr: optax.ScalarOrSchedule = 1e-2,
    beta2_decay: Scalar = -0.8,
    eps: tuple[Scalar | None, Scalar] = (None, 1e-3),
    d: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Divides gradients by the root of a running mean of squares, of which it keeps two factors.

    PyTorch's ``torch.optim.Adafactor``. Against ``optax.adafactor``: every leaf of two or more
    dimensions is factored, in its last two dimensions and not in its largest; ``eps[0]`` bounds the
    mean square from below and is not added to the gradient's square; the step is at most
    ``min(lr, 1 / sqrt(t))`` times the parameters' root mean square; weights decay by
    ``lr * weight_decay``; and the decay of the mean is not rounded to float32.

    In float32 PyTorch multiplies the two factors before it divides by their mean, and where that
    overflows, from gradients of 1e9 on, it does not move. Here it is divided first.

    Args:
        lr: The largest relative step, and the rate at which weights decay: a number that is not
            negative, a scalar array or an optax schedule.
        beta2_decay: The power of the step's number that the newest square counts with; at most 0.
        eps: The smallest root mean square that is divided by (None for the machine epsilon of the
            leaf's dtype), and the smallest root mean square that a parameter counts with.
        d: The largest root mean square of an update before it is scaled, at least 1.
        weight_decay: How much of a parameter is taken off in a step, times ``lr``; not negative.
        maximize: Whether to climb instead.

    Returns:
        A gradient transformation. ``FactoredState`` is in its state. Its ``update`` needs the
        parameters.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds.
        ValueError: ``update`` gets no parameters.
        LeafTypeError: In ``init``, a parameter is complex.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = adafactor(lr=0.5)
        >>> params = {"w": jnp.array([[2.0, -2.0], [2.0, 2.0]]), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([[4.0, -4.0], [0.1, 0.1]]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [[ 1. -1.]
         [ 1.  1.]]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.adafactor
    """
    check_common("adafactor", lr=lr, weight_decay=weight_decay, maximize=maximize)
    check_number("optim.adafactor", "beta2_decay", beta2_decay, high=0.0)
    least, least_scale = check_tuple("adafactor", "eps", eps, 2)
    if least is not None:
        check_number("optim.adafactor", "eps[0]", least, low=0.0)
    check_number("optim.adafactor", "eps[1]", least_scale, low=0.0)
    check_number("optim.adafactor", "d", d, low=1.0)

    def relative_step(count: Any) -> Any:
        return -jnp.minimum(evaluate(lr, count), 1 / jnp.sqrt(count + 1.0))

    def decay(count: Any) -> Any:
        return -evaluate(lr, count) * weight_decay

    return require_real(
        "adafactor",
        compose(
            scale_by_factors(beta2_decay, least),
            optax.clip_by_block_rms(d),
            optax.scale_by_param_block_rms(least_scale),
            optax.scale_by_schedule(relative_step),
            optax.identity() if is_zero(weight_decay) else optax.add_decayed_weights(decay),
            maximize=maximize,
        ),
    )


def scale_by_factors(beta2_decay: Any, least: Any) -> optax.GradientTransformation:
    """Divides by the root of the mean square, as its two factors give it."""

    def init(params: PyTree) -> FactoredState:
        def begin(axis: int) -> PyTree:
            return jax.tree.map(
                lambda x: jnp.zeros_like(_mean(x, axis)) if jnp.ndim(x) > 1 else None, params
            )

        whole = jax.tree.map(lambda x: None if jnp.ndim(x) > 1 else jnp.zeros_like(x), params)
        return FactoredState(jnp.zeros((), jnp.int32), begin(-1), begin(-2), whole)

    def scale(grad: Any, row: Any, col: Any, whole: Any) -> Any:
        bound = jnp.finfo(grad.dtype).eps if least is None else least
        if whole is None:
            whole = row / jnp.maximum(_mean(row, -2), bound) * col
        return grad * jax.lax.rsqrt(jnp.maximum(whole, bound * bound))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, FactoredState]:
        del params
        share = (state.count + 1.0) ** beta2_decay

        def mix(old: Any, new: Any) -> Any:
            return old + share * (new - old)

        def move(old: PyTree, axis: int) -> PyTree:
            return jax.tree.map(
                lambda g, v: None if v is None else mix(v, _mean(g * g, axis)), updates, old
            )

        rows, cols = move(state.row_var, -1), move(state.col_var, -2)
        whole = jax.tree.map(
            lambda g, v: None if v is None else mix(v, g * g), updates, state.variance
        )
        updates = jax.tree.map(scale, updates, rows, cols, whole)
        return updates, FactoredState(optax.safe_increment(state.count), rows, cols, whole)

    return optax.GradientTransformation(init, update)


def _mean(x: Any, axis: int) -> Any:
    return jnp.mean(x, axis, keepdims=True)
