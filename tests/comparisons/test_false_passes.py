"""What other comparisons pass though it is wrong: each is caught here, or the report says so."""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import optax
import pytest
import torch

from comparisons import Verdict, compare

RNG = np.random.default_rng(0)


# Adam's first step is bounded by its learning rate, whatever the gradient is.
def adam_step(sign):
    def step(params, grads):
        optimizer = optax.adam(1e-3)
        grads = jax.tree.map(lambda g: sign * g, grads)
        updates, _ = optimizer.update(grads, optimizer.init(params), params)
        return optax.apply_updates(params, updates)

    return step


def adam_step_torch(params, grads):
    leaf = params.detach().clone().requires_grad_()
    leaf.grad = grads.detach().clone()
    torch.optim.Adam([leaf], lr=1e-3).step()
    return leaf.detach()


def test_an_adam_step_with_opposite_signs():
    params, grads = RNG.normal(size=(2, 20)).astype(np.float32)
    with np.errstate(all="raise"):
        expected = adam_step_torch(torch.from_numpy(params), torch.from_numpy(grads)).numpy()
    uphill = np.asarray(adam_step(-1)(jnp.asarray(params), jnp.asarray(grads)))
    np.testing.assert_allclose(uphill, expected, atol=1e-2)  # passes: lr is less than atol

    inputs = (params, grads)
    assert compare(adam_step(1), adam_step_torch, inputs, orders=("value",)).ok
    report = compare(adam_step(-1), adam_step_torch, inputs, orders=("value",))
    assert report.verdict is Verdict.MISMATCH
    assert report.cases[0].leaves[0].float64_gap == pytest.approx(2e-3, rel=1e-3)  # 2 lr, but eps


# check_grads multiplies its tolerance by the number of elements.
@jax.custom_jvp
def cube(x):
    return x**3


@cube.defjvp
def cube_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    return x**3, 1.3 * 3 * x**2 * tangent


def test_a_derivative_that_is_30_per_cent_wrong_in_forward_mode():
    x = RNG.uniform(0.5, 1.5, 300).astype(np.float32)
    jax.test_util.check_grads(cube, (jnp.asarray(x),), order=1, modes=("fwd",))  # passes
    with pytest.raises(AssertionError, match="JVP tangent"):
        jax.test_util.check_grads(cube, (jnp.asarray(x[:10]),), order=1, modes=("fwd",))

    report = compare(cube, lambda x: x**3, (x,), orders=("value", "jvp"))
    verdicts = {leaf.quantity: leaf.verdict for leaf in report.cases[0].leaves}
    assert verdicts["value"].outcome == "pass"
    assert verdicts["jvp"] is Verdict.MISMATCH
    assert compare(lambda x: x**3, lambda x: x**3, (x,), orders=("value", "jvp")).ok


def test_permuted_tensors_with_the_same_mean():
    x = RNG.normal(size=(8, 16)).astype(np.float32)

    def permuted(x):
        return jnp.tanh(x)[::-1]

    ours = np.asarray(permuted(jnp.asarray(x)))
    np.testing.assert_allclose(ours.mean(), np.tanh(x).mean(), rtol=1e-5)  # passes
    assert compare(permuted, torch.tanh, (x,), orders=("value",)).verdict is Verdict.MISMATCH


# Rotary positions on a part of each head: a port that takes the frequencies of the whole head. The
# first frequency is 1 in both, and at position 0 nothing turns at all.
HEAD, PART = 64, 16


def rotate(q, frequencies_of=PART):
    half = PART // 2
    frequencies = 1e4 ** (-jnp.arange(half, dtype=q.dtype) * 2 / frequencies_of)
    angle = jnp.arange(len(q), dtype=q.dtype)[:, None] * frequencies
    a, b, rest = q[:, :half], q[:, half:PART], q[:, PART:]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos, rest], 1)


def rotate_wrongly(q):
    return rotate(q, frequencies_of=HEAD)


def rotate_torch(q):
    half = PART // 2
    frequencies = 1e4 ** (-torch.arange(half, dtype=q.dtype) * 2 / PART)
    angle = torch.outer(torch.arange(len(q), dtype=q.dtype), frequencies).repeat(1, 2)
    part, rest = q[:, :PART], q[:, PART:]
    turned = torch.cat([-part[:, half:], part[:, :half]], 1)
    return torch.cat([part * angle.cos() + turned * angle.sin(), rest], 1)


def make_queries(tokens):
    return (np.random.default_rng(tokens).normal(size=(tokens, HEAD)).astype(np.float32),)


@pytest.mark.parametrize("tokens", [1, 2, 40])
def test_rotary_positions_that_are_right(tokens):
    assert compare(rotate, rotate_torch, make_queries(tokens)).ok


@pytest.mark.parametrize("tokens", [2, 40])
def test_wrong_rotary_positions_of_a_part_of_the_head(tokens):
    report = compare(rotate_wrongly, rotate_torch, make_queries(tokens))
    assert report.verdict is Verdict.MISMATCH


