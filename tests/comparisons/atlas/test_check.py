"""A user's function: the lines at which it comes to an edge."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons._atlas._check import check_function
from comparisons._atlas._sample import Sample, cast_inputs
from comparisons._atlas._sides import Missing
from comparisons.cases.atlas import OPS
from comparisons.cases.atlas._expressions import make_jax, make_torch

X = np.array([[0.0, 0.0], [1.0, 3.0], [0.5, 3.0]], np.float32)


def trapped(x):
    lengths = jnp.linalg.norm(x, axis=1)
    clipped = jnp.clip(x, -1, 1)
    return jnp.sum(lengths) + jnp.sum(clipped) + jnp.sum(jnp.max(x, axis=0))


def clean(x):
    return jnp.sum(jnp.tanh(x) ** 2)


def find_line(fn, text):
    lines, first = inspect.getsourcelines(fn)
    (place,) = [i for i, line in enumerate(lines) if text in line]
    return f"test_check.py:{first + place}"


def test_three_traps_are_named_with_their_lines():
    traps = check_function(trapped, X)
    lines = {trap.line.split("/")[-1] for trap in traps}
    assert lines == {find_line(trapped, text) for text in ("norm(", "clip(", "max(")}
    by_name = {trap.op.name: trap for trap in traps}
    clip = by_name["clamp(-1, 1)"]
    assert (clip.count, clip.of, clip.index, clip.value) == (1, 6, (1, 0), 1.0)
    assert (by_name["max(dim)"].count, by_name["max(dim)"].of) == (1, 2)
    assert "vector_norm" in by_name


def test_a_tie_at_which_both_share_the_gradient_is_no_trap():
    assert check_function(lambda x: jnp.maximum(x, x) + jnp.max(x), X) == []


@pytest.mark.parametrize(
    "fn",
    [jax.nn.softmax, jax.nn.logsumexp, jax.nn.log_softmax, lambda x: x * (x < jnp.max(x, 1)[0])],
)
def test_a_maximum_that_has_no_gradient_is_no_trap(fn):
    assert check_function(fn, np.ones((2, 3), np.float32)) == []


def test_a_function_away_from_all_edges_has_none():
    assert check_function(clean, X + 0.125) == []
    assert check_function(trapped, X * 0.25 + np.array([0.1, 0.01]) * [[1], [2], [3]]) == []


def loop(x):
    return jax.lax.scan(lambda c, row: (c + jnp.sum(jnp.clip(row, -1, 1)), None), 0.0, x)[0]


def branch(x):
    return jax.lax.cond(x[1, 0] > 0, lambda x: jnp.clip(x, -1, 1), lambda x: jnp.abs(x), x)


def count(x):
    return jax.lax.fori_loop(0, 3, lambda i, c: c + jnp.clip(x[i], -1, 1), x[0])


@pytest.mark.parametrize("fn", [loop, branch, count, jax.jit(loop)])
def test_loops_and_branches_are_gone_into(fn):
    (trap,) = check_function(fn, X)
    assert trap.op.name == "clamp(-1, 1)"
    assert trap.value == 1.0


def test_random_keys_are_arguments_like_others():
    key = jax.random.key(0)
    fn = lambda key, x: jnp.clip(x, -1, 1) + jax.random.normal(key)  # noqa: E731
    assert [trap.op.name for trap in check_function(fn, key, X)] == ["clamp(-1, 1)"]


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("abs", (0.0,)),
        ("maximum", (np.nan, 1.0)),
        ("minimum", (np.nan, 1.0)),
        ("div", (0.0, 1e-20)),
        ("x ** 0.0", (0.0,)),
        ("hypot", (0.0, 0.0)),
        ("atan2", (0.0, 0.0)),
        ("i0", (0.0,)),
        ("logit", (-1.0,)),
        ("digamma", (-8.5,)),
        ("xlogy", (0.0, 0.0)),
        ("xlog1py", (0.0, -1.0)),
        ("leaky_relu", (0.0,)),
        ("hardtanh", (1.0,)),
        ("clamp(-1, 1)", (1.0,)),
    ],
)
def test_at_a_trap_the_gradients_do_differ(name, point):
    (op,) = [op for op in OPS if op.name == name and op.seen_as]
    tensors = [torch.tensor(x, requires_grad=True) for x in point]
    make_torch(op)(*tensors).backward()
    ours = jax.grad(make_jax(op), tuple(range(len(point))))(*map(jnp.float32, point))
    theirs = [x.grad.item() for x in tensors]
    assert not np.array_equal(theirs, ours, equal_nan=True)


WHOLE = [op for op in OPS if op.samples and op.trap]


@pytest.mark.parametrize("op", WHOLE, ids=lambda op: op.name)
def test_a_trap_of_whole_arrays_is_at_an_edge_where_the_frameworks_differ(op):
    caught = []
    for name, text in op.samples.items():
        sample = Sample(op, name, text)
        if sample.axis == "large":
            continue  # than float32
        arrays = cast_inputs(sample.inputs, "float32")
        if any(trap.op.name == op.name for trap in check_function(make_jax(op), *arrays)):
            caught.append(sample)
    assert caught
    for sample in caught:
        assert sample.name != "ordinary"
        assert any(differ(sample, quantity) for quantity in op.orders), sample.name


def differ(sample, quantity):
    theirs, ours = (sample.run(who, quantity, "float64") for who in ("torch", "jax"))
    if isinstance(theirs, Missing) or isinstance(ours, Missing):
        return True
    return any(not np.allclose(theirs[path], ours[path], equal_nan=True) for path in theirs)
