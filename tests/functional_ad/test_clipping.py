"""clip_by_norm: PyTorch's formula, no overflow in half precision, and non-finite norms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import functional_ad as fad

GRADS = {
    "w": jnp.array([[3.0, -4.0], [0.0, 12.0]]),
    "half": jnp.array([300.0, -300.0], jnp.float16),
    "n": jnp.arange(2),
    "frozen": None,
    "name": "net",
}


def reference(leaves, max_norm, norm_type):
    """PyTorch's formula in float64."""
    norms = [np.linalg.norm(np.asarray(leaf, np.float64).ravel(), norm_type) for leaf in leaves]
    norm = np.linalg.norm(norms, norm_type)
    return norm, [np.asarray(x, np.float64) * min(max_norm / (norm + 1e-6), 1.0) for x in leaves]


@pytest.mark.parametrize("run", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("norm_type", [1, 2.0, 3, 0.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 1.0, 1e6, jnp.float32(5.0)], ids=str)
def test_mixed_trees(max_norm, norm_type, run):
    arrays = {name: GRADS[name] for name in ("w", "half", "n", "frozen")}
    got = run(lambda g, m: fad.clip_by_norm(g, m, norm_type=norm_type))(arrays, max_norm)
    norm, (w, half) = reference([GRADS["w"], GRADS["half"]], float(max_norm), norm_type)
    # float32 sums of six powers; the half-precision leaf is rounded once to 11 bits.
    np.testing.assert_allclose(got.norm, norm, rtol=1e-5)
    np.testing.assert_allclose(got.grads["w"], w, rtol=1e-5)
    np.testing.assert_allclose(got.grads["half"].astype(float), half, rtol=2**-10, atol=1e-7)
    assert bool(got.is_finite)
    assert {name: x.dtype for name, x in got.grads.items() if x is not None} == {
        name: x.dtype for name, x in arrays.items() if x is not None
    }
    assert got.grads["frozen"] is None
    np.testing.assert_array_equal(got.grads["n"], [0, 1])


def test_the_largest_magnitude_has_torchs_name_too():
    assert float(fad.clip_by_norm(GRADS, 1.0, norm_type="inf").norm) == 300.0


def test_what_is_no_array_passes():
    assert fad.clip_by_norm(GRADS, 1.0).grads["name"] == "net"


@pytest.mark.parametrize("norm_type", [2.0, math.inf])
def test_a_norm_below_the_bound_changes_no_bit(norm_type):
    got = fad.clip_by_norm(GRADS, 1e4, norm_type=norm_type)
    for name in ("w", "half"):
        assert np.asarray(got.grads[name]).tobytes() == np.asarray(GRADS[name]).tobytes()


def test_no_leaves_have_norm_0():
    got = fad.clip_by_norm({"frozen": None}, 1.0)
    assert (got.grads, float(got.norm), bool(got.is_finite)) == ({"frozen": None}, 0.0, True)
    assert float(fad.clip_by_norm(jnp.ones((0, 3)), 1.0, norm_type=math.inf).norm) == 0.0


def test_half_precision_does_not_overflow():
    """300 numbers of 300: in float16 each square is infinite."""
    for dtype in (jnp.float16, jnp.bfloat16):
        got = fad.clip_by_norm(jnp.full(300, 300.0, dtype), 1.0)
        # 300 is exact in both, and its square times 300 in float32.
        np.testing.assert_allclose(got.norm, 300 * math.sqrt(300), rtol=1e-6)
        assert bool(got.is_finite)
        np.testing.assert_allclose(
            got.grads.astype(float),
            1 / math.sqrt(300),
            rtol=2**-8 if dtype == jnp.bfloat16 else 1e-3,
        )


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf], ids=str)
@pytest.mark.parametrize("norm_type", [1, 2, 3, math.inf])
def test_a_norm_that_is_not_finite_is_flagged_and_does_not_spread(bad, norm_type):
    grads = {"bad": jnp.array([1.0, bad]), "good": jnp.array([5.0, 7.0])}
    got = jax.jit(lambda g: fad.clip_by_norm(g, 1.0, norm_type=norm_type))(grads)
    assert not got.is_finite
    assert not jnp.isfinite(got.norm)
    np.testing.assert_array_equal(got.grads["good"], [5.0, 7.0])
    np.testing.assert_array_equal(got.grads["bad"], [1.0, bad])


def test_complex_gradients_have_the_norm_of_their_magnitudes():
    got = fad.clip_by_norm(jnp.array([3.0 + 4.0j, 12.0j]), 6.5)
    assert float(got.norm) == 13.0
    np.testing.assert_allclose(got.grads, [1.5 + 2j, 6j], rtol=1e-6)


@pytest.mark.parametrize("norm_type", [1, 2, 3, math.inf])
def test_it_can_be_differentiated_at_zero(norm_type):
    """The norm of 0 has no derivative; PyTorch's subgradient is 0, and a NaN would spread."""
    grad = jax.grad(lambda g: jnp.sum(fad.clip_by_norm(g, 1.0, norm_type=norm_type).grads))
    np.testing.assert_allclose(grad(jnp.zeros(2)), np.ones(2))
    x = jnp.array([3.0, 4.0])
    hand = jax.grad(lambda g: jnp.sum(g / (jnp.sqrt(jnp.sum(g**2)) + 1e-6)))
    np.testing.assert_allclose(
        jax.grad(lambda g: jnp.sum(fad.clip_by_norm(g, 1.0).grads))(x), hand(x), atol=1e-6
    )


