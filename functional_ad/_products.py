"""Products of a few rows with a large matrix, in the form that is fast on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

Fn = Callable[[list[Any]], list[Any]]


class _Value(NamedTuple):
    """A value of the program.

    Attributes:
        array: What it is.
        varies: Whether it depends on the arguments.
        places: Where it is rows ``[rows, elements]`` that are zero at all elements but one each:
            which one. None where it is not known to be that.
    """

    array: Any
    varies: bool
    places: Any = None


# Zero where one operand is zero, and where all are.
_ZERO_OF_ONE = frozenset({"mul", "neg", "convert_element_type", "copy"})
_ZERO_OF_ALL = frozenset({"add", "add_any", "sub"})


def multiply_fast(fn: Fn) -> Callable[[list[Any], list[Any]], list[Any]]:
    """Gives the products of rows and matrices in a function a form in which XLA is fast on a CPU.

    Of two operands, the rows are what depends on the function's arguments, and the matrix what does
    not: in a loop over the arguments, it is the same in each step. As JAX writes the product with a
    transpose, the kernel that XLA takes packs the matrix anew each time, and for 32 rows and a
    matrix of 2,000 × 2,000 that takes as long as multiplying. The same numbers are multiplied and
    added. Of rows with one element each that is not zero, the product is that element times a row
    of the matrix.

    Args:
        fn: A function of a list of arrays.

    Returns:
        The function, of two lists: its arrays, and for each the place of the element in each row
        that is not zero, or None where the array is not such rows ``[rows, elements]``.
    """
    if jax.default_backend() != "cpu":
        return lambda arguments, places: fn(arguments)

    def run(arguments: list[Any], places: list[Any]) -> list[Any]:
        program = jax.make_jaxpr(fn)(arguments)
        inputs = [_Value(x, True, p) for x, p in zip(arguments, places, strict=True)]
        return [value.array for value in _evaluate(program, inputs)]

    return run


def _evaluate(program: Any, inputs: Sequence[_Value]) -> list[_Value]:
    jaxpr: Jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    constants = program.consts if isinstance(program, ClosedJaxpr) else []
    values: dict[Any, _Value] = {
        variable: _Value(constant, False)
        for variable, constant in zip(jaxpr.constvars, constants, strict=True)
    }
    values |= zip(jaxpr.invars, inputs, strict=True)

    def read(atom: Any) -> _Value:
        return _Value(atom.val, False) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        if equation.primitive.name in ("jit", "pjit"):
            outputs = _evaluate(equation.params["jaxpr"], operands)
        else:
            outputs = _compute(equation, operands)
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _compute(equation: JaxprEqn, operands: list[_Value]) -> list[_Value]:
    primitive, params = equation.primitive, equation.params
    arrays = [operand.array for operand in operands]
    if primitive.name == "dot_general" and _is_rows(equation, operands):
        (of_rows, of_matrix), _ = params["dimension_numbers"]
        rows, matrix = arrays
        if operands[0].places is not None and of_rows == (1,):
            return [_Value(_pick(equation, rows, matrix, operands[0].places), True)]
        if of_matrix == (1,):
            return [_Value(_multiply(equation, rows, matrix), True)]
    bound = primitive.bind(*arrays, **primitive.get_bind_params(params))
    outputs = list(bound) if primitive.multiple_results else [bound]
    varies = any(operand.varies for operand in operands)
    places = _find_places(primitive.name, operands, np.shape(outputs[0]))
    return [_Value(output, varies, places) for output in outputs]


def _find_places(op: str, operands: list[_Value], shape: tuple[int, ...]) -> Any:
    """Where the elements of an operation's result are that are not zero, if that is known."""
    known = [o.places if np.shape(o.array) == shape else None for o in operands]
    if op in _ZERO_OF_ONE:
        return next((places for places in known if places is not None), None)
    if op in _ZERO_OF_ALL and all(places is known[0] for places in known):
        return known[0]
    return None


def _pick(equation: JaxprEqn, rows: Any, matrix: Any, places: Any) -> Any:
    """The product where each row has one element that is not zero, or none."""
    (_, (of_matrix,)), _ = equation.params["dimension_numbers"]
    aval: Any = equation.outvars[0].aval
    dtype = aval.dtype
    factors = jnp.take_along_axis(rows, places[:, None], 1, mode="clip").astype(dtype)
    picked = jnp.moveaxis(jnp.take(matrix, places, of_matrix, mode="clip"), of_matrix, 0)
    return factors * picked.astype(dtype)


def _multiply(equation: JaxprEqn, rows: Any, matrix: Any) -> Any:
    """The product turned round; the barriers keep XLA from turning it back."""
    params = equation.params
    ((of_rows,), _), _ = params["dimension_numbers"]
    moved = jnp.moveaxis(rows, of_rows, -1)
    product = lax.dot_general(
        matrix,
        lax.optimization_barrier(moved.reshape(-1, moved.shape[-1]).T),
        (((1,), (0,)), ((), ())),
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )
    return lax.optimization_barrier(product).T.reshape(*moved.shape[:-1], product.shape[0])


def _is_rows(equation: JaxprEqn, operands: list[_Value]) -> bool:
    """Whether it multiplies rows, be they along several axes, by a matrix of more elements."""
    if [operand.varies for operand in operands] != [True, False]:
        return False
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
