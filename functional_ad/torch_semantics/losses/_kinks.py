"""Functions with a kink, with PyTorch's derivative at it and at NaN."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def absolute(x: jax.Array) -> jax.Array:
    """The magnitude; its derivative at 0 and at NaN is 0, where JAX's are 1 and -1.

    Example:
        >>> print(jax.vmap(jax.grad(absolute))(jnp.array([-2.0, 0.0, 2.0])))
        [-1.  0.  1.]
    """
    has_sign = (x > 0) | (x < 0)
    return jnp.abs(jnp.where(has_sign, x, lax.stop_gradient(x)))


def clamp_min(x: jax.Array) -> jax.Array:
    """What is above 0; its derivative at 0 is 1, where ``jnp.maximum`` has 1/2, and at NaN 0.

    Example:
        >>> print(jax.vmap(jax.grad(clamp_min))(jnp.array([-2.0, 0.0, 2.0])))
        [0. 1. 1.]
    """
    return jnp.where(x >= 0, x, lax.stop_gradient(jnp.maximum(x, 0)))


def positive_part(x: jax.Array, where: jax.Array) -> jax.Array:
    """What is above 0 and where a condition holds, else 0; so at NaN, and the derivative at 0.

    PyTorch's margins over classes, written as loops that leave out what is not above 0.

    Example:
        >>> print(jax.vmap(jax.grad(positive_part), (0, None))(jnp.array([-2.0, 0.0, 2.0]), True))
        [0. 0. 1.]
    """
    return jnp.where((x > 0) & where, x, 0)