def test_a_prompt_of_one_token_cannot_show_wrong_rotary_positions_and_the_report_says_so():
    """Nothing turns at position 0, so the verdict cannot but pass: what it cannot see, it names."""
    case = compare(rotate_wrongly, rotate_torch, make_queries(1)).cases[0]
    assert case.outcome == "pass"
    (note,) = case.vacuity
    assert note.startswith("At test_false_passes.py:")
    assert note.endswith(
        "positions are counted along an axis of length 1: a mistake in what depends on them would "
        "not be seen."
    )
    assert not compare(rotate, rotate_torch, make_queries(2)).cases[0].vacuity


# A bias that is zero at initialisation.
def with_bias(x, params):
    return x @ params["w"] + params["b"]


def without_bias(x, params):
    return x @ params["w"]


def make_layer(bias):
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 8)), {"w": rng.normal(size=(8, 3)), "b": bias * rng.normal(size=3)}


def test_zero_initialisation_hides_a_missing_bias_and_the_report_names_it():
    case = compare(without_bias, with_bias, make_layer(0.0), orders=("value",)).cases[0]
    assert case.outcome == "pass"
    assert any("1/b" in text for text in case.vacuity), case.vacuity


def test_a_missing_bias_that_is_zero_is_caught_by_its_gradient():
    report = compare(without_bias, with_bias, make_layer(0.0))
    found = {f"{leaf.quantity}:{leaf.path}": leaf.verdict for leaf in report.cases[0].leaves}
    assert found["vjp:1/b"] is Verdict.MISMATCH


def test_a_bias_that_is_not_zero_is_caught_and_not_called_vacuous():
    report = compare(without_bias, with_bias, make_layer(1.0), orders=("value",))
    assert report.verdict is Verdict.MISMATCH
    assert report.cases[0].vacuity == ()


def in_float32(x):
    return jnp.tanh(x.astype(jnp.float32)).astype(x.dtype)


def test_a_cast_to_float32_inside_a_float64_run_is_found():
    """The float64 run returns float64 arrays, so their dtype tells nothing."""
    x = RNG.normal(size=(8, 16)).astype(np.float32)
    with jax.enable_x64(True):
        assert in_float32(jnp.asarray(x, jnp.float64)).dtype == jnp.float64

    case = compare(in_float32, torch.tanh, (x,), orders=("value",)).cases[0]
    (cast,) = case.casts
    assert cast.startswith(f"The JAX side computes in float32 at {Path(__file__).name}:")
    assert case.leaves[0].established == "float32"
    assert "JAX computes at float32 inside its float64 run" in case.leaves[0].reason


def test_a_mistake_under_a_cast_to_float32_is_caught():
    x = RNG.normal(size=(8, 16)).astype(np.float32)
    report = compare(lambda x: in_float32(x) * 1.0001, torch.tanh, (x,), orders=("value",))
    assert report.verdict is Verdict.MISMATCH


# A recurrent cell has a bias for its input and one for its state. A port with one bias for both
# computes the same, with the same gradients, but its bias gets one update where the two get two.
def forward(params, x):
    return jnp.tanh(x @ params["w"] + params["b"])


def forward_torch(params, x):
    return torch.tanh(x @ params["w"] + params["input_bias"] + params["state_bias"])


def merge(params):
    return {"w": params["w"], "b": params["input_bias"] + params["state_bias"]}


def make_cell():
    rng = np.random.default_rng(1)
    params = {"w": rng.normal(size=(5, 3)), "input_bias": rng.normal(size=3)}
    params["state_bias"] = rng.normal(size=3)
    return params, rng.normal(size=(8, 5))


def train(make):
    def step(params, x):
        merged, optimizer = merge(params), make(1e-2)
        grads = jax.grad(lambda p: jnp.mean(forward(p, x) ** 2))(merged)
        updates, _ = optimizer.update(grads, optimizer.init(merged), merged)
        return optax.apply_updates(merged, updates)

    return step


def train_torch(make):
    def step(params, x):
        leaves = {name: leaf.detach().clone().requires_grad_() for name, leaf in params.items()}
        optimizer = make(leaves.values(), lr=1e-2)
        forward_torch(leaves, x).pow(2).mean().backward()
        optimizer.step()
        return {
            "w": leaves["w"].detach(),
            "b": (leaves["input_bias"] + leaves["state_bias"]).detach(),
        }

    return step


def test_two_biases_merged_into_one_compute_the_same():
    """Also their gradients: as a function of both biases there is nothing wrong with the port."""
    assert compare(lambda params, x: forward(merge(params), x), forward_torch, make_cell()).ok


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(optax.sgd, torch.optim.SGD), (optax.adam, torch.optim.Adam)],
    ids=["SGD", "Adam"],
)
def test_two_biases_merged_into_one_differ_after_one_step(ours, theirs):
    report = compare(train(ours), train_torch(theirs), make_cell(), orders=("value",))
    leaves = {leaf.path: leaf for leaf in report.cases[0].leaves}
    assert leaves["w"].outcome == "pass"
    assert leaves["b"].verdict is Verdict.MISMATCH
    if ours is optax.adam:  # its first step is lr, but for eps
        assert leaves["b"].float64_gap == pytest.approx(1e-2, rel=1e-4)
