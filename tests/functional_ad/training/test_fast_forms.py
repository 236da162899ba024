"""Convolutions, pooling and products in their fast forms, against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

pytest.importorskip("flax", reason="needs flax")

from functional_ad.training._models import _images, _products

# Of sums of at most 500 products of numbers near 1, at float64, and of 1,100: a hundred roundings.
EXACT, EXACT_OF_LONG_SUMS = 1e-12, 1e-11
LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def convolve_plainly(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def pool_plainly(x):
    """As ``nn.MaxPool2d(2)``, by a window."""
    window = (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def differentiate(fn, *args):
    """Value, gradients, a derivative forwards, and a second derivative."""

    def loss(*args):
        return jnp.sum(jnp.sin(fn(*args)))

    every = tuple(range(len(args)))
    tangents = tuple(draw(*x.shape, seed=i + 7) for i, x in enumerate(args))
    grad = jax.grad(loss, every)
    return fn(*args), grad(*args), jax.jvp(fn, args, tangents)[1], jax.jvp(grad, args, tangents)[1]


def assert_equal(got, wanted, exact=EXACT):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=exact, atol=exact), got, wanted)


# Of inputs: few, whose neighbours are all beside each other; many; kernels of even sizes, and of 1.
KERNELS = [(3, 3, 1, 4), (3, 3, 8, 5), (2, 4, 9, 3), (1, 1, 70, 2), (5, 3, 6, 70)]


@pytest.mark.parametrize("shape", KERNELS, ids=str)
def test_a_convolution_is_xlas_to_the_second_derivative(shape):
    x, kernel = draw(2, 6, 7, shape[2]), draw(*shape, seed=1)
    run = jax.jit(lambda *args: differentiate(_images.convolve, *args))
    wanted = jax.jit(lambda *args: differentiate(convolve_plainly, *args))(x, kernel)
    assert_equal(run(x, kernel), wanted)


TRANSFORMS = {
    "eager": lambda fn: fn,
    "jit": jax.jit,
    "vmap": lambda fn: lambda x, k: jax.vmap(fn, (0, None))(x[None], k)[0],
    "scan": lambda fn: lambda x, k: lax.scan(lambda c, x: (c, fn(x, k)), 0, x[None])[1][0],
    "remat": jax.checkpoint,
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_convolution_under_transforms(transform):
    x, kernel = draw(1, 4, 4, 8), draw(3, 3, 8, 2, seed=1)
    got = differentiate(TRANSFORMS[transform](_images.convolve), x, kernel)
    assert_equal(got, differentiate(convolve_plainly, x, kernel))


def test_only_what_is_fast_takes_the_place_of_xlas_convolution():
    x, kernel = jnp.ones((1, 4, 4, 2), jnp.float32), jnp.ones((3, 3, 2, 2), jnp.float32)

    def count(x, kernel, strides=(1, 1), padding="SAME", **options):
        text = str(
            jax.make_jaxpr(
                lambda x, kernel: _images.conv_general_dilated(
                    x, kernel, strides, padding, dimension_numbers=LAYOUT, **options
                )
            )(x, kernel)
        )
        return text.count("= conv_general_dilated["), text.count("dot_general[")

    assert count(x, kernel) == (0, 1)
    half = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    assert count(*half) == (1, 0)
    assert count(x, kernel, (2, 2)) == (1, 0)
    assert count(x, kernel, padding="VALID") == (1, 0)
    assert count(x, kernel, rhs_dilation=(2, 2)) == (1, 0)
    assert count(x, kernel, precision="highest") == (1, 0)
    assert count(x, kernel[:, :, :1], feature_group_count=2) == (1, 0)


def test_on_another_device_the_convolution_is_xlas(monkeypatch):
    monkeypatch.setattr(_products.jax, "default_backend", lambda: "gpu")
    x, kernel = jnp.ones((1, 4, 4, 2), jnp.float32), jnp.ones((3, 3, 2, 2), jnp.float32)
    options = {"dimension_numbers": LAYOUT}
    text = jax.make_jaxpr(
        lambda *args: _images.conv_general_dilated(*args, (1, 1), "SAME", **options)
    )(x, kernel)
    assert "conv_general_dilated" in str(text)


def test_pooling_is_that_of_a_window_to_the_second_derivative():
    x = draw(2, 4, 6, 3)
    assert_equal(differentiate(_images.pool, x), differentiate(pool_plainly, x))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_of_equal_values_the_first_gets_the_gradient_as_in_pytorch(transform):
    torch = pytest.importorskip("torch", reason="needs torch")
    x = np.random.default_rng(0).integers(0, 2, (2, 4, 6, 3)).astype(float)  # ties everywhere
    theirs = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    pooled = torch.nn.MaxPool2d(2)(theirs)
    weights = draw(*pooled.shape)
    (pooled * torch.tensor(weights)).sum().backward()

    def loss(x):
        pool = TRANSFORMS[transform](lambda x, _: _images.pool(x))
        return jnp.sum(pool(x, 0.0) * weights.transpose(0, 2, 3, 1))

    np.testing.assert_array_equal(jax.grad(loss)(x), theirs.grad.numpy().transpose(0, 2, 3, 1))


def test_pooling_passes_nan_on_as_pytorch():
    torch = pytest.importorskip("torch", reason="needs torch")
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    x[0, 0, 1, 0] = x[0, 3, 2, 0] = x[0, 3, 3, 0] = np.nan
    theirs = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    pooled = torch.nn.MaxPool2d(2)(theirs)
    pooled.sum().backward()
    got, pull = jax.vjp(_images.pool, x)
    np.testing.assert_array_equal(got[..., 0], pooled.detach().numpy()[:, 0])
    np.testing.assert_array_equal(pull(jnp.ones_like(got))[0][..., 0], theirs.grad.numpy()[:, 0])


def test_what_an_odd_size_has_beyond_the_last_pair_is_left_out():
    x = draw(1, 5, 7, 2)
    assert_equal(differentiate(_images.pool, x), differentiate(pool_plainly, x))


def test_no_examples_are_none_and_another_layout_is_xlas():
    kernel = jnp.ones((3, 3, 2, 5), jnp.float32)
    empty = _images.conv_general_dilated(
        jnp.ones((0, 4, 4, 2), jnp.float32), kernel, (1, 1), "SAME", dimension_numbers=LAYOUT
    )
    assert empty.shape == (0, 4, 4, 5)
    first = _images.conv_general_dilated(
        jnp.ones((1, 2, 4, 4), jnp.float32),
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NCHW", "HWIO", "NCHW"),
    )
    assert first.shape == (1, 5, 4, 4)


# Rows, inputs and outputs: one for each form of the product and of the kernel's gradient.
SHAPES = [(8, 100, 80), (8, 40, 50), (8, 100, 10), (1100, 20, 30), (1100, 70, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_plain_ones_to_the_second_derivative(shape):
    rows, inputs, outputs = shape
    x, kernel = draw(rows, inputs), draw(inputs, outputs, seed=1)
    run = jax.jit(lambda *args: differentiate(_products.multiply, *args))
    wanted = jax.jit(lambda *args: differentiate(jnp.matmul, *args))(x, kernel)
    assert_equal(run(x, kernel), wanted, EXACT_OF_LONG_SUMS)


PRODUCT_TRANSFORMS = TRANSFORMS | {
    "vmap": lambda fn: lambda x, k: jax.vmap(fn, (0, None))(x, k),
    "vmap of both": lambda fn: lambda x, k: jax.vmap(fn)(x[None], k[None])[0],
}


@pytest.mark.parametrize("transform", PRODUCT_TRANSFORMS)
def test_products_under_transforms(transform):
    x, kernel = draw(2, 3, 5), draw(5, 4, seed=1)
    got = differentiate(PRODUCT_TRANSFORMS[transform](_products.multiply), x, kernel)
    assert_equal(got, differentiate(jnp.matmul, x, kernel), EXACT_OF_LONG_SUMS)


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
