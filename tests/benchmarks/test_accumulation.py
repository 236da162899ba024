"""What the benchmark of accumulation claims without a clock, and that it can fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("rich")

from benchmarks import accumulation
from functional_ad import accumulate_grads


def test_the_library_does_the_flops_of_a_scan_by_hand():
    assert accumulation.check_flops() == []


def test_both_ways_compute_the_same():
    params, batch = accumulation.make_inputs(128)
    library, hand = (
        build(accumulation.compute_loss, 4)(params, batch) for build in accumulation.WAYS.values()
    )

    # The library deals the examples to other microbatches: float32 sums in another order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), library, hand)


def test_temporary_memory_does_not_grow_with_the_number_of_microbatches():
    assert accumulation.check_memory() == []


def test_three_calls_are_one_trace():
    assert accumulation.check_traces() == []


def accumulate_with_a_second_backward(loss, microbatches):
    def twice(params, batch):
        return loss(params, batch) + loss(params, jax.tree.map(jnp.flip, batch))

    return accumulate_grads(twice, microbatches)


def accumulate_by_vmap(loss, microbatches):
    def step(params, batch):
        parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), batch)
        losses, grads = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0))(params, parts)
        return jax.tree.map(lambda x: jnp.mean(x, axis=0), (losses, grads))

    return step


def accumulate_twice(loss, microbatches):
    return lambda params, batch: jax.tree.map(
        jnp.add, *(accumulate_grads(loss, microbatches)(params, batch) for _ in range(2))
    )


@pytest.mark.parametrize(
    ("worse", "check", "failure"),
    [
        (accumulate_with_a_second_backward, "check_flops", "flops with 4 microbatches: "),
        (accumulate_by_vmap, "check_memory", "temporary memory grows from "),
        (
            accumulate_twice,
            "check_traces",
            "three calls traced the step 1, the loss 2 times",
        ),
    ],
)
def test_a_worse_way_is_found_out(monkeypatch, worse, check, failure):
    monkeypatch.setitem(accumulation.WAYS, "library", worse)

    assert getattr(accumulation, check)()[0].startswith(failure)
