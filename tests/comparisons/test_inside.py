"""A side that cannot run at float64: what is established then, and where the cast is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import Verdict, compare

F = torch.nn.functional
X = np.random.default_rng(0).normal(size=(5, 4))


def jax_cast(x):
    return jnp.tanh(0.3 * x.astype(jnp.float32)).astype(x.dtype)


def torch_cast(x):
    return torch.tanh(0.3 * x.float()).to(x.dtype)


def verdicts(report):
    return {leaf.verdict for leaf in report.cases[0].leaves}


def test_a_float32_cast_in_jax_makes_torch_the_referee():
    """Its float64 run returns float64 arrays, so that only the scan tells."""
    (result,) = compare(jax_cast, lambda x: torch.tanh(0.3 * x), (X,)).cases
    (cast,) = result.casts
    assert cast.startswith("The JAX side computes in float32 at test_inside.py:")
    assert {leaf.established for leaf in result.leaves} == {"float32"}
    assert {leaf.verdict for leaf in result.leaves} == {Verdict.AGREES}
    reason = result.leaves[0].reason
    assert "so PyTorch's is the referee; agreement beyond float32 is not established" in reason


def test_a_float32_cast_in_torch_makes_jax_the_referee():
    (result,) = compare(lambda x: jnp.tanh(0.3 * x), torch_cast, (X,)).cases
    assert "The PyTorch side computes in float32 at test_inside.py:" in result.casts[0]
    assert {leaf.verdict for leaf in result.leaves} == {Verdict.AGREES}
    assert "so JAX's is the referee" in result.leaves[0].reason


def test_casts_on_both_sides_leave_no_referee():
    (result,) = compare(jax_cast, torch_cast, (X,)).cases
    assert {leaf.verdict.outcome for leaf in result.leaves} == {"pass"}
    off = compare(lambda x: jax_cast(x) * 1.0001, torch_cast, (X,))
    assert off.verdict is Verdict.MISMATCH
    assert len(off.cases[0].casts) == 2
    assert "Neither side has a float64 run here" in off.cases[0].leaves[0].reason


def test_a_defect_behind_a_cast_is_seen_to_float32():
    report = compare(lambda x: jax_cast(x) * 1.0001, lambda x: torch.tanh(0.3 * x), (X,))
    assert verdicts(report) == {Verdict.MISMATCH}


def test_a_cast_to_bfloat16_is_no_float32():
    def coarse(x):
        return jnp.tanh(0.3 * x.astype(jnp.bfloat16)).astype(x.dtype)

    report = compare(coarse, lambda x: torch.tanh(0.3 * x), (X,))
    assert verdicts(report) == {Verdict.MISMATCH}
    assert "bfloat16" in report.cases[0].casts[0]
    at_bfloat16 = compare(coarse, lambda x: torch.tanh(0.3 * x), (X,), dtype="bfloat16")
    assert {v.outcome for v in verdicts(at_bfloat16)} == {"pass"}


@pytest.mark.parametrize("order", ["value", "jvp"])
@pytest.mark.parametrize("jax_narrow", [True, False], ids=["both cast", "PyTorch casts"])
def test_a_cast_excuses_no_other_result(order, jax_narrow):
    """A bfloat16 head beside one that is a thousandth off, which bfloat16 would not show."""

    def narrow(x):
        return (x.astype(jnp.bfloat16) * jnp.bfloat16(1.7)).astype(x.dtype)

    def ours(x):
        return {"head": narrow(x) if jax_narrow else 1.7 * x, "other": 1.001 * jnp.sin(x)}

    def theirs(x):
        head = x.bfloat16() * torch.tensor(1.7, dtype=torch.bfloat16)
        return {"head": head.to(x.dtype), "other": torch.sin(x)}

    (result,) = compare(ours, theirs, (X,), (order,)).cases
    found = {leaf.path: leaf for leaf in result.leaves}
    assert found["other"].verdict is Verdict.MISMATCH
    assert "bfloat16" not in found["other"].reason
    assert "bfloat16" in found["head"].reason
    assert found["head"].outcome == ("pass" if jax_narrow else "fail")


def test_jaxs_attention_does_its_softmax_in_float32():
    def theirs(q):
        heads = q.transpose(1, 2)
        return F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2)

    q = np.random.default_rng(1).normal(size=(1, 6, 2, 4))
    (result,) = compare(lambda q: jax.nn.dot_product_attention(q, q, q), theirs, (q,)).cases
    assert {leaf.verdict for leaf in result.leaves} == {Verdict.AGREES}
    assert {leaf.established for leaf in result.leaves} == {"float32"}
    assert any("test_inside.py:" in cast for cast in result.casts)


def test_what_rounds_inside_is_measured():
    """The inputs' last bits show nothing of 1 - tanh(30)**2, of which both lose every digit."""
    x = 30 * X
    report = compare(
        lambda x: jax.grad(lambda x: jnp.sum(jnp.tanh(x)))(x),
        lambda x: 1 - torch.tanh(x.detach()) ** 2,
        (x,),
        ("value",),
    )
    assert report.ok, str(report)
    off = compare(lambda x: 1 - jnp.tanh(x) ** 2 + 1e-9, lambda x: 1 - torch.tanh(x) ** 2, (x,))
    assert off.summary["pass"] == 0


