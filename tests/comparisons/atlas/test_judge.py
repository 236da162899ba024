"""Verdicts: from errors at ordinary points, and from numbers at edges."""

import math

import numpy as np
import pytest

from comparisons._atlas._judge import (
    Judged,
    find_part,
    judge_compiled,
    judge_edge,
    judge_gap,
    judge_ordinary,
    measure_errors,
    unit,
)

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("torch", "jax", "truth", "limits", "closes", "expected"),
    [
        (1.0, 1.0, None, (None, None), False, ("AGREES", "")),
        (NAN, NAN, 1.0, (1.0, 1.0), False, ("AGREES", "")),
        (0.0, -0.0, None, (None, None), False, ("AGREES", "")),
        (1.0, 1.0 + 1e-8, 1.0, (1.0, 1.0), False, ("APPROXIMATION", "")),
        (0.0, 1.0, 0.0, (0.0, 0.0), True, ("MISMATCH", "JAX")),
        (2.0, 0.0, 0.0, (0.0, 0.0), False, ("MISMATCH", "PyTorch")),
        (2.0, 3.0, 0.0, (0.0, 0.0), False, ("MISMATCH", "both")),
        (0.0, NAN, 0.0, (0.0, 0.0), False, ("NONFINITE", "JAX")),
        (1.0, 0.5, None, (1.0, 0.0), False, ("CONVENTION", "")),
        (1.0, 0.0, None, (0.0, 1.0), False, ("CONVENTION", "")),
        (1.0, 2.0, None, (0.0, 1.0), True, ("MISMATCH", "JAX")),
        (INF, 5.0, None, (0.0, INF), False, ("CONVENTION", "")),
        (0.0, NAN, None, (0.0, 1.0), True, ("NONFINITE", "JAX")),
        (INF, NAN, None, (-INF, INF), True, ("CONVENTION", "")),
        (INF, NAN, None, (-INF, INF), False, ("NONFINITE", "")),
        (INF, 0.0, None, (INF, -INF), False, ("CONVENTION", "")),
        (1.0, 2.0, None, (None, None), True, ("CONVENTION", "")),
        (1.0, 2.0, None, (None, None), False, ("MISMATCH", "")),
        (1.0, NAN, None, (None, None), False, ("NONFINITE", "")),
    ],
)
def test_a_number_at_an_edge(torch, jax, truth, limits, closes, expected):
    assert judge_edge(torch, jax, truth, limits, lambda: closes) == Judged(*expected)


@pytest.mark.parametrize(
    ("jax", "truth", "usual", "expected"),
    [
        (0.0, 4e-18, 1.0, ("LESS_ACCURATE", "JAX")),
        (0.0, 4e-18, 1e-17, ("MISMATCH", "JAX")),
        (0.0, 4e-18, 0.0, ("MISMATCH", "JAX")),
        (0.0, 2e-9, 0.25, ("APPROXIMATION", "JAX")),
        (1e-300, 0.0, 1.0, ("LESS_ACCURATE", "JAX")),
        (1e-3, 4e-18, 1.0, ("MISMATCH", "JAX")),
        (NAN, 4e-18, 1.0, ("NONFINITE", "JAX")),
    ],
)
def test_a_tail_that_is_lost_is_lost_digits_at_an_edge_too(jax, truth, usual, expected):
    limits = (truth, truth)
    assert judge_edge(truth, jax, truth, limits, lambda: False, usual) == Judged(*expected)


@pytest.mark.parametrize(
    ("dtype", "torch", "jax", "expected"),
    [
        ("float32", 1.0, 2.0, ("AGREES", "")),
        ("float32", 1.0, 1000.0, ("LESS_ACCURATE", "JAX")),
        ("float32", 5000.0, 2.0, ("LESS_ACCURATE", "PyTorch")),
        ("float32", 900.0, 1000.0, ("LESS_ACCURATE", "both")),
        ("float32", 1.0, INF, ("LESS_ACCURATE", "JAX")),
        ("float64", 1.0, 1000.0, ("LESS_ACCURATE", "JAX")),
        ("float64", 1.0, 2.0**15, ("APPROXIMATION", "JAX")),
        ("float64", 2.0**40, 1.0, ("MISMATCH", "PyTorch")),
        ("float64", INF, INF, ("MISMATCH", "both")),
    ],
)
def test_errors_at_ordinary_points(dtype, torch, jax, expected):
    found = judge_ordinary(np.array([0.0, torch]), np.array([jax, 0.0]), np.ones(2), dtype)
    assert found == Judged(*expected)


@pytest.mark.parametrize(
    ("jax", "verdict"),
    [
        ([1.0, 2.0], "AGREES"),
        ([1.0, NAN], "NONFINITE"),
        ([1.0, 2.1], "MISMATCH"),
        ([1.0, 2.0 + 2e-8], "APPROXIMATION"),
    ],
)
def test_two_arrays_without_a_truth(jax, verdict):
    assert judge_gap(np.array([1.0, 2.0]), np.array(jax)).verdict == verdict


@pytest.mark.parametrize(
    ("gap", "part", "dtype", "expected"),
    [
        (0.0, 0.0, "float64", ("IDENTICAL", "")),
        (64.0, 1e-14, "float64", ("AGREES", "")),
        (1e6, 1e-10, "float64", ("LESS_ACCURATE", "JAX")),
        (1e12, 1e-4, "float64", ("MISMATCH", "JAX")),
        (1e6, 0.1, "float32", ("LESS_ACCURATE", "JAX")),
        (INF, INF, "float64", ("MISMATCH", "JAX")),
    ],
)
def test_what_compiling_changes(gap, part, dtype, expected):
    assert judge_compiled(gap, part, dtype) == Judged(*expected)


@pytest.mark.parametrize(
    ("gaps", "numbers", "part"),
    [
        ([0.0, 0.0], [1.0, INF], 0.0),
        ([0.0, 1e-3], [1.0, 1e-3], 1e-3),  # of what the quantity usually is
        ([0.0, 1e-3], [1e-3, 1e-3], 1.0),
        ([1.0, 0.0], [1e3, 1.0], 1e-3),
        ([NAN, 0.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_a_gap_as_a_part_of_its_number(gaps, numbers, part):
    assert find_part(np.array(gaps), np.array(numbers)) == part


def test_errors_are_in_units_in_the_last_place():
    high, low = np.array([1.0, 1.0, 4.0, 1e39, NAN]), np.array([0.0, 2.0**-30, 0.0, 0.0, 0.0])
    found = np.array([1 + 2.0**-22, 1.0, np.inf, np.inf, 1.0], np.float32)
    errors = measure_errors(found, high, low, "float32")
    np.testing.assert_array_equal(errors, [2.0, 2.0**-7, np.inf, 0.0, np.nan])
    np.testing.assert_array_equal(
        unit(np.array([1.0, -3.0, 0.0]), "bfloat16"), [2.0**-7, 2.0**-6, 2.0**-133]
    )
