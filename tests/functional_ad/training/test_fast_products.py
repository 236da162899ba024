"""Products of linear layers in their fast forms, held against plain ones, with all derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

pytest.importorskip("flax", reason="needs flax")

from functional_ad.training._models import _products

# Of sums of at most 1,100 products of numbers near 1, at float64: a hundred roundings.
EXACT = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def differentiate(fn, *args):
    """Value, gradients, a derivative forwards, and a second derivative."""

    def loss(*args):
        return jnp.sum(jnp.sin(fn(*args)))

    tangents = tuple(draw(*x.shape, seed=i + 7) for i, x in enumerate(args))
    grad = jax.grad(loss, (0, 1))
    return fn(*args), grad(*args), jax.jvp(fn, args, tangents)[1], jax.jvp(grad, args, tangents)[1]


def assert_equal(got, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **EXACT), got, wanted)


# Rows, inputs and outputs: one for each form of the product and of the kernel's gradient.
SHAPES = [(8, 100, 80), (8, 40, 50), (8, 100, 10), (1100, 20, 30), (1100, 70, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_plain_ones_to_the_second_derivative(shape):
    rows, inputs, outputs = shape
    x, kernel = draw(rows, inputs), draw(inputs, outputs, seed=1)
    run = jax.jit(lambda *args: differentiate(_products.multiply, *args))
    wanted = jax.jit(lambda *args: differentiate(jnp.matmul, *args))(x, kernel)
    assert_equal(run(x, kernel), wanted)


TRANSFORMS = {
    "eager": lambda fn: fn,
    "jit": jax.jit,
    "vmap": lambda fn: lambda x, k: jax.vmap(fn, (0, None))(x, k),
    "vmap of both": lambda fn: lambda x, k: jax.vmap(fn)(x[None], k[None])[0],
    "scan": lambda fn: lambda x, k: lax.scan(lambda c, x: (c, fn(x, k)), 0, x[None])[1][0],
    "remat": jax.checkpoint,
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_products_under_transforms(transform):
    x, kernel = draw(2, 3, 5), draw(5, 4, seed=1)
    got = differentiate(TRANSFORMS[transform](_products.multiply), x, kernel)
    assert_equal(got, differentiate(jnp.matmul, x, kernel))


def test_a_gradient_that_nobody_asks_for_is_not_computed():
    x, kernel = jnp.ones((8, 100)), jnp.ones((100, 80))

    def count(of):
        grad = jax.grad(lambda *args: jnp.sum(_products.multiply(*args) ** 2), of)
        return str(jax.make_jaxpr(grad)(x, kernel)).count("dot_general[")

    assert (count(0), count(1), count((0, 1))) == (2, 2, 3)


def test_what_asks_for_a_precision_gets_it():
    numbers = (((1,), (0,)), ((), ()))
    x, kernel = jnp.ones((2, 3), jnp.float32), jnp.ones((3, 4), jnp.float32)

    def show(*args, **options):
        fn = lambda x, kernel: _products.dot_general(x, kernel, numbers, *args, **options)  # noqa: E731
        return str(jax.make_jaxpr(fn)(x, kernel))

    assert "custom_jvp_call" in show()
    assert "HIGHEST" in show(lax.Precision.HIGHEST)
    assert "custom_jvp_call" not in show(lax.Precision.HIGHEST)
    assert "custom_jvp_call" not in show(preferred_element_type=jnp.float32)
    assert "preferred_element_type=float64" in show(preferred_element_type=jnp.float64)


def test_no_rows_are_none_and_another_axis_is_xlas():
    numbers = (((1,), (0,)), ((), ()))
    x, kernel = jnp.ones((0, 3), jnp.float32), jnp.ones((3, 4), jnp.float32)
    assert _products.dot_general(x, kernel, numbers).shape == (0, 4)
    turned = _products.dot_general(jnp.ones((2, 4), jnp.float32), kernel, (((1,), (1,)), ((), ())))
    assert turned.shape == (2, 3)
