"""The verdicts: what is rounding, what is a bug, and that every rung can be reached."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons import Verdict, compare

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 16)).astype(np.float32)
W = RNG.normal(size=(16, 4)).astype(np.float32)


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def attention(q):
    return jax.nn.softmax(q @ q.T / 4.0) @ q


def attention_torch(q):
    return torch.softmax(q @ q.T / 4.0, -1) @ q


def log_sum_exp_twice(x):
    return jnp.log(jnp.sum(jnp.exp(x), -1))


GOOD = {
    "matrix product": (lambda x, w: x @ w, lambda x, w: x @ w, (X, W)),
    "sum of a million": (jnp.sum, torch.sum, (RNG.normal(size=1_000_000),)),
    "softmax": (jax.nn.softmax, lambda x: torch.softmax(x, -1), (X,)),
    "exp": (jnp.exp, torch.exp, (5 * X,)),
    "layer norm": (layer_norm, lambda x: torch.nn.functional.layer_norm(x, (16,)), (X,)),
    "variance far from zero": (
        lambda x: jnp.var(x, ddof=1),
        lambda x: torch.var(x),
        (RNG.normal(size=1000) + 100,),
    ),
    "attention": (attention, attention_torch, (X,)),
    "gelu": (
        lambda x: jax.nn.gelu(x, approximate=False),
        torch.nn.functional.gelu,
        (X,),
    ),
    "another order of the same sum": (
        lambda x: jnp.sum(x[::-1].reshape(10, -1), 1).sum(),
        torch.sum,
        (RNG.normal(size=1000),),
    ),
    "another formula of the same function": (
        log_sum_exp_twice,
        lambda x: torch.logsumexp(x, -1),
        (X,),
    ),
    "a loss whose gradient is zero": (
        lambda x: (layer_norm(x) ** 2).mean(),
        lambda x: (torch.nn.functional.layer_norm(x, (16,)) ** 2).mean(),
        (X,),
    ),
    "a saturated tail": (
        lambda x: 1 - jnp.tanh(x) ** 2,
        lambda x: 1 - torch.tanh(x) ** 2,
        (8 * X,),
    ),
    "gelu far out": (
        lambda x: jax.nn.gelu(x, approximate=False),
        torch.nn.functional.gelu,
        (4 * X,),
    ),
    "tanh far out": (jnp.tanh, torch.tanh, (5 * X,)),
    "confident softmax": (jax.nn.softmax, lambda x: torch.softmax(x, -1), (10 * X,)),
    "denormal results": (lambda x: x * 1e-25 * 1e-18, lambda x: x * 1e-25 * 1e-18, (X,)),
    "overflow on both sides": (jnp.exp, torch.exp, (np.float32([1.0, 100.0, 88.0]),)),
    "scaled down": (lambda x, w: 1e-20 * (x @ w), lambda x, w: 1e-20 * (x @ w), (X, W)),
    "cancelling": (
        lambda x: (x + 1000.0) - 1000.0,
        lambda x: (x + 1000.0) - 1000.0,
        (X,),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_rounding_is_not_a_mismatch(name):
    report = compare(*GOOD[name])
    assert report.verdict in (Verdict.AGREES, Verdict.IDENTICAL), str(report)


# Each defect is planted in the JAX side of a pair that agrees: the checks above could pass if the
# referee agreed with everything.
def scale(factor):
    return lambda x: jnp.tanh(x) * factor


@jax.custom_vjp
def wrong_gradient(x):
    return jnp.tanh(x)


wrong_gradient.defvjp(lambda x: (jnp.tanh(x), x), lambda x, ct: (ct * 1.00001,))


DEFECTS = {
    "a sign": lambda x: -jnp.tanh(x),
    "a factor of 1 + 1e-3": scale(1 + 1e-3),
    "a factor of 1 + 1e-6": scale(1 + 1e-6),
    "a wrong axis": lambda x: jnp.tanh(x)[:, ::-1],
    "one wrong element of 128": lambda x: jnp.tanh(x).at[3, 5].multiply(1.0001),
    "a stop_gradient too many": lambda x: jax.lax.stop_gradient(jnp.tanh(x)),
    "a wrong gradient under a right value": wrong_gradient,
}


# What no run at float32 could show is a warning: it may be another formula, or a rounded constant.
SMALL = {
    "a factor of 1 + 1e-9": scale(1 + 1e-9),
    "a factor of 1 + 1e-11": scale(1 + 1e-11),
    "an offset of 1e-9": lambda x: jnp.tanh(x) + 1e-9,
    "a float32 constant": lambda x: jnp.tanh(x) * np.float32(0.1) / 0.1,
}


def test_without_a_defect_the_pair_agrees():
    assert compare(jnp.tanh, torch.tanh, (X,)).ok


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_a_mismatch(name):
    report = compare(DEFECTS[name], torch.tanh, (X,))
    assert report.verdict is Verdict.MISMATCH, str(report)
    assert not report.ok


@pytest.mark.parametrize("name", SMALL)
def test_a_small_difference_at_float64_is_an_approximation(name):
    report = compare(SMALL[name], torch.tanh, (X,))
    assert report.verdict is Verdict.APPROXIMATION, str(report)
    assert report.summary["warn"] == 1


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**16),
    exponent=st.integers(-12, 12),
    size=st.sampled_from([1, 7, 256]),
)
def test_no_false_alarm_and_no_missed_defect_across_scales(seed, exponent, size):
    x = np.random.default_rng(seed).normal(size=size) * 10.0**exponent
    ours, theirs = lambda x: (x * x + x) / 3, lambda x: (x * x + x) / 3
    assert compare(ours, theirs, (x,)).ok
    off = compare(lambda x: ours(x) * (1 + 1e-8), theirs, (x,))
    assert off.verdict is Verdict.APPROXIMATION
    assert not compare(lambda x: ours(x) * (1 + 1e-6), theirs, (x,)).ok


def leaf_of(jax_fn, torch_fn, *inputs, orders=("value",)):
    (leaf,) = compare(jax_fn, torch_fn, inputs, orders=orders).cases[0].leaves
    return leaf


@pytest.mark.parametrize(
    ("jax_fn", "torch_fn", "reason"),
    [
        (lambda x: x[:1], lambda x: x, "The shapes differ: JAX (1, 16), PyTorch (8, 16)."),
        (
            lambda x: x.astype(jnp.bfloat16).astype(jnp.float16),
            lambda x: x,
            "The dtypes differ: JAX float16, PyTorch float32.",
        ),
        (lambda x: x > 0, lambda x: (x > 0).int(), "The dtypes differ: JAX bool, PyTorch int32."),
        (
            lambda x: jnp.float32(x.sum()),
            lambda x: x.sum(),
            "At float64, the dtypes differ: JAX float32, PyTorch float64.",
        ),
    ],
    ids=["shape", "dtype", "kind", "dtype at float64"],
)
def test_structure(jax_fn, torch_fn, reason):
    leaf = leaf_of(jax_fn, torch_fn, X)
    assert (leaf.verdict, leaf.reason) == (Verdict.STRUCTURE, reason)


def test_a_leaf_that_one_side_lacks():
    report = compare(
        lambda x: {"a": x, "b": {"c": x}},
        lambda x: {"a": x, "d": x},
        (X,),
        orders=("value",),
    )
    reasons = {leaf.path: (leaf.verdict, leaf.reason) for leaf in report.cases[0].leaves}
    assert reasons["a"][0] is Verdict.IDENTICAL
    assert reasons["b/c"] == (
        Verdict.STRUCTURE,
        "The JAX side has this leaf, the PyTorch side has not.",
    )
    assert reasons["d"] == (
        Verdict.STRUCTURE,
        "The PyTorch side has this leaf, the JAX side has not.",
    )


def test_lists_and_tuples_are_one_structure():
    assert compare(lambda x: [x, x], lambda x: (x, x), (X,)).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize(
    ("bad", "good"),
    [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (np.nan, np.inf)],
)
def test_nonfinite_in_different_places(bad, good):
    leaf = leaf_of(
        lambda x: x.at[2].set(bad), lambda x: x.index_fill(0, torch.tensor(2), good), X[0]
    )
    assert leaf.verdict is Verdict.NONFINITE
    assert f"JAX {bad}, PyTorch {good} at [2]" in leaf.reason


def test_overflow_on_one_side_only_is_nonfinite():
    """The unstable softplus overflows at float32, not at float64."""
    leaf = leaf_of(
        lambda x: jnp.log(1 + jnp.exp(x)),
        lambda x: torch.logaddexp(x, torch.zeros(())),
        np.float32([1.0, 100.0]),
    )
    assert leaf.verdict is Verdict.NONFINITE
    assert leaf.reason.startswith("At float32, 1 of 2 elements")


def test_nan_against_nan_agrees_and_is_reported():
    leaf = leaf_of(jnp.log, torch.log, np.float32([-1.0, 2.0, 0.0]))
    assert leaf.verdict in (Verdict.AGREES, Verdict.IDENTICAL)
    assert leaf.reason.endswith(" 2 of 3 elements are NaN or infinite on both sides.")


@pytest.mark.parametrize("factor", [1.5, 1 + 1e-5])
def test_overflow_on_both_sides_hides_nothing(factor):
    """Both are infinite at float32, so only the float64 runs tell."""
    x = np.float32([100.0, 1.0])
    assert leaf_of(lambda x: factor * jnp.exp(x), torch.exp, x).verdict is Verdict.MISMATCH


def test_a_true_zero_blinds_no_other_element():
    """The bias of an attention's keys has a gradient of 0, and is packed with the queries'."""
    rng = np.random.default_rng(0)
    h, w = rng.normal(size=(6, 4)), rng.normal(size=(4, 12))

    def attend(h, w, bias, softmax):
        q, k, v = (h @ w + bias).reshape(6, 3, 4).swapaxes(0, 1)
        return softmax(q @ k.swapaxes(0, 1)) @ v

    def off_by(factor):
        def softmax(x):
            return jax.nn.softmax(x, -1)

        def fun(h, w, bias):
            frozen = jax.lax.stop_gradient(bias)
            return attend(h, w, frozen + (bias - frozen) * factor, softmax)

        return fun

    def theirs(h, w, bias):
        q, k, v = (h @ w + bias).reshape(6, 3, 4).unbind(1)
        return torch.softmax(q @ k.T, -1) @ v

    inputs = (h, w, rng.normal(size=12))
    assert compare(off_by(1.0), theirs, inputs).ok
    assert compare(off_by(1 + 1e-5), theirs, inputs).verdict is Verdict.MISMATCH


def test_where_both_sides_stay_at_float32_there_is_no_referee_and_it_says_so():
    x = np.arange(256, dtype=np.uint8)
    leaf = leaf_of(lambda x: x.astype(jnp.float32) / 255, lambda x: x.float() / 255, x)
    assert leaf.verdict in (Verdict.AGREES, Verdict.IDENTICAL)
    assert leaf.reason.endswith("Neither side has a float64 run here: both return float32.")
    off = leaf_of(lambda x: x.astype(jnp.float32) / 255.01, lambda x: x.float() / 255, x)
    assert off.verdict is Verdict.MISMATCH


def test_integers_and_booleans_are_exact_in_any_width():
    x = np.float32([3.0, 1.0, 2.0])
    assert leaf_of(jnp.argsort, torch.argsort, x).verdict is Verdict.IDENTICAL
    assert leaf_of(lambda x: x > 1, lambda x: x > 1, x).verdict is Verdict.IDENTICAL
    off = leaf_of(lambda x: jnp.argsort(x).at[1].add(1), torch.argsort, x)
    assert (off.verdict, off.reason, off.worst) == (
        Verdict.MISMATCH,
        "1 of 3 elements differ in the float64 runs.",
        (1,),
    )


def rounded_at_float32(size):
    """A side that errs by a relative ``size`` at float32 and not at float64."""
    return lambda x: jnp.tanh(x) * (1 + size if x.dtype == jnp.float32 else 1)


def test_less_accurate():
    report = compare(rounded_at_float32(2e-5), torch.tanh, (X,), orders=("value",))
    leaf = report.cases[0].leaves[0]
    assert leaf.verdict is Verdict.LESS_ACCURATE
    assert leaf.reason.startswith("The float64 runs agree, but JAX's error at float32 is 1.9")
    assert leaf.jax_error > 100 * leaf.torch_error
    assert report.ok, "a warning, not a failure"


def test_pytorch_may_be_the_less_accurate_side():
    def theirs(x):
        return torch.tanh(x) * (1 + 2e-5 if x.dtype == torch.float32 else 1)

    leaf = leaf_of(jnp.tanh, theirs, X)
    assert leaf.verdict is Verdict.LESS_ACCURATE
    assert leaf.reason.startswith("The float64 runs agree, but PyTorch's error at float32 is 1.9")


@pytest.mark.parametrize("size", [-2.0, 1e-2, 1e-3], ids=["sign", "1e-2", "1e-3"])
def test_what_is_grossly_wrong_at_float32_is_a_mismatch_though_float64_agrees(size):
    """Half of the digits gone is no rounding: a wrong branch for one dtype, an overflow, a cast."""
    report = compare(rounded_at_float32(size), torch.tanh, (X,), orders=("value",))
    assert report.verdict is Verdict.MISMATCH
    assert not report.ok


def test_an_autocast_on_the_torch_side_is_a_mismatch():
    def theirs(x, w):
        with torch.autocast("cpu", torch.bfloat16, enabled=x.dtype == torch.float32):
            return (x @ w).to(x.dtype)

    leaf = leaf_of(lambda x, w: x @ w, theirs, X, W)
    assert leaf.verdict is Verdict.MISMATCH
    assert "but PyTorch's error at float32" in leaf.reason


def test_an_integer_that_overflows_on_one_side():
    def fun(i, x):
        return ((i * 100003) % 97) * x

    i = np.arange(100_000, 100_004)  # in int32 on the JAX side the product overflows
    assert leaf_of(fun, fun, i, np.ones(4)).verdict is Verdict.MISMATCH


def test_the_evidence_is_in_the_result():
    leaf = leaf_of(lambda x: jnp.tanh(x) * 1.001, torch.tanh, X)
    truth = np.tanh(X.astype(np.float64))
    assert leaf.worst is not None
    # At the worst element JAX is off by a thousandth of the value, by construction.
    assert leaf.float64_gap == pytest.approx(abs(truth[leaf.worst]) * 1e-3, rel=1e-9)
    assert leaf.float64_noise < 1e-12
    assert leaf.max_abs == pytest.approx(np.abs(truth).max() * 1e-3, rel=1e-3)
    assert leaf.different == X.size
    assert (leaf.dtype, leaf.shape) == ("float32", (8, 16))
    np.testing.assert_allclose(np.array(leaf.torch), truth, rtol=1e-6)  # float32 rounding
