"""Products of a few rows with a large matrix, in the form that is fast on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


def multiply_fast(fn: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Gives the products of rows and matrices in a function a form in which XLA is fast on a CPU.

    Of two operands, the rows are what depends on the function's argument, and the matrix what does
    not: in a loop over the argument, it is the same in each step. As JAX writes these products, the
    kernel that XLA takes packs the matrix anew each time, and for 32 rows and a matrix of
    2,000 × 2,000 that takes as long as multiplying. The same numbers are multiplied and added.
    """

    def run(argument: Any) -> list[Any]:
        program = jax.make_jaxpr(fn)(argument)
        return _evaluate(program, [argument], [True])[0]

    return run if jax.default_backend() == "cpu" else fn


def _evaluate(
    program: Any, inputs: Sequence[Any], varying: Sequence[bool]
) -> tuple[list[Any], list[bool]]:
    """The outputs of a program, and which of them depend on inputs that vary."""
    jaxpr: Jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    constants = program.consts if isinstance(program, ClosedJaxpr) else []
    values: dict[Any, tuple[Any, bool]] = {
        variable: (constant, False)
        for variable, constant in zip(jaxpr.constvars, constants, strict=True)
    }
    values |= zip(jaxpr.invars, zip(inputs, varying, strict=True), strict=True)

    def read(atom: Any) -> tuple[Any, bool]:
        return (atom.val, False) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        pairs = [read(atom) for atom in equation.invars]
        operands, flags = [value for value, _ in pairs], [flag for _, flag in pairs]
        if equation.primitive.name in ("jit", "pjit"):
            outputs, out_flags = _evaluate(equation.params["jaxpr"], operands, flags)
        else:
            outputs = _compute(equation, operands, flags)
            out_flags = [any(flags)] * len(outputs)
        values |= zip(equation.outvars, zip(outputs, out_flags, strict=True), strict=True)
    results = [read(atom) for atom in jaxpr.outvars]
    return [value for value, _ in results], [flag for _, flag in results]


def _compute(equation: JaxprEqn, operands: list[Any], varying: list[bool]) -> list[Any]:
    primitive, params = equation.primitive, equation.params
    if primitive.name == "dot_general" and varying == [True, False] and _is_rows(equation):
        return [_multiply(equation, *operands)]
    outputs = primitive.bind(*operands, **primitive.get_bind_params(params))
    return list(outputs) if primitive.multiple_results else [outputs]


def _multiply(equation: JaxprEqn, rows: Any, matrix: Any) -> Any:
    """The product in another order; the barriers keep XLA from turning it round again."""
    params = equation.params
    ((of_rows,), (of_matrix,)), _ = params["dimension_numbers"]
    moved = jnp.moveaxis(rows, of_rows, -1)
    columns = lax.optimization_barrier(moved.reshape(-1, moved.shape[-1]).T)

    def multiply(left: Any, right: Any, axis: int) -> Any:
        return lax.dot_general(
            left,
            right,
            (((axis,), (0,)), ((), ())),
            precision=params["precision"],
            preferred_element_type=params["preferred_element_type"],
        )

    if of_matrix == 0:
        product = multiply(columns, matrix, 0)
    else:
        product = lax.optimization_barrier(multiply(matrix, columns, 1)).T
    return product.reshape(*moved.shape[:-1], product.shape[-1])


def _is_rows(equation: JaxprEqn) -> bool:
    """Whether it multiplies rows, be they along several axes, by a matrix of more elements."""
    params = equation.params
    (contracted, _), batch = params["dimension_numbers"]
    avals: list[Any] = [atom.aval for atom in equation.invars]
    rows, matrix = avals
    return (
        rows.ndim >= 2
        and matrix.ndim == 2
        and len(contracted) == 1
        and not any(batch)
        and 0 < rows.size < matrix.size
        and params["out_sharding"] is None
    )
