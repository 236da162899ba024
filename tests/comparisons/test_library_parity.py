"""What the docstrings of functional_ad say of PyTorch, checked against PyTorch."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import functional_ad as fad

Z = np.array([1 + 2j, -0.5 + 0.25j, 3 - 1j], np.complex64)
CT = np.array([0.5 - 1j, 2 + 1j, -1 + 0.5j], np.complex64)


def test_the_gradient_of_a_complex_leaf_is_the_conjugate_of_torchs():
    z = torch.tensor(Z, requires_grad=True)
    (z.abs() ** 2 + z.real**3).sum().backward()
    _, grad = fad.value_and_grad(lambda z: jnp.sum(jnp.abs(z) ** 2 + z.real**3))(jnp.asarray(Z))
    np.testing.assert_allclose(np.conj(grad), z.grad, rtol=1e-6)  # a few float32 roundings


def test_the_pullback_of_complex_values_is_torchs_after_two_conjugations():
    z = torch.tensor(Z, requires_grad=True)
    (z**2 * (1 + 2j)).backward(torch.tensor(CT))
    _, z_bar = fad.vjp(lambda z: z**2 * (1 + 2j), jnp.asarray(Z), cotangent=jnp.conj(CT))
    np.testing.assert_allclose(np.conj(z_bar), z.grad, rtol=1e-6)  # a few float32 roundings


def test_a_complex_scalar_needs_a_cotangent_in_both():
    z = torch.tensor(1 + 1j, requires_grad=True)
    with pytest.raises(RuntimeError, match="only for real scalar outputs"):
        (z**2).backward()
    with pytest.raises(fad.OutputError, match="only for one real scalar output"):
        fad.vjp(lambda z: z**2, 1 + 1j)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_element_is_a_scalar_in_both(shape):
    x = torch.tensor([3.0], requires_grad=True)
    (x**2).reshape(shape).backward()
    _, x_bar = fad.vjp(lambda x: (x**2).reshape(shape), jnp.array([3.0]))
    np.testing.assert_array_equal(x.grad, x_bar)


def test_torch_casts_a_cotangent_where_this_library_raises():
    x = torch.ones(3, requires_grad=True)
    (2 * x).backward(torch.ones(3, dtype=torch.float64))
    assert x.grad.dtype == torch.float32
    with pytest.raises(fad.CotangentError, match=r"got:      float64\[3\]"):
        fad.vjp(lambda x: 2 * x, jnp.ones(3), cotangent=np.ones(3))


def test_the_mode_takes_effect_at_once_in_both():
    modes = []
    for module in (torch, fad):
        off = module.set_grad_enabled(False)
        modes.append(module.is_grad_enabled())
        with off:
            modes.append(module.is_grad_enabled())
        modes.append(module.is_grad_enabled())
    assert modes == [False, False, True] * 2


def test_microbatches_equal_torchs_repeated_backward():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(12, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    t = torch.tensor(w, requires_grad=True)
    for i in range(4):
        ((torch.tensor(x[i::4]) @ t) ** 2).mean().div(4).backward()
    _, grad = fad.accumulate_grads(lambda w, x: jnp.mean((x @ w) ** 2), 4)(w, x)
    np.testing.assert_allclose(grad, t.grad, rtol=1e-6)  # twelve terms, a few roundings
