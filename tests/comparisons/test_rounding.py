"""Measured rounding noise against what two float64 programs for one function really differ by."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from comparisons._rounding import measure_rounding

EPS = np.finfo(np.float64).eps
# Noise is the greatest of four random draws, so a real difference may pass it now and then.
ABOVE = 4.0
# How much noise a program of a few operations may show, in last places of its greatest result:
# sums count log2(n)/2 roundings, and everything after them inherits that.
BELOW = 64.0


def draw(*shape, seed=0, scale=1.0):
    return np.float32(scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float64)


def normalize(h):
    return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)


def softmax_vjp(x, g):
    return jax.vjp(jax.nn.softmax, x)[1](g)[0]


def torch_softmax_vjp(x, g):
    return torch.autograd.grad(F.softmax(x.requires_grad_(), -1), x, g)[0]


def torch_norm_grad(h):
    loss = F.layer_norm(h.requires_grad_(), h.shape[-1:]).pow(2).mean()
    return torch.autograd.grad(loss, h)[0]


def rnn(x, w):
    return jax.lax.scan(lambda h, t: (jnp.tanh(h @ w + t),) * 2, jnp.zeros(8), x)[1]


def torch_rnn(x, w):
    h, states = torch.zeros(8), []
    for row in x:
        h = torch.tanh(h @ w + row)
        states.append(h)
    return torch.stack(states)


PAIRS = {
    "1 - tanh² saturated": (
        lambda x: 1 - jnp.tanh(x) ** 2,
        lambda x: 1 / torch.cosh(x) ** 2,
        (np.array([30.0, 20.0, 10.0, 3.0]),),
    ),
    "softmax x60": (softmax_vjp, torch_softmax_vjp, (draw(5, 7, scale=60), draw(5, 7, seed=1))),
    "zero gradient": (
        jax.grad(lambda h: jnp.mean(normalize(h) ** 2)),
        torch_norm_grad,
        (draw(4, 16),),
    ),
    "matmul": (jnp.matmul, torch.matmul, (draw(64, 512), draw(512, 32, seed=1))),
    "sum": (jnp.sum, lambda x: sum(x.reshape(100, -1).sum(1).flip(0)), (draw(100_000),)),
    "positive sum": (jnp.sum, lambda x: x.cumsum(0)[-1], (abs(draw(100_000)),)),
    "mean far from 0": (jnp.var, lambda x: x.var(unbiased=False), (draw(1000) + 1000,)),
    "cumsum": (jnp.cumsum, lambda x: x.flip(0).sum() - x.sum() + x.cumsum(0), (draw(5000),)),
    "scan": (rnn, torch_rnn, (draw(50, 8), draw(8, 8, seed=1, scale=0.3))),
    "solve": (jnp.linalg.solve, torch.linalg.solve, (draw(20, 20), draw(20, 3, seed=1))),
    "singular values": (
        lambda x: jnp.linalg.svd(x, compute_uv=False),
        torch.linalg.svdvals,
        (draw(20, 20),),
    ),
    "cholesky": (
        lambda x: jnp.linalg.cholesky(x @ x.T),
        lambda x: torch.linalg.cholesky(x @ x.T),
        (draw(20, 20),),
    ),
    "fft": (
        lambda x: jnp.real(jnp.fft.fft(x)),
        lambda x: torch.fft.fft(x).real,
        (draw(1000),),
    ),
    "convolution": (
        lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME"),
        lambda x, w: F.conv2d(x, w, padding="same"),
        (draw(2, 8, 16, 16), draw(4, 8, 3, 3, seed=1)),
    ),
    "erf_inv": (jax.lax.erf_inv, torch.erfinv, (np.tanh(draw(1000)),)),
    "digamma": (jax.lax.digamma, torch.digamma, (abs(draw(1000, scale=3)),)),
    "lgamma": (jax.lax.lgamma, torch.lgamma, (abs(draw(1000, scale=3)),)),
    "log-sigmoid": (jax.nn.log_sigmoid, F.logsigmoid, (draw(1000, scale=30),)),
}
# Cancellation makes these as uncertain as they look.
ILL = {"1 - tanh² saturated", "softmax x60", "zero gradient", "solve", "cholesky"}


@pytest.mark.parametrize("name", PAIRS)
def test_noise_covers_what_two_programs_differ_by(name):
    ours, theirs, args = PAIRS[name]
    [noise] = measure_rounding(ours, args)
    with jax.enable_x64(True):
        here = np.asarray(ours(*map(jnp.asarray, args)))
    torch.set_default_dtype(torch.float64)
    try:
        there = theirs(*map(torch.tensor, args)).detach().numpy()
    finally:
        torch.set_default_dtype(torch.float32)
    gap = np.abs(here - there)
    assert noise.shape == here.shape
    # The last bit of the result itself is the caller's to allow for.
    assert np.all(gap <= ABOVE * (noise + EPS * np.abs(here)))
    if name not in ILL:
        assert noise.max() <= BELOW * EPS * np.abs(here).max()


@pytest.mark.parametrize("name", ["1 - tanh² saturated", "softmax x60", "zero gradient"])
def test_inputs_off_by_a_last_bit_show_less(name):
    """Why it is measured inside: the inputs' last bits explain none of the difference."""
    ours, _, args = PAIRS[name]
    [noise] = measure_rounding(ours, args)
    with jax.enable_x64(True):
        plain = ours(*args)
        near = ours(*(np.nextafter(a, np.inf) for a in args))
    moved = np.abs(np.asarray(near - plain))
    assert np.sum(noise > 100 * moved) >= 1


