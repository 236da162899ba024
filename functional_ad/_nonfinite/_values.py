"""The values of a program as they are and repaired, and where they begin to be not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Each element of the output depends on the inputs' elements at its own place, and no others.
_NAMES = (
    "abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp complex conj "
    "convert_element_type copy copy_p cos cosh digamma div erf erf_inv erfc exp exp2 expm1 floor "
    "imag integer_pow lgamma log log1p logistic max min mul nextafter neg pow real "
    "reduce_precision rem round rsqrt select_n sign sin sinh sqrt square stop_gradient sub tan "
    "tanh"
)
ELEMENTWISE = frozenset(_NAMES.split())


class Value(NamedTuple):
    """A value of the program: as it is, repaired, and repaired but for what is left."""

    true: Any
    repaired: Any
    left: Any


def is_floating(value: Any) -> bool:
    """Whether a value is a floating-point or complex array or number."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return isinstance(value, float | complex)
    return jnp.issubdtype(dtype, jnp.inexact)


def is_finite(value: Any) -> bool:
    """Whether a value has no NaN and no infinity; what is not floating has none."""
    return not is_floating(value) or bool(np.isfinite(np.asarray(value)).all())


def spoils(value: Value) -> bool:
    """Whether what was left makes a value not finite that repaired is finite."""
    if not is_floating(value.true) or value.left is value.repaired:
        return False
    left, repaired = (np.isfinite(np.asarray(x)) for x in (value.left, value.repaired))
    return bool((~left & repaired).any())


def find_bad(op: str, inputs: Sequence[Any], output: Any, numpy: Any = np) -> Any:
    """Where an output begins to be not finite.

    From finite inputs that is NaN or infinity; where an input is infinite, NaN only: infinity may
    be meant, as in a mask. Where an input is NaN, nothing begins.
    """
    output = numpy.asarray(output)
    nan = infinite = numpy.zeros((), bool)
    for given in inputs:
        if not is_floating(given):
            continue
        given = numpy.asarray(given)
        is_nan, is_infinite = numpy.isnan(given), numpy.isinf(given)
        if op not in ELEMENTWISE or given.shape not in ((), output.shape):
            is_nan, is_infinite = is_nan.any(), is_infinite.any()
        nan, infinite = nan | is_nan, infinite | is_infinite
    return numpy.where(infinite, numpy.isnan(output), ~numpy.isfinite(output)) & ~nan


def restore(op: str, inputs: list[Value], kept: Any, fixed: Any, bad: Any) -> Any:
    """Repairs the third output where something begins in it by itself, not for what was left."""
    if op in ELEMENTWISE:
        for value in inputs:
            if is_floating(value.true) and value.left is not value.repaired:
                left, repaired = np.asarray(value.left), np.asarray(value.repaired)
                if left.shape in ((), bad.shape):
                    bad = bad & ((left == repaired) | (np.isnan(left) & np.isnan(repaired)))
    array = np.array(kept)
    array[bad] = np.asarray(fixed)[bad]
    return array


def replace_at(value: Any, where: Any, by: float) -> Any:
    """A copy with some elements replaced."""
    array = np.array(value)
    array[where] = by
    return array


def pick_at(value: Any, where: Any) -> Any:
    """Some elements of a value."""
    return np.asarray(value)[where]


def share(value: Any, known: Any) -> Any:
    """The known value if the other one is the same, so that it is not computed with again."""
    if value is known:
        return known
    same = is_floating(value) and np.asarray(value).tobytes() == np.asarray(known).tobytes()
    return known if same else value


def unshare(value: Value, take: Callable[[Any], Any]) -> list[Any]:
    """Takes from each of the three values, from those that are one only once."""
    true = take(value.true)
    repaired = true if value.repaired is value.true else take(value.repaired)
    return [true, repaired, repaired if value.left is value.repaired else take(value.left)]


def take_at(array: Any, i: int) -> Any:
    """One slice along the leading axis."""
    return array[i] if _is_extended(array) else np.asarray(np.asarray(array)[i])


def stack(arrays: list[Any]) -> Any:
    """Stacks arrays along a new leading axis."""
    if _is_extended(arrays[0]):
        return jnp.stack(arrays)
    return jnp.asarray(np.stack([np.asarray(array) for array in arrays]))


def _is_extended(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.extended)
