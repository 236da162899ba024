"""The figures of a report, against NumPy's own neighbours and against arithmetic by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from comparisons._measure import absolute_gap, measure, ulp_distance

FLOATS = [np.float32, np.float64]


@given(dtype=st.sampled_from(FLOATS), data=st.data(), steps=st.integers(0, 40))
def test_ulp_distance_counts_steps(dtype, data, steps):
    width = np.dtype(dtype).itemsize * 8
    start = data.draw(hnp.arrays(dtype, 3, elements=st.floats(-(2.0**100), 2.0**100, width=width)))
    moved = start
    for _ in range(steps):
        moved = np.nextafter(moved, np.asarray(np.inf, dtype))
    np.testing.assert_array_equal(ulp_distance(start, moved), steps)
    np.testing.assert_array_equal(ulp_distance(moved, start), steps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_ulp_distance_at_the_ends_of_the_line(dtype):
    info = np.finfo(dtype)
    tiny = info.smallest_subnormal
    a = np.array([0.0, -tiny, np.inf, np.nan, np.inf, -info.max], dtype)
    b = np.array([-0.0, tiny, info.max, np.nan, np.inf, info.max], dtype)
    across = 2.0 * float(np.asarray(info.max).view(f"u{info.bits // 8}"))
    np.testing.assert_array_equal(ulp_distance(a, b), [0, 2, 1, 0, 0, across])


def test_measure_by_hand():
    a = np.float32([1.0, 2.0, np.nan, np.inf, -0.0, 5.0])
    b = np.float32([1.0, 5.0, np.nan, np.inf, 0.0, 1.0])
    m = measure(a, b)
    assert m.different == 3  # 2 and 5, -0.0 and 0.0, 5 and 1
    assert m.max_abs == 4.0
    assert m.max_ulp == float(np.float32(5).view(np.uint32) - np.float32(1).view(np.uint32))
    assert m.rms == pytest.approx(np.sqrt(25 / 6), rel=1e-15)


def test_measure_of_scalars_integers_and_nothing():
    assert measure(np.float32(1), np.float32(3)).max_abs == 2.0
    assert measure(np.array([1, 5]), np.array([1, 2])).max_abs == 3.0
    assert measure(np.array([True, False]), np.array([True, True])).different == 1
    empty = measure(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert (empty.different, empty.max_abs, empty.rms) == (0, 0.0, 0.0)


def test_a_gap_is_zero_only_where_both_are_the_same():
    a, b = np.float32([np.nan, np.nan, np.inf, np.inf]), np.float32([np.nan, 1, np.inf, -np.inf])
    gap = absolute_gap(a, b)
    assert (gap[0], gap[2], gap[3]) == (0.0, 0.0, np.inf)
    assert np.isnan(gap[1])
