"""The referee of pointwise operations: values, derivatives, and whether two ways agree."""

import math
import time

import mpmath
import pytest
import sympy

from comparisons._atlas._truth import RefereeError, TooSlowError, Truth


@pytest.mark.parametrize(
    ("formula", "order", "point", "expected"),
    [
        ("sin(x)", (0,), 0.5, "0.479425538604203000273287935215571388"),
        ("sin(x)", (1,), 0.5, "0.877582561890372716116281582603829651"),
        ("sin(x)", (2,), 0.5, "-0.479425538604203000273287935215571388"),
        ("besseli(0, x)", (1,), 0.0, "0"),
        ("besseli(0, x)", (2,), 0.0, "0.5"),
        ("1/x", (0,), 0.0, None),
        ("sqrt(x)", (0,), -1.0, None),
        ("log(x)", (1,), 4.0, "0.25"),
    ],
)
def test_values_and_derivatives(formula, order, point, expected):
    found = Truth(formula, ["x"]).evaluate(order, [point])
    if expected is None:
        assert found is None
    else:
        with mpmath.workdps(30):
            assert mpmath.almosteq(found, mpmath.mpf(expected), 1e-24, 1e-30)


def test_digits_that_cancel_are_asked_for_again():
    # 1 - cos(1e-12) is 5e-25: of 40 digits, 16 are left.
    found = Truth("1 - cos(x)", ["x"]).evaluate((0,), [1e-12])
    with mpmath.workdps(60):
        x = mpmath.mpf(1e-12)
        expected = x**2 / 2 - x**4 / 24
        assert abs(found - expected) < expected * mpmath.mpf(10) ** -24


def test_a_sine_far_out_has_all_the_digits_that_there_are():
    # 1e280 is even: the sine of pi times it is 0, and the slope beside it is that of x.
    assert float(Truth("sin(pi*x)", ["x"]).evaluate((1,), [1e280])) == pytest.approx(math.pi)


def test_what_would_need_more_digits_is_not_known_and_what_is_not_real_is_none():
    with pytest.raises(TooSlowError):
        Truth("sin(pi*x)", ["x"]).evaluate((0,), [1e300])
    assert Truth("log(x)", ["x"]).evaluate((0,), [-1.0]) is None


def test_of_two_arguments():
    truth = Truth("x**2*y", ["x", "y"])
    assert [float(truth.evaluate(order, [3.0, 2.0])) for order in ((1, 0), (0, 1), (1, 1))] == [
        12.0,
        9.0,
        6.0,
    ]


def test_two_ways_to_a_derivative_agree():
    truth = Truth("sigmoid(x)*log1p(x)", ["x"])
    for order in ((1,), (2,)):
        truth.check(order, [(0.3,), (1.5,), (4.0,)])


def test_a_derivative_that_is_not_the_formulas_is_refused():
    truth = Truth("sin(x)", ["x"])
    x = sympy.Symbol("x", real=True)
    planted = sympy.cos(x) * (1 + sympy.Rational(1, 10**9))
    truth._functions[1,] = sympy.lambdify([x], planted, "mpmath")
    with pytest.raises(RefereeError, match=r"derivative \(1,\) of sin\(x\) at \(0\.3,\)"):
        truth.check((1,), [(0.3,)])


def test_a_number_that_takes_too_long_is_not_known(monkeypatch):
    monkeypatch.setattr("comparisons._atlas._truth.SECONDS", 0.05)
    truth = Truth("x", ["x"])

    def never(x):
        while True:
            x += 1

    truth._functions[0,] = never
    start = time.process_time()
    with pytest.raises(TooSlowError):
        truth.evaluate((0,), [1.0])
    assert truth.evaluate_if_known((0,), [1.0]) is None
    assert time.process_time() - start < 5


@pytest.mark.parametrize("order", [(0,), (1,), (2,), (3,)])
@pytest.mark.parametrize("formula", ["lgamma(x)", "digamma(x)", "polygamma(2, x)"])
def test_gamma_functions_below_0_are_those_of_mpmath(formula, order):
    other = {
        "lgamma(x)": lambda x: mpmath.log(abs(mpmath.gamma(x))),
        "digamma(x)": mpmath.digamma,
        "polygamma(2, x)": lambda x: mpmath.polygamma(2, x),
    }[formula]
    truth = Truth(formula, ["x"])
    for x in (-7.25, -0.5, -0.0625, 0.5):
        found = truth.evaluate(order, [x])
        with mpmath.workdps(80):
            expected = mpmath.diff(other, x, order[0], h=mpmath.mpf(10) ** -15)
            assert mpmath.almosteq(found, expected, mpmath.mpf(10) ** -12)


def test_a_pole_far_below_0_is_known_at_once():
    truth = Truth("polygamma(1, x)", ["x"])
    start = time.process_time()
    with mpmath.workdps(420):
        beside = mpmath.mpf(-1e30) * (1 + mpmath.mpf(10) ** -330)
    assert float(truth.evaluate((0,), [beside])) == float("inf")
    assert time.process_time() - start < 0.5
