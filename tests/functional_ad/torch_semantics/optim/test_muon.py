"""Muon in bfloat16, as PyTorch's is: bit by bit where the order of sums leaves it, near elsewhere.

All but bfloat16 is compared over 1,000 steps in test_torch_parity.py.
"""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim import _muon

STEPS = 100
OPTIONS = {"lr": 1.0, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs torch")


def measure(torch, shape):
    """By step the largest difference of the updates, each from where PyTorch begins it."""
    rng = np.random.default_rng(0)
    theirs = torch.tensor(rng.standard_normal(shape))
    reference = torch.optim.Muon([theirs], **OPTIONS)
    apart = []
    with jax.enable_x64(True):
        optimizer = optim.muon(**OPTIONS)
        step, state = jax.jit(optimizer.update), optimizer.init(jnp.zeros(shape))
        for count in range(STEPS):
            before = theirs.clone()
            theirs.grad = torch.tensor(rng.standard_normal(shape) + np.sin(count / 10))
            reference.step()
            updates, state = step(jnp.asarray(theirs.grad.numpy()), state)
            apart.append(np.abs((theirs - before).numpy() - updates).max())
    return np.array(apart)


@pytest.mark.parametrize("shape", [(8, 8), (12, 5), (16, 32)], ids=str)
def test_roundings_are_pytorchs(shape, torch):
    """All but a few steps are equal to the rounding of the parameters; those few, to bfloat16's."""
    apart = measure(torch, shape)
    assert (apart < 1e-14).mean() >= 0.95
    assert apart.max() < 0.1


@pytest.mark.parametrize(
    ("name", "value"), [("_DTYPE", jnp.float32), ("_round", lambda x: x.astype(jnp.float16))]
)
def test_other_roundings_are_noticed(name, value, torch):
    with mock.patch.object(_muon, name, value):
        assert (measure(torch, (8, 8)) < 1e-14).mean() < 0.1


def test_no_gradient_moves_nothing():
    """It is divided by `eps`, and not by its norm."""
    optimizer = optim.muon(weight_decay=0.0)
    updates, _ = optimizer.update(jnp.zeros((2, 3)), optimizer.init(jnp.ones((2, 3))))
    np.testing.assert_array_equal(updates, 0.0)


def test_singular_values_come_close_to_1():
    rng = np.random.default_rng(0)
    grad = jnp.asarray(rng.standard_normal((6, 4)), jnp.float32)
    optimizer = optim.muon(lr=1.0, weight_decay=0.0, momentum=0.0)
    updates, _ = optimizer.update(grad, optimizer.init(grad))
    ratio = np.sqrt(6 / 4)  # by which the rate is adjusted
    values = np.linalg.svd(np.asarray(updates) / ratio, compute_uv=False)
    assert ((values > 0.6) & (values < 1.3)).all()
    assert np.vdot(updates, grad) < 0


def test_what_is_no_matrix():
    optimizer = optim.muon()
    with pytest.raises(fad.ArgumentError) as caught:
        optimizer.init({"w": jnp.ones((2, 2)), "b": jnp.ones(2), "k": jnp.ones((2, 2, 2))})
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.optim.muon` trains matrices only.\n"
        "  expected: leaves of 2 dimensions\n"
        "  got:      'b': float32[2]\n"
        "            'k': float32[2,2,2]\n"
        "Train the others with e.g. `adamw`, in a group of their own."
    )


@pytest.mark.parametrize("name", ["muon", "adafactor"])
def test_complex_leaves_are_refused_as_by_pytorch(name):
    with pytest.raises(
        fad.LeafTypeError, match=rf"(?s)optim\.{name}` trains real.*complex64\[2,2\]"
    ):
        getattr(optim, name)().init({"z": jnp.ones((2, 2), jnp.complex64)})


def test_beside_another_optimizer_in_groups():
    """The way PyTorch's documentation has it: matrices by Muon, the rest by AdamW."""
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    optimizer = optax.partition(
        {"matrices": optim.muon(lr=0.1), "rest": optim.adamw(lr=0.1)},
        {"w": "matrices", "b": "rest"},
    )
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    alone, _ = optim.muon(lr=0.1).update(params["w"], optim.muon().init(params["w"]), params["w"])
    np.testing.assert_array_equal(updates["w"], alone)
    assert np.all(updates["b"] < 0)
