"""Products of rows and matrices in another form: the same numbers, and the form that was meant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from functional_ad._products import multiply_fast

MATRIX = jnp.arange(48.0).reshape(8, 6)
ROWS = jnp.arange(18.0).reshape(3, 6) % 5 - 2


def multiply(dims, matrix, batch=((), ())):
    return lambda rows: [lax.dot_general(rows, matrix, (dims, batch))]


CASES = {
    "with the transpose": (multiply(((1,), (1,)), MATRIX), ROWS),
    "with the matrix": (multiply(((1,), (0,)), MATRIX.T), ROWS),
    "columns with the transpose": (multiply(((0,), (1,)), MATRIX), ROWS.T),
    "columns with the matrix": (multiply(((0,), (0,)), MATRIX.T), ROWS.T),
    "rows along two axes": (multiply(((1,), (1,)), MATRIX), jnp.arange(36.0).reshape(2, 6, 3)),
    "one row each": (multiply(((2,), (0,)), MATRIX.T), ROWS[:, None]),
}
LEFT_ALONE = {
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


def test_elsewhere_than_on_a_cpu_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    fn, _ = CASES["with the matrix"]
    assert multiply_fast(fn) is fn
