"""The arrays that a loss is given: checked, and in the dtype that it is computed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain


class Operands(NamedTuple):
    """The arrays that a loss is computed from.

    Attributes:
        arrays: In one floating dtype, at least float32: PyTorch computes in half precision, and
            rounds after each operation.
        dtype: What the loss comes out in: what the arguments' dtypes promote to.
    """

    arrays: tuple[jax.Array, ...]
    dtype: np.dtype


def name_argument(function: str, name: str) -> str:
    """An argument as error texts write it."""
    return f"`functional_ad.torch_semantics.losses.{function}({name}=...)`"


def take_floats(
    function: str, arguments: Mapping[str, Any], integers: tuple[str, ...] = ()
) -> Operands:
    """Makes arrays of the floating-point arguments of a loss.

    Args:
        function: The loss, for the text of an error.
        arguments: What was given, by the names of the arguments.
        integers: Those of them that may be integers too.

    Returns:
        The arrays, in the same order, and the dtype of the loss.

    Raises:
        ArgumentError: One is no array, or not of a floating dtype.
    """
    arrays = [_take(function, *argument, integers) for argument in arguments.items()]
    floating = [x for x in arrays if jnp.issubdtype(x.dtype, jnp.floating)]
    # Of the arrays, not of their dtypes: a Python number has no say beside an array.
    dtype = np.dtype(jnp.result_type(*floating))
    return Operands(tuple(x.astype(_tree.widen(dtype)) for x in arrays), dtype)


def _take(function: str, name: str, value: Any, integers: tuple[str, ...]) -> jax.Array:
    allowed = (jnp.floating, jnp.integer) if name in integers else (jnp.floating,)
    if isinstance(value, float | int | np.ndarray | np.generic | jax.Array):
        array = jnp.asarray(value)
        if any(jnp.issubdtype(array.dtype, kind) for kind in allowed):
            return array
    raise ArgumentError(
        explain(
            f"{name_argument(function, name)} has a dtype that the loss is not defined for.",
            expected="an array of floating-point numbers"
            + (" or of integers" if name in integers else ""),
            got=_tree.describe(value),
            fix="Cast it first, e.g. with `.astype(jnp.float32)`.",
        )
    )


def take_labels(
    function: str, name: str, value: Any, low: int, high: int, ignored: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Makes an array of labels or lengths, and says which of them are out of range.

    PyTorch raises for these. Here too where the values can be seen; where they are traced, the
    loss has to become NaN where the second array is True.

    Args:
        function: The loss, for the text of an error.
        name: The argument.
        value: What was given: integers.
        low: The smallest label.
        high: The greatest label.
        ignored: One more that is allowed.

    Returns:
        The labels, signed integers, and where they are out of range.

    Raises:
        ArgumentError: They are no integers, or one is out of range.
    """
    integral = isinstance(value, int | np.ndarray | np.generic | jax.Array)
    if not integral or not jnp.issubdtype(jnp.result_type(value), jnp.integer):
        raise ArgumentError(
            explain(
                f"{name_argument(function, name)} must have integers.",
                expected="an array of integers",
                got=_tree.describe(value),
                fix="Cast it first, e.g. with `.astype(jnp.int32)`.",
            )
        )
    known = read_values(value)
    if known is not None:
        wrong = (known < low) | (known > high)
        wrong &= True if ignored is None else known != ignored
        check_all(
            function,
            name,
            value,
            ~wrong,
            f"from {low} to {high}"
            + ("" if ignored is None else f", or `ignore_index`, {ignored}"),
            "Correct it, or mask it out.",
        )
    labels = jnp.asarray(value)
    if labels.dtype != jnp.int64:  # others may be unsigned, or too narrow for the bounds
        labels = labels.astype(jnp.int32)
    return labels, (labels < low) | (labels > high)


def read_values(value: Any) -> np.ndarray | None:
    """The numbers in an array; None where they are traced, or lie on other hosts."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return None
    return np.asarray(value)


def check_all(
    function: str, name: str, value: Any, right: np.ndarray, expected: str, fix: str
) -> None:
    """Raises unless a condition holds for every number of an array.

    Raises:
        ArgumentError: It does not; the text has the first that it does not hold for.
    """
    if np.all(right):
        return
    index = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(~right)))
    wrong = np.atleast_1d(np.asarray(value))[index]
    place = f" at [{', '.join(map(str, index))}]" if np.shape(value) else ""
    raise ArgumentError(
        explain(
            f"{name_argument(function, name)} has a value that is out of range.",
            expected=expected,
            got=f"{wrong}{place} of {_tree.describe(value)}",
            fix=fix,
        )
    )


def check_shape(function: str, name: str, value: Any, right: bool, expected: str, fix: str) -> None:
    """Raises where an array has a shape that a loss has no use for.

    Raises:
        ArgumentError: It has.
    """
    if right:
        return
    raise ArgumentError(
        explain(
            f"{name_argument(function, name)} has another shape than the loss needs.",
            expected=expected,
            got=_tree.describe(value),
            fix=fix,
        )
    )


def broadcast(function: str, **arrays: jax.Array) -> list[jax.Array]:
    """Broadcasts arrays against each other.

    Raises:
        ArgumentError: Their shapes do not go together.
    """
    try:
        shape = np.broadcast_shapes(*(x.shape for x in arrays.values()))
    except ValueError:
        pass
    else:
        return [jnp.broadcast_to(x, shape) for x in arrays.values()]
    names = list(arrays)
    raise ArgumentError(
        explain(
            f"{name_argument(function, names[-1])} has another shape than the loss needs.",
            expected=f"a shape that can be broadcast with `{'` and `'.join(names[:-1])}`",
            got=[f"{name}: {_tree.describe(x)}" for name, x in arrays.items()],
            fix="Reshape one of them.",
        )
    )


def broadcast_to(
    function: str, name: str, value: Any, array: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Broadcasts an array to a shape.

    Raises:
        ArgumentError: It has a shape that does not fit.
    """
    try:
        return jnp.broadcast_to(array, shape)
    except ValueError:
        pass
    raise ArgumentError(
        explain(
            f"{name_argument(function, name)} has another shape than the loss needs.",
            expected=f"a shape that can be broadcast to {shape}",
            got=_tree.describe(value),
            fix="Reshape it.",
        )
    )


def check_index(function: str, name: str, value: Any, low: int, high: int, fix: str) -> None:
    """Raises unless a value is an integer, known, within bounds.

    Raises:
        ArgumentError: It is something else.
    """
    integral = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if integral and low <= value <= high:
        return
    raise ArgumentError(
        explain(
            f"{name_argument(function, name)} must be a label.",
            expected=f"an int from {low} to {high}",
            got=_tree.describe_value(value),
            fix=fix,
        )
    )
