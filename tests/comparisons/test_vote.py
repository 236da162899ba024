"""The third vote: it names the side that is right, with its error, or says that it cannot."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch

from comparisons import ParityCase, Verdict, compare
from comparisons._runner import run_case
from comparisons._vote import FIRST_STEP, _decide, extrapolate

X = np.random.default_rng(0).normal(size=(3, 4))
ORDERS = ("value", "vjp", "jvp", "hvp")


class WrongTorch(torch.autograd.Function):
    """sin with its derivative 1 % too large."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 1.01 * grad * torch.cos(x)


@jax.custom_jvp
def wrong_jax(x):
    return jnp.sin(x)


wrong_jax.defjvp(lambda p, t: (jnp.sin(p[0]), 1.01 * jnp.cos(p[0]) * t[0]))


def leaves(jax_fn, torch_fn, orders=ORDERS, x=X):
    found = compare(jax_fn, torch_fn, (x,), orders).cases[0].leaves
    return {leaf.quantity: leaf for leaf in found}


@pytest.mark.parametrize("order", ["vjp", "jvp"])
def test_the_side_that_is_right_is_named(order):
    ours = leaves(wrong_jax, torch.sin, ("value", order))[order]
    assert (ours.verdict, ours.right) == (Verdict.MISMATCH, "PyTorch")
    assert ours.vote.startswith("Finite differences (which know of no gradient that is stopped")
    assert " where JAX has " in ours.vote
    theirs = leaves(jnp.sin, WrongTorch.apply, ("value", order))[order]
    assert (theirs.verdict, theirs.right) == (Verdict.MISMATCH, "JAX")


def test_a_wrong_second_derivative_under_right_first_ones():
    @jax.custom_jvp
    def cosine(x):
        return jnp.cos(x)

    cosine.defjvp(lambda p, t: (jnp.cos(p[0]), -1.01 * jnp.sin(p[0]) * t[0]))

    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda p, t: (jnp.sin(p[0]), cosine(p[0]) * t[0]))
    assert leaves(sine, torch.sin, ("vjp", "hvp"))["hvp"].right == "PyTorch"


def test_neither_may_be_right():
    found = leaves(wrong_jax, lambda x: WrongTorch.apply(x) * 2 - torch.sin(x), ("vjp",))["vjp"]
    assert found.right == "neither"


def test_complex_gradients_are_voted_on_in_both_parts():
    @jax.custom_jvp
    def square(z):
        return z * z

    square.defjvp(lambda p, t: (p[0] * p[0], (2 * p[0] + 0.01j) * t[0]))
    z = X + 1j * X[::-1]
    assert leaves(square, lambda z: z * z, ("vjp",), z)["vjp"].right == "PyTorch"


def test_two_functions_are_not_voted_on():
    """Each gradient is that of its own function; which function is wanted nobody can say."""
    found = leaves(lambda x: jnp.sum(jnp.sin(x)), lambda x: torch.cos(x).sum(), ("value", "vjp"))
    assert found["vjp"].right is None
    assert "so the functions differ, not their derivatives" in found["vjp"].vote
    assert found["value"].right is None
    assert found["value"].vote.startswith("A value has no derivative")


def test_a_formula_votes_on_values_and_derivatives():
    case = ParityCase(
        name="sinh", title="", inputs=(X,), orders=("value", "vjp", "jvp"), formula=mpmath.sinh,
        jax=lambda x: jnp.sinh(x) * 1.001, torch=torch.sinh,
    )  # fmt: skip
    for leaf in run_case(case).leaves:
        assert (leaf.verdict, leaf.right) == (Verdict.MISMATCH, "PyTorch"), leaf.quantity
        assert leaf.vote.startswith("The formula, at 50 digits, would give ")


def test_a_formula_of_two_arguments():
    case = ParityCase(
        name="atan2", title="", inputs=(X, X[::-1].copy()), orders=("value", "vjp"),
        formula=mpmath.atan2, jax=jnp.atan2, torch=lambda y, x: torch.atan2(y, x) * 1.001,
    )  # fmt: skip
    assert {leaf.right for leaf in run_case(case).leaves} == {"JAX"}


def test_outside_of_the_domain_there_is_no_vote():
    def ours(x):
        return jnp.where(x == 1, 0.0, jnp.nan) + jax.lax.stop_gradient(x)

    def theirs(x):
        return torch.where(x.detach() == 1, 0.0, torch.nan) + x

    found = leaves(ours, theirs, ("vjp",), np.array([1.0]))["vjp"]
    assert found.right is None
    assert found.vote in ("The function is not finite around this point.", "")


@pytest.mark.parametrize("seed", range(5))
def test_the_error_estimate_holds(seed):
    """The estimate is Ridders's; ten times it must cover the true error, known in closed form."""
    rng = np.random.default_rng(seed)
    point, scale = rng.normal(), 10.0 ** rng.integers(-3, 3)
    functions = (np.sin, np.exp, np.arctan, lambda t: 1 / (1 + t**2))
    slopes = (np.cos, np.exp, lambda t: 1 / (1 + t**2), lambda t: -2 * t / (1 + t**2) ** 2)
    found = extrapolate(lambda t: np.array([f(point + t / scale) for f in functions]), 0.05 * scale)
    assert found is not None
    for (slope, error), true in zip(found, slopes, strict=True):
        truth = true(point) / scale
        assert abs(slope - truth) <= 10 * error + 1e-15 * abs(truth)
        assert error < 1e-6 * max(abs(truth), 1 / scale)


def test_where_the_domain_ends_the_step_is_made_smaller():
    with np.errstate(invalid="ignore"):
        ((slope, error),) = extrapolate(lambda t: np.array([np.sqrt(1e-3 + t)]), 1.0)
    # The truth is 1 / (2 sqrt(1e-3)); the estimate covers what is left.
    assert abs(slope - 0.5 / np.sqrt(1e-3)) <= 10 * error
    assert extrapolate(lambda t: np.array([np.nan]), 1.0) is None


def test_of_two_that_are_near_the_nearer_one_is_right():
    assert _decide(1.0, 0.0, 0.0, 0.03, "x").right == "PyTorch"
    assert _decide(0.0, 1.0, 0.0, 0.03, "x").right == "JAX"
    assert _decide(1.0, 0.0, 0.0, 0.1, "x").right is None, "too large an error to tell"


def test_a_function_whose_periods_are_the_steps_is_not_taken_for_flat():
    """The truth is 2010.6; with steps of 0.05 and its halves all differences would be zero."""
    ((slope, error),) = extrapolate(
        lambda t: np.array([np.sin(2 * np.pi * 320 * (1 + t))]), FIRST_STEP
    )
    assert abs(slope - 2 * np.pi * 320) <= 100 * error or error > 1


def test_where_a_side_computes_at_float32_differences_say_too_little():
    def ours(x):
        return jnp.sum(jnp.tanh(x.astype(jnp.float32))).astype(x.dtype) * 1.0

    found = leaves(lambda x: 1.01 * ours(x), lambda x: torch.tanh(x).sum(), ("value", "vjp"))
    assert found["vjp"].verdict is Verdict.MISMATCH
    assert found["vjp"].vote == "A side computes at less than float64, too coarse for differences."
