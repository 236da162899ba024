import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from functional_ad.training import Config
from functional_ad.training._plan import Plan, make_plan

ORDER = [[1, 0, 2, 7], [5, 3, 6, 4], [3, 0, 4, 6], [2, 7, 1, 5]]


@st.composite
def plans(draw):
    examples = draw(st.integers(1, 60))
    batch_size = draw(st.integers(1, examples))
    return Plan(
        examples=examples,
        batch_size=batch_size,
        parts=draw(st.integers(1, 9)),
        epochs=draw(st.integers(1, 4)),
        seed=draw(st.none() | st.integers(0, 2**32 - 1)),
    )


@given(plans())
def test_an_epoch_has_every_example_once_and_no_batch_too_large(plan):
    for epoch in range(plan.epochs):
        positions, real = plan.take(epoch * plan.batches, plan.batches)

        assert positions.shape == (plan.batches, plan.width)
        assert plan.width % plan.parts == 0
        assert plan.width < plan.batch_size + plan.parts
        real = np.ones(positions.shape, bool) if real is None else real
        assert sorted(positions[real]) == list(range(plan.examples))
        assert not positions[~real].any()
        counts = real.sum(axis=1)
        assert (counts[:-1] == plan.batch_size).all()
        assert 1 <= counts[-1] <= plan.batch_size


@given(plans(), st.data())
def test_an_update_takes_the_same_examples_wherever_an_interval_begins(plan, data):
    whole = plan.take(0, plan.updates)
    start = data.draw(st.integers(0, plan.updates - 1))
    count = data.draw(st.integers(1, plan.updates - start))

    part = plan.take(start, count)

    np.testing.assert_array_equal(part.positions, whole.positions[start : start + count])
    assert (part.real is None) == (whole.real is None)
    if part.real is not None:
        np.testing.assert_array_equal(part.real, whole.real[start : start + count])


def test_there_is_no_mask_where_there_is_no_padding():
    config = Config(batch_size=5)

    assert make_plan(config, 20).take(0, 4).real is None
    assert make_plan(config, 21).take(0, 4).real is not None
    assert make_plan(config, 20, devices=2).take(0, 4).positions.shape == (4, 6)


def test_the_order_is_the_seeds_and_the_epochs_and_that_of_no_numpy_version():
    plan = make_plan(Config(batch_size=4, seed=3), 8)

    # As NumPy 2.3 gives it: a saved run must go on in this order.
    assert plan.take(0, 4).positions.tolist() == ORDER
    other = make_plan(Config(batch_size=4, seed=4), 8)
    assert other.take(0, 2).positions.tolist() != ORDER[:2]


def test_a_single_batch_is_not_shuffled():
    plan = make_plan(Config(batch_size=8), 8)

    assert plan.take(3, 1).positions.tolist() == [list(range(8))]
