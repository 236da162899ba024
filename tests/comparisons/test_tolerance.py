"""Each constant of the verdict: where it takes effect, on made-up runs that hit it exactly."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import comparisons._kinks as kinks
from comparisons import Verdict, compare
from comparisons._evidence import Evidence, Probe
from comparisons._referee import judge
from comparisons._tolerance import (
    APPROXIMATION_EPS,
    ERROR_FACTOR,
    GROSS_POWER,
    JITTER,
    JITTERS,
    NOISE_FACTOR,
    PROBES,
)


def evidence_for(torch_value, jax_error, *, torch_error=0.0, gap64=0.0, dtype="float32"):
    """Made-up runs: PyTorch errs by torch_error, JAX by jax_error, float64 differs by gap64."""
    exact = np.array([torch_value])
    working = (exact + torch_error).astype(jnp.dtype(dtype))
    return Evidence(
        quantity="value",
        jax={"y": (exact + jax_error).astype(jnp.dtype(dtype))},
        torch={"y": working},
        jax64={"y": exact + gap64},
        torch64={"y": exact},
        probes=(Probe({"y": working}, {"y": exact}),),
    )


EPS32, EPS64 = 2.0**-23, 2.0**-52
UNIT = 2 * EPS32  # of the value 1, itself the leaf's greatest: eps |T64| + eps max|T64|


@pytest.mark.parametrize(("error", "verdict"), [(0.5, "AGREES"), (2.0, "LESS_ACCURATE")])
def test_error_factor_is_where_less_accurate_begins(error, verdict):
    """The value is 1, exact and with no error of PyTorch's."""
    (leaf,) = judge(evidence_for(1.0, error * ERROR_FACTOR * UNIT))
    assert leaf.verdict == verdict
    assert leaf.allowed == pytest.approx(ERROR_FACTOR * UNIT, rel=1e-6)


@pytest.mark.parametrize(("error", "verdict"), [(0.5, "AGREES"), (2.0, "LESS_ACCURATE")])
def test_pytorchs_own_error_is_allowed_to_jax(error, verdict):
    torch_error = 16 * UNIT
    evidence = evidence_for(1.0, error * ERROR_FACTOR * torch_error, torch_error=torch_error)
    (leaf,) = judge(evidence)
    assert leaf.verdict == verdict
    assert leaf.torch_error == torch_error


@pytest.mark.parametrize(("error", "verdict"), [(0.5, "LESS_ACCURATE"), (2.0, "MISMATCH")])
def test_gross_power_is_where_an_error_is_no_rounding(error, verdict):
    (leaf,) = judge(evidence_for(1.0, error * EPS32**GROSS_POWER))
    assert leaf.verdict == verdict


@pytest.mark.parametrize(("gap", "verdict"), [(0.5, "IDENTICAL"), (2.0, "APPROXIMATION")])
def test_noise_factor_is_where_rounding_ends(gap, verdict):
    """At float64 the unit is as many times smaller as the epsilons are."""
    (leaf,) = judge(evidence_for(1.0, 0.0, gap64=gap * NOISE_FACTOR * 2 * EPS64))
    assert leaf.verdict == verdict
    # JAX's own error, |J - J64|, counts too: here the gap itself, shrunk to nothing beside it.
    assert leaf.float64_noise == pytest.approx(NOISE_FACTOR * 2 * EPS64, rel=1e-5)


