"""What the search names, what it does not, and that it leaves everything as it was."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jax.nn import gelu

from comparisons import ParityCase
from comparisons._causes import _search
from comparisons._causes._patch import Patched, find_references
from comparisons._causes._rewrite import Rewritten
from comparisons._runner import run_case
from comparisons._trial import Trial

RNG = np.random.default_rng(1)
X, W = (RNG.normal(size=shape).astype(np.float32) for shape in ((6, 4), (4, 4)))


def make(ours, theirs, *inputs, orders=("value", "vjp")):
    return ParityCase(
        name="pair", title="pair", jax=ours, torch=theirs, inputs=inputs, orders=orders
    )


def names(found):
    return {key: {cause.name for cause in causes} for key, causes in found.items()}


def gelu_with_another_constant(x):
    return 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.04 * x**3)))


def norm_with(x, sign=1, scale=1.0, eps=1e-5):
    mean = x.mean(-1, keepdims=True)
    return (x + sign * -mean) / jnp.sqrt(scale * x.var(-1, keepdims=True) + eps)


NOT_KNOWN = {
    "GELU's constant": (gelu_with_another_constant, F.gelu),
    "a wrong constant beside a GELU": (lambda x: gelu(x) * 1.001, F.gelu),
    "ddof of 2": (lambda x: jnp.std(x, ddof=2), torch.std),
    "a sign inside": (lambda x: norm_with(x, sign=-1), lambda x: F.layer_norm(x, (4,))),
    "an unusual epsilon": (
        lambda x: norm_with(x, eps=1e-5),
        lambda x: F.layer_norm(x, (4,), eps=3e-5),
    ),
    "a factor of 1.01": (lambda x: jnp.sum(x**2) * 1.01, lambda x: (x**2).sum()),
    "a third of the smoothing": (
        lambda x: -jnp.mean(jax.nn.log_softmax(x)[:, 0]),
        lambda x: F.cross_entropy(x, torch.zeros(6, dtype=torch.long), label_smoothing=0.033),
    ),
    "the median's upper element": (lambda x: jnp.median(x, axis=0), lambda x: x.sort(0).values[3]),
    "momentum": (lambda x: 0.8 * x[0] + 0.2 * x[1], lambda x: 0.7 * x[0] + 0.3 * x[1]),
    "half of the inputs": (lambda x: jnp.tanh(x[:3]).sum(), lambda x: x.tanh().sum()),
    "one element's sign": (lambda x: x * jnp.array([1, 1, 1, -1.0]), lambda x: x * 1),
    "the derivative of abs": (lambda x: jnp.abs(x) + 0.3 * x, torch.abs),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_an_unknown_mistake_is_not_named(name, explain):
    found = explain(make(*NOT_KNOWN[name], X))
    assert all(causes == () for causes in found.values()), names(found)


def test_a_known_difference_beside_an_unknown_one_is_named_where_it_is_alone(explain):
    def ours(x):
        return {"known": jnp.std(x), "unknown": jnp.sum(x) * 1.01}

    found = explain(
        make(ours, lambda x: {"known": x.std(), "unknown": x.sum()}, X, orders=("value",))
    )
    assert names(found) == {("value", "known"): {"ddof"}, ("value", "unknown"): set()}


def test_two_causes_in_one_result_are_both_named(explain):
    found = explain(make(lambda x: jnp.std(gelu(x), axis=0), lambda x: F.gelu(x).std(0), X))
    assert set(map(frozenset, names(found).values())) == {frozenset({"gelu-tanh", "ddof"})}


def test_the_one_line_of_several_that_is_to_be_changed(explain):
    def ours(x):
        biased = jnp.std(x, axis=1)
        return {
            "biased": biased,
            "unbiased": jnp.std(x, axis=0),
        }

    def theirs(x):
        return {"biased": x.std(1, unbiased=False), "unbiased": x.std(0)}

    found = explain(make(ours, theirs, X, orders=("value",)))
    (causes,) = found.values()
    assert [cause.name for cause in causes] == ["ddof"]
    line = ours.__code__.co_firstlineno + 4
    assert causes[0].fix == f"Write jnp.std(x, ddof=1) for jnp.std(x). (test_search.py:{line})"


# -- the substitutes reach the user's calls --------------------------------------------------------

TABLE = {"gelu": gelu}


@jax.jit
def jitted(x):
    return gelu(x)


@functools.partial(jax.jit, static_argnames="times")
def jitted_with_statics(x, times=1):
    return gelu(x) * times


@jax.checkpoint
def rematerialised(x):
    return jnp.sin(gelu(x))


def body(carry, row):
    return carry + gelu(row), None


def with_default(x, activation=gelu):
    return activation(x)


class Layer:
    scale = 2.0

    def __init__(self, activation):
        self.activations = (jnp.tanh, activation)

    def __call__(self, x):
        return self.activations[1](x) * self.scale


@jax.custom_vjp
def with_rule(x):
    return gelu(x)


with_rule.defvjp(lambda x: (gelu(x), x), lambda x, g: (g * jax.vmap(jax.vmap(jax.grad(gelu)))(x),))

layer = Layer(gelu)
USES = {
    "itself": gelu,
    "a name": lambda x: gelu(x),
    "an attribute": lambda x: jax.nn.gelu(x),
    "a table": lambda x: TABLE["gelu"](x),
    "a partial application": functools.partial(gelu),
    "a partial argument": functools.partial(lambda activation, x: activation(x), gelu),
    "jit": jitted,
    "jit with static arguments": lambda x: jitted_with_statics(x, times=3),
    "checkpoint": rematerialised,
    "a loop": lambda x: jax.lax.scan(body, jnp.zeros(4, x.dtype), x)[0],
    "a default": with_default,
    "an object": layer,
    "vmap": jax.vmap(lambda row: gelu(row)),
    "a gradient": jax.grad(lambda x: jnp.sum(gelu(x))),
    "a jitted gradient": jax.jit(jax.grad(lambda x: jnp.sum(jitted(x)))),
    "an import inside": lambda x: __import__("jax").nn.gelu(x),
}


@pytest.mark.parametrize("name", USES)
def test_a_function_is_replaced_however_it_is_referred_to(name):
    fn = USES[name]
    x = jnp.asarray(X)
    before = fn(x)
    references = find_references(fn, ["jax.nn.gelu"])
    exact = Patched(fn, {"jax.nn.gelu": lambda call: call.again(approximate=False)}, references)
    after = exact(x)
    assert float(jnp.max(jnp.abs(after - before))) > 1e-5
    assert jnp.array_equal(fn(x), before)
    assert jax.nn.gelu is gelu is TABLE["gelu"] is layer.activations[1]
    assert isinstance(jitted, type(jax.jit(lambda: 0)))


@pytest.mark.parametrize(
    ("target", "fn"),
    [
        ("jax.numpy.std", lambda x: x.std()),
        ("jax.numpy.abs", lambda x: abs(x)),
        ("jax.numpy.reshape", lambda x: x.reshape(-1)),
        ("jax.numpy.mod", lambda x: x % 2),
        ("jax.numpy.imag", lambda x: (1j * x).imag),
    ],
    ids=["std", "abs", "reshape", "mod", "imag"],
)
def test_methods_and_operators_of_arrays_are_replaced_too(target, fn):
    changed = Patched(fn, {target: lambda call: 7.0 * call.again()}, find_references(fn, [target]))
    x, before = jnp.asarray(X), fn(jnp.asarray(X))
    assert jnp.array_equal(changed(x), 7 * before)
    (value, tangent) = jax.jvp(changed, (x,), (x,))
    assert jnp.array_equal(value, 7 * before)
    assert jnp.allclose(tangent, 7 * jax.jvp(fn, (x,), (x,))[1])
    assert jnp.array_equal(fn(x), before)


def test_everything_is_put_back_when_the_function_raises():
    def fails(x):
        gelu(x)
        raise RuntimeError("on the way")

    method = type(jnp.zeros(())).std
    targets = ["jax.nn.gelu", "jax.numpy.std"]
    patched = Patched(
        fails,
        {target: lambda call: call.again() for target in targets},
        find_references(fails, targets),
    )
    with pytest.raises(RuntimeError, match="on the way"):
        patched(jnp.asarray(X))
    assert jax.nn.gelu is gelu
    assert type(jnp.zeros(())).std is method


def test_a_program_is_evaluated_as_it_is_where_the_rule_has_no_answer():
    def program(x, label, steps):
        assert label == "a"
        y = jax.lax.fori_loop(0, steps, lambda i, y: jnp.cos(y) * x, x)
        y = jax.lax.cond(jnp.sum(y) > 0, jnp.tanh, jnp.sin, y)
        return {"y": jax.nn.relu(jitted(y)), "n": rematerialised(y).sum()}

    def derive(fn):
        value, pull = jax.vjp(lambda x: fn(x, "a", 3), jnp.asarray(X))
        return value, pull(jax.tree.map(jnp.ones_like, value))

    same, expected = derive(Rewritten(program, lambda step: None)), derive(program)
    # Equation by equation instead of compiled at once, which rounds differently in the last bits.
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), same, expected
    )


def test_a_rule_reaches_into_loops_branches_and_compiled_functions():
    def program(x):
        x = jax.jit(lambda x: x + 2.0)(x)
        x = jax.lax.cond(x[0, 0] > 100, lambda x: x, lambda x: x + 2.0, x)
        return jax.lax.scan(lambda c, row: (c + row + 2.0, None), x[0] * 0, x)[0]

    seen = []

    def rule(step):
        seen.extend(literal for literal in step.literals if literal == 2.0)

    Rewritten(program, rule)(jnp.asarray(X))
    assert len(seen) == 3


# -- bounds ----------------------------------------------------------------------------------------


def test_what_cannot_be_tried_costs_nothing_and_nothing_is_raised(explain):
    def ours(x):
        if float(x[0, 0]) > 100:  # cannot be traced
            return gelu(x)
        return jnp.std(x, axis=0)

    found = explain(make(ours, lambda x: x.std(0), X, orders=("value",)))
    assert names(found) == {("value", ""): {"ddof"}}


def test_nothing_is_run_for_a_function_that_calls_nothing_known(monkeypatch, explain):
    tried = []
    original = _search._Search._try

    def count(self, attempts, known=None):
        tried.append(known)
        return original(self, attempts, known)

    monkeypatch.setattr(_search._Search, "_try", count)
    explain(make(lambda x: jnp.sin(x) * 1.01, torch.sin, X))
    assert tried == []


def test_a_search_that_cannot_run_a_side_names_nothing():
    def refuse(x):
        if x.dtype == jnp.float64:
            raise TypeError("float32 only")
        return jnp.std(x)

    def outputs(case):
        trial = Trial(case, "float32")
        return trial.jax64, trial.torch64

    leaves = run_case(make(jnp.std, torch.std, X)).leaves
    found = _search.find_causes(make(refuse, torch.std, X), leaves, lambda case: leaves, outputs)
    assert found == {}


def test_a_change_that_breaks_another_leaf_is_no_cause(explain):
    """Both results are of one call, so changing it mends one leaf and breaks the other."""

    def ours(x):
        s = jnp.std(x, axis=0)
        return {"a": s, "b": s * 1}

    def theirs(x):
        return {"a": x.std(0), "b": x.std(0, unbiased=False)}

    found = explain(make(ours, theirs, X, orders=("value",)))
    assert names(found) == {("value", "a"): set()}
