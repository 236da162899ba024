"""The training runs that ship: what they cover, and that both sides are the same model."""

import inspect

import jax
import numpy as np
import pytest
import torch

from comparisons._discovery import find_cases
from comparisons._suite import run_training
from comparisons.cases import training
from comparisons.cases.training import _runs
from comparisons.cases.training._layout import to_flax
from functional_ad.torch_semantics import optim


def nest(module):
    tree = {}
    for name, parameter in module.named_parameters():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = parameter.detach().numpy()
    return tree


def test_each_model_and_each_optimizer_is_trained():
    text = inspect.getsource(training.optimizers)
    makers = {name for name in optim.__all__ if inspect.isfunction(getattr(optim, name))}
    assert {name for name in makers - {"param_groups"} if f"optim.{name}(" not in text} == set()
    assert {"linear", "mlp", "cnn", "transformer"} <= {
        case.name.partition("/")[2] for case in training.CASES
    }
    assert find_cases(["training"]) == list(training.CASES)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "transformer"])
def test_both_sides_are_one_function_and_start_from_the_same_parameters(model):
    """A layout that is off by a transposition would be another model from the first step on."""
    module = _runs.make_module(model)
    batch = _runs.make_batches(model, 1)[0]
    params = to_flax(model, nest(module))
    made = _runs.build(model)
    fresh = jax.eval_shape(made.init, jax.random.key(0))
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, fresh)
    with torch.no_grad():
        theirs = module(torch.from_numpy(batch["x"])).numpy()
    ours = made.apply(params, batch["x"], None)
    # float32 sums of some hundred terms in another order.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_run_is_told_apart_from_one_with_another_rate(monkeypatch):
    """A few steps, as they are and with a learning rate that is off by a thousandth."""
    monkeypatch.setattr(_runs, "make_batches", lambda model: _runs_batches(model))
    right = _runs.make_run(
        *("right", "mlp", "sgd"),
        lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9),
        lambda: optim.sgd(0.05, momentum=0.9),
        "",
    )
    wrong = _runs.make_run(
        *("wrong", "mlp", "sgd"),
        lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9),
        lambda: optim.sgd(0.05005, momentum=0.9),
        "",
    )
    assert {result.verdict.outcome for result in run_training(right)} == {"pass"}
    assert {result.verdict.outcome for result in run_training(wrong)} == {"fail"}


def _runs_batches(model, make=_runs.make_batches):
    return make(model, 4)
