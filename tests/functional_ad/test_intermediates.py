"""intermediate_grads: gradients of tagged values, wherever they are, or a word about why not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import jaxprs_in_params
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import functional_ad as fad
from functional_ad import _tags

W = jnp.linspace(0.2, 1.1, 4)


def tag(name):
    return lambda x: checkpoint_name(x, name)


# Each takes w and what to do to its value "h"; the gradient of h is that for zeros added to it.
def eager(w, at):
    return jnp.sum(at(w**2) ** 3)


def compiled(w, at):
    return jnp.sum(jax.jit(lambda w: jax.jit(lambda v: at(jnp.sin(v)))(w) * w)(w))


def rematerialised(w, at):
    policy = jax.checkpoint_policies.save_only_these_names("h")
    body = jax.checkpoint(lambda w: jnp.sum(jnp.sin(at(jnp.exp(w)))), policy=policy)
    return body(w)


def mapped(w, at):
    return jnp.sum(jax.vmap(lambda v: at(v**2) * v)(w))


def in_a_branch(w, at):
    return lax.cond(w[0] > 0, lambda v: jnp.sum(at(v**3) * v), lambda v: jnp.sum(v), w)


def in_a_branch_not_taken(w, at):
    return lax.cond(w[0] < 0, lambda v: jnp.sum(at(v**3) * v), lambda v: jnp.sum(v), w)


def beside_a_rule(w, at):
    return jnp.sum(jax.nn.relu(at(w * 2)) * straight_through(w))


def unused(w, at):
    at(w * 2)
    return jnp.sum(w)


def detached(w, at):
    return jnp.sum(lax.stop_gradient(at(w * 2)) * w)


def complex_valued(w, at):
    return jnp.sum(jnp.abs(at(jnp.exp(1j * w) * w)) ** 2)


@jax.custom_vjp
def straight_through(x):
    return jnp.round(x)


straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (7 * g,))

PLACES = {
    "eager": eager,
    "jit in jit": compiled,
    "checkpoint": rematerialised,
    "vmap": mapped,
    "cond": in_a_branch,
    "cond, not taken": in_a_branch_not_taken,
    "beside a custom rule": beside_a_rule,
    "unused": unused,
    "detached": detached,
    "complex": complex_valued,
}
OUTSIDE = {"eager": lambda f: f, "jit": jax.jit, "checkpoint": jax.checkpoint}


def differentiate_by_hand(fun, w):
    kind = jax.eval_shape(lambda w: find_value(fun, w), w)
    zero = jnp.zeros(kind.shape, kind.dtype)
    if fun is mapped:  # one at each element, which the mapped function cannot be given

        def with_zero(w, zero):
            return jnp.sum(jax.vmap(lambda v, z: (v**2 + z) * v)(w, zero))
    else:

        def with_zero(w, zero):
            return fun(w, lambda value: value + zero)

    value, (grad, intermediate) = jax.value_and_grad(with_zero, (0, 1))(w, zero)
    return value, grad, {"h": intermediate}


def find_value(fun, w):
    program = jax.make_jaxpr(lambda w: fun(w, tag("h")))(w)
    (found,) = _tags.find_tags(program)
    return jnp.zeros(found.kind.shape, found.kind.dtype)


def assert_equal(got, want):
    # The same operations in another order of fusion: a few roundings of values near 1.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)
    assert jax.tree.structure(got) == jax.tree.structure(want)


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("place", PLACES)
def test_the_gradient_is_that_of_added_zeros(place, outside):
    fun = PLACES[place]
    ours = OUTSIDE[outside](fad.intermediate_grads(lambda w: fun(w, tag("h"))))
    assert_equal(ours(W), differentiate_by_hand(fun, W))


def test_the_comparison_notices_a_slot_that_is_lost(monkeypatch):
    """Planted: a region passes its slots on to nobody."""
    monkeypatch.setattr(_tags, "_choose", lambda equation, slots: {})
    got = fad.intermediate_grads(lambda w: eager(w, tag("h")))(W)
    with pytest.raises(AssertionError):
        assert_equal(got, differentiate_by_hand(eager, W))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 3, True])
def test_in_a_scan_it_is_stacked(reverse, unroll):
    xs = jnp.arange(1.0, 7.0).reshape(3, 2) / 4  # derivatives near 1, so that roundings stay small

    def fun(w, at, at_inner):
        def step(carry, row):
            def inner(c, x):
                return at_inner(jnp.sin(c * x)), None

            carry, _ = lax.scan(inner, carry, row)
            return at(carry * w[0]), jnp.sum(carry)

        carry, sums = lax.scan(step, w, xs, reverse=reverse, unroll=unroll)
        return jnp.sum(carry) + jnp.sum(sums**2)

    value, grads, got = fad.intermediate_grads(lambda w: fun(w, tag("outer"), tag("inner")))(W)
    assert got["outer"].shape == (3, 4)
    assert got["inner"].shape == (3, 2, 4)

    def unrolled(w, zeros):
        carry, total = w, 0.0
        for i in reversed(range(3)) if reverse else range(3):
            for j in range(2):
                carry = jnp.sin(carry * xs[i, j]) + zeros["inner"][i, j]
            total += jnp.sum(carry) ** 2
            carry = carry * w[0] + zeros["outer"][i]
        return jnp.sum(carry) + total

    zeros = {"outer": jnp.zeros((3, 4)), "inner": jnp.zeros((3, 2, 4))}
    want, (grad, gots) = jax.value_and_grad(unrolled, (0, 1))(W, zeros)
    assert_equal((value, grads, got), (want, grad, gots))


def test_under_vmap_and_scan_of_the_whole():
    step = fad.intermediate_grads(lambda w, x: jnp.sum(checkpoint_name(w * x, "h") ** 2))
    xs = jnp.arange(6.0).reshape(3, 2)
    values, grads, got = jax.vmap(step, (None, 0))(2.0, xs)
    assert (values.shape, grads.shape) == ((3,), (3,))
    np.testing.assert_array_equal(got["h"], 4 * xs)  # integers: exact
    _, (_, _, scanned) = lax.scan(lambda c, x: (c, step(c, x)), 2.0, xs)
    np.testing.assert_array_equal(scanned["h"], 4 * xs)


def test_a_second_derivative_passes_through():
    def fun(w):
        return fad.intermediate_grads(lambda w: jnp.sum(checkpoint_name(w**2, "h") ** 2))(w)[2]

    # d/dw of 2 w**2; small integers: exact
    np.testing.assert_array_equal(
        jax.jacfwd(lambda w: fun(w)["h"])(jnp.arange(3.0)), jnp.diag(4 * jnp.arange(3.0))
    )
    np.testing.assert_array_equal(
        jax.grad(lambda w: jnp.sum(fun(w)["h"]))(jnp.arange(3.0)), 4 * jnp.arange(3.0)
    )


def test_inside_shard_map_each_device_has_its_own():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("d")

    def local(w, x):
        step = fad.intermediate_grads(lambda w: jnp.sum(checkpoint_name(w * x, "h") ** 2))
        _, grads, got = step(w)
        return grads, got["h"]

    run = jax.shard_map(
        local, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=(PartitionSpec(), spec)
    )
    x = jnp.arange(1.0, 5.0)
    grads, got = run(2.0, x)
    np.testing.assert_array_equal(got, 4 * x)  # integers: exact; not summed over the devices
    assert grads == 4 * jnp.sum(x**2)


def test_shardings_of_a_compiled_function_are_kept():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    sharding = NamedSharding(mesh, PartitionSpec("d"))
    inner = jax.jit(lambda w: checkpoint_name(w * 2, "h"), out_shardings=sharding)
    step = fad.intermediate_grads(lambda w: jnp.sum(inner(w) ** 2))
    ops = [
        e.primitive.name
        for e in walk_equations(jax.make_jaxpr(lambda w: step(w))(jnp.ones(4)).jaxpr)
    ]
    assert "sharding_constraint" in ops


def walk_equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from walk_equations(inner)


def find_params(fun, op):
    jaxpr = jax.make_jaxpr(fun)(W).jaxpr
    return [e.params for e in walk_equations(jaxpr) if e.primitive.name.startswith(op)]


def test_settings_of_scan_and_checkpoint_are_kept():
    policy = jax.checkpoint_policies.save_only_these_names("h")

    def fun(w):
        body = jax.checkpoint(lambda c, x: (tag("h")(c * x), c), policy=policy, prevent_cse=False)
        carry, _ = lax.scan(body, w, jnp.arange(6.0), unroll=2, reverse=True)
        return jnp.sum(carry)

    for params in find_params(lambda w: fad.intermediate_grads(fun)(w), "scan"):
        assert (params["length"], params["unroll"]) == (6, 2)
    remats = find_params(lambda w: fad.intermediate_grads(fun)(w), "remat")
    remats += find_params(lambda w: fad.intermediate_grads(fun)(w), "checkpoint")
    assert remats
    assert all(p["policy"] is policy and p["prevent_cse"] is False for p in remats)


def measure(fun, *args):
    return jax.jit(fun).lower(*args).compile().cost_analysis()["flops"]


def deep(w, at):
    h = w
    for index in range(3):
        h = at(f"l{index}", jnp.tanh(h @ w))

    def step(c, _):
        return at("s", jnp.sin(c @ w)), None

    h, _ = lax.scan(jax.checkpoint(step), h, length=4)
    return jnp.sum(h)


def test_it_costs_no_more_flops_than_zeros_added_by_hand_or_none_at_all():
    w = jnp.ones((64, 64))
    zeros = {f"l{i}": jnp.zeros((64, 64)) for i in range(3)}

    def by_hand(w):
        def fun(w, zeros):
            return deep(w, lambda name, value: value + zeros.get(name, 0.0))

        return jax.value_and_grad(fun, (0, 1))(w, zeros)

    names = list(zeros)
    ours = fad.intermediate_grads(lambda w: deep(w, lambda n, v: checkpoint_name(v, n)), names)
    plain = jax.value_and_grad(lambda w: deep(w, lambda _, value: value))
    assert measure(ours, w) == measure(plain, w) <= measure(by_hand, w)
    everything = fad.intermediate_grads(lambda w: deep(w, lambda n, v: checkpoint_name(v, n)))
    # Storing the gradient of each iteration takes no arithmetic on the values but its indices.
    assert measure(everything, w) - measure(plain, w) < 64 * 64


def test_the_measure_notices_a_second_backward_pass():
    w = jnp.ones((64, 64))

    def plain(w):
        return deep(w, lambda _, value: value)

    assert measure(lambda w: (jax.grad(plain)(w), jax.grad(plain)(w + 1)), w) > measure(
        jax.grad(plain), w
    )


def test_the_value_is_untouched_to_the_last_bit():
    def fun(w):
        return checkpoint_name(w, "h") * 1.0

    value, _, got = fad.intermediate_grads(fun)(jnp.float32(-0.0))
    assert np.signbit(value)  # -0.0 + 0.0 would be 0.0
    assert got["h"] == 1.0


def test_arguments_and_aux_of_every_kind():
    def loss(mode, params, x, *, scale, options):
        assert (mode, options) == ("train", {"flag": True, "none": None})
        h = checkpoint_name(params["w"] * x * scale, "h")
        n = checkpoint_name(params["n"] + 1, "n")
        return jnp.sum(h**2), {"mode": mode, "n": n, "h": h, "k": 3, "none": None}

    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.int32(1), "frozen": jnp.ones(2)}
    step = fad.intermediate_grads(loss, "h", where="w", argnum=1, has_aux=True)
    (value, aux), grads, got = step(
        "train", params, jnp.ones(2), scale=2.0, options={"flag": True, "none": None}
    )
    assert value == 8.0
    assert (aux["mode"], aux["k"], aux["none"], int(aux["n"])) == ("train", 3, None, 2)
    assert (grads["n"], grads["frozen"], grads["w"].dtype) == (None, None, jnp.bfloat16)
    np.testing.assert_array_equal(got["h"], [4.0, 4.0])
    assert list(got) == ["h"]


def test_only_the_names_that_are_asked_for():
    def fun(w):
        return jnp.sum(tag("b")(tag("a")(w * 2) * 3))

    for names, expected in ((None, ["a", "b"]), ("b", ["b"]), (["b", "a"], ["a", "b"])):
        assert sorted(fad.intermediate_grads(fun, names)(W)[2]) == expected


def names_twice(w):
    return jnp.sum(tag("twice")(tag("twice")(w)) + tag("once")(w))


def names_an_integer(w):
    return jnp.sum(w * tag("n")(jnp.arange(4)))


@pytest.mark.parametrize(
    ("fun", "names", "error", "match"),
    [
        (names_twice, None, fad.SelectionError, r"one value each(.|\n)*'once'(.|\n)*'twice', 2 t"),
        (names_twice, ["twice"], fad.SelectionError, r"'twice', 2 times"),
        (names_twice, ["one"], fad.SelectionError, r"one of 'once', 'twice'\n  got:      'one'"),
        (jnp.sum, None, fad.SelectionError, r"got:      none: the function tags no value"),
        (names_an_integer, "n", fad.LeafTypeError, r"got:      'n': int32\[4\]"),
        (names_an_integer, None, fad.SelectionError, r"names of values that the function tags"),
        (names_twice, 3, fad.ArgumentError, r"got:      3 \(int\)"),
        (names_twice, [3], fad.ArgumentError, r"got:      \[3\] \(list\)"),
        (lambda w: tag("h")(w), None, fad.OutputError, r"intermediate_grads` needs a loss"),
    ],
    ids=["all", "double", "missing", "none", "integer", "integers", "int", "list", "vector"],
)
def test_wrong_names_are_told(fun, names, error, match):
    with pytest.raises(error, match=match):
        fad.intermediate_grads(fun, names)(W)


def test_a_name_that_is_there_twice_is_no_matter_if_it_is_not_asked_for():
    assert list(fad.intermediate_grads(names_twice, "once")(W)[2]) == ["once"]


def test_the_rest_of_the_call_is_checked_as_by_value_and_grad():
    with pytest.raises(fad.ArgumentError, match=r"intermediate_grads\(argnum=...\)` must be one"):
        fad.intermediate_grads(names_twice, argnum="w")
    with pytest.raises(fad.ArgumentError, match=r"intermediate_grads\(argnum=...\)` must be a pos"):
        fad.intermediate_grads(names_twice, argnum=1)(W)
    with pytest.raises(fad.SelectionError, match=r"intermediate_grads\(where=...\)` has a pattern"):
        fad.intermediate_grads(names_twice, where="x")({"w": W})
    with (
        fad.set_grad_enabled(False),
        pytest.raises(fad.GradModeError, match="intermediate_grads` was called"),
    ):
        fad.intermediate_grads(names_twice, "once")(W)


# --- what cannot be passed ---


def in_a_while(w):
    looped = lax.while_loop(lambda c: c < 9, lambda c: tag("h")(c * 2), lax.stop_gradient(w[0]))
    return jnp.sum(w * looped)


@jax.custom_jvp
def with_jvp(x):
    return tag("h")(2 * x)


with_jvp.defjvps(lambda t, y, x: 2 * t)


@jax.custom_vjp
def with_vjp(x):
    return tag("h")(2 * x)


with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda _, g: (2 * g,))


def in_shard_map(w):
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("d")
    return jnp.sum(jax.shard_map(tag("h"), mesh=mesh, in_specs=spec, out_specs=spec)(w))


def in_a_solve(w):
    def solve(_, b):
        return tag("h")(b / 2)

    return jnp.sum(lax.custom_linear_solve(lambda v: 2 * v, w, solve, symmetric=True))


HIDDEN = {
    "while": in_a_while,
    "custom_jvp_call": lambda w: jnp.sum(with_jvp(w)),
    "custom_vjp_call": lambda w: jnp.sum(with_vjp(w)),
    "shard_map": in_shard_map,
    "custom_linear_solve": in_a_solve,
}


@pytest.mark.parametrize("within", [lambda f: f, jax.jit, jax.checkpoint], ids=["", "jit", "remat"])
@pytest.mark.parametrize("op", HIDDEN)
def test_what_cannot_be_reached_is_named_with_what_it_is_in(op, within):
    with pytest.raises(fad.PrimitiveError, match=rf"cannot reach(.|\n)*'h' in `{op}`"):
        fad.intermediate_grads(within(HIDDEN[op]))(W)

    def beside(w):
        return HIDDEN[op](tag("before")(w * 2))

    # The rest can be had, and the operation is passed as it is.
    value, _, got = fad.intermediate_grads(within(beside), "before")(W)
    want, by_hand = jax.value_and_grad(lambda v: HIDDEN[op](v))(2 * W)
    assert_equal((value, got), (want, {"before": by_hand}))


# --- against PyTorch, and at random ---


def test_beside_torchs_retain_grad():
    torch = pytest.importorskip("torch", reason="needs torch")

    def ours(w, x):
        h = tag("h")(jnp.tanh(x @ w))
        h = jax.jit(lambda h: tag("h2")(h * 2))(h)
        h, _ = lax.scan(lambda c, t: (tag("step")(jnp.sin(c) * t), None), h, jnp.arange(1.0, 4.0))
        return jnp.sum(jax.checkpoint(lambda c: tag("squares")(c**2))(h))

    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(3, 4)).astype("f"), rng.normal(size=(2, 3)).astype("f")
    _, grads, got = fad.intermediate_grads(ours)(w, x)

    kept = {}

    def keep(name, value):
        value.retain_grad()
        kept[name] = value
        return value

    tw = torch.tensor(w, requires_grad=True)
    h = keep("h", torch.tanh(torch.tensor(x) @ tw))
    h = keep("h2", h * 2)
    for i in range(3):
        h = keep(f"step{i}", torch.sin(h) * (i + 1))
    keep("squares", h**2).sum().backward()
    want = {name: kept[name].grad.numpy() for name in ("h", "h2", "squares")}
    want["step"] = np.stack([kept[f"step{i}"].grad.numpy() for i in range(3)])
    # A chain of eight operations in float32, of values up to 6.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)
    np.testing.assert_allclose(grads, tw.grad.numpy(), rtol=1e-4, atol=1e-5)


@given(
    st.lists(st.sampled_from(["jit", "checkpoint", "scan", "cond", "vmap"]), max_size=4),
    st.sampled_from([(), (3,), (2, 3)]),
    st.sampled_from([jnp.float32, jnp.bfloat16]),
)
@settings(deadline=None, max_examples=40)
def test_any_nesting_of_regions(layers, shape, dtype):
    """2x tagged, then nested in regions: x passes, so the gradient of h is 1 for a sum."""
    lengths = [2 for layer in layers if layer in ("scan", "vmap")]

    def wrap(fun, layer):
        wrappers = {
            "jit": lambda: jax.jit(fun),
            "checkpoint": lambda: jax.checkpoint(fun),
            "scan": lambda: lambda x: lax.scan(lambda c, _: (c, fun(x)), 0.0, length=2)[1].sum(0),
            "cond": lambda: lambda x: lax.cond(jnp.sum(x) > -1, fun, lambda x: x, x),
            "vmap": lambda: lambda x: jax.vmap(fun)(jnp.stack([x, x])).sum(0),
        }
        return wrappers[layer]()

    fun = functools.reduce(wrap, reversed(layers), lambda x: tag("h")(2 * x))
    _, grad, got = fad.intermediate_grads(lambda x: jnp.sum(fun(x)).astype(jnp.float32))(
        jnp.ones(shape, dtype)
    )
    assert got["h"].shape == (*lengths, *shape)
    assert got["h"].dtype == dtype
    np.testing.assert_array_equal(got["h"], np.ones((*lengths, *shape), dtype))
    np.testing.assert_array_equal(grad, np.full(shape, 2 * 2 ** len(lengths), dtype))
