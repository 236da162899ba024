"""Which operations give exact results, and which results of the others are exact nevertheless."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

# Their results are among the numbers that they are given, or exact.
EXACT = frozenset(
    """
    abs neg sign floor ceil round is_finite max min clamp select_n stop_gradient real imag conj
    complex copy copy_p bitcast_convert_type convert_element_type reduce_precision nextafter rem
    broadcast_in_dim reshape squeeze expand_dims transpose rev concatenate pad slice tile split
    stack unstack dynamic_slice dynamic_update_slice gather scatter scatter-min scatter-max sort
    top_k approx_top_k iota reduce_max reduce_min argmax argmin reduce_and reduce_or cummax cummin
    reduce_window_max reduce_window_min select_and_gather_max device_put optimization_barrier
    sharding_constraint reshard pvary pbroadcast all_gather ppermute all_to_all pmax pmin empty
    zeros_like full random_wrap random_unwrap random_bits random_seed threefry2x32 debug_callback
    mesh_cast layout_constraint create_token
    """.split()  # noqa: SIM905
)
SUMS = frozenset(
    {"reduce_sum", "dot_general", "cumsum", "conv_general_dilated", "reduce_window_sum"}
)
ELEMENTARY = frozenset({"add", "sub", "add_any", "mul", "div", "sqrt", "square"})
COARSE = 12  # bits


def is_coarse(values: np.ndarray[Any, Any]) -> bool:
    """Whether numbers have so few bits that sums and products of some of them are exact."""
    if values.dtype.kind == "c":
        return False
    mantissa, _ = np.frexp(values)
    return bool(np.all(mantissa * 2**COARSE == np.round(mantissa * 2**COARSE)))


def scales_exactly(op: str, inputs: list[Any]) -> bool:
    """Whether it is a product with (or quotient by) a constant that is a power of two, or 0."""
    factors = {"mul": inputs, "div": inputs[1:]}.get(op, [])
    known = [np.asarray(f) for f in factors if not isinstance(f, Tracer)]
    return any(bool(np.all(np.isin(np.frexp(np.abs(f))[0], (0, 0.5)))) for f in known)


def sums_exactly(inputs: list[Any], terms: int) -> Any:
    """Whether all terms are multiples of one number, and few enough to add without rounding."""
    size = jnp.asarray(float(terms))
    for value in inputs:
        if not is_floating(value):
            continue
        least = jnp.min(_find_lowest_bit(value), initial=jnp.inf, where=value != 0)
        size *= jnp.max(jnp.abs(value), initial=0.0) / least
    return size < 2.0 ** (jnp.finfo(inputs[0].dtype).nmant + 1)


def find_rounded(op: str, inputs: list[Any], output: Any) -> Any:
    """Where an elementary operation on real numbers rounded its result."""
    if output.dtype not in (jnp.float64, jnp.float32) or op not in ELEMENTARY:
        return True
    match op:
        case "add" | "sub" | "add_any":
            a, b = inputs
            b = -b if op == "sub" else b
            part = output - a  # Knuth's TwoSum: what the sum has lost of its terms
            return ((a - (output - part)) + (b - part)) != 0
        case "mul":
            return _count_bits(inputs[0]) + _count_bits(inputs[1]) > _width(output)
        case "div":
            a, b = inputs
            exact = _count_bits(output) + _count_bits(b) <= _width(output)
            return ~(exact & (output * b == a))
        case "sqrt":
            exact = 2 * _count_bits(output) <= _width(output)
            return ~(exact & (output * output == inputs[0]))
        case "square":
            return 2 * _count_bits(inputs[0]) > _width(output)
        case _:
            return True


def _width(value: Any) -> int:
    return jnp.finfo(value.dtype).nmant + 1


def _read_bits(value: Any) -> tuple[Any, Any]:
    """The bits of floating numbers as integers, and those of the mantissa only."""
    kept = jnp.finfo(value.dtype).nmant
    kind = jnp.uint64 if value.dtype == jnp.float64 else jnp.uint32
    bits = jax.lax.bitcast_convert_type(value, kind)
    return bits, bits & kind(2**kept - 1)


def _count_bits(value: Any) -> Any:
    """Significant bits of each number: of the odd number that it is, times a power of two."""
    value = jnp.asarray(value)
    _, mantissa = _read_bits(value)
    one = mantissa.dtype.type(1)
    trailing = jax.lax.population_count((mantissa & (~mantissa + one)) - one).astype(jnp.int32)
    return jnp.where(mantissa == 0, 1, _width(value) - trailing)


def _find_lowest_bit(value: Any) -> Any:
    """The power of two that the last significant bit of each number stands for."""
    bits, mantissa = _read_bits(value)
    cleared = jax.lax.bitcast_convert_type(bits & (bits - bits.dtype.type(1)), value.dtype)
    return jnp.abs(jnp.where(mantissa == 0, value, value - cleared))


def is_floating(value: Any) -> bool:
    """Whether an array, or what has its type, is of floating or complex numbers."""
    return jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.inexact)
