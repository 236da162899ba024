"""Each optimizer against PyTorch's: parameters and state of 1,000 steps, and that it can fail.

A new optimizer joins with its row in `benchmarks/_optimizer_rows.py`.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs torch")

import torch

from benchmarks import _optimizer_runs as runs
from benchmarks._optimizer_rows import ROWS
from functional_ad.torch_semantics import optim

BOUND = 1e-10

# At float32 both round in each operation, in another order, and the corrections of Adam's bias,
# 1 - beta2^t, are computed in float32 here and in float64 by PyTorch: 1e-5 off in the first steps.
BOUND_FLOAT32 = 2e-5

MIDDLE = itertools.repeat(0.5)
DEFECTS = [(name, defect) for name, row in ROWS.items() for defect in row.defects]


def run_both(name, variant, numbers, *, make=None, steps=runs.STEPS, dtype="float64"):
    """PyTorch's run, and ours on its gradients."""
    row = ROWS[name]
    theirs = runs.run_torch(row, {**numbers, **row.variants[variant]}, steps=steps, dtype=dtype)
    return theirs, runs.run_here(name, row, variant, numbers, theirs.grads, make=make)


@pytest.mark.parametrize("name", ROWS)
def test_a_thousand_steps_are_pytorchs(name):
    """And so is the second half of them, begun with the state that PyTorch has in the middle."""
    row = ROWS[name]

    @settings(max_examples=10)
    @given(st.sampled_from(list(row.variants)), st.lists(st.floats(0, 1), min_size=9, max_size=9))
    def check(variant, shares):
        numbers = row.draw(iter(shares))
        with runs.double_precision():
            theirs, ours = run_both(name, variant, numbers)
            resumed = runs.resume_here(name, row, variant, numbers, theirs)
        whole = runs.compare(theirs, ours)
        assert max(whole) <= BOUND, whole
        half = runs.compare(runs.take_second_half(theirs), resumed)
        assert max(half) <= BOUND, half

    check()


@pytest.mark.parametrize(("name", "defect"), DEFECTS, ids=lambda x: x)
def test_a_defect_is_noticed(name, defect):
    variant, make = ROWS[name].defects[defect]
    with runs.double_precision():
        difference = runs.compare(*run_both(name, variant, ROWS[name].draw(MIDDLE), make=make))
    assert max(difference) > 1e3 * BOUND


@pytest.mark.parametrize("name", ROWS)
def test_a_few_steps_in_float32(name):
    variant = list(ROWS[name].variants)[-1]
    numbers = ROWS[name].draw(MIDDLE)
    difference = runs.compare(*run_both(name, variant, numbers, steps=20, dtype="float32"))
    assert max(difference) <= BOUND_FLOAT32


COMPLEX = {
    "adam": {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
    "rmsprop": {"weight_decay": 0.1, "momentum": 0.5, "centered": True},
    "adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.3},
    "adadelta": {"weight_decay": 0.1},
    "rprop": {},
    "asgd": {"lr": 0.1, "t0": 3, "maximize": True},
}


@pytest.mark.parametrize("name", COMPLEX)
def test_a_complex_leaf_is_two_real_ones(name):
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((2, 31, 2))
    start, *grads = parts[0] + 1j * parts[1]
    theirs = torch.tensor(start)
    with runs.double_precision():
        reference = getattr(torch.optim, ROWS[name].torch)([theirs], **COMPLEX[name])
        optimizer = getattr(optim, name)(**COMPLEX[name])
        ours = jnp.asarray(start)
        state, step = optimizer.init(ours), jax.jit(optimizer.update)
        for grad in grads:
            theirs.grad = torch.tensor(grad)
            reference.step()
            updates, state = step(jnp.asarray(grad), state, ours)
            ours = optax.apply_updates(ours, updates)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)


def test_the_gradients_change_their_signs_and_do_not_vanish():
    """What would make nearly every optimizer look the same is not what they are compared on."""
    row = ROWS["adam"]
    grads = runs.run_torch(row, row.make_options("plain")).grads
    for leaf, grad in grads.items():
        assert (grad.max(0) > 0).any(), leaf
        assert (grad.min(0) < 0).any(), leaf
        assert np.abs(grad[-100:]).max() > 1e-2, leaf


def test_comparing_other_states_is_a_failure():
    empty = runs.Run({}, {"w": np.zeros((2, 1))}, {})
    with pytest.raises(ValueError, match="states differ"):
        runs.compare(empty, empty._replace(state={"step": {"w": np.zeros(2)}}))


def test_the_measure_is_relative_to_what_a_leaf_was_so_far():
    one = runs.Run({}, {"w": np.array([[1.0], [100.0], [0.0]])}, {"m": {"w": np.zeros((3, 1))}})
    other = one._replace(params={"w": np.array([[1.5], [100.0], [1.0]])})
    assert runs.compare(one, other) == (0.5, 0.0)
    assert runs.compare(other, one._replace(state={"m": {"w": np.ones((3, 1))}})).state == np.inf
    nan = one._replace(params={"w": np.full((3, 1), np.nan)})
    assert runs.compare(one, nan).params == np.inf
