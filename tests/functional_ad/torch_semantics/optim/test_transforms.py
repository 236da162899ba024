"""Every optimizer under JAX's transforms, with frozen leaves, and in other dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_ad as fad
from benchmarks._optimizer_rows import ROWS
from functional_ad.torch_semantics import optim

PARAMS = {
    "layer": {"weight": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "frozen": None},
    "scale": jnp.float32(0.7),
}


def make(name, **changes):
    row = ROWS[name]
    return getattr(optim, name)(**{**row.make_options(list(row.variants)[-1]), **changes})


def take_params(name):
    """Of what is trained, what the optimizer takes: Muon takes matrices only."""
    return {"layer": PARAMS["layer"]} if name == "muon" else PARAMS


def compute_grads(params):
    return jax.tree.map(lambda p: jnp.tanh(p) + 0.1, params)


def step(optimizer, params, state):
    updates, state = optimizer.update(compute_grads(params), state, params)
    return optax.apply_updates(params, updates), state


@pytest.mark.parametrize("name", ROWS)
def test_vmap_donated_buffers_and_frozen_leaves(name):
    """Two models at once, in place, are each what they are alone; None stays None."""
    optimizer = make(name)
    both = jax.tree.map(lambda p: jnp.stack([p, -2 * p]), take_params(name))
    run = jax.jit(jax.vmap(functools.partial(step, optimizer)), donate_argnums=(0, 1))
    members = [jax.tree.map(lambda p, i=i: p[i], both) for i in range(2)]

    params, state = both, jax.vmap(optimizer.init)(both)
    before = jax.tree.leaves((params, state))
    for _ in range(3):
        params, state = run(params, state)
    assert all(leaf.is_deleted() for leaf in before)
    assert params["layer"]["frozen"] is None

    alone = jax.jit(functools.partial(step, optimizer), donate_argnums=(0, 1))
    for i, member in enumerate(members):
        expected, state = member, optimizer.init(member)
        for _ in range(3):
            expected, state = alone(expected, state)
        jax.tree.map(
            lambda x, y, i=i: np.testing.assert_allclose(x[i], y, rtol=1e-5), params, expected
        )


@pytest.mark.parametrize("name", ROWS)
def test_dtypes_stay_what_they_were(name):
    """State that changed its dtype could not be carried through a scan."""
    optimizer = make(name, lr=jnp.float32(0.1))  # with which bfloat16 would become float32
    for dtype in (jnp.bfloat16, jnp.float32):
        params = jax.tree.map(lambda p, dtype=dtype: p.astype(dtype), take_params(name))
        state = jax.eval_shape(optimizer.init, params)
        new_params, new_state = jax.eval_shape(functools.partial(step, optimizer), params, state)
        assert list_dtypes(new_params) == list_dtypes(params)
        assert list_dtypes(new_state) == list_dtypes(state)


def list_dtypes(tree):
    return [str(leaf.dtype) for leaf in jax.tree.leaves(tree)]


def test_gradients_of_selected_leaves_are_taken_as_they_come():
    params = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(3.0), "n": 7}
    trained, rest = fad.partition(params, fad.select(params, "w"))
    optimizer = optim.adamw(lr=0.1, weight_decay=0.5)
    _, grads = fad.value_and_grad(lambda p: jnp.sum(p["w"] ** 2) * p["b"], where="w")(params)
    updates, _ = optimizer.update(grads, optimizer.init(trained), trained)
    new = fad.combine(optax.apply_updates(trained, updates), rest)
    assert (new["b"], new["n"]) == (3.0, 7)
    np.testing.assert_allclose(new["w"], [0.85, 1.8], rtol=1e-5)


def test_parameters_that_have_no_gradient_are_not_passed_over():
    optimizer = optim.sgd()
    grads = {"w": jnp.ones(2), "b": None}
    with pytest.raises(fad.ArgumentError, match=r"(?s)one leaf for each gradient.*trained half"):
        optimizer.update(grads, optimizer.init(grads), {"w": jnp.ones(2), "b": jnp.ones(2)})


def test_parameters_are_needed_for_the_decay_only():
    optimizer = optim.adam(lr=0.1)
    updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    np.testing.assert_allclose(updates, -0.1, rtol=1e-5)


@pytest.mark.parametrize(
    "lr", [np.float64(0.5), np.array(0.5), jnp.bfloat16(0.5), lambda count: 0.5]
)
def test_a_learning_rate_is_a_number_an_array_or_a_schedule(lr):
    optimizer = optim.sgd(lr)
    updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    assert updates.dtype == jnp.float32
    np.testing.assert_array_equal(updates, [-0.5, -0.5])


@pytest.mark.parametrize("optimizer", [optim.adafactor(), optim.asgd(), optim.asgd(lambd=0.0)])
def test_parameters_are_needed_where_the_step_depends_on_them(optimizer):
    with pytest.raises(ValueError, match="current value of parameters"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
