"""A loss is the same under jit, vmap, grad and scan, of NumPy's arrays, in JAX's strict modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import functional_ad as fad
from functional_ad.torch_semantics import losses

RNG = np.random.default_rng(0)
X, Y, Z = (RNG.normal(size=(2, 2, 3)).astype(np.float32) for _ in range(3))
P = RNG.uniform(0.1, 0.9, (2, 3)).astype(np.float32)
EACH = np.where(Y[0] > 0, 1, -1)
LABELS = np.array([2, 0])
SIGNS = np.array([1, -1])

# Compiling is what these tests take their time for, and each program is run once.
FAST = {"xla_backend_optimization_level": 0}

# What is given beside the first argument.
CALLS = {
    "binary_cross_entropy": ((P,), {"weight": P[0]}),
    "binary_cross_entropy_with_logits": ((P,), {"weight": P, "pos_weight": P[0]}),
    "cosine_embedding_loss": ((Y[0], SIGNS), {}),
    "cross_entropy": ((LABELS,), {"weight": P[0], "label_smoothing": 0.1}),
    "ctc_loss": ((np.array([[1], [2]]), np.array([2, 1]), np.array([1, 1])), {}),
    "gaussian_nll_loss": ((Y[0], P[:, 0]), {"full": True}),
    "hinge_embedding_loss": ((EACH,), {}),
    "huber_loss": ((Y[0],), {"weight": P}),
    "kl_div": ((P,), {"reduction": "batchmean"}),
    "l1_loss": ((Y[0],), {"weight": P}),
    "linear_cross_entropy": ((Y[0], np.array([1, 0])), {"linear_bias": P[0, :2]}),
    "margin_ranking_loss": ((Y[0], EACH), {"margin": 0.5}),
    "mse_loss": ((Y[0],), {"weight": P}),
    "multi_margin_loss": ((LABELS,), {"p": 2, "weight": P[0]}),
    "multilabel_margin_loss": ((np.array([[0, -1, 1], [2, 1, -1]]),), {}),
    "multilabel_soft_margin_loss": ((P,), {"weight": P[0]}),
    "nll_loss": ((LABELS,), {"weight": P[0]}),
    "poisson_nll_loss": ((EACH,), {"full": True}),
    "smooth_l1_loss": ((Y[0],), {}),
    "soft_margin_loss": ((EACH,), {}),
    "triplet_margin_loss": ((Y[0], Z[0]), {"swap": True}),
    "triplet_margin_with_distance_loss": ((Y[0], Z[0]), {"swap": True}),
}


def bind(name):
    rest, kwargs = CALLS[name]
    xs = np.stack([P, 1 - P]) if name == "binary_cross_entropy" else X
    if name == "ctc_loss":  # whose gradient is its slope through log_softmax only
        return lambda x: losses.ctc_loss(jax.nn.log_softmax(x), *rest), np.stack([X, Y])
    return lambda x: getattr(losses, name)(x, *rest, **kwargs), xs


def test_each_loss_has_a_call():
    assert set(CALLS) == set(losses.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_transforms_compose_and_promote_nothing(name):
    """Under jit, scan, vmap and grad, the gradient is the slope along a direction."""
    loss, xs = bind(name)
    x, direction = xs[0], 1e-2 * np.random.default_rng(1).normal(size=xs[0].shape)
    points = np.stack([x, x + direction, x - direction]).astype(np.float32)

    def step(carry, x):
        return carry, jax.vmap(jax.value_and_grad(loss))(x[None])

    def run(points):
        return lax.scan(step, None, points)[1]

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        values, grads = jax.jit(run, compiler_options=FAST)(points)
    assert (values.shape, values.dtype, values.weak_type) == ((3, 1), jnp.float32, False)
    assert (grads.shape, grads.dtype) == ((3, 1, *x.shape), jnp.float32)
    slope = (values[1, 0] - values[2, 0]) / 2
    assert np.any(grads)
    np.testing.assert_allclose(np.sum(grads[0] * direction), slope, rtol=5e-2, atol=1e-4)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "huber_loss"])
def test_a_loss_is_the_same_of_numpys_arrays_and_compiled(name):
    loss, xs = bind(name)
    alone = loss(xs[0])
    assert isinstance(alone, jax.Array)
    np.testing.assert_allclose(jax.jit(loss)(jnp.asarray(xs[0])), alone, rtol=1e-6)


def test_a_python_number_does_not_widen_a_loss():
    half = jnp.zeros(3, jnp.bfloat16)
    assert losses.mse_loss(half, half, reduction="sum").dtype == jnp.bfloat16
    assert losses.gaussian_nll_loss(half, half, 0.5).dtype == jnp.bfloat16
    assert losses.mse_loss(0.5, half[0]).dtype == jnp.bfloat16


def test_dtypes_promote():
    half, single = jnp.zeros((1, 3), jnp.bfloat16), jnp.full((1, 3), 1 / 3, jnp.float32)
    assert losses.mse_loss(half, single).dtype == jnp.float32
    assert losses.cross_entropy(half, single).dtype == jnp.float32
    assert losses.huber_loss(half, single).dtype == jnp.bfloat16


def test_half_precision_does_not_overflow_on_the_way():
    """300 squares of 300 in float16, whose greatest number is 65504; and a sum of 20,000 losses."""
    x = jnp.full(300, 300.0, jnp.float16)
    weight = jnp.full(300, 1e-3, jnp.float16)
    loss = losses.mse_loss(x, 0 * x, reduction="sum", weight=weight)
    np.testing.assert_allclose(loss, 27_000, rtol=2e-3)
    logits = jnp.zeros((20_000, 100), jnp.float16)
    loss = losses.cross_entropy(logits, jnp.zeros(20_000, int))
    np.testing.assert_allclose(loss, np.log(100), rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint32])
def test_labels_have_any_integer_dtype(dtype):
    """Also one too narrow for the number of classes, and one without negative numbers."""
    logits = np.random.default_rng(1).normal(size=(2, 300)).astype(np.float32)
    labels = np.array([0, 100], dtype)
    expected = losses.cross_entropy(logits, jnp.array([0, 100]))
    assert losses.cross_entropy(logits, labels) == expected
    assert losses.cross_entropy(logits, jnp.asarray(labels)) == expected


def test_a_traced_hyperparameter_can_be_mapped():
    def loss(delta):
        return losses.huber_loss(X[0], Y[0], delta=delta)

    deltas = jnp.array([0.5, 1.0, 2.0])
    mapped = jax.vmap(loss)(deltas)
    np.testing.assert_allclose(mapped, [loss(float(d)) for d in deltas], rtol=1e-6)
    smoothed = jax.jit(lambda s: losses.cross_entropy(X[0], LABELS, label_smoothing=s))
    np.testing.assert_allclose(
        smoothed(0.1), losses.cross_entropy(X[0], LABELS, label_smoothing=0.1), rtol=1e-6
    )


def test_a_loss_passes_the_librarys_own_transforms():
    grads = fad.value_and_grad(lambda p: losses.cross_entropy(p["w"], LABELS))({"w": X[0]})[1]
    product = fad.hvp(lambda x: losses.binary_cross_entropy(x, P), (P,), (np.ones_like(P),))
    assert np.all(np.isfinite(grads["w"]))
    assert np.all(np.isfinite(product))
