"""L-BFGS against PyTorch's, on its own way and step by step; under JAX's transforms; its texts."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import functional_ad as fad
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim import _curvature, _lbfgs
from functional_ad.torch_semantics.optim._lbfgs_state import write_lbfgs_state

SEARCH = {"line_search_fn": "strong_wolfe"}
SHORT = {"max_iter": 6, "max_eval": 4, "history_size": 3}
CALLS = 8
WAYS = [
    ("quadratic", SEARCH, (0.3, 1.2)),
    ("quadratic", SHORT, (0.3, 1.2)),
    ("rosenbrock", SEARCH, (0.3, 1.2)),
    ("rosenbrock", SHORT, (1e-4, 3e-3)),
    ("logistic", SEARCH | SHORT, (0.3, 1.2)),
    ("logistic", {}, (0.05, 0.8)),
]


@pytest.fixture(scope="module")
def runs():
    pytest.importorskip("torch", reason="needs torch")
    from benchmarks import _lbfgs_runs

    return _lbfgs_runs


@pytest.mark.parametrize(("name", "static", "rates"), WAYS, ids=str)
def test_each_on_its_own_way(name, static, rates, runs):
    """After each call PyTorch has evaluated as often, and is at the same place.

    A way magnifies roundings, the more the longer it is: by how much, ours from parameters that are
    off by a last bit says. Where that is all that can be said, nothing is.
    """

    @settings(max_examples=10)
    @given(st.integers(0, 10**6), st.lists(st.floats(0, 1), min_size=3, max_size=3))
    def check(seed, shares):
        bounds = {"lr": rates, "tolerance_grad": (1e-9, 1e-4), "tolerance_change": (1e-12, 1e-6)}
        traced = {
            key: low * (high / low) ** share
            for (key, (low, high)), share in zip(bounds.items(), shares, strict=True)
        }
        with jax.enable_x64(True):
            ours = runs.run_here(name, seed, CALLS, static, traced)
            shaken = runs.run_here(name, seed, CALLS, static, traced, shaken=True)
        noise = runs.measure_paths(ours, shaken)
        assume(noise < 1e-6)
        theirs = runs.run_torch(name, seed, CALLS, {**static, **traced})
        assert runs.count_alike(theirs, ours), (theirs.func_evals, ours.func_evals)
        assert runs.measure_paths(theirs, ours) < max(1e-10, 1e3 * noise)

    check()


FORCED = {
    "lengths": {"lr": 0.1, "max_iter": 2, "max_eval": 5, "history_size": 5},
    "search": {"max_iter": 1, "max_eval": 3, "history_size": 5, **SEARCH},
}


@pytest.fixture(scope="module")
def recorded(runs):
    with jax.enable_x64(True):
        return {name: runs.record_torch(1_000, options) for name, options in FORCED.items()}


def compare(name, recorded, runs, **changes):
    with jax.enable_x64(True):
        ours = runs.repeat_here(recorded[name], FORCED[name] | changes)
    return runs.measure_steps(recorded[name].after, ours)


def test_a_thousand_steps_of_given_lengths(recorded, runs):
    """Each from PyTorch's parameters and state, to PyTorch's parameters and state."""
    assert compare("lengths", recorded, runs).max() < 1e-10


def test_a_thousand_steps_with_line_searches(recorded, runs):
    """And where an interpolation cancels, which are a few, as near as a last bit of the loss is."""
    apart = compare("search", recorded, runs)
    assert (apart < 1e-10).sum() >= 990
    assert apart.max() < 1e-7


def test_the_steps_lead_everywhere(recorded):
    """Pairs that do not count, a memory that is full, and searches of all lengths."""
    for steps in recorded.values():
        before, after = steps.before[1].curvature, steps.after[1].curvature
        assert (after.num_pairs[-500:] == 5).all()
        assert (before.h_diag == after.h_diag).sum() > 3
        assert np.abs(steps.after[0]["weight"]).max() < 1e4
    steps = recorded["search"]
    evals = steps.after[1].func_evals - steps.before[1].func_evals
    assert set(evals.tolist()) == {2, 3, 4}  # with the one that a step begins with


def _take_two_norm(tree, order=None):
    return optax.tree_utils.tree_norm(tree, None if order == 1 else order)


def _find_backwards(curvature, grad):
    names = ("old_dirs", "old_stps", "ro")
    turned = {name: jax.tree.map(jnp.flip, getattr(curvature, name)) for name in names}
    return _curvature.find_direction(curvature._replace(**turned), grad)


DEFECTS = {
    "curvature below 0 counts": ("lengths", {}, (_curvature, "_LEAST", -np.inf)),
    "the newest pair comes first": ("lengths", {}, (_lbfgs, "find_direction", _find_backwards)),
    "the first step by the 2-norm": ("lengths", {}, (optax.tree, "norm", _take_two_norm)),
    "one evaluation more": ("search", {"max_eval": 4}, (_lbfgs, "_NAME", _lbfgs._NAME)),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_noticed(defect, recorded, runs):
    name, changes, patch = DEFECTS[defect]
    with mock.patch.object(*patch):
        apart = compare(name, recorded, runs, **changes)
    assert apart.max() > 1e-3


def test_a_run_goes_on_from_pytorchs_state(runs):
    """From any of its calls on, the first among them, when there are no pairs yet."""
    options = {**SEARCH, "max_iter": 3}
    loss = functools.partial(runs.rosenbrock, jnp)
    with jax.enable_x64(True):
        optimizer = optim.lbfgs(**options)
        step = jax.jit(functools.partial(optimizer.step, loss))
        side = runs.Side(runs.make_params(3), options)
        for count in range(4):
            before = jax.tree.map(jnp.asarray, side.read_params())
            state = write_lbfgs_state(optimizer.init(before), side.read_state(), count=count)
            value = side.step(functools.partial(runs.rosenbrock, runs.torch))
            params, state, ours = step(before, state)
            np.testing.assert_allclose(ours, value, rtol=1e-14)
            assert (state.count, state.n_iter) == (count + 1, side.state["n_iter"])
            for name, expected in side.read_params().items():
                np.testing.assert_allclose(params[name], expected, rtol=1e-10)


def test_more_pairs_than_places():
    state = optim.lbfgs(history_size=2).init(jnp.ones(2))
    with pytest.raises(fad.ArgumentError, match=r"(?s)at most 2\n.*got:      3.*history_size=3"):
        write_lbfgs_state(state, {"ro": [1.0, 1.0, 1.0]})


def test_a_schedule_counts_calls(runs):
    """As a scheduler of PyTorch's that is stepped after each call changes the rate."""
    rates = jnp.array([0.1, 0.5, 0.2])
    with jax.enable_x64(True):
        side = runs.Side(runs.make_params(0), {"lr": 0.1, **SHORT})
        optimizer = optim.lbfgs(lr=lambda count: rates[count], **SHORT)
        params = jax.tree.map(jnp.asarray, runs.make_params(0))
        state = optimizer.init(params)
        step = jax.jit(functools.partial(optimizer.step, functools.partial(runs.logistic, jnp)))
        for rate in rates:
            side.optimizer.param_groups[0]["lr"] = float(rate)
            side.step(functools.partial(runs.logistic, runs.torch))
            params, state, _ = step(params, state)
        for name, expected in side.read_params().items():
            np.testing.assert_allclose(params[name], expected, rtol=1e-7)  # a float32 schedule


