"""LossScale: its course is torch.amp.GradScaler's, and it is a pytree like any other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import functional_ad as fad


def run_torch(flags, **arguments):
    """The scale after each step of torch's GradScaler, with an infinite gradient where False."""
    torch = pytest.importorskip("torch", reason="needs torch")
    scaler = torch.amp.GradScaler("cpu", **arguments)
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scales, taken = [], []
    for flag in flags:
        optimizer.zero_grad()
        before = parameter.item()
        scaler.scale(parameter.sum() * 1e-6).backward()
        parameter.grad.mul_(1.0 if flag else float("inf"))
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        taken.append(parameter.item() != before)
    return scales, taken


def run_ours(flags, **arguments):
    def step(loss_scale, flag):
        grad = jax.grad(lambda w: loss_scale.scale(w * 1e-6))(jnp.float32(1.0))
        _, is_finite = loss_scale.unscale(jnp.where(flag, grad, jnp.inf))
        new = loss_scale.update(is_finite)
        return new, (new.current, is_finite)

    _, (scales, taken) = lax.scan(step, fad.LossScale(**arguments), jnp.asarray(flags))
    return scales.tolist(), taken.tolist()


flags = st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=60)


@given(
    flags=flags,
    growth_interval=st.integers(1, 5),
    init_scale=st.sampled_from([1.0, 2.0**16, 2.0**100, 3.0]),
    growth_factor=st.sampled_from([2.0, 4.0]),
    backoff_factor=st.sampled_from([0.5, 0.125]),
)
def test_the_course_of_the_scale_is_torchs(flags, **arguments):
    scales, taken = run_torch(flags, **arguments)
    assert run_ours(flags, **arguments) == (scales, taken)


@given(flags=flags)
def test_other_factors_differ_by_roundings_only(flags):
    """torch multiplies by a float64 factor, this by a float32 one: one ULP in each step."""
    arguments = {"growth_interval": 2, "growth_factor": 1.1, "backoff_factor": 0.7}
    scales, taken = run_torch(flags, **arguments)
    ours, same = run_ours(flags, **arguments)
    assert same == taken
    np.testing.assert_allclose(ours, scales, rtol=len(flags) * 2**-23)


def test_the_scale_stops_growing_before_infinity():
    ours, _ = run_ours([True] * 130, growth_interval=1)
    assert ours == run_torch([True] * 130, growth_interval=1)[0]
    assert ours[-1] == 2.0**127


def test_the_defaults_are_torchs():
    torch = pytest.importorskip("torch", reason="needs torch")
    scaler, ours = torch.amp.GradScaler("cpu"), fad.LossScale()
    assert float(ours.current) == scaler.get_scale() == 2.0**16
    assert ours.growth_factor == scaler.get_growth_factor()
    assert ours.backoff_factor == scaler.get_backoff_factor()
    assert ours.growth_interval == scaler.get_growth_interval()


def test_gradients_that_would_vanish_in_float16_are_kept():
    fun = lambda w: jnp.sum(w.astype(jnp.float16) * jnp.float16(1e-4)).astype(jnp.float32) * 1e-4  # noqa: E731
    w, loss_scale = jnp.ones(3), fad.LossScale(2.0**24)
    assert jax.grad(lambda w: fun(w) * 1e-3)(w).tolist() == [0.0] * 3
    scaled = jax.grad(lambda w: loss_scale.scale(fun(w) * 1e-3))(w)
    grads, is_finite = loss_scale.unscale(scaled)
    assert bool(is_finite)
    # float16 has 11 bits, and what was scaled is a normal number there.
    np.testing.assert_allclose(grads, 1e-11, rtol=2**-9)


