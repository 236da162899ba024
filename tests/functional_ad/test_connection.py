"""connected: which leaves have a gradient at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import AxisType, PartitionSpec

import functional_ad as fad
from functional_ad import _flow

NAMES = "abcd"
PARAMS = {name: jnp.linspace(0.5, 1.5, 3) + i for i, name in enumerate(NAMES)}


def carry_without_use(p):
    def step(carry, _):
        return (carry[0] * p["a"], carry[1] + p["b"]), None

    (kept, _), _ = lax.scan(step, (p["c"], p["d"]), length=2)
    return kept


def carries_that_meet(p):
    """b reaches the output only in the third round: d to c to a's place."""

    def step(carry, _):
        x, y, z = carry
        return (x + y, y + z, z * p["b"]), None

    return lax.scan(step, (p["a"], p["a"], p["a"]), length=3)[0][0]


@jax.custom_vjp
def straight_through(x):
    return lax.stop_gradient(jnp.round(x))


straight_through.defvjp(lambda x: (straight_through(x), None), lambda _, g: (g,))


@jax.custom_vjp
def first_only(x, y):
    return x * y


first_only.defvjp(lambda x, y: (x * y, y), lambda y, g: (g * y, None))


@jax.custom_jvp
def rule_without_y(x, y):
    return x * y


rule_without_y.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1]))

# What connects, by hand.
CASES = {
    "everything": (lambda p: p["a"] * p["b"] + p["c"] - p["d"], "abcd"),
    "one": (lambda p: p["a"] * 2, "a"),
    "nothing": (lambda p: jnp.ones(3), ""),
    "stop_gradient": (lambda p: p["a"] * lax.stop_gradient(p["b"]), "a"),
    "both ways": (lambda p: p["a"] + lax.stop_gradient(p["a"]), "a"),
    "round, floor, sign": (
        lambda p: jnp.round(p["a"]) + jnp.floor(p["b"]) + jnp.sign(p["c"]) + p["d"],
        "d",
    ),
    "compare": (lambda p: jnp.where(p["a"] > p["b"], p["c"], p["d"]), "cd"),
    "cast": (lambda p: p["a"].astype(jnp.int32).astype(jnp.float32) + p["b"], "b"),
    "argmax": (lambda p: p["a"][jnp.argmax(p["b"])], "a"),
    "half": (lambda p: p["a"].astype(jnp.bfloat16) * 2, "a"),
    "times zero": (lambda p: p["a"] * 0.0, "a"),
    "scan": (carry_without_use, "ac"),
    "scan, later rounds": (carries_that_meet, "ab"),
    "scan of none": (lambda p: lax.scan(lambda c, x: (c, c * x), p["a"], p["b"])[0], "a"),
    "cond": (lambda p: lax.cond(True, lambda: p["a"], lambda: p["b"] * p["c"]), "abc"),
    "while": (lambda p: lax.while_loop(lambda c: c[0] < 9, lambda c: c * p["a"], p["b"]), "ab"),
    "jit": (jax.jit(lambda p: p["a"] * jax.jit(lax.stop_gradient)(p["b"])), "a"),
    "remat": (jax.checkpoint(lambda p: jnp.sin(p["a"]) + jnp.round(p["b"])), "a"),
    "vmap": (lambda p: jax.vmap(lambda a, b: a * lax.stop_gradient(b))(p["a"], p["b"]), "a"),
    "no_grad": (lambda p: fad.no_grad(jnp.sin)(p["a"]) * p["b"], "b"),
    "custom_vjp": (lambda p: straight_through(p["a"]) + jnp.round(p["b"]), "a"),
    "custom_vjp, no rule for one": (lambda p: first_only(p["a"], p["b"]), "a"),
    "custom_jvp": (lambda p: rule_without_y(p["a"], p["b"]), "a"),
    "relu": (lambda p: jax.nn.relu(p["a"]), "a"),
    "solve": (lambda p: jnp.linalg.solve(jnp.diag(p["a"]), p["b"]), "ab"),
    "a gradient": (lambda p: jax.grad(lambda a: jnp.sum(a**2 * p["b"] + p["c"]))(p["a"]), "ab"),
    "integer output": (lambda p: {"n": jnp.argmax(p["a"]), "x": p["b"]}, "b"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_connected(name):
    fun, expected = CASES[name]
    assert fad.connected(fun, PARAMS) == {n: n in expected for n in NAMES}


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"while", "times zero"}))
def test_what_is_not_connected_has_a_gradient_of_zeros(name):
    """And, with these numbers, what is connected does not."""
    fun, expected = CASES[name]

    def total(p):
        leaves = [leaf for leaf in jax.tree.leaves(fun(p)) if leaf.dtype != jnp.int32]
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves)

    grads = jax.grad(total)(PARAMS)
    nonzero = {n for n in NAMES if np.any(np.asarray(grads[n]))}
    taken = {"cond": {"b", "c"}, "compare": {"c"}, "scan of none": set()}  # not with these numbers
    assert nonzero == set(expected) - taken.get(name, set())


