"""Planted defects: each kind is made, found where it shows, and not found where inputs hide it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons._case import ParityCase
from comparisons._evidence import Evidence, Probe
from comparisons._power import measure_power, plant_defects
from comparisons._referee import judge
from comparisons._results import LeafResult
from comparisons._runner import run_case
from comparisons._verdict import Verdict

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 4)).astype(np.float32)
W = RNG.normal(size=(4, 4)).astype(np.float32)
B = RNG.normal(size=4).astype(np.float32)


def make_case(fn, inputs, orders):
    return ParityCase(
        name="case", title="case", jax=fn, torch=torch.clone, inputs=inputs, orders=orders
    )


def plant(fn, inputs, orders=("value",), **options):
    """Plants defects; the other side is the function itself, to float32 rounding."""
    arguments = jax.tree.map(jnp.asarray, inputs)

    def derive(run):
        found = {"value": run(*arguments)}
        if "vjp" in orders:
            out, pullback = jax.vjp(run, *arguments)
            seed = np.random.default_rng(1).normal(size=out.shape).astype(out.dtype)
            found["vjp"] = pullback(jnp.asarray(seed))
        return {
            (order, str(i)): leaf
            for order in orders
            for i, leaf in enumerate(jax.tree.leaves(found[order]))
        }

    expected = derive(fn)

    def retry(case):
        return [
            LeafResult(
                path=path,
                quantity=order,
                reason="",
                verdict=Verdict.AGREES
                if np.allclose(leaf, expected[order, path], rtol=1e-5, atol=1e-6, equal_nan=True)
                else Verdict.MISMATCH,
            )
            for (order, path), leaf in derive(case.jax).items()
        ]

    return plant_defects(make_case(fn, inputs, orders), arguments, retry, **options)


def outcomes(planted, kind):
    return [defect.caught for defect in planted if defect.defect == kind]


def layer(x, w, b):
    return jnp.tanh(x @ w + b)


def norm(x):
    return x / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


SYMMETRIC = W + W.T
VALUE, BOTH = ("value",), ("value", "vjp")
# What is done, the function, inputs that show it, inputs that hide it, and the orders.
KINDS = [
    ("input replaced by zeros", layer, (X, W, B), (X, W, 0 * B), VALUE, 3),
    ("dropped addition", layer, (X, W, B), (X, W, 0 * B), VALUE, 1),
    ("wrong sign", layer, (X, W, B), (X, W, 0 * B), VALUE, 1),
    ("transposed input", lambda w: w @ B, (W,), (SYMMETRIC,), VALUE, 1),
    ("transposed operand", lambda x, w: x[:2] @ w, (X, W), (X, SYMMETRIC), VALUE, 1),
    ("constant 1e-05 times 10", norm, (X / 30,), (X * 1e4,), VALUE, 1),
    ("constant off by 0.1 %", lambda x: x + 0.7 * x[::-1] ** 3, (X,), (0 * X,), VALUE, 1),
    ("wrong axis", lambda x: jnp.sum(x, axis=0), (X,), (np.ones_like(X),), VALUE, 1),
    ("wrong axis", lambda x: jnp.cumsum(x, axis=0), (X,), (SYMMETRIC * 0,), VALUE, 1),
    ("mean for a sum", lambda x: jnp.sum(x, axis=0), (X,), (0 * X,), VALUE, 1),
    ("gradient scaled by 1.001", lambda x: x**3, (X,), (0 * X,), BOTH, 1),
    ("gradient stopped", lambda x: x**3 + x, (X,), None, BOTH, 2),
    ("wrong sign", lambda x: jnp.exp(-x), (X,), (0 * X,), VALUE, 1),
]


@pytest.mark.parametrize(
    ("kind", "fn", "showing", "hiding", "orders", "count"),
    KINDS,
    ids=[f"{i}-{k[0].replace(' ', '-')}" for i, k in enumerate(KINDS)],
)
def test_each_kind_is_caught_unless_the_inputs_hide_it(kind, fn, showing, hiding, orders, count):
    assert outcomes(plant(fn, showing, orders), kind) == [True] * count
    if hiding is not None:
        assert False in outcomes(plant(fn, hiding, orders), kind)


@pytest.mark.parametrize(
    ("kind", "fn"),
    [
        ("constant off by 0.1 %", lambda x: jax.nn.softmax(x + 3.7)),
        ("wrong sign", lambda x: jax.nn.softmax(x + 3.7)),
        ("constant off by 0.1 %", lambda x: jnp.sign(x * 3.7)),
        ("transposed operand", lambda x: jnp.trace(x @ jnp.eye(4))),
        ("gradient stopped", lambda x: jax.lax.stop_gradient(jnp.sin(x)) * 2.0),
        ("mean for a sum", lambda x: jnp.sum(x, axis=0) > 0),
    ],
    ids=["shift", "shift-sign", "scale", "identity", "constant", "positive"],
)
def test_a_change_that_changes_nothing_is_no_mistake(kind, fn):
    orders = VALUE if fn(X).dtype == bool else BOTH
    planted = plant(fn, (X,), orders)
    assert planted
    assert outcomes(planted, kind) == []


def test_a_stopped_gradient_counts_only_where_derivatives_are_compared():
    fn = lambda x: jnp.sin(x) * x  # noqa: E731
    assert outcomes(plant(fn, (X,), VALUE), "gradient stopped") == []
    assert outcomes(plant(fn, (X,), BOTH), "gradient stopped") == [True, True]


def test_defects_in_the_body_of_a_loop_and_of_a_compiled_function():
    @jax.jit
    def recur(x):
        return jax.lax.scan(lambda h, row: (jnp.tanh(h @ W) + row,) * 2, jnp.zeros(4), x)[1]

    planted = plant(recur, (X,), BOTH, limit=30)
    for kind in ("transposed operand", "wrong sign", "dropped addition", "gradient stopped"):
        assert True in outcomes(planted, kind), kind
    assert {d.where.split(":")[0] for d in planted} == {"test_power.py", "input 0"}


def test_a_derivative_rule_is_left_whole():
    @jax.custom_jvp
    def clipped(x):
        return jnp.clip(x * 3.0, -1, 1)

    clipped.defjvp(lambda p, t: (clipped(*p), 7 * t[0]))
    planted = plant(lambda x: clipped(x) * 0.3, (X,), BOTH)
    assert outcomes(planted, "constant off by 0.1 %") == [True]  # 0.3, and not 3 inside
    assert outcomes(planted, "gradient stopped") == [True, True]  # of the call, and of the product
    assert all(outcomes(planted, "gradient scaled by 1.001"))


def test_a_function_that_cannot_be_traced_has_defects_in_its_inputs():
    planted = plant(lambda x, b: x * b if float(x.sum()) < 1e9 else x, (X, B))
    assert {d.where for d in planted} == {"input 0", "input 1"}
    assert outcomes(planted, "input replaced by zeros") == [True, True]


def test_kinds_come_in_turn_and_no_more_than_the_limit():
    def deep(x):
        for _ in range(10):
            x = jnp.tanh(x @ W + B) + 0.3 * x
        return x

    planted = plant(deep, (X,), limit=8)
    assert len(planted) == 8
    assert len({d.defect for d in planted}) == 6
    assert planted == plant(deep, (X,), limit=8)


def test_a_place_is_the_users_line():
    def fn(x):
        y = jnp.exp(x)
        return y + x.T

    start = fn.__code__.co_firstlineno
    [defect] = [d for d in plant(fn, (X,)) if d.defect == "wrong sign"]
    assert defect.where == f"test_power.py:{start + 2}"


@pytest.mark.parametrize("domain", ["positive definite", "near one"])
def test_inputs_that_a_function_needs_are_not_drawn_from_elsewhere(domain):
    """Random matrices have no Cholesky factor; numbers around the given ones are used then."""
    if domain == "positive definite":
        args, fn = (np.eye(4, dtype=np.float32) * 9,), lambda a: jnp.linalg.cholesky(a + a.T)
    else:
        args, fn = (np.float32([0.9, 1.0, 0.95, 0.99]),), lambda x: jnp.log(2 * x - 1.2) + 1.0
    planted = plant(fn, args)
    assert True in outcomes(planted, "wrong sign")


def test_an_inexact_constant_input_of_other_types_is_left_alone():
    planted = plant(lambda x, n, rows: x[rows] * n, (X, 3, np.array([1, 2])))
    assert {d.where for d in planted} == {"input 0"}


def test_a_comparison_that_fails_already_is_not_tried():
    failed = [LeafResult(path="", quantity="value", verdict=Verdict.MISMATCH, reason="")]
    assert plant_defects(make_case(jnp.sin, (X,), VALUE), (X,), lambda case: failed) == ()


def test_a_comparison_that_raises_has_noticed():
    case = make_case(jnp.sin, (X,), VALUE)
    passed = [LeafResult(path="", quantity="value", verdict=Verdict.AGREES, reason="")]

    def retry(tried):
        if tried is not case:
            raise ValueError("Nothing was compared")
        return passed

    planted = plant_defects(case, (X,), retry)
    assert planted
    assert all(defect.caught for defect in planted)


def test_what_gets_worse_counts_and_nothing_else():
    case = make_case(lambda x: x + x.T, (X,), VALUE)

    def verdicts(first, second, gap=0.5):
        return [
            LeafResult(
                path=path, quantity="value", verdict=verdict, reason="",
                float64_gap=gap, float64_noise=1e-12,
            )
            for path, verdict in (("a", first), ("b", second))
        ]  # fmt: skip

    def plant_against(*changed):
        before = verdicts(Verdict.MISMATCH, Verdict.LESS_ACCURATE)
        return plant_defects(case, (X,), lambda c: before if c is case else verdicts(*changed))

    def caught(*changed):
        return {d.caught for d in plant_against(*changed)}

    assert caught(Verdict.MISMATCH, Verdict.AGREES) == {False}
    assert caught(Verdict.AGREES, Verdict.MISMATCH) == {True}
    # What fails without the defect, too, is another failure with it: that is no miss.
    assert caught(Verdict.MISMATCH, Verdict.AGREES, 0.7) == set()
    assert caught(Verdict.AGREES, Verdict.AGREES) == set()


def test_a_failure_is_not_called_blind_to_what_changes_it():
    """The mean fails, and the count passes: zeros for x change the mean alone."""
    result = run_case(
        ParityCase(
            name="mean",
            title="mean",
            jax=lambda x: (jnp.mean(x) * 3, jnp.sum(jnp.isfinite(x))),
            torch=lambda x: (torch.mean(x), torch.isfinite(x).sum()),
            inputs=(X,),
            orders=("value",),
        ),
        power=True,
    )
    assert [leaf.verdict for leaf in result.leaves] == [Verdict.MISMATCH, Verdict.IDENTICAL]
    assert result.planted == ()


def test_with_both_frameworks():
    """A layer with a zero bias: what its gradient shows, its value alone does not."""
    inputs = (X, W, 0 * B)

    def run(orders):
        case = ParityCase(
            name="layer",
            title="layer",
            jax=layer,
            torch=lambda x, w, b: torch.tanh(x @ w + b),
            inputs=inputs,
            orders=orders,
        )
        planted = plant_defects(
            case, tuple(map(jnp.asarray, inputs)), lambda c: run_case(c).leaves, limit=8
        )
        return {(d.defect, d.where): d.caught for d in planted}

    values, gradients = run(("value",)), run(("value", "vjp"))
    assert values["input replaced by zeros", "input 2"] is False
    assert gradients["input replaced by zeros", "input 2"] is True
    assert all(gradients.values())


def find_evidence(noise=1.0, scale=1.0, size=50):
    """Two programs for one function that differ by roundings, at both dtypes."""
    rng = np.random.default_rng(0)
    true = scale * rng.normal(size=size)

    def off(dtype, seed):
        eps = noise * np.finfo(dtype).eps
        return {"a": (true + eps * np.random.default_rng(seed).normal(size=size)).astype(dtype)}

    return Evidence(
        quantity="value",
        jax=off(np.float32, 1),
        torch=off(np.float32, 2),
        jax64=off(np.float64, 3),
        torch64=off(np.float64, 4),
        probes=tuple(Probe(off(np.float32, s), off(np.float64, s)) for s in range(5, 9)),
    )


def count_as(evidence, factor):
    def times(leaves):
        return {p: (np.float64(v) * factor).astype(v.dtype) for p, v in leaves.items()}

    changed = dataclasses.replace(evidence, jax=times(evidence.jax), jax64=times(evidence.jax64))
    return judge(changed)[0].verdict.outcome


@pytest.mark.parametrize("noise", [1.0, 1e3, 1e5])
def test_power_is_the_smallest_change_that_is_noticed(noise):
    evidence = find_evidence(noise)
    power = measure_power(evidence)["a"]
    assert count_as(evidence, 1.0) == "pass"
    assert count_as(evidence, 1 + power) != "pass"
    assert count_as(evidence, 1 + power / 10) == "pass"


def test_power_is_less_where_there_is_more_noise():
    sharp, dull = (measure_power(find_evidence(noise))["a"] for noise in (1.0, 1e5))
    assert 1e-15 <= sharp <= 1e-11
    assert dull >= 1e3 * sharp


def test_nothing_is_noticed_in_what_is_zero_or_noise():
    zero = find_evidence(scale=0.0, noise=0.0)
    assert judge(zero)[0].verdict.outcome == "pass"
    assert measure_power(zero) == {"a": None}
    assert measure_power(find_evidence(scale=0.0)) == {"a": None}


def test_each_leaf_has_a_power_of_its_own():
    good, silent = find_evidence(), find_evidence(scale=0.0, noise=0.0)

    def join(name):
        return getattr(good, name) | {"b": getattr(silent, name)["a"]}

    both = dataclasses.replace(good, **{n: join(n) for n in ("jax", "torch", "jax64", "torch64")})
    power = measure_power(both)
    assert power["a"] is not None
    assert power["b"] is None


@pytest.mark.parametrize(
    ("values", "power"),
    [(np.array([1, 250, -1000]), 1e-3), (np.array([0, 0]), 1.0), (np.array([True]), 1.0)],
    ids=["integers", "zeros", "booleans"],
)
def test_what_is_compared_exactly_shows_a_change_by_one(values, power):
    leaves = {"a": values}
    evidence = Evidence("value", leaves, leaves, leaves, leaves, ())
    assert measure_power(evidence) == {"a": power}


def test_what_fails_has_no_power():
    evidence = dataclasses.replace(find_evidence(), jax64={"a": np.ones(50)})
    assert measure_power(evidence) == {"a": None}
