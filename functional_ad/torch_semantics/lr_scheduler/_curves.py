"""Powers and cosines that are as exact in float32 as their results can be."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np


def to_float(count: Any) -> Any:
    """A count in the default floating dtype.

    ``count / 7`` of optax's int32 count would be of float32 also where float64 is on.
    """
    return jnp.asarray(count).astype(float)


def take_power(base: Any, exponent: Any) -> Any:
    """Raises a base that is not negative to a power that is an integer.

    0.999 is no number of float32, and the 1,000th power of the nearest one is 3e-5 off; what
    ``base`` lacks as an array is put in again.
    """
    exponent = to_float(exponent)
    rounded = jnp.asarray(base, exponent.dtype)
    result = rounded**exponent
    if isinstance(base, int | float | np.number) and base > 0:
        lack = math.log(float(base) / float(exponent.dtype.type(base)))
        return result * jnp.exp(lack * exponent) if lack else result
    return result


def fall(left: Any, length: Any) -> Any:
    """Half a cosine's wave, from 1 where all of a length is left to 0 at its end.

    ``(1 + cos(pi * passed / length)) / 2`` as a square, which has no rounding of 1 in it.
    """
    return jnp.sin((0.5 * math.pi) * to_float(left) / length) ** 2
