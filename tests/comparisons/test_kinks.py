"""Where a function is not smooth: a convention is told from a bug that shows at the same point."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import Verdict, compare

F = torch.nn.functional

CONVENTIONS = {
    "abs at 0": (jnp.abs, torch.abs, [0.0, 1.0, -2.0]),
    "clip at its bound": (
        lambda x: jnp.clip(x, 0, 1), lambda x: torch.clamp(x, 0, 1), [0.5, 1.0, 0.0],
    ),
    "maximum with 0 at 0": (lambda x: jnp.maximum(x, 0), lambda x: x.clamp(min=0), [0.0, 1.0]),
    "hardtanh at its bounds": (jax.nn.hard_tanh, F.hardtanh, [-1.0, 1.0, 0.3]),
    "leaky_relu at 0": (jax.nn.leaky_relu, F.leaky_relu, [0.0, -1.0]),
    "a tie of five": (jnp.max, lambda x: x.max(0).values, [2.0] * 5 + [1.0]),
    "abs of a difference that is 0": (
        lambda x: jnp.sum(jnp.abs(x[:2] * 2 - x[2:])),
        lambda x: (x[:2] * 2 - x[2:]).abs().sum(),
        [0.1, 0.25, 0.3, 0.5],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_is_a_warning(name):
    jax_fn, torch_fn, x = CONVENTIONS[name]
    report = compare(jax_fn, torch_fn, (np.array(x),))
    leaf = next(leaf for leaf in report.cases[0].leaves if leaf.quantity == "vjp")
    assert leaf.verdict is Verdict.CONVENTION, leaf.reason
    assert report.ok
    assert report.summary["warn"] == 1
    assert "both values lie between those beside it" in leaf.reason


def test_a_jump_in_the_value_is_a_mismatch_that_says_so():
    """A < for a <=, a floor for a ceil: no framework chose that."""
    report = compare(
        lambda x: jnp.where(x >= 0, 1.0, -1.0) * (x + 1), lambda x: (x + 1) * torch.sign(x),
        (np.array([0.0, 2.0, -3.0]),), ("value",),
    )  # fmt: skip
    (leaf,) = report.cases[0].leaves
    assert leaf.verdict is Verdict.MISMATCH
    assert "The sides differ exactly at a jump" in leaf.reason


def test_another_of_two_equal_elements_says_so():
    def theirs(x):
        return x.shape[0] - 1 - torch.argmax(x.flip(0))  # the last of those that tie

    report = compare(jnp.argmax, theirs, (np.array([1.0, 3.0, 3.0]),), ("value",))
    assert report.verdict is Verdict.MISMATCH
    assert "or another of two equal elements?" in report.cases[0].leaves[0].reason


@jax.custom_jvp
def odd_at_zero(x):
    return jnp.abs(x)


odd_at_zero.defjvp(lambda p, t: (jnp.abs(p[0]), jnp.where(p[0] == 0, 7.0, jnp.sign(p[0])) * t[0]))


def scaled_abs(x):
    return jnp.abs(x) * 1.001


@pytest.mark.parametrize(
    ("jax_fn", "text"),
    [
        (odd_at_zero, "The sides agree beside this point, but what JAX gives at it"),
        (scaled_abs, "The float64 runs differ by"),
        (jax.lax.stop_gradient, "The float64 runs differ by"),
    ],
    ids=["outside of what is around", "differs beside the point", "differs everywhere"],
)
def test_a_bug_at_a_kink_is_a_mismatch(jax_fn, text):
    report = compare(jax_fn, torch.abs, (np.array([0.0, 1.0, -2.0]),), ("vjp",))
    (leaf,) = report.cases[0].leaves
    assert leaf.verdict is Verdict.MISMATCH
    assert text in leaf.reason


def test_a_difference_at_a_smooth_point_is_no_convention():
    assert compare(jnp.max, torch.amin, (np.array([1.0, 2.0]),)).verdict is Verdict.MISMATCH


def test_a_function_that_raises_beside_the_point_is_no_convention():
    def theirs(x):
        if float(x.detach()[0]) != 0.0:
            raise RuntimeError("only at 0")
        return x.abs()

    assert compare(jnp.abs, torch.abs, (np.zeros(1),)).verdict is Verdict.CONVENTION
    assert compare(jnp.abs, theirs, (np.zeros(1),)).verdict is Verdict.MISMATCH
