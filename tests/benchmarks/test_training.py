"""The training benchmark: all candidates train alike, the products are found, claims can fail."""

import collections
import types

import jax
import jax.numpy as jnp
import pytest

pytest.importorskip("torch")
pytest.importorskip("rich")
pytest.importorskip("flax", reason="needs flax")

from benchmarks import training
from benchmarks._products import Product, choose_fastest, find_products


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_all_candidates_train_alike(name):
    candidates = training.build_candidates(name, compiled=False)
    assert len(candidates) == 3
    for candidate in candidates.values():
        assert len(candidate.losses) == training.SETTINGS[name].updates


def test_a_candidate_that_trains_otherwise_is_noticed(monkeypatch):
    made = training.TorchRun.__init__

    def begin(self, jax_run, module, **options):
        monkeypatch.setattr(training, "RATE", 2e-2)
        made(self, jax_run, module, **options)

    monkeypatch.setattr(training.TorchRun, "__init__", begin)
    with pytest.raises(AssertionError, match="PyTorch, eager"):
        training.build_candidates("mlp", compiled=False)


def test_products_are_found_and_counted_as_xla_counts_them():
    x, w = jnp.zeros((8, 6)), jnp.zeros((6, 5))

    def loss(w, x):
        return jnp.sum((x @ w) ** 2)

    found = find_products(jax.grad(loss), w, x)
    assert found == {Product(1, 8, 6, 5): 1, Product(1, 5, 8, 6): 1}
    forward = jax.jit(jnp.matmul).lower(x, w).compile()
    assert forward.cost_analysis()["flops"] == Product(1, 8, 6, 5).flops


def test_products_of_pairs_and_of_windows_are_found():
    found = find_products(jnp.matmul, jnp.zeros((7, 2, 3)), jnp.zeros((7, 3, 4)))
    assert found == {Product(7, 2, 3, 4): 1}

    def convolve(x, kernel):
        return jax.lax.conv(x, kernel, (1, 1), "SAME")

    found = find_products(convolve, jnp.zeros((2, 3, 8, 8)), jnp.zeros((5, 3, 3, 3)))
    assert found == {Product(1, 2 * 64, 27, 5): 1}


def test_a_product_alone_is_as_many_products_as_it_says():
    alone = choose_fastest(Product(2, 16, 16, 2048))
    assert alone.times * Product(2, 16, 16, 2048).flops >= 5e8
    assert alone.call().shape[0] == 2


@pytest.mark.parametrize(
    ("updates", "products", "status", "text"),
    [
        ((1.0, 4.0, 3.0), 0.8, 0, "at least 2.0 times as fast as eager PyTorch: holds (4.00)."),
        ((1.0, 1.5, 3.0), 0.8, 1, "times as fast as eager PyTorch: DOES NOT HOLD (1.50)."),
        ((1.0, 4.0, 1.4), 0.8, 1, "times as fast as torch.compile: DOES NOT HOLD (1.40)."),
        ((1.0, 4.0, 3.0), 0.6, 1, "of the speed of its matrix products: DOES NOT HOLD (0.60)."),
    ],
)
def test_the_exit_status_says_whether_the_claims_hold(
    monkeypatch, capsys, updates, products, status, text
):
    ours, eager, compiled = updates
    seconds = {
        training.JAX: ours,
        training.EAGER: eager,
        training.FUSED: eager,
        training.COMPILED: compiled,
    }

    product = collections.Counter({Product(1, 2, 3, 4): 1})
    pretended = types.SimpleNamespace(seconds_to_compile=1.0, products=product)

    def pretend(candidates, products_found):
        count = training.SETTINGS["mlp"].updates
        return {label: count * each for label, each in seconds.items()}, products

    monkeypatch.setattr(
        training, "build_candidates", lambda name: dict.fromkeys(seconds, pretended)
    )
    monkeypatch.setattr(training, "time_all", pretend)

    assert training.main("mlp") == status
    assert text in capsys.readouterr().out
