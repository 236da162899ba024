"""The smallest tolerance: it passes numpy's own check, and nothing smaller of three digits does."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparisons import Verdict
from comparisons._allclose import Tolerances, describe_tolerances, find_tolerances
from comparisons._results import LeafResult


def make_leaf(jax, torch, dtype="float32", *, keep=True):
    jax, torch = np.array(jax, dtype), np.array(torch, dtype)
    with np.errstate(all="ignore"):
        gap = np.max(np.abs(jax.astype(float) - torch.astype(float)), initial=0)
    return LeafResult(
        path="",
        quantity="value",
        verdict=Verdict.MISMATCH,
        reason="",
        dtype=dtype,
        shape=jax.shape,
        max_abs=float(gap),
        jax=jax.tolist() if keep else None,
        torch=torch.tolist() if keep else None,
    )


def passes(jax, torch, rtol, atol):
    try:
        np.testing.assert_allclose(jax, torch, rtol=rtol, atol=atol)
    except AssertionError:
        return False
    return True


@given(
    st.lists(
        st.tuples(st.floats(1e-3, 1e3), st.floats(-1e-2, 1e-2)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["float32", "float16", "bfloat16", "float64"]),
)
def test_numpy_passes_with_it_and_with_nothing_smaller(pairs, dtype):
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    torch = np.array([x for x, _ in pairs], kind)
    jax = np.array([x * (1 + d) for x, d in pairs], kind)
    found = find_tolerances(make_leaf(jax, torch, dtype))
    for name, value in (("rtol", found.rtol), ("atol", found.atol)):
        assert passes(jax, torch, **{"rtol": 0, "atol": 0, name: value})
        assert float(f"{value:.2e}") == value
        # Not one less in the third digit: then it would not be the smallest.
        less = value - 10.0 ** (math.floor(math.log10(value)) - 2) if value else None
        assert less is None or not passes(jax, torch, **{"rtol": 0, "atol": 0, name: less})


@pytest.mark.parametrize(
    ("jax", "torch", "dtype", "text"),
    [
        (
            *([1.0, 4.5], [1.0, 4.0], "float32"),
            "Smallest tolerance that would pass at float32: rtol=0.125, atol=0; or rtol=0, "
            "atol=0.5.",
        ),
        (
            *([1.0, 1e-3], [1.0, 0.0], "float32"),
            "Smallest tolerance that would pass at float32: rtol=0, atol=0.001. "
            "No rtol would, for PyTorch has a 0 where JAX has none.",
        ),
        (
            *([7, 2], [8, 2], "int32"),
            "Smallest tolerance that would pass at int32: rtol=0.125, atol=0; or rtol=0, atol=1.",
        ),
        ([np.nan, 1.0], [0.5, 1.0], "float32", "No tolerance would pass."),
        ([np.inf, 1.0], [0.5, 1.0], "float32", "No tolerance would pass."),
        ([True], [False], "bool", ""),
        (3.0, 2.0, "float32", "rtol=0.5, atol=0; or rtol=0, atol=1."),
    ],
    ids=["float", "zero", "int", "nan", "inf", "bool", "scalar"],
)
def test_in_words(jax, torch, dtype, text):
    told = describe_tolerances(make_leaf(jax, torch, dtype))
    assert told.endswith(text)
    assert bool(told) == bool(text)


def test_nan_in_the_same_place_needs_none():
    found = find_tolerances(make_leaf([np.nan, 1.5], [np.nan, 1.0]))
    assert found == Tolerances(0.5, 0.5, True)


def test_without_the_values_the_greatest_difference_is_known():
    leaf = make_leaf([1.0, 4.5001], [1.0, 4.0], keep=False)
    assert find_tolerances(leaf) == Tolerances(None, 0.501, False)
    assert describe_tolerances(leaf) == (
        "Smallest tolerance that would pass at float32: rtol=0, atol=0.501."
    )
    assert describe_tolerances(make_leaf([np.inf], [0.0], keep=False)) == "No tolerance would pass."


def test_other_shapes_have_none():
    leaf = LeafResult(path="", quantity="value", verdict=Verdict.STRUCTURE, reason="")
    assert find_tolerances(leaf) is None
