"""Products of rows and matrices in another form: the same numbers, and the form that was meant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from functional_ad import _products

MATRIX = jnp.arange(48.0).reshape(8, 6)
ROWS = jnp.arange(18.0).reshape(3, 6) % 5 - 2


def multiply_fast(fn, places=None):
    """Of one array."""
    fast = _products.multiply_fast(lambda arrays: fn(arrays[0]))
    return lambda rows: fast([rows], [places])


def multiply(dims, matrix, batch=((), ())):
    return lambda rows: [lax.dot_general(rows, matrix, (dims, batch))]


CASES = {
    "with the transpose": (multiply(((1,), (1,)), MATRIX), ROWS),
    "columns with the transpose": (multiply(((0,), (1,)), MATRIX), ROWS.T),
    "one row each": (multiply(((2,), (1,)), MATRIX), ROWS[:, None]),
    "rows along two axes": (multiply(((1,), (1,)), MATRIX), jnp.arange(36.0).reshape(2, 6, 3)),
}
LEFT_ALONE = {
    "columns with the matrix": (multiply(((0,), (0,)), MATRIX.T), ROWS.T),
    "with the matrix": (multiply(((1,), (0,)), MATRIX.T), ROWS),
    "the matrix first": (lambda rows: [MATRIX @ rows.T], ROWS),
    "two that vary": (lambda rows: [rows @ rows.T], ROWS),
    "more rows than the matrix has": (multiply(((1,), (1,)), MATRIX[:2]), ROWS),
    "batches": (multiply(((2,), (2,)), jnp.ones((2, 4, 6)), ((0,), (0,))), jnp.ones((2, 3, 6))),
    "two contractions": (multiply(((0, 1), (0, 1)), jnp.ones((3, 6, 5))), ROWS),
    "a vector": (multiply(((0,), (1,)), MATRIX), ROWS[0]),
    "none": (lambda rows: [jnp.tanh(rows), jnp.ones(2)], ROWS),
}


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("name", CASES | LEFT_ALONE)
def test_the_results_are_the_same(name, wrap):
    """Products of small integers: exact in any order."""
    fn, rows = (CASES | LEFT_ALONE)[name]
    for got, want in zip(multiply_fast(wrap(fn))(rows), fn(rows), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("name", CASES | LEFT_ALONE)
def test_products_of_rows_are_the_ones_that_change(name, wrap):
    fn, rows = (CASES | LEFT_ALONE)[name]
    changed = "optimization_barrier" in str(jax.make_jaxpr(multiply_fast(wrap(fn)))(rows))
    assert changed == (name in CASES)


def test_dtypes_and_precision_are_kept():
    def fn(rows):
        return [
            lax.dot_general(
                rows,
                MATRIX.astype(jnp.bfloat16),
                (((1,), (1,)), ((), ())),
                precision=lax.Precision.HIGHEST,
                preferred_element_type=jnp.float32,
            )
        ]

    rows = ROWS.astype(jnp.bfloat16)
    text = str(jax.make_jaxpr(multiply_fast(fn))(rows))
    assert "Precision.HIGHEST" in text
    assert multiply_fast(fn)(rows)[0].dtype == jnp.float32


# The third row has none: its place is out of range, as it is of another leaf's unit vectors.
PLACES = jnp.array([4, 0, 9])
UNITS = jnp.zeros((3, 6)).at[jnp.arange(3), PLACES].set(2.0, mode="drop")
FACTORS = jnp.arange(1.0, 7.0)
SPARSE = {
    "with the transpose": multiply(((1,), (1,)), MATRIX),
    "with the matrix": multiply(((1,), (0,)), MATRIX.T),
    "scaled": lambda rows: [(-rows * FACTORS) @ MATRIX.T],
    "scaled by rows": lambda rows: [(rows * FACTORS + rows) @ MATRIX.T],
    "in another dtype": lambda rows: [rows.astype(jnp.bfloat16) @ MATRIX.T.astype(jnp.bfloat16)],
    "twice": lambda rows: [rows @ MATRIX.T, (rows @ MATRIX.T) @ MATRIX, rows],
}
DENSE = {
    "columns": multiply(((0,), (0,)), jnp.arange(24.0).reshape(3, 8)),
    "sums with others": lambda rows: [(rows + FACTORS) @ MATRIX.T],
    "moved": lambda rows: [rows[:, ::-1] @ MATRIX.T, (rows + rows[:, ::-1]) @ MATRIX.T],
    "widened": lambda rows: [(rows[:, :1] * FACTORS) @ MATRIX.T],
}


def count_products(fn, rows):
    return str(jax.make_jaxpr(fn)(rows)).count("dot_general[")


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
@pytest.mark.parametrize("name", SPARSE | DENSE)
def test_rows_with_one_element_each(name, wrap):
    fn = (SPARSE | DENSE)[name]
    fast = multiply_fast(wrap(fn), PLACES)
    for got, want in zip(fast(UNITS), fn(UNITS), strict=True):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    # What is picked from the matrix is multiplied no more; what follows is.
    picked = {"twice": 2}.get(name, 1) if name in SPARSE else 0
    assert count_products(fast, UNITS) == count_products(fn, UNITS) - picked


def test_elsewhere_than_on_a_cpu_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    fn, rows = CASES["with the transpose"]
    assert str(jax.make_jaxpr(multiply_fast(fn))(rows)) == str(jax.make_jaxpr(fn)(rows))