@pytest.mark.parametrize(("gap", "verdict"), [(0.5, "APPROXIMATION"), (2.0, "MISMATCH")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_approximation_eps_is_where_a_mismatch_begins(gap, verdict, dtype):
    """Counted at float32, whatever the working dtype is."""
    evidence = evidence_for(1.0, 0.0, gap64=gap * APPROXIMATION_EPS * UNIT, dtype=dtype)
    assert judge(evidence)[0].verdict == verdict


def test_probes_make_up_for_a_lucky_run():
    """PyTorch is exact by luck; its neighbours show that it usually errs by 100 units."""
    unlucky = Probe({"y": np.float32([1 + 100 * EPS32])}, {"y": np.array([1.0])})
    lucky = evidence_for(1.0, 200 * EPS32)
    assert judge(lucky)[0].verdict is Verdict.LESS_ACCURATE
    probed = Evidence(**{**vars(lucky), "probes": (*lucky.probes, unlucky)})
    assert judge(probed)[0].verdict is Verdict.AGREES


def test_a_lucky_run_of_jax_makes_pytorch_no_worse():
    """JAX is exact by luck, so PyTorch's 200 units look bad, until JAX's neighbours are known."""
    unlucky = Probe({"y": np.float32([1 + 100 * EPS32])}, {"y": np.array([1.0])})
    lucky = evidence_for(1.0, 0.0, torch_error=200 * EPS32)
    assert judge(lucky)[0].verdict is Verdict.LESS_ACCURATE
    probed = Evidence(**{**vars(lucky), "jax_probes": (unlucky,)})
    assert judge(probed)[0].verdict is Verdict.AGREES


def evidence_of(errors, gap64=0.0):
    """Made-up runs: both sides err by ``errors`` from 1; float64 differs in the first element."""
    exact = np.ones(len(errors))
    working = (exact + np.array(errors)).astype(np.float32)
    return Evidence(
        quantity="value",
        jax={"y": working},
        torch={"y": working},
        jax64={"y": exact + gap64 * (np.arange(len(errors)) == 0)},
        torch64={"y": exact},
        probes=(),
    )


def test_the_median_makes_up_for_a_lucky_element():
    """PyTorch errs by 100 eps on most elements, and by luck not at all on the first."""
    (leaf,) = judge(evidence_of([0.0] + [100 * EPS32] * 4, gap64=100 * NOISE_FACTOR * EPS64))
    assert leaf.worst == (0,)
    assert leaf.verdict is Verdict.IDENTICAL


@pytest.mark.parametrize("size", [2, 5])
def test_no_element_blinds_the_others(size):
    """PyTorch loses all digits of the last element, which allows nothing on the first."""
    evidence = evidence_of([0.0] * (size - 1) + [2.0], gap64=1e-9)
    (leaf,) = judge(evidence)
    assert (leaf.verdict, leaf.worst) == (Verdict.APPROXIMATION, (0,))


def test_an_integer_that_rounding_decides_is_a_warning():
    sides = {side: {"y": np.array([1, 2])} for side in ("jax", "torch", "jax64", "torch64")}
    evidence = evidence_for(1.0, 0.0)
    apart = Evidence(**{**vars(evidence), **sides, "jax": {"y": np.array([1, 3])}})
    (leaf,) = judge(apart)
    assert (leaf.verdict, leaf.worst) == (Verdict.LESS_ACCURATE, (1,))
    assert leaf.reason == "1 of 2 elements differ, but none at float64: rounding decides."


def test_pytorch_is_run_with_as_many_other_last_bits():
    seen = set()

    def theirs(x):
        if x.dtype == torch.float32:
            seen.add(x.numpy().tobytes())
        return x + 1

    compare(lambda x: x + 1, theirs, (np.linspace(1.0, 2.0, 20),), ("value",))
    assert len(seen) == 1 + PROBES


@pytest.mark.parametrize(
    ("width", "verdict"), [(JITTER / 100, "CONVENTION"), (100 * JITTER, "MISMATCH")]
)
def test_jitter_is_how_far_from_a_kink_the_sides_may_differ(width, verdict):
    """JAX's is x and no |x| that near to 0, and the greatest element is 1."""

    def ours(x):
        return jnp.where(jnp.abs(x) < width, x, jnp.abs(x))

    assert compare(ours, torch.abs, (np.array([0.0, 1.0]),), ("vjp",)).verdict == verdict


def test_jitters_are_how_many_equal_elements_a_maximum_may_have(monkeypatch):
    """One of them has the gradient at each point, so that of ten some have none at eight points."""
    few, many = JITTERS
    x = (np.full(few + 2, 2.0),)

    def run():
        return compare(jnp.max, lambda x: x.max(0).values, x, ("vjp",)).cases[0].leaves[0]

    assert "both values lie between those beside it" in run().reason
    monkeypatch.setattr(kinks, "JITTERS", (few,))
    assert "is not between what is there" in run().reason
    assert many > few
