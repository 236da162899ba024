"""What the benchmark of the second order claims without a clock, and that it can fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("rich")

from benchmarks import second_order


@pytest.mark.parametrize("name", second_order.PAIRS)
def test_both_ways_compute_the_same(name):
    weights, x = second_order.make_inputs(70)
    ours, plain = (fn(weights, x) for fn in second_order.PAIRS[name])
    # Sums of 70 float32 products through three layers, in other orders.
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_a_chunk_holds_a_tenth_of_the_memory():
    assert second_order.check_memory() == []


def test_nothing_does_more_than_the_form_by_hand():
    assert second_order.check_flops() == []


def map_over_the_whole_basis(weights, x):
    _, pullback = jax.vjp(lambda x: second_order.compute_outputs(weights, x), x)
    return jax.lax.map(lambda ct: pullback(ct)[0], jnp.eye(x.size), batch_size=32)


def differentiate_twice(weights, x):
    first, second = (
        jax.jacrev(second_order.compute_outputs, argnums=1)(weights, y) for y in (x, -x)
    )
    return first + second


def test_a_worse_way_is_found_out(monkeypatch):
    plain = jax.jacrev(second_order.compute_outputs, argnums=1)
    monkeypatch.setitem(second_order.PAIRS, "jacobian", (map_over_the_whole_basis, plain))
    assert second_order.check_memory()[0].startswith("jacobian holds ")
    monkeypatch.setitem(second_order.FORMS, "hvp", (differentiate_twice, plain))
    assert second_order.check_flops()[0].startswith("hvp does ")
    times = {"jacobian": {"ours": 1.31, "jax": 1.0}, "hessian": {"ours": 1.29, "jax": 1.0}}
    assert second_order.check_times(times) == ["jacobian takes 1.31 times JAX's time"]