def test_a_planted_defect_is_noticed(monkeypatch):
    """If whatever is in the derivative's program counted, what is cut would connect."""
    true_rule = _flow.find_required

    def careless(equations, given):
        return dict.fromkeys(true_rule(equations, given), True)

    monkeypatch.setattr(_flow, "find_required", careless)
    fun, _ = CASES["stop_gradient"]
    assert fad.connected(fun, PARAMS) == dict.fromkeys(NAMES, True)


def test_trees_of_every_kind():
    def fun(params, mode, x):
        assert mode == "train"
        return {"loss": jnp.sum(params["w"][0] * x), "n": params["step"] + 1, "none": None}

    params = {
        "w": (jnp.ones(3, jnp.float16), np.ones(2)),
        "step": jnp.int32(1),
        "mask": np.array([True]),
        "none": None,
        "lr": 0.1,
    }
    assert fad.connected(fun, params, "train", jnp.ones(3)) == (
        {"w": (True, False), "step": False, "mask": False, "none": None, "lr": False},
        False,
        True,
    )
    shapes = jax.ShapeDtypeStruct((3,), jnp.float32)
    assert fad.connected(lambda x, z: jnp.real(z) + jnp.round(x), shapes, 1j) == (False, True)
    assert fad.connected(lambda n: n * 2, 3) is False
    assert fad.connected(lambda: 1.0) == ()


def test_nothing_is_run():
    ran = []

    def fun(x):
        jax.debug.callback(lambda: ran.append(1))
        return jnp.sum(x)

    assert fad.connected(fun, jax.ShapeDtypeStruct((10**6, 10**6), jnp.float32))
    jax.effects_barrier()
    assert ran == []


def test_it_costs_nothing_in_a_compiled_function():
    def fun(x):
        flags = fad.connected(lambda p: p["a"] @ p["a"] + lax.stop_gradient(p["b"]), x)
        return x["a"] * 2 if flags == {"a": True, "b": False} else x["a"] @ x["b"]

    x = {"a": jnp.ones((64, 64)), "b": jnp.ones((64, 64))}
    plain = jax.jit(lambda x: x["a"] * 2).lower(x).compile().cost_analysis()
    ours = jax.jit(fun).lower(x).compile().cost_analysis()
    assert ours["flops"] == plain["flops"]


@pytest.mark.parametrize("within", ["vmap", "scan", "remat", "grad", "shard_map"])
def test_inside_of_a_transform(within):
    def fun(x):
        flags = fad.connected(lambda a, b: jnp.sum(a * lax.stop_gradient(b)), x, x + 1)
        assert flags == (True, False)
        return jnp.sum(x)

    x = jnp.ones((2, 3))
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("d")
    {
        "vmap": lambda: jax.vmap(fun)(x),
        "scan": lambda: lax.scan(lambda c, x: (c + fun(x), None), 0.0, x),
        "remat": lambda: jax.checkpoint(fun)(x),
        "grad": lambda: jax.grad(fun)(x),
        "shard_map": lambda: jax.shard_map(
            lambda x: fun(x)[None], mesh=mesh, in_specs=spec, out_specs=spec
        )(x),
    }[within]()