def test_trees_with_other_leaves():
    loss_scale = fad.LossScale(4.0)
    grads = {"h": jnp.ones(2, jnp.float16), "n": 3, "none": None, "z": jnp.array(2 + 4j)}
    unscaled, is_finite = loss_scale.unscale(grads)
    assert (unscaled["n"], unscaled["none"], bool(is_finite)) == (3, None, True)
    assert unscaled["h"].dtype == jnp.float32
    assert unscaled["h"].tolist() == [0.25, 0.25]
    assert complex(unscaled["z"]) == 0.5 + 1j
    assert loss_scale.scale({"a": 2.0, "n": 3}) == {"a": 8.0, "n": 3}
    assert bool(loss_scale.unscale({"none": None})[1])


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf], ids=str)
def test_one_number_that_is_not_finite_is_found(bad):
    grads = {"a": jnp.ones(3), "b": [jnp.zeros(2), jnp.array([1.0, bad])]}
    unscaled, is_finite = jax.jit(lambda g: fad.LossScale().unscale(g))(grads)
    assert not is_finite
    np.testing.assert_array_equal(unscaled["a"], np.full(3, 2.0**-16, np.float32))


def test_it_is_a_pytree():
    loss_scale = fad.LossScale(8.0, growth_interval=3)
    leaves, treedef = jax.tree.flatten(loss_scale)
    assert [float(leaf) for leaf in leaves] == [8.0, 0.0]
    assert jax.tree.unflatten(treedef, leaves) == loss_scale
    assert jax.tree.map(lambda _: None, loss_scale).current is None
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(loss_scale)
    ]
    assert paths == [".current", ".growth_tracker"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss_scale.growth_interval = 2
    for run in (lambda f: f, jax.jit, jax.checkpoint):
        updated = run(lambda s: s.update(False))(loss_scale)
        assert (float(updated.current), updated.growth_interval) == (4.0, 3)
    many = jax.vmap(lambda flag: loss_scale.update(flag))(jnp.array([True, False]))
    assert many.current.tolist() == [8.0, 4.0]
    assert many.growth_tracker.tolist() == [1, 0]
    restored = fad.LossScale(
        growth_interval=3, current=jnp.float32(2.0), growth_tracker=jnp.int32(2)
    )
    assert float(restored.update(True).current) == 4.0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"init_scale": 0.0},
            "LossScale(init_scale=...)` is out of bounds.\n  expected: a positive",
        ),
        (
            {"growth_factor": 1.0},
            "(growth_factor=...)` is out of bounds.\n  expected: a number above 1",
        ),
        (
            {"backoff_factor": 1.0},
            "(backoff_factor=...)` is out of bounds.\n  expected: between 0 and",
        ),
        ({"backoff_factor": True}, "  got:      True (bool)"),
        ({"init_scale": float("nan")}, "  got:      nan (float)"),
        ({"growth_interval": 0}, "(growth_interval=...)` must be a number of steps."),
        ({"growth_interval": 2.5}, "  got:      2.5 (float)"),
    ],
    ids=str,
)
def test_arguments_out_of_bounds(arguments, text):
    with pytest.raises(fad.ArgumentError) as caught:
        fad.LossScale(**arguments)
    assert text in str(caught.value)


@pytest.mark.parametrize("flag", [1, None, jnp.ones(2, bool), jnp.float32(1)], ids=str)
def test_a_flag_is_one_boolean(flag):
    with pytest.raises(fad.ArgumentError, match="must be one flag"):
        fad.LossScale().update(flag)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_a_state_that_was_read_back_as_numbers(kind):
    loss_scale = fad.LossScale(growth_interval=4, current=kind(1024.0), growth_tracker=3)
    assert loss_scale.scale(jnp.float16(2)) == 2048
    grads, is_finite = loss_scale.unscale(jnp.array([1024.0], jnp.float16))
    assert (grads.tolist(), bool(is_finite)) == ([1.0], True)
    after = loss_scale.update(True)
    assert (after.current, after.growth_tracker) == (2048.0, 0)
    assert (after.current.dtype, after.growth_tracker.dtype) == (jnp.float32, jnp.int32)
