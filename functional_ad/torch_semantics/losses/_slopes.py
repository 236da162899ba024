"""Functions whose derivatives are given, not derived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


def give_slopes(*slopes: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Gives an elementwise function its partial derivatives, one for each argument.

    ``jax.custom_jvp`` with ``defjvps`` would do, but it multiplies the slopes also of arguments
    that are not differentiated, by 0: where such a slope is infinite, all would be NaN.

    Args:
        slopes: Functions of the same arguments.

    Returns:
        A decorator.

    Example:
        >>> @give_slopes(lambda x, y: y, lambda x, y: x / 0)
        ... def multiply(x, y):
        ...     return x * y
        >>> print(jax.grad(multiply)(2.0, 3.0))
        3.0
    """

    def decorate(function: Callable[..., Any]) -> Any:
        given = jax.custom_jvp(function)

        def derive(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            terms = [
                slope(*primals) * tangent
                for slope, tangent in zip(slopes, tangents, strict=True)
                if not isinstance(tangent, SymbolicZero)
            ]
            result = given(*primals)
            return result, sum(terms[1:], start=terms[0]) if terms else jnp.zeros_like(result)

        given.defjvp(derive, symbolic_zeros=True)
        return given

    return decorate
