"""The matrix products that a program consists of, and how fast each is alone."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._timing import time_interleaved
from functional_ad._program import Program, Step, walk

# A call of less is mostly the call.
FLOPS_PER_CALL = 5e8
ROUNDS = 5


class Product(NamedTuple):
    """The product of two matrices, or of as many pairs of them.

    Attributes:
        pairs: How many pairs.
        rows: Rows of the first ones.
        inner: Their columns, and the rows of the second ones.
        columns: Columns of the second ones.
    """

    pairs: int
    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * math.prod(self)


def find_products(fn: Callable[..., Any], *args: Any) -> collections.Counter[Product]:
    """Finds the products in a function, and how often each is there.

    A convolution counts as the product of all its windows and the kernel. A loop's body counts
    once.
    """
    program = Program(jax.make_jaxpr(fn)(*args), None)
    return collections.Counter(product for step in walk(program) for product in _read(step))


def _read(step: Step) -> Iterator[Product]:
    if step.op == "dot_general":
        (axes, _), (pairs, _) = step.equation.params["dimension_numbers"]
        left, right = (kind.shape for kind in step.in_types)
        together, inner = (math.prod(left[axis] for axis in some) for some in (pairs, axes))
        each = together * inner
        yield Product(together, math.prod(left) // each, inner, math.prod(right) // each)
    elif step.op == "conv_general_dilated":
        kernel, result = step.in_types[1], step.out_types[0]
        columns = kernel.shape[step.equation.params["dimension_numbers"].rhs_spec[0]]
        yield Product(1, result.size // columns, kernel.size // columns, columns)


class Alone(NamedTuple):
    """A product again and again, in one compiled call.

    Attributes:
        call: Makes the call.
        times: How often it multiplies.
    """

    call: Callable[[], object]
    times: int


def choose_fastest(product: Product) -> Alone:
    """A product by itself, with each operand laid out by rows or by columns, as is fastest."""
    ways = {way: _build(product, *way) for way in np.ndindex(2, 2)}
    seconds = time_interleaved({str(way): alone.call for way, alone in ways.items()}, ROUNDS)
    return min(ways.items(), key=lambda item: seconds[str(item[0])])[1]


def _build(product: Product, left_turned: int, right_turned: int) -> Alone:
    times = math.ceil(FLOPS_PER_CALL / product.flops)
    rng = np.random.default_rng(0)

    def make(rows: int, columns: int, turned: int) -> jax.Array:
        shape = (columns, rows) if turned else (rows, columns)
        return jnp.asarray(rng.normal(size=(product.pairs, *shape)), jnp.float32)

    left = make(product.rows, product.inner, left_turned)
    right = make(product.inner, product.columns, right_turned)
    dimensions = ((1 if left_turned else 2,), (2 if right_turned else 1,)), ((0,), (0,))

    @jax.jit
    def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
        def again(_: Any, left: jax.Array) -> jax.Array:
            result = jax.lax.dot_general(left, right, dimensions)
            # One number of it goes on, so that none of the products is left out.
            return left.at[0, 0, 0].set(jnp.sign(result[0, 0, 0]))

        return jax.lax.fori_loop(0, times, again, left)

    return Alone(lambda: jax.block_until_ready(multiply(left, right)), times)
