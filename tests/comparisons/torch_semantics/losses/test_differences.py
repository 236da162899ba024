"""Where a loss is another than PyTorch's on purpose, as its docstring says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from functional_ad.torch_semantics import losses


def differentiate_torch(loss, x):
    x = torch.tensor(x, requires_grad=True)
    value = loss(x)
    value.sum().backward()
    return value.detach().numpy(), x.grad.numpy()


def test_soft_margin_is_finite_where_pytorchs_overflows():
    value, grad = differentiate_torch(
        lambda x: F.soft_margin_loss(x, torch.ones(1)), np.float32([-100])
    )
    assert (value, np.isnan(grad)) == (np.inf, True)
    value, grad = jax.value_and_grad(lambda x: losses.soft_margin_loss(x, jnp.ones(1)))(
        jnp.float32([-100])
    )
    assert (value, grad) == (100, -1)


def test_ctc_has_a_gradient_at_minus_infinity():
    scores = np.float32([[[0, -np.inf]], [[0, -np.inf]]])
    labels = np.zeros((1, 0), int)
    value, grad = differentiate_torch(
        lambda x: F.ctc_loss(x, torch.from_numpy(labels), [2], [0]), scores
    )
    assert value == 0
    assert np.all(np.isnan(grad[..., 1]))
    ours = jax.grad(lambda x: losses.ctc_loss(x, labels, [2], [0]))(scores)
    np.testing.assert_array_equal(ours, 0)


def test_poisson_takes_logarithms_of_whole_counts_in_the_dtype_of_the_input():
    counts = np.array([5])
    wide = F.poisson_nll_loss(torch.zeros(1).double(), torch.from_numpy(counts), full=True)
    exact = F.poisson_nll_loss(torch.zeros(1).double(), torch.tensor([5.0]).double(), full=True)
    with jax.enable_x64(True):
        ours = losses.poisson_nll_loss(jnp.zeros(1), counts, full=True)
    assert abs(wide - exact) > 1e-8
    np.testing.assert_allclose(ours, exact, rtol=1e-14)


def test_bce_with_logits_promotes_two_dtypes():
    logits, target = np.zeros(1), np.ones(1, np.float32)
    theirs = F.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(target))
    assert theirs.dtype == torch.float32
    with jax.enable_x64(True):
        ours = losses.binary_cross_entropy_with_logits(logits, target)
    assert ours.dtype == jnp.float64


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy", "multi_margin_loss"])
def test_labels_of_32_bits_are_taken(name):
    x, labels = np.zeros((1, 2), np.float32), np.zeros(1, np.int32)
    with pytest.raises(RuntimeError, match="Long"):
        getattr(F, name)(torch.from_numpy(x), torch.from_numpy(labels))
    assert np.isfinite(getattr(losses, name)(x, labels))


def test_a_weight_can_be_differentiated():
    """PyTorch has no derivative in the weights of binary_cross_entropy, nor of nll_loss."""
    x, t, w = np.full(2, 0.5, np.float32), np.ones(2, np.float32), np.ones(2, np.float32)
    with pytest.raises(RuntimeError, match="not differentiable with respect to argument 'weight'"):
        F.binary_cross_entropy(*map(torch.tensor, (x, t)), torch.tensor(w, requires_grad=True))
    grad = jax.grad(lambda w: losses.binary_cross_entropy(x, t, w))(w)
    np.testing.assert_allclose(grad, np.log(2) / 2, rtol=1e-6)
