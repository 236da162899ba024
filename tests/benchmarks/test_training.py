"""The training benchmark: all candidates train alike, and the products are counted rightly."""

import jax
import pytest

from benchmarks import training


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_all_candidates_train_alike(name):
    candidates = training.build_candidates(name, compiled=False)
    assert len(candidates) == 3
    for candidate in candidates.values():
        assert len(candidate.losses) == training.SETTINGS[name].updates


def test_a_candidate_that_trains_otherwise_is_noticed(monkeypatch):
    monkeypatch.setattr(training, "RATE", training.RATE)
    made = training.TorchRun.__init__

    def begin(self, jax_run, module, **options):
        monkeypatch.setattr(training, "RATE", 2e-2)
        made(self, jax_run, module, **options)

    monkeypatch.setattr(training.TorchRun, "__init__", begin)
    with pytest.raises(AssertionError, match="PyTorch, eager"):
        training.build_candidates("mlp", compiled=False)


def test_products_are_counted_as_xla_counts_them():
    widths = (6, 5, 4)
    flops = training.count_product_flops(8, widths)
    assert flops == 2 * 8 * (6 * 5 * 2 + 5 * 4 * 3)
    forward = jax.jit(lambda x, w: x @ w).lower(
        jax.ShapeDtypeStruct((8, 6), "float32"), jax.ShapeDtypeStruct((6, 5), "float32")
    )
    assert forward.compile().cost_analysis()["flops"] == 2 * 8 * 6 * 5