def test_a_saturated_result_is_known_to_an_absolute_last_bit_only():
    [noise] = measure_rounding(lambda x: 1 - jnp.tanh(x) ** 2, (np.array(30.0),))
    assert EPS / 2 <= noise <= 8 * EPS


COUNTS = np.arange(-3.0, 4.0)


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (lambda x: x.T[::-1].reshape(-1)[:3], (draw(3, 3),)),
        (lambda x: jnp.where(x > 0, -x, jnp.abs(x)), (draw(9),)),
        (lambda x: jnp.max(x) - 0 * jnp.sort(x), (COUNTS,)),
        (lambda x: 4 * x / 2 * 0.25, (draw(9),)),
        (lambda x: jnp.floor((x + 0.5) * 0.25 - 0.125), (COUNTS,)),
        (lambda x: jnp.sum(x) / 4 + jnp.sum(x * x), (COUNTS,)),
        (lambda x, y: jnp.sign(x @ y), (np.ones((2, 4)), np.array([1.0, -1, 2, -2]))),
        (lambda x: jnp.sqrt(x) / 2, (np.array([4.0, 9.0, 0.25]),)),
        (lambda x: jnp.cumsum(x), (COUNTS,)),
        (lambda x: jax.nn.one_hot(jnp.argmax(x), 9) @ jnp.arange(9.0), (draw(9),)),
        (lambda x: (jnp.arange(9.0) + 0.5) * 2 - 0.5 + 0 * x.astype(int), (draw(9),)),
        (lambda x: x.astype(jnp.int32) + 1, (COUNTS,)),
    ],
    ids="copy select max scale grid sums dot sqrt cumsum onehot constants integers".split(),  # noqa: SIM905
)
def test_what_does_not_round_is_not_perturbed(fn, args):
    [noise] = measure_rounding(fn, args)
    assert np.all(noise == 0)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x / 3,
        lambda x: x * 0.1,
        lambda x: x + 1e-3,
        lambda x: jnp.sqrt(x + 9),
        lambda x: jnp.sum(jnp.exp(x)),
        lambda x: jnp.sum(x / 4 + jnp.array([1e17, 0, 0, 0, 0, 0, -1e17])),
        lambda x: jax.lax.fori_loop(0, 3, lambda _, y: y * 1.1, x),
        lambda x: jax.lax.cond(x[0] > 9, jnp.sin, jnp.cos, x),
        lambda x: x.astype(complex) * (0.1 + 0.3j),
    ],
    ids="div mul add sqrt sum cancel loop cond complex".split(),  # noqa: SIM905
)
def test_what_rounds_is_perturbed_although_its_inputs_are_few_bits(fn):
    [noise] = measure_rounding(fn, (COUNTS,))
    assert noise.max() > 0


def test_the_steps_of_a_loop_are_rounded_independently():
    """A thousand roundings one way would come to 1000 units; at random, to the root of that."""

    def grow(x):
        return jax.lax.fori_loop(0, 1000, lambda _, y: y * 1.001, x)

    [noise] = measure_rounding(grow, (draw(500) + 5,))
    with jax.enable_x64(True):
        units = noise / np.asarray(grow(draw(500) + 5)) / EPS
    assert 20 < np.median(units) < 120  # sqrt(1000) is 32, and this is the greatest of four


@pytest.mark.parametrize("size", [EPS, 2.0**-23])
def test_a_cast_to_float32_inside_is_as_noisy_as_float32(size):
    [noise] = measure_rounding(lambda x: jnp.exp(x.astype(jnp.float32)) + x, (draw(9),), size=size)
    assert 1e-9 < np.median(noise) < 1e-6


def test_noise_is_proportional_to_the_size_of_roundings_but_for_jumps():
    """At a larger size a jump counts for less, as it should: it is no noise."""

    def smooth(x):
        return jnp.exp(jnp.sin(x) @ x)

    def jump(x):
        return jnp.sign(jnp.sum(jnp.sin(x)) - jnp.sum(jnp.sin(x[::-1])))

    for fn, low, high in ((smooth, 0.2, 5.0), (jump, 0.0, 1e-6)):
        small, large = (measure_rounding(fn, (draw(9),), 16, size)[0] for size in (EPS, 2.0**-23))
        assert low * small <= large <= high * small
        assert small > 0


def test_all_leaves_in_order_with_the_gradient_of_a_tree():
    def loss(params, x, axis):
        return jnp.sum(jnp.tanh(x @ params["w"] + params["b"]), axis=axis).sum()

    params = {"b": draw(3), "w": draw(4, 3)}
    noise = measure_rounding(jax.value_and_grad(loss), (params, draw(5, 4), 0))
    assert [leaf.shape for leaf in noise] == [(), (3,), (4, 3)]
    assert all(0 < leaf.max() < 100 * EPS for leaf in noise)


def test_an_uncertain_decision_is_counted_and_a_lost_result_is_infinite():
    def decide(x):
        near = jnp.sum(jnp.sin(x) ** 2 + jnp.cos(x) ** 2, keepdims=True) / 7 - 1
        return near > 0, jnp.sqrt(near)

    decided, root = measure_rounding(decide, (np.arange(7.0),), samples=16)
    assert decided == 1
    assert root > 0


def test_runs_are_repeatable():
    first, second = (measure_rounding(jnp.sin, (draw(9),))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_function_that_cannot_be_traced_is_not_measured():
    assert measure_rounding(lambda x: x if x > 0 else -x, (np.array(1.0),)) is None


def test_x64_is_left_as_it_was():
    measure_rounding(jnp.sin, (draw(9),))
    assert jnp.asarray(math.pi).dtype == jnp.float32