def bowl(params):
    """Its minimum is at 1."""
    return sum(jnp.sum((x - 1) ** 2 * (2 + jnp.cos(x))) for x in (params["w"], params["b"]))


PARAMS = {"w": jnp.array([[3.0, -2.0], [0.5, 4.0]]), "frozen": None, "b": jnp.float32(0.0)}


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_the_loss_is_evaluated_as_often_as_counted(line_search_fn):
    """And traced twice in all: a large model is not compiled for each place of PyTorch's calls."""
    optimizer = optim.lbfgs(lr=0.3, max_iter=6, line_search_fn=line_search_fn)
    traced, evaluated = [], []

    def loss(params):
        traced.append(1)
        jax.debug.callback(lambda: evaluated.append(1))
        return bowl(params)

    step = jax.jit(functools.partial(optimizer.step, loss))
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(2):
        params, state, _ = step(params, state)
    jax.effects_barrier()
    assert len(evaluated) == state.func_evals > 8
    assert len(traced) == 2


def test_vmap_donated_buffers_and_leaves_that_are_not_trained():
    """Two models at once, in place, are each what they are alone, though one stops before."""
    optimizer = optim.lbfgs(history_size=4, max_iter=5, **SEARCH)
    step = functools.partial(optimizer.step, bowl)
    members = [PARAMS | {"n": jnp.int32(7)}]
    members.append(jax.tree.map(jnp.ones_like, members[0]))
    both = jax.tree.map(lambda *x: jnp.stack(x), *members)
    run = jax.jit(jax.vmap(step), donate_argnums=(0, 1))
    params, state = both, jax.vmap(optimizer.init)(both)
    before = jax.tree.leaves((params, state))
    for _ in range(2):
        params, state, loss = run(params, state)
    assert all(leaf.is_deleted() for leaf in before)
    assert (params["frozen"], params["n"].tolist()) == (None, [7, 1])
    alone = jax.jit(step)
    for i, member in enumerate(members):
        expected, one = member, optimizer.init(member)
        for _ in range(2):
            expected, one, value = alone(expected, one)
        assert (state.func_evals[i], state.n_iter[i]) == (one.func_evals, one.n_iter)
        np.testing.assert_allclose(params["w"][i], expected["w"], rtol=1e-5)
        np.testing.assert_allclose(loss[i], value, rtol=1e-5)


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_the_memory_of_pairs_is_not_copied(line_search_fn):
    """200 vectors of pairs are updated in place; a step needs a few vectors besides."""
    size = 10_000
    optimizer = optim.lbfgs(line_search_fn=line_search_fn)
    params = jax.ShapeDtypeStruct((size,), jnp.float32)
    state = jax.eval_shape(optimizer.init, params)
    step = jax.jit(
        functools.partial(optimizer.step, lambda x: jnp.sum(x**4)), donate_argnums=(0, 1)
    )
    memory = step.lower(params, state).compile().memory_analysis()
    assert memory.argument_size_in_bytes > 200 * 4 * size
    assert memory.temp_size_in_bytes < 12 * 4 * size


