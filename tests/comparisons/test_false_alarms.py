"""What a relative tolerance calls wrong though it is right, and what the verdict says of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from comparisons import Verdict, compare
from comparisons._case import ParityCase
from comparisons._trial import Trial

TOKENS, WIDTH, HEADS = 4, 8, 2


def make_block(seed):
    """Inputs of an attention block: a sequence, and parameters with a bias for each projection."""
    rng = np.random.default_rng(seed)
    params = {}
    for name in ("q", "k", "v", "o"):
        params[name] = {
            "w": rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH),
            "b": 0.1 * rng.normal(size=WIDTH),
        }
    return params, rng.normal(size=(TOKENS, WIDTH))


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def block(params, x, key_bias=1.0):
    def project(name, h):
        bias = params[name]["b"] * (key_bias if name == "k" else 1.0)
        return h @ params[name]["w"] + bias

    def split(h):
        return h.reshape(TOKENS, HEADS, -1).swapaxes(0, 1)

    h = layer_norm(x)
    q, k, v = (split(project(name, h)) for name in "qkv")
    weights = jax.nn.softmax(q @ k.swapaxes(1, 2) / jnp.sqrt(WIDTH / HEADS).astype(x.dtype), -1)
    x = x + project("o", (weights @ v).swapaxes(0, 1).reshape(TOKENS, WIDTH))
    return jnp.mean(layer_norm(x) ** 2)


def block_torch(params, x):
    def split(name, h):
        h = functional.linear(h, params[name]["w"].T, params[name]["b"])
        return h.unflatten(1, (HEADS, -1)).transpose(0, 1)

    h = functional.layer_norm(x, (WIDTH,))
    h = functional.scaled_dot_product_attention(*(split(name, h) for name in "qkv"))
    h = h.transpose(0, 1).flatten(1)
    x = x + functional.linear(h, params["o"]["w"].T, params["o"]["b"])
    return functional.layer_norm(x, (WIDTH,)).pow(2).mean()


KEY_BIAS = "0/k/b"


@pytest.mark.parametrize("seed", range(2))
def test_a_transformer_block_whose_true_gradients_are_zero(seed):
    """After a layer norm mean(h²) is 1 whatever the parameters are; a key's bias never matters."""
    inputs = make_block(seed)
    case = ParityCase(
        name="block", title="", jax=block, torch=block_torch, inputs=inputs, orders=("vjp",)
    )
    trial = Trial(case, "float32")
    ours, theirs = trial.jax_runs[0]["vjp"], trial.torch_runs[0]["vjp"]
    truth = trial.torch64["vjp"]

    with pytest.raises(AssertionError, match=r"Not equal to tolerance rtol=0\.01"):
        np.testing.assert_allclose(ours[KEY_BIAS], theirs[KEY_BIAS], rtol=1e-2)
    # What float32 gives there is many times what there is: the gradient is 0, but for rounding.
    assert np.abs(ours[KEY_BIAS]).max() > 1e5 * np.abs(truth[KEY_BIAS]).max()

    report = compare(block, block_torch, inputs)
    assert report.ok, str(report)
    verdicts = {f"{leaf.quantity}:{leaf.path}": leaf.verdict for leaf in report.cases[0].leaves}
    assert verdicts[f"vjp:{KEY_BIAS}"] is Verdict.NO_SIGNAL
    assert verdicts["value:"] in (Verdict.AGREES, Verdict.IDENTICAL)


def make_rows(seed):
    return np.random.default_rng(seed).normal(size=(8, 8)) * 5.0


def sum_of_softmax(x):
    return jnp.sum(jax.nn.softmax(x, -1))


def sum_of_softmax_torch(x):
    return torch.softmax(x, -1).sum()


def test_rows_of_a_zero_gradient_that_are_exact_by_luck():
    """PyTorch's rows that add up to 1 have a gradient of 0, the others one of rounding's size."""
    inputs = (make_rows(310989),)
    case = ParityCase(
        name="softmax",
        title="",
        jax=sum_of_softmax,
        torch=sum_of_softmax_torch,
        inputs=inputs,
        orders=("value", "vjp"),
    )
    trial = Trial(case, "float32")
    theirs, ours = (runs[0]["vjp"]["0"] for runs in (trial.torch_runs, trial.jax_runs))
    exact = ~theirs.any(axis=1)
    assert exact.any()
    assert not exact.all()
    assert ours[exact].any(), "or the test would show nothing"

    report = compare(sum_of_softmax, sum_of_softmax_torch, inputs)
    assert [leaf.verdict for leaf in report.cases[0].leaves if leaf.quantity == "vjp"] == [
        Verdict.NO_SIGNAL
    ]

    def wrong_at_float32(x):
        return sum_of_softmax(x) + (1e-3 * jnp.sum(x) if x.dtype == jnp.float32 else 0)

    off = compare(wrong_at_float32, sum_of_softmax_torch, inputs, orders=("vjp",))
    assert off.verdict is Verdict.MISMATCH


def test_a_gradient_that_is_not_zero_is_no_rounding():
    """The same leaf, with a mistake that gives the key's bias a gradient."""

    def block_with_a_used_bias(params, x):
        return block(params, x) + 1e-6 * jnp.sum(params["k"]["b"] * jnp.arange(WIDTH))

    report = compare(block_with_a_used_bias, block_torch, make_block(0), orders=("vjp",))
    (leaf,) = [leaf for leaf in report.cases[0].leaves if leaf.path == KEY_BIAS]
    assert leaf.verdict is Verdict.MISMATCH
