"""Groups of parameters: PyTorch's numbers, untrained leaves, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim._slots import SLOTS, read_state, write_state

PARAMS = {
    "body": {"weight": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([0.3, -0.1])},
    "head": {"weight": np.array([2.0, 1.0]), "bias": np.array(0.4)},
    "fixed": np.array([5.0, 6.0]),
}
GROUPS = [
    {"where": "*/bias", "weight_decay": 0.0, "amsgrad": True},
    {"where": ["body/weight", "head/weight"], "lr": 1e-2},
]


def make():
    return optim.param_groups(optim.adamw, GROUPS, lr=0.1, weight_decay=0.3)


def compute_grads(params):
    return jax.tree.map(lambda p: np.tanh(p) + 0.1, params)


def test_they_are_pytorchs():
    torch = pytest.importorskip("torch", reason="needs torch")
    theirs = jax.tree.map(torch.tensor, PARAMS)
    biases = [theirs["body"]["bias"], theirs["head"]["bias"]]
    weights = [theirs["body"]["weight"], theirs["head"]["weight"]]
    reference = torch.optim.AdamW(
        [
            {"params": biases, "weight_decay": 0.0, "amsgrad": True},
            {"params": weights, "lr": 1e-2},
        ],
        lr=0.1,
        weight_decay=0.3,
    )
    with jax.enable_x64(True):
        optimizer, params = make(), jax.tree.map(jnp.asarray, PARAMS)
        state, step = optimizer.init(params), jax.jit(optimizer.update)
        for _ in range(30):
            grads = compute_grads(params)
            for param, grad in zip(jax.tree.leaves(theirs), jax.tree.leaves(grads), strict=True):
                param.grad = torch.tensor(np.asarray(grad))
            reference.step()
            updates, state = step(grads, state, params)
            params = optax.apply_updates(params, updates)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12), params, theirs)
        np.testing.assert_array_equal(params["fixed"], PARAMS["fixed"])

        inner = state.inner_states["0"].inner_state
        found = read_state(SLOTS["adamw"], inner, optax.tree.get(inner, "mu"))
        assert sorted(found) == ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"]
        for leaf, param in zip(jax.tree.leaves(found["max_exp_avg_sq"]), biases, strict=True):
            expected = reference.state[param]["max_exp_avg_sq"]
            np.testing.assert_allclose(leaf, expected, rtol=1e-12)
        written = write_state(SLOTS["adamw"], inner, found)
        jax.tree.map(np.testing.assert_array_equal, written, inner)


def test_an_untrained_leaf_has_no_update_and_no_state():
    params = jax.tree.map(jnp.float32, PARAMS)
    optimizer = make()
    state = jax.eval_shape(optimizer.init, params)
    assert jax.tree.leaves(state.inner_states["untrained"]) == []
    # Three moments of three biases, two of six weights, and two counts (three with amsgrad's).
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 3 * 3 + 2 * 6 + 3
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["fixed"], [0.0, 0.0])


def test_frozen_leaves_are_in_no_group():
    trained, _ = fad.partition(PARAMS, fad.select(PARAMS, ["body", "fixed"]))
    optimizer = optim.param_groups(
        optim.sgd, [{"where": lambda path, _: "fixed" not in path}], lr=1.0
    )
    updates, _ = optimizer.update(trained, optimizer.init(trained), trained)
    assert updates["head"] == {"weight": None, "bias": None}
    np.testing.assert_array_equal(updates["body"]["bias"], np.float32([-0.3, 0.1]))
    np.testing.assert_array_equal(updates["fixed"], [0.0, 0.0])


def test_a_group_is_found_by_the_parameters_and_not_by_their_gradients():
    large = {"where": lambda path, leaf: bool(np.all(np.abs(leaf) > 1))}
    optimizer = optim.param_groups(optim.sgd, [large], lr=1.0)
    grads = jax.tree.map(lambda p: 0.1 * np.ones_like(p), PARAMS)
    updates, _ = optimizer.update(grads, optimizer.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["fixed"], [-0.1, -0.1], rtol=1e-6)
    np.testing.assert_array_equal(updates["body"]["weight"], np.zeros((2, 2)))


def test_a_leaf_in_two_groups():
    groups = [{"where": "head"}, {"where": "fixed"}, {"where": "*/bias"}]
    with pytest.raises(fad.SelectionError) as caught:
        optim.param_groups(optim.sgd, groups).init(PARAMS)
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.optim.param_groups(groups=...)` must have a parameter in "
        "one group only.\n"
        "  expected: groups that share no leaf\n"
        "  got:      'head/bias' in the groups 0 and 2\n"
        "Narrow one group's `where`, e.g. to a list of paths."
    )


def test_a_pattern_that_matches_nothing_names_its_group():
    groups = [{"where": "head"}, {"where": "tail"}]
    with pytest.raises(fad.SelectionError, match=r"(?s)groups\[1\]\['where'\].*'tail'"):
        optim.param_groups(optim.sgd, groups).init(PARAMS)


@pytest.mark.parametrize(
    ("make", "groups", "defaults", "texts"),
    [
        (optim.sgd, [], {}, ["must be a list of groups", "an empty list"]),
        (optim.sgd, {"where": "head"}, {}, ["must be a list of groups", "{'where': 'head'}"]),
        (optim.sgd, [{"where": "a"}, {"lr": 1.0}], {}, ["groups[1]", "'lr'", '"where"']),
        (optim.sgd, [{}], {}, ["groups[0]", "an empty mapping"]),
        (
            optim.sgd,
            [{"where": "a", "beta": 1.0, "foreach": True}],
            {},
            ["groups[0]", "`sgd` does not take", "'beta', 'foreach'", "momentum, dampening"],
        ),
        (optim.adamw, [{"where": "a"}], {"momentum": 0.9}, ["**defaults", "got:      'momentum'"]),
        (optim.adamw, [{"where": "a"}], {"where": "b"}, ["**defaults", "got:      'where'"]),
        (optim.adamw, [{"where": "a", "lr": -1.0}], {}, ["optim.adamw(lr=...)", "at least 0"]),
    ],
)
def test_what_is_refused_at_once(make, groups, defaults, texts):
    with pytest.raises(fad.ArgumentError) as caught:
        optim.param_groups(make, groups, **defaults)
    for text in texts:
        assert text in str(caught.value)


def test_lbfgs_takes_no_groups():
    with pytest.raises(fad.ArgumentError, match="one for all parameters"):
        optim.param_groups(optim.lbfgs, [{"where": "a"}])
