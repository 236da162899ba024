"""Convolutions and pooling of images, in the forms that are fast on a CPU (decision 24)."""

from __future__ import annotations

from typing import Any, Final

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from functional_ad.training._models._products import are_fast, multiply

_FEW: Final = 64  # numbers that are summed in an output
_HEIGHT, _WIDTH = 1, 2  # axes
_LAYOUT: Final = ("NHWC", "HWIO", "NHWC")


def conv_general_dilated(
    x: Array, kernel: Array, window_strides: Any, padding: Any, **options: Any
) -> Array:
    """A convolution, to be given to ``nnx.Conv``.

    On a CPU, one of images with strides of 1 that keeps the size is made of matrix products: XLA
    computes the gradient of a kernel number by number, and that takes forty times as long.
    """
    if _is_plain(x, kernel, window_strides, padding, **options) and are_fast(x, kernel):
        return convolve(x, kernel)
    return lax.conv_general_dilated(x, kernel, window_strides, padding, **options)


def _is_plain(
    x: Array,
    kernel: Array,
    window_strides: Any,
    padding: Any,
    *,
    dimension_numbers: Any,
    lhs_dilation: Any = (),
    rhs_dilation: Any = (),
    feature_group_count: int = 1,
    **options: Any,
) -> bool:
    """Whether it is of images, channels last, keeps their size, and asks for nothing else."""
    if x.ndim != len(_LAYOUT[0]) or not x.size:
        return False
    numbers, plain = (
        lax.conv_dimension_numbers(x.shape, kernel.shape, layout)
        for layout in (dimension_numbers, _LAYOUT)
    )
    ones = {*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ()), feature_group_count}
    asked = any(option is not None for option in options.values())
    return numbers == plain and padding == "SAME" and ones == {1} and not asked


def convolve(
    x: Float[Array, "examples height width inputs"],
    kernel: Float[Array, "rows columns inputs outputs"],
) -> Float[Array, "examples height width outputs"]:
    """A convolution as one matrix product.

    Its operand has the neighbours along the width beside each other; its result has one part for
    each row of the kernel, and they are added where they belong. So both are small. Where little is
    summed, the operand has all neighbours.
    """
    rows, columns, inputs, outputs = kernel.shape
    if rows * columns * inputs <= _FEW:
        lines = _shift_all(x, _HEIGHT, rows)
        neighbours = [part for line in lines for part in _shift_all(line, _WIDTH, columns)]
        return multiply(jnp.concatenate(neighbours, axis=-1), kernel.reshape(-1, outputs))
    neighbours = jnp.concatenate(_shift_all(x, _WIDTH, columns), axis=-1)
    flat = kernel.transpose(1, 2, 0, 3).reshape(columns * inputs, rows * outputs)
    parts = jnp.split(multiply(neighbours, flat), rows, axis=-1)
    placed = [_shift(part, _HEIGHT, row - (rows - 1) // 2) for row, part in enumerate(parts)]
    return sum(placed[1:], placed[0])


def pool(
    x: Float[Array, "examples height width channels"],
) -> Float[Array, "examples half_height half_width channels"]:
    """The largest of each 2 x 2 values, as ``nn.MaxPool2d(2)``: of equal ones, the first counts.

    As ``nnx.max_pool``, whose gradient takes three times as long on a CPU. Of an odd size, the last
    row or column is left out.
    """
    examples, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    x = x.reshape(examples, height // 2, 2, width // 2, 2, channels)
    upper, lower = x[:, :, 0], x[:, :, 1]
    return _take_larger(
        _take_larger(upper[:, :, :, 0], upper[:, :, :, 1]),
        _take_larger(lower[:, :, :, 0], lower[:, :, :, 1]),
    )


def _take_larger(first: Array, second: Array) -> Array:
    """The larger one, or NaN if there is one. It gets all of the gradient, the first if equal."""
    return jnp.where((second > first) | jnp.isnan(second), second, first)


def _shift_all(x: Array, axis: int, count: int) -> list[Array]:
    """What stands so many places further on, from those before to those after."""
    return [_shift(x, axis, place - (count - 1) // 2) for place in range(count)]


def _shift(x: Array, axis: int, by: int) -> Array:
    """What stands so many places further on along an axis; zeros where nothing does."""
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-by, by, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)
