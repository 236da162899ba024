"""Mistakes that can be planted in any JAX function: in its results, or in its gradients alone."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.verdict.pair import Pair

Function = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Defect:
    """The JAX side of a pair with a mistake in it.

    Attributes:
        name: What was done.
        jax: The function.
        in_gradient: Whether the values are right, so that only the gradients can tell.
    """

    name: str
    jax: Function
    in_gradient: bool


def change_results(change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Changes every floating result."""

    def mutate(fun: Function) -> Function:
        def mutated(*args: Any) -> Any:
            return jax.tree.map(lambda y: change(y) if _is_inexact(y) else y, fun(*args))

        return mutated

    return mutate


def change_tangents(change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Changes the gradient of every input, in forward and in reverse mode, and no value."""

    @jax.custom_jvp
    def identity(x: Any) -> Any:
        return x

    @identity.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        tangent = jnp.asarray(tangents[0])  # check_grads pushes NumPy arrays forward
        return primals[0], change(tangent).astype(tangent.dtype)

    def mutate(fun: Function) -> Function:
        def mutated(*args: Any) -> Any:
            return fun(*jax.tree.map(lambda x: identity(x) if _is_inexact(x) else x, args))

        return mutated

    return mutate


def _is_inexact(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _round(y: Any) -> Any:
    if jnp.iscomplexobj(y):
        return _round(jnp.real(y)) + 1j * _round(jnp.imag(y))
    return y.astype(jnp.bfloat16).astype(y.dtype)


def _times(factor: float, y: Any) -> Any:
    return y * factor


def _change_first(y: Any) -> Any:
    return y.at[(0,) * y.ndim].multiply(1.001)


ROUNDED = "result cast to bfloat16"
RESULTS: dict[str, Callable[[Any], Any]] = {
    **{f"result times 1 + 1e-{k}": functools.partial(_times, 1 + 10.0**-k) for k in range(1, 9)},
    "result with the wrong sign": jnp.negative,
    "first element of the result off by a thousandth": _change_first,
    ROUNDED: _round,
}
GRADIENTS: dict[str, Callable[[Any], Any]] = {
    **{f"gradient times 1 + 1e-{k}": functools.partial(_times, 1 + 10.0**-k) for k in range(1, 9)},
    "gradient with the wrong sign": jnp.negative,
    "gradient stopped": jnp.zeros_like,
    "first element of the gradient off by a thousandth": _change_first,
}
MUTATIONS = (*RESULTS, *GRADIENTS)


def can_mutate(pair: Pair, name: str) -> bool:
    """Whether the mistake is one in this pair, and its comparisons look at what it changes."""
    if name == ROUNDED and pair.dtypes[0] == "bfloat16":
        return False
    return ("value" if name in RESULTS else "vjp") in pair.orders


def find_defect(pair: Pair, name: str) -> Defect:
    """One of the mistakes that the pair names, or one of MUTATIONS in it."""
    if name in pair.defects:
        return Defect(name, pair.defects[name], in_gradient=False)
    if name in RESULTS:
        return Defect(name, change_results(RESULTS[name])(pair.jax), in_gradient=False)
    return Defect(name, change_tangents(GRADIENTS[name])(pair.jax), in_gradient=True)
