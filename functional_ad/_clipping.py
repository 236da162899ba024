"""Gradients kept below a norm (clip_grad_norm_)."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain


class Clipped(NamedTuple):
    """What ``clip_by_norm`` returns.

    Attributes:
        grads: The gradients, scaled down if their norm was above the bound.
        norm: Their norm before that, a scalar of float32 (float64 if a gradient is).
        is_finite: Whether the norm is finite, a boolean scalar.

    Example:
        >>> clipped = clip_by_norm(jnp.array([3.0, jnp.inf]), 1.0)
        >>> print(clipped.norm, clipped.is_finite)
        inf False
    """

    grads: PyTree
    norm: jax.Array
    is_finite: jax.Array


def clip_by_norm(
    grads: PyTree, max_norm: Any, *, norm_type: int | float | Literal["inf"] = 2.0
) -> Clipped:
    """Scales gradients down so that the norm of all of them together is at most ``max_norm``.

    PyTorch's ``torch.nn.utils.clip_grad_norm_``, with its formula: the norm of the leaves' norms,
    and the factor ``max_norm / (norm + 1e-6)``, at most 1. optax's ``clip_by_global_norm`` has no
    1e-6 and no other norms. Three things differ from PyTorch. The gradients are returned, not
    overwritten. Norms of float16 and bfloat16 are taken, and their gradients scaled, in float32:
    PyTorch's float16 norm of 300 300s is infinite. And where the norm is not finite, the gradients
    stay as they are: PyTorch turns all of them into NaN, or into 0 if the norm is infinite. Skip
    such a step with ``is_finite``.

    Inside ``jax.shard_map`` it is the norm of what each device has.

    Args:
        grads: A pytree of gradients. Leaves that are not floating-point or complex, None among
            them, stay as they are and do not count.
        max_norm: The bound: a number that is not negative, or a real scalar array.
        norm_type: Which norm: p of the p-norm, positive, or infinity (``"inf"``, too) for the
            largest magnitude.

    Returns:
        ``Clipped(grads, norm, is_finite)``; gradients have the shapes and dtypes that they had.

    Raises:
        ArgumentError: ``max_norm`` or ``norm_type`` is of no use.

    Example:
        >>> clipped = clip_by_norm({"w": jnp.array([3.0, 4.0]), "frozen": None}, 1.0)
        >>> print(clipped.grads["w"], clipped.norm)
        [0.5999999  0.79999983] 5.0

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
        https://optax.readthedocs.io/en/latest/api/transformations.html#optax.clip_by_global_norm
    """
    power = _check_norm_type(norm_type)
    if isinstance(max_norm, int) and not isinstance(max_norm, bool):
        max_norm = float(max_norm)  # it may be above what an array of integers holds
    _check_max_norm(max_norm)
    leaves, treedef = jax.tree.flatten(grads)
    places = [i for i, leaf in enumerate(leaves) if _tree.is_differentiable(leaf)]
    norms = [_compute_norm(_widen(jnp.asarray(leaves[i])), power) for i in places]
    dtype = max((n.dtype for n in norms), key=lambda d: d.itemsize, default=jnp.float32)
    norm = _compute_norm(jnp.stack([n.astype(dtype) for n in norms]), power) if norms else _zero()
    is_finite = jnp.isfinite(norm)
    # As PyTorch divides a number by a tensor; but the inverse of a great norm is flushed to 0.
    bound, divisor = jnp.asarray(max_norm).astype(dtype), norm + 1e-6
    inverse = 1 / divisor
    factor = jnp.minimum(jnp.where(inverse > 0, bound * inverse, bound / divisor), 1.0)
    for i in places:
        leaf = jnp.asarray(leaves[i])
        wide = _widen(leaf)
        scaled = (wide * factor.astype(jnp.real(wide).dtype)).astype(leaf.dtype)
        leaves[i] = jnp.where(is_finite, scaled, leaf)
    return Clipped(jax.tree.unflatten(treedef, leaves), norm, is_finite)


def _widen(leaf: Any) -> Any:
    return leaf.astype(_tree.widen(leaf.dtype))


def _zero() -> Any:
    return jnp.zeros((), jnp.float32)


def _compute_norm(x: Any, power: float) -> Any:
    magnitude = jnp.abs(x)
    if power == math.inf:
        return jnp.max(magnitude, initial=0)
    if power == 1:
        return jnp.sum(magnitude)
    # Not abs squared: its derivative at 0 is not defined for complex numbers.
    terms = jnp.real(x * jnp.conj(x)) if power == 2 else magnitude**power
    total = jnp.sum(terms)
    # The derivative of a root at 0 is infinite, and times 0 NaN: the norm's is 0 there.
    positive = total != 0
    safe = jnp.where(positive, total, 1)
    return jnp.where(positive, jnp.sqrt(safe) if power == 2 else safe ** (1 / power), 0)


def _check_norm_type(norm_type: Any) -> float:
    if norm_type == "inf":
        return math.inf
    number = isinstance(norm_type, int | float | np.number) and not isinstance(norm_type, bool)
    if number and norm_type > 0:
        return float(norm_type)
    raise ArgumentError(
        explain(
            "`functional_ad.clip_by_norm(norm_type=...)` must be the order of a norm.",
            expected="a positive number, or infinity",
            got=_tree.describe_value(norm_type),
            fix="Leave it out for the 2-norm; write `math.inf` for the largest magnitude.",
        )
    )


def _check_max_norm(max_norm: Any) -> None:
    real = isinstance(max_norm, int | float | np.ndarray | np.generic | jax.Array)
    if real and not isinstance(max_norm, bool) and np.shape(max_norm) == ():
        kind = jax.typeof(max_norm).dtype
        known = max_norm if isinstance(max_norm, int | float) else 0
        numeric = jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)
        if numeric and known >= 0:
            return
    raise ArgumentError(
        explain(
            "`functional_ad.clip_by_norm(max_norm=...)` must be a bound for the norm.",
            expected="a number that is not negative, or a real array of shape ()",
            got=_tree.describe(max_norm) if np.shape(max_norm) else _tree.describe_value(max_norm),
            fix="Write e.g. `clip_by_norm(grads, 1.0)`.",
        )
    )
