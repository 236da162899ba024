"""Where pointwise operations are tried."""

import jax.numpy as jnp
import numpy as np
import pytest

from comparisons._atlas._points import NARROW, WIDE, WIDTH, choose_points, classify
from comparisons.cases.atlas import Op

ONE = Op("one", "x", "x", domain=(0.5, 4.0), kinks=(1.5,), avoid=(2.0,))
TWO = Op("two", "x", "x", args="x y", domain=((-1.0, 1.0), (2.0, 3.0)), points=((0.25, 7.0),))


def test_ordinary_points_are_in_the_domain_and_of_the_coarse_dtypes():
    points = choose_points(TWO)
    assert points.ordinary == NARROW + WIDE
    for x, (low, high) in zip(points.args, TWO.domains, strict=True):
        ordinary = x[: points.ordinary]
        assert (low < ordinary).all()
        assert (ordinary < high).all()
        np.testing.assert_array_equal(ordinary[:NARROW].astype(jnp.bfloat16), ordinary[:NARROW])
        np.testing.assert_array_equal(ordinary.astype(np.float32), ordinary)
        assert len(x) % WIDTH == 0


def test_edges_hold_what_the_operation_names_and_not_what_it_avoids():
    edges = [x for (x,) in choose_points(ONE).list_edges()]
    assert edges[0] == 1.5
    assert 2.0 not in edges
    assert {0.0, np.inf, 1e300} <= set(edges)
    assert sum(x == 0 for x in edges) == 2, "both zeros"
    assert any(np.isnan(edges))


def test_beside_each_edge_is_a_point_on_either_side():
    points = choose_points(TWO)
    for argument in range(2):
        below, above = (points.args[argument][points.side(argument, up)] for up in (False, True))
        at = np.array(points.list_edges())[:, argument]
        finite = np.isfinite(at)
        assert (below[finite] < at[finite]).all()
        assert (above[finite] > at[finite]).all()
        other = points.args[1 - argument][points.side(argument, True)]
        wanted = np.array(points.list_edges())[:, 1 - argument]
        np.testing.assert_array_equal(other, wanted)
        np.testing.assert_array_equal(np.signbit(other), np.signbit(wanted))


def test_they_are_the_same_every_time():
    for x, y in zip(choose_points(ONE).args, choose_points(ONE).args, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("point", "axis"),
    [
        ((1.5,), "edges"),
        ((np.nan,), "nonfinite"),
        ((1e-310, np.inf), "nonfinite"),
        ((1e-310, 1e30), "denormal"),
        ((1e6,), "large"),
        ((0.0, -0.0), "edges"),
    ],
)
def test_the_axis_of_an_edge(point, axis):
    assert classify(ONE, point) == axis