@pytest.mark.parametrize("norm_type", [0, -1, True, "2", math.nan, None, 1j])
def test_a_norm_has_a_positive_order(norm_type):
    with pytest.raises(fad.ArgumentError, match="must be the order of a norm") as caught:
        fad.clip_by_norm(GRADS, 1.0, norm_type=norm_type)
    assert f"  got:      {norm_type!r} (" in str(caught.value)


@pytest.mark.parametrize(
    "max_norm", [-1.0, True, "1", None, np.ones(2), math.nan, 1j], ids=lambda m: str(m)
)
def test_a_bound_is_a_number(max_norm):
    with pytest.raises(fad.ArgumentError, match="must be a bound for the norm"):
        fad.clip_by_norm(GRADS, max_norm)


# --- PyTorch -----------------------------------------------------------------------------------

# Nothing subnormal, and no square or product that is: JAX on a CPU flushes those to 0, torch not.
floats = st.floats(-100, 100, width=32).map(lambda x: x if abs(x) > 1e-6 else 0.0)
arrays = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=0, max_dims=2, max_side=5), elements=floats
)


def clip_by_torch(leaves, max_norm, norm_type):
    torch = pytest.importorskip("torch", reason="needs torch")
    parameters = [torch.nn.Parameter(torch.zeros(leaf.shape)) for leaf in leaves]
    for parameter, leaf in zip(parameters, leaves, strict=True):
        parameter.grad = torch.from_numpy(leaf.copy())
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
    return norm.numpy(), [parameter.grad.numpy() for parameter in parameters]


def ulps(a, b):
    """How many float32 numbers lie between two of one sign."""
    a, b = (np.asarray(x, np.float32).view(np.int32).astype(np.int64) for x in (a, b))
    return int(np.max(np.abs(a - b), initial=0))


@given(leaves=st.lists(arrays, min_size=1, max_size=4), max_norm=st.floats(0.125, 1e3, width=32))
def test_the_inf_norm_is_torchs_bit_for_bit(leaves, max_norm):
    """A largest magnitude is exact, and so shows the rest of the formula to the last bit."""
    norm, grads = clip_by_torch(leaves, max_norm, math.inf)
    got = fad.clip_by_norm([jnp.asarray(x) for x in leaves], max_norm, norm_type=math.inf)
    assert ulps(got.norm, norm) == 0
    for ours, theirs in zip(got.grads, grads, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@given(
    leaves=st.lists(arrays, min_size=1, max_size=4),
    max_norm=st.floats(0.125, 1e3, width=32),
    norm_type=st.sampled_from([1.0, 2.0]),
)
def test_other_norms_are_torchs_but_for_the_order_of_sums(leaves, max_norm, norm_type):
    """Sums of at most 25 terms, and then of at most 4: each order is within a few ULP. The sum
    of squares has up to 25 roundings, of which the root halves the effect."""
    norm, grads = clip_by_torch(leaves, max_norm, norm_type)
    got = fad.clip_by_norm([jnp.asarray(x) for x in leaves], max_norm, norm_type=norm_type)
    assert ulps(got.norm, norm) <= 4
    for ours, theirs in zip(got.grads, grads, strict=True):
        assert ulps(ours, theirs) <= 8


def test_the_factor_is_torchs_under_jit():
    """A number divided by a tensor is its reciprocal, multiplied: 41 comes back a bit smaller."""
    leaf = np.float32([41.0])
    norm, (theirs,) = clip_by_torch([leaf], 41.0, math.inf)
    ours = jax.jit(lambda g: fad.clip_by_norm(g, 41.0, norm_type=math.inf))(leaf)
    assert float(theirs[0]) == float(ours.grads[0]) < 41.0 == float(norm)


def test_the_comparison_with_torch_notices_a_missing_epsilon():
    """optax's factor, max_norm / norm, is another by some ULP: the tests above would fail on it."""
    leaf = np.float32([0.75, -0.5])
    _, (theirs,) = clip_by_torch([leaf], 0.25, math.inf)
    assert ulps(leaf * np.float32(0.25 / 0.75), theirs) > 8


def test_the_factor_is_rounded_as_by_torch():
    grads = [np.full((), 79.71875, np.float32)]
    norm, expected = clip_by_torch(grads, 7.0, math.inf)
    got = fad.clip_by_norm([jnp.asarray(x) for x in grads], 7.0, norm_type=math.inf)
    assert (got.norm, got.grads[0]) == (norm, expected[0])


def test_a_great_norm_does_not_turn_gradients_into_zeros():
    got = fad.clip_by_norm(jnp.array([3e38, -1e38]), 300.0, norm_type=math.inf)
    np.testing.assert_allclose(got.grads, [300.0, -100.0], rtol=1e-6)


def test_a_bound_may_be_a_great_int():
    grads = jnp.array([3.0, 4.0])
    np.testing.assert_array_equal(fad.clip_by_norm(grads, 10**12).grads, grads)