def test_dtypes_stay_what_they_were():
    """The arithmetic is float32 at least; parameters keep their own."""
    params = {"w": jnp.ones(2, jnp.bfloat16), "b": jnp.ones((), jnp.float32), "c": 0.5}
    optimizer = optim.lbfgs(lr=jnp.bfloat16(0.1), max_iter=2)
    state = optimizer.init(params)
    loss = lambda p: jnp.sum((p["w"] - 3).astype(jnp.float32) ** 2) + p["b"] ** 2 + p["c"] ** 2  # noqa: E731
    new, new_state, value = optimizer.step(loss, params, state)
    assert {name: str(x.dtype) for name, x in new.items()} == {
        "w": "bfloat16",
        "b": "float32",
        "c": "float32",
    }
    assert jax.tree.map(lambda x: x.dtype, new_state) == jax.tree.map(lambda x: x.dtype, state)
    assert {str(x.dtype) for x in jax.tree.leaves(state)} == {"float32", "int32"}
    assert float(value) == 9.25
    assert float(loss(new)) < 9.25


WRONG = [
    ({"lr": -1.0}, "lr", "at least 0"),
    ({"max_iter": 0}, "max_iter", "an int of at least 1"),
    ({"max_iter": 2.0}, "max_iter", "an int of at least 1"),
    ({"max_iter": True}, "max_iter", "an int of at least 1"),
    ({"max_eval": 0}, "max_eval", "an int of at least 1"),
    ({"tolerance_grad": "small"}, "tolerance_grad", "a number"),
    ({"tolerance_change": jnp.ones(2)}, "tolerance_change", "got:      float32[2]"),
    ({"history_size": 0}, "history_size", "an int of at least 1"),
    ({"line_search_fn": "wolfe"}, "line_search_fn", "None or 'strong_wolfe'"),
]


@pytest.mark.parametrize(("options", "argument", "text"), WRONG, ids=str)
def test_options_out_of_bounds(options, argument, text):
    with pytest.raises(fad.ArgumentError) as caught:
        optim.lbfgs(**options)
    assert f"`functional_ad.torch_semantics.optim.lbfgs({argument}=...)`" in str(caught.value)
    assert text in str(caught.value)


def test_what_cannot_be_trained():
    optimizer = optim.lbfgs()
    with pytest.raises(fad.LeafTypeError) as caught:
        optimizer.init({"w": jnp.ones(2), "z": jnp.ones(3, jnp.complex64)})
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.optim.lbfgs` trains real parameters only.\n"
        "  expected: floating-point leaves\n"
        "  got:      'z': complex64[3]\n"
        "Train the real and the imaginary part as two leaves."
    )
    with pytest.raises(fad.SelectionError, match=r"optim\.lbfgs\(params\)` selects no leaf"):
        optimizer.init({"n": jnp.arange(3)})
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(fad.OutputError, match=r"optim\.lbfgs` needs a loss that is a real scalar"):
        optimizer.step(lambda x: x**2, jnp.ones(2), state)
    with fad.set_grad_enabled(False), pytest.raises(fad.GradModeError, match=r"optim\.lbfgs"):
        optimizer.step(jnp.sum, jnp.ones(2), state)