def test_a_saturated_softmax_is_no_mismatch():
    for scale in (60, 300):
        report = compare(
            lambda x: jax.nn.softmax(x, -1), lambda x: torch.softmax(x, -1), (scale * X,)
        )
        assert report.ok, str(report)


def test_a_gradient_that_is_truly_zero_gives_no_signal():
    """What is left of it is rounding, different on each side, at every dtype."""

    def ours(x, bias):
        h = jnp.tanh(x) + bias
        return jnp.sum((h - h.mean(0)) ** 3)

    def theirs(x, bias):
        h = torch.tanh(x) + bias
        return ((h - h.mean(0)) ** 3).sum()

    report = compare(ours, theirs, (X, np.ones(4)), ("value", "vjp"))
    found = {(leaf.quantity, leaf.path): leaf for leaf in report.cases[0].leaves}
    assert found["vjp", "1"].verdict is Verdict.NO_SIGNAL, str(report)
    assert found["vjp", "1"].established is None
    assert "so this proves nothing" in found["vjp", "1"].reason
    assert found["vjp", "0"].verdict is Verdict.AGREES
    assert report.ok
    assert report.summary["warn"] == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_float32_cast_in_a_coarse_run_is_judged_at_float32(dtype):
    """As norms and losses are written for bfloat16; a tenth too much is no rounding of float32."""

    def norm(x):
        y = x.astype(jnp.float32)
        y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + 1e-5)
        return y.astype(x.dtype)

    def theirs(x):
        return F.layer_norm(x, (4,), eps=1e-5)

    assert compare(norm, theirs, (X,), dtype=dtype).ok
    assert compare(lambda x: 1.1 * norm(x), theirs, (X,), dtype=dtype).verdict is Verdict.MISMATCH


def test_a_float32_loss_of_a_bfloat16_run():
    def ours(x, factor=1.0):
        return factor * jnp.mean(((x @ x.T).astype(jnp.float32)) ** 2)

    def theirs(x):
        return ((x @ x.T).float() ** 2).mean()

    assert compare(ours, theirs, (X,), dtype="bfloat16").ok
    off = compare(lambda x: ours(x, 1.001), theirs, (X,), dtype="bfloat16")
    assert off.verdict is Verdict.MISMATCH


@pytest.mark.parametrize(
    ("unstable", "stable", "x"),
    [
        (
            lambda x: jnp.mean(x**2) - jnp.mean(x) ** 2,
            lambda x: torch.var(x, unbiased=False),
            1000 + X,
        ),
        (lambda x: 1 - jnp.cos(x), lambda x: 2 * torch.sin(x / 2) ** 2, 1e-4 * X),
        (lambda x: jnp.exp(x) - 1, torch.expm1, 1e-5 * X),
    ],
    ids=["variance", "one minus cosine", "exponential minus one"],
)
def test_rounding_inside_is_no_excuse_for_an_unstable_formula(unstable, stable, x):
    """Equal on paper and at float64 as far as that rounds, but JAX has no digits at float32."""
    report = compare(unstable, stable, (x.astype(np.float32),), ("value",))
    assert report.verdict is Verdict.MISMATCH, str(report)
    assert report.cases[0].leaves[0].right == "PyTorch"
