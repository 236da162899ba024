"""The products of a linear layer, in the forms that are fast on a CPU (decision 24)."""

from __future__ import annotations

from typing import Any, Final

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

_FEW: Final = 64  # inputs or outputs of a layer
_MANY: Final = 1024  # rows of a batch


def dot_general(
    x: Array, kernel: Array, dimension_numbers: Any, precision: Any = None, **options: Any
) -> Array:
    """The product of a linear layer, to be given to ``nnx.Linear``.

    The same numbers are multiplied and added as by ``lax.dot_general``. On a CPU, XLA has two
    kernels for float32, and which of them takes a product depends on how it is written.
    """
    asked = precision is not None or any(option is not None for option in options.values())
    usual = (((x.ndim - 1,), (0,)), ((), ()))
    plain = dimension_numbers == usual and kernel.ndim == len(("inputs", "outputs"))
    if asked or not plain or not x.size or not are_fast(x, kernel):
        return lax.dot_general(x, kernel, dimension_numbers, precision, **options)
    return multiply(x, kernel)


def are_fast(*arrays: Array) -> bool:
    """Whether the forms here are fast with such arrays: with float32 on a CPU."""
    return jax.default_backend() == "cpu" and all(x.dtype == jnp.float32 for x in arrays)


def multiply(x: Float[Array, "... inputs"], kernel: Float[Array, "inputs outputs"]) -> Array:
    """``x @ kernel``, whose gradients are products in fast forms, too."""
    return _multiply_rows(x.reshape(-1, len(kernel)), kernel).reshape(*x.shape[:-1], -1)


@jax.custom_jvp
def _multiply_rows(x: Float[Array, "rows inputs"], kernel: Float[Array, "inputs outputs"]) -> Array:
    return _compute(x, kernel)


def _compute(x: Array, kernel: Array) -> Array:
    if len(kernel) <= _FEW:
        # Of the two kernels, the one that shares out a product as small as this among the threads.
        return _contract(_transpose(x), kernel, 0, 0)
    return x @ kernel


def _push(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    (x, kernel), (of_x, of_kernel) = primals, tangents
    parts = []
    if not isinstance(of_x, SymbolicZero):
        parts.append(of_x @ kernel)
    if not isinstance(of_kernel, SymbolicZero):
        parts.append(_push_kernel(x, of_kernel))
    # Not by the rule again: what rematerialisation keeps are products that it can see.
    return _compute(x, kernel), sum(parts[1:], parts[0])


_multiply_rows.defjvp(_push, symbolic_zeros=True)


def _push_kernel(x: Float[Array, "rows inputs"], of_kernel: Array) -> Array:
    """``x @ of_kernel``, written for its transpose: that is the gradient of the kernel."""
    inputs, outputs = of_kernel.shape
    if len(x) >= _MANY:
        # Where there is much to sum, one of XLA's kernels spends half of its time on packing. The
        # other one takes what is transposed beforehand: x, or the output's gradient if it is less.
        if inputs <= outputs:
            return _contract(_transpose(x), of_kernel, 0, 0)
        return lax.optimization_barrier(_contract(_transpose(of_kernel), x, 1, 1)).T
    if outputs < min(inputs, _FEW):
        # Its transpose takes a seventh of the time.
        return _contract(x, _transpose(of_kernel), 1, 1)
    return x @ of_kernel


def _contract(a: Array, b: Array, axis_a: int, axis_b: int) -> Array:
    return lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())))


def _transpose(x: Float[Array, "rows columns"]) -> Float[Array, "columns rows"]:
    """The transpose in memory: the barrier keeps XLA from making it a part of a product."""
    return lax.optimization_barrier(x.T)