def test_through_shard_map():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("d")

    def body(w, x):
        return lax.psum(jnp.sum(w * lax.stop_gradient(x)), "d")

    mapped = jax.shard_map(body, mesh=mesh, in_specs=(spec, spec), out_specs=PartitionSpec())
    assert fad.connected(mapped, jnp.ones(2), jnp.ones(2)) == (True, False)


def test_what_cannot_be_differentiated_raises_as_jax_does():
    def fun(x):
        return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((), jnp.float32), x)

    with pytest.raises(ValueError, match="callbacks do not support JVP"):
        fad.connected(fun, 1.0)


@st.composite
def wirings(draw):
    """A function of three leaves, of connecting and cutting operations, and what it connects."""
    values = [{0}, {1}, {2}]
    steps = []
    for _ in range(draw(st.integers(1, 8))):
        op = draw(st.sampled_from(["add", "mul", "sin", "stop", "round", "select"]))
        i, j = (draw(st.integers(0, len(values) - 1)) for _ in range(2))
        steps.append((op, i, j))
        one, both = values[i], values[i] | values[j]
        values.append(
            {"sin": one, "stop": set(), "round": set(), "select": values[j]}.get(op, both)
        )
    return steps, values[-1]


def run_wiring(steps, leaves):
    values = list(leaves)
    for op, i, j in steps:
        a, b = values[i], values[j]
        values.append(
            {
                "add": lambda a=a, b=b: a + b,
                "mul": lambda a=a, b=b: a * b,
                "sin": lambda a=a, b=b: jnp.sin(a),
                "stop": lambda a=a, b=b: lax.stop_gradient(a),
                "round": lambda a=a, b=b: jnp.round(a),
                "select": lambda a=a, b=b: jnp.where(a > 0, b, 0.0),
            }[op]()
        )
    return values[-1]


@given(wirings(), st.sampled_from(["plain", "jit", "checkpoint", "scan"]))
@settings(deadline=None, max_examples=60)
def test_any_wiring(wiring, within):
    steps, expected = wiring

    def plain(*leaves):
        return run_wiring(steps, leaves)

    def scanned(*leaves):
        return lax.scan(lambda c, _: (c, plain(*leaves)), 0.0, length=2)[1]

    fun = {
        "plain": plain,
        "jit": jax.jit(plain),
        "checkpoint": jax.checkpoint(plain),
        "scan": scanned,
    }[within]
    assert fad.connected(fun, 1.0, 2.0, 3.0) == tuple(i in expected for i in range(3))


def test_beside_torchs_allow_unused():
    torch = pytest.importorskip("torch", reason="needs torch")
    leaves = [torch.ones(3, requires_grad=True) for _ in range(3)]
    output = (leaves[0] * leaves[1].detach()).sum()
    theirs = torch.autograd.grad(output, leaves, allow_unused=True)
    ours = fad.connected(
        lambda a, b, c: jnp.sum(a * lax.stop_gradient(b)), *(jnp.ones(3) for _ in leaves)
    )
    assert ours == tuple(grad is not None for grad in theirs)


def test_shapes_of_integers_stand_for_arrays():
    def fun(batch, table):
        picked = table[batch["tokens"]] * batch["mask"]
        return (
            jnp.sum(picked)
            + lax.while_loop(
                lambda c: c[0] < batch["n"], lambda c: (c[0] + 1, c[1] * table[0]), (0, 1.0)
            )[1]
        )

    shape = jax.ShapeDtypeStruct
    batch = {
        "tokens": shape((3,), jnp.int32),
        "mask": shape((3,), jnp.bool_),
        "n": shape((), jnp.int32),
        "unused": shape((2,), jnp.float32),
    }
    want = ({"tokens": False, "mask": False, "n": False, "unused": False}, True)
    assert fad.connected(fun, batch, shape((5,), jnp.float32)) == want
    key = jax.eval_shape(lambda: jax.random.key(0))
    assert fad.connected(lambda p, key: p * jax.random.normal(key), 1.0, key) == (True, False)
