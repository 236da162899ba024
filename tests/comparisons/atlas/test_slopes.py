"""One-sided slopes, where the atlas holds derivatives against values."""

import math

import numpy as np
import pytest

from comparisons._atlas._slopes import SIDE_STEP, find_slope_if_any


@pytest.mark.parametrize(
    ("fn", "below", "above"),
    [
        (lambda h: 3 * h + h * h, 3.0, 3.0),
        (lambda h: h * h, 0.0, 0.0),
        (lambda h: h**3 - 1e-3 * h, -1e-3, -1e-3),
        (np.abs, -1.0, 1.0),
        (lambda h: np.maximum(h, 0) + 5, 0.0, 1.0),
        (lambda h: np.where(h > 0, 1.0, 0.0), 0.0, math.nan),
        (lambda h: np.sqrt(np.abs(h)), math.nan, math.nan),
        (lambda h: np.arcsin(h - 1), math.nan, math.nan),
    ],
)
def test_a_slope_is_found_to_one_side_and_none_at_a_jump_or_a_root(fn, below, above):
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [find_slope_if_any(lambda h: fn(np.float64(h)), s) for s in (-SIDE_STEP, SIDE_STEP)]
    np.testing.assert_allclose(found, [below, above], rtol=1e-6, atol=2e-7)
