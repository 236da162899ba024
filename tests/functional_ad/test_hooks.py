"""grad_hook and scale_grad: what comes back, through which transforms, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.sharding import AxisType, PartitionSpec

import functional_ad as fad
from functional_ad._linearity import is_linear

X = jnp.array([0.3, -1.2, 2.0])
MATRIX = jnp.array([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [0.0, 0.25, 1.0]])

LINEAR = {
    "scaled": lambda g: g * 0.5,
    "divided and turned": lambda g: -g / 4.0,
    "masked": lambda g: jnp.where(jnp.array([True, False, True]), g, 0.0),
    "times a matrix": lambda g: g @ MATRIX,
    "mean removed": lambda g: g - jnp.mean(g),
    "through bfloat16": lambda g: g.astype(jnp.bfloat16).astype(g.dtype),
    "reversed": lambda g: g[::-1],
    "put together": lambda g: jnp.concatenate([g[1:], jnp.zeros(1)]),
    "nothing": lambda g: jnp.zeros_like(g),
    "as it is": lambda g: g,
}
NONLINEAR = {
    "clipped": lambda g: jnp.clip(g, -1.0, 1.0),
    "with a constant": lambda g: g + 1.0,
    "a constant": lambda g: jnp.ones_like(g),
    "masked with ones": lambda g: jnp.where(jnp.array([True, False, True]), g, 1.0),
    "squared": lambda g: g * g,
    "normalised": lambda g: g / jnp.linalg.norm(g),
    "masked by itself": lambda g: jnp.where(g > 0, g, 0.0),
    "rounded": lambda g: g.astype(jnp.int32).astype(g.dtype),
    "padded with ones": lambda g: jnp.concatenate([g[1:], jnp.ones(1)]),
}
HOOKS = LINEAR | NONLINEAR


def network(hook):
    """A loss through a hooked value that is used nonlinearly on both sides."""
    return lambda x: jnp.sum(jnp.sin(hook(x**2)) * jnp.arange(1.0, 4.0))


def hooked(fn):
    return network(lambda h: fad.grad_hook(h, fn))


def by_hand(fn, x):
    """The gradient of `network` with the cotangent of x² sent through `fn`."""
    return 2 * x * fn(jnp.cos(x**2) * jnp.arange(1.0, 4.0))


def scan_rows(fun, rows):
    return lax.scan(lambda carry, row: (carry, fun(row)), None, rows)[1]


def map_on_mesh(fun, rows):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("data")
    return jax.shard_map(
        lambda rows: jax.vmap(fun)(rows), mesh=mesh, in_specs=spec, out_specs=spec
    )(rows)


EACH_ROW = {
    "eager": lambda fun, rows: jnp.stack([fun(row) for row in rows]),
    "jit": lambda fun, rows: jnp.stack([jax.jit(fun)(row) for row in rows]),
    "vmap": lambda fun, rows: jax.vmap(fun)(rows),
    "vmap of the last axis": lambda fun, rows: jax.vmap(fun, in_axes=1)(rows.T),
    "scan": scan_rows,
    "remat": lambda fun, rows: jnp.stack([jax.jit(jax.checkpoint(fun))(row) for row in rows]),
    "cond": lambda fun, rows: jnp.stack([lax.cond(r[0] < 9, fun, jnp.sin, r) for r in rows]),
    "shard_map": map_on_mesh,
}


@pytest.mark.parametrize("transform", EACH_ROW)
@pytest.mark.parametrize("name", HOOKS)
def test_the_gradient_goes_through_the_hook(name, transform):
    fn, rows = HOOKS[name], jnp.stack([X, 2 * X])
    got = EACH_ROW[transform](jax.grad(hooked(fn)), rows)
    want = jnp.stack([by_hand(fn, row) for row in rows])
    # The same few operations in float32, fused in other ways; "rounded" and bfloat16 values jump,
    # but from inputs that are not near a jump.
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


SCALES = jnp.array([2.0, 0.5, 3.0])


def scale_in_steps(outer, body):
    """A loss of x that runs the body with each of the scales, in one of JAX's ways."""
    ways = {
        "scan": lambda x: jnp.sum(lax.scan(lambda c, s: (body(c, s), None), x, SCALES)[0]),
        "vmap": lambda x: jnp.sum(jax.vmap(body, in_axes=(None, 0))(x, SCALES) ** 2),
        "remat": lambda x: jnp.sum(jax.checkpoint(body)(x, SCALES[0]) ** 2),
    }
    return ways[outer]


def scale_by_hand(outer, fn, x):
    """The gradient of that, with the hook `fn(g) * s` on sin(x) in x ↦ sin(x) * s."""
    if outer == "scan":
        values = [x]
        for s in SCALES:
            values.append(jnp.sin(values[-1]) * s)
        g = jnp.ones_like(x)
        for value, s in zip(values[-2::-1], SCALES[::-1], strict=True):
            g = fn(g * s) * s * jnp.cos(value)
        return g
    scales = SCALES if outer == "vmap" else SCALES[:1]
    return sum(fn(2 * jnp.sin(x) * s * s) * s * jnp.cos(x) for s in scales)


@pytest.mark.parametrize("outer", ["scan", "vmap", "remat"])
@pytest.mark.parametrize("name", ["scaled", "clipped", "with a constant"])
def test_the_transform_is_differentiated(name, outer):
    """grad of scan, vmap and remat, with a hook inside that uses the body's own values."""
    fn = HOOKS[name]

    def body(x, s):
        return fad.grad_hook(jnp.sin(x), lambda g: fn(g) * s) * s

    for transform in (jax.grad, lambda f: jax.jit(jax.grad(f))):
        # The same operations in another order of fusion.
        got = transform(scale_in_steps(outer, body))(X)
        np.testing.assert_allclose(got, scale_by_hand(outer, fn, X), rtol=1e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_forward_mode_is_the_transpose_of_a_linear_hook(name):
    loss = hooked(LINEAR[name])
    gradient = jax.grad(loss)(X)
    _, tangent = jax.jvp(loss, (X,), (MATRIX[1],))
    # A dot product of three float32 numbers up to 10.
    close = {"rtol": 1e-5, "atol": 1e-5} if "bfloat16" not in name else {"rtol": 0.02, "atol": 0.02}
    np.testing.assert_allclose(tangent, gradient @ MATRIX[1], **close)
    np.testing.assert_allclose(jax.linearize(loss, X)[1](MATRIX[1]), tangent, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(loss)(X), gradient, **close)
    np.testing.assert_allclose(jax.vmap(jax.jacfwd(loss))(X[None])[0], gradient, **close)


@pytest.mark.parametrize("name", [name for name in LINEAR if "bfloat16" not in name])
def test_a_linear_hook_holds_in_every_second_derivative(name):
    """Forward over reverse, reverse over reverse and reverse over forward agree."""
    loss = hooked(LINEAR[name])
    want = jax.jacrev(jax.grad(loss))(X)
    # Second derivatives up to 100 in float32, some ten roundings.
    close = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose(jax.hessian(loss)(X), want, **close)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(jax.grad(loss)))(X), want, **close)
    np.testing.assert_allclose(fad.hvp(loss, (X,), (MATRIX[0],))[1], want @ MATRIX[0], **close)


@pytest.mark.parametrize("name", NONLINEAR)
@pytest.mark.parametrize(
    "forward",
    [
        lambda f: jax.jvp(f, (X,), (X,)),
        lambda f: jax.jit(lambda x: jax.jvp(f, (x,), (x,)))(X),
        lambda f: jax.linearize(f, X)[1](X),
        lambda f: jax.hessian(f)(X),
        lambda f: jax.vmap(lambda t: jax.jvp(f, (X,), (t,)))(MATRIX),
    ],
    ids=["jvp", "jit", "linearize", "hessian", "vmap"],
)
def test_forward_mode_refuses_another_hook(name, forward):
    with pytest.raises(fad.PrimitiveError) as caught:
        forward(hooked(NONLINEAR[name]))
    assert str(caught.value) == (
        "`functional_ad.grad_hook(fn=...)` must be linear to be used in forward mode.\n"
        "  expected: sums, products with constants, masks, matrix products, reshapes\n"
        "  got:      an operation that is none of these, an added constant, or a print\n"
        "Take the derivative in reverse mode (`jax.grad`, `jax.vjp`), twice for a second "
        "derivative; to only scale a gradient, use `functional_ad.scale_grad`."
    )


@pytest.mark.parametrize("name", HOOKS)
def test_linearity_is_read_off_the_program(name):
    assert is_linear(jax.make_jaxpr(HOOKS[name])(X)) == (name in LINEAR)
    assert is_linear(jax.make_jaxpr(jax.jit(HOOKS[name]))(X)) == (name in LINEAR)


@given(
    pieces=st.lists(st.sampled_from(sorted(HOOKS)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_what_is_taken_for_linear_is_linear(pieces, seed):
    def fn(g):
        for name in pieces:
            g = HOOKS[name](g)
        return g

    if not is_linear(jax.make_jaxpr(fn)(X)):
        assert any(name in NONLINEAR for name in pieces)
        return
    a, b = np.random.default_rng(seed).integers(-8, 8, (2, 3)).astype(np.float32)
    # Sums of eighths up to 1000: exact, but for the thirds of a mean and for bfloat16's 8 bits.
    np.testing.assert_allclose(fn(a + 2 * b), fn(a) + 2 * fn(b), rtol=0.05, atol=2.0)
    # NaN is what 0 / 0 is whatever comes in: of zeros that do not depend on it, it is a constant.
    always = np.isnan(fn(a)) & np.isnan(fn(b))
    np.testing.assert_array_equal(fn(np.zeros_like(a)), np.where(always, np.nan, 0))


def test_trees_with_leaves_of_other_kinds():
    seen = []

    def fn(g):
        seen.append(jax.tree.map(jnp.shape, g))
        return {**g, "w": g["w"] * 2, "half": g["half"] * 4}

    x = {
        **{"w": X, "half": jnp.ones(2, jnp.bfloat16), "n": 3, "mask": jnp.array([True])},
        **{"none": None, "name": "net", "ids": jnp.arange(2)},
    }
    out = fad.grad_hook(x, fn)
    assert jax.tree.structure(out) == jax.tree.structure(x)
    assert (out["n"], out["name"], out["none"]) == (3, "net", None)
    nothing = dict.fromkeys(["n", "mask", "none", "name", "ids"])
    assert seen == [{"w": (3,), "half": (2,), **nothing}]

    def loss(w, half):
        out = fad.grad_hook({**x, "w": w, "half": half}, fn)
        return jnp.sum(out["w"] * out["n"]) + jnp.sum(out["half"]).astype(jnp.float32)

    w_bar, half_bar = jax.jit(jax.grad(loss, argnums=(0, 1)))(x["w"], x["half"])
    np.testing.assert_array_equal(w_bar, np.full(3, 6.0))
    np.testing.assert_array_equal(half_bar.astype(jnp.float32), np.full(2, 4.0))
    assert half_bar.dtype == jnp.bfloat16


def test_the_value_is_bit_for_bit_that_of_x():
    odd = jnp.array([0.1, -0.0, jnp.inf, 1e-45, 3e38], jnp.float32)
    for out in (fad.grad_hook(odd, jnp.sin), fad.scale_grad(odd, 0.1), fad.scale_grad(odd, -1)):
        assert np.asarray(out).tobytes() == np.asarray(odd).tobytes()


def test_a_hook_may_use_traced_values_of_any_dtype():
    def step(x, scale, index):
        return jnp.sum(fad.grad_hook(x, lambda g: g.at[index].multiply(scale)) ** 2)

    got = jax.jit(jax.grad(step))(X, jnp.float32(10.0), jnp.int32(1))
    # float32: 2 * -1.2 * 10 in two roundings.
    np.testing.assert_allclose(got, 2 * X * jnp.array([1.0, 10.0, 1.0]), rtol=1e-6)
    outer = jax.grad(lambda s: jnp.sum(jax.grad(step)(X, s, 1) * s))(2.0)
    np.testing.assert_allclose(outer, 2 * (X[0] + X[2]) + 2 * 2 * 2 * X[1], rtol=1e-6)


def test_a_hook_runs_only_where_a_gradient_comes_back():
    calls = []

    def fn(g):
        jax.debug.callback(calls.append, g)
        return g

    fad.grad_hook(X, fn)
    jax.grad(lambda x: jnp.sum(x) + 0 * jnp.sum(lax.stop_gradient(fad.grad_hook(x, fn))))(X)
    jax.effects_barrier()
    assert calls == []
    jax.grad(lambda x: jnp.sum(fad.grad_hook(x, fn)))(X)
    jax.effects_barrier()
    assert [call.tolist() for call in calls] == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (lambda g: None, "must not be None.\n  expected: a tree like the cotangent"),
        (lambda g: (g,), "must have the tree of the cotangent that it gets.\n  expected: Py"),
        (
            lambda g: {**g, "w": g["w"][:1]},
            "expected: 'w': float32[3]\n  got:      'w': float32[1]",
        ),
        (lambda g: {**g, "w": g["w"].astype(jnp.bfloat16)}, "  got:      'w': bfloat16[3]"),
        (lambda g: {**g, "w": None}, "  got:      'w': None"),
        (lambda g: {**g, "n": 1.0}, "  expected: 'n': None\n  got:      'n': float"),
    ],
    ids=["None", "tree", "shape", "dtype", "a None leaf", "an integer leaf"],
)
def test_a_hook_returns_what_it_gets(fn, text):
    with pytest.raises(fad.CotangentError) as caught:
        fad.grad_hook({"w": X, "n": 3}, fn)
    assert str(caught.value).startswith("What `functional_ad.grad_hook(fn=...)` returns must ")
    assert text in str(caught.value)


def test_hooks_are_functions_of_something():
    with pytest.raises(fad.ArgumentError, match=r"grad_hook\(fn=...\)` must be a function"):
        fad.grad_hook(X, 0.5)
    with pytest.raises(fad.ArgumentError, match=r"grad_hook\(x\)` must have a leaf") as caught:
        fad.grad_hook({"n": 3}, lambda g: g)
    assert "  got:      'n': int\n" in str(caught.value)


# --- scale_grad --------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", EACH_ROW)
@pytest.mark.parametrize("scale", [-1, 0.25, 0])
def test_scale_grad(scale, transform):
    rows = jnp.stack([X, 2 * X])
    fun = network(lambda h: fad.scale_grad({"h": h, "n": 3}, scale)["h"])
    got = EACH_ROW[transform](jax.grad(fun), rows)
    np.testing.assert_allclose(
        got, scale * jax.vmap(jax.grad(network(lambda h: h)))(rows), rtol=1e-5
    )


def test_scale_grad_holds_at_every_order():
    """d/dx (s·x²) with the gradient of each x scaled by s: 2sx, 2s², and 0."""
    fun = lambda x: fad.scale_grad(x, 0.5) ** 2  # noqa: E731
    first, second, third = jax.grad(fun), jax.grad(jax.grad(fun)), jax.grad(jax.grad(jax.grad(fun)))
    assert [float(f(3.0)) for f in (first, second, third)] == [3.0, 0.5, 0.0]
    assert float(jax.hessian(fun)(3.0)) == 0.5
    assert float(jax.jvp(fun, (3.0,), (1.0,))[1]) == 3.0
    assert float(jax.jvp(first, (3.0,), (1.0,))[1]) == 0.5
    assert float(jax.linearize(first, 3.0)[1](1.0)) == 0.5


def test_a_traced_scale_is_a_constant():
    fun = lambda s, x: fad.scale_grad(x, s) * 3.0  # noqa: E731
    ds, dx = jax.jit(jax.grad(fun, argnums=(0, 1)))(2.0, 5.0)
    assert (float(ds), float(dx)) == (0.0, 6.0)
    half = jnp.ones(2, jnp.bfloat16)
    grad = jax.grad(lambda x: jnp.sum(fad.scale_grad(x, jnp.float32(2))).astype(jnp.float32))(half)
    assert grad.dtype == jnp.bfloat16
    assert grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "scale", [True, 1j, "2", None, np.ones(2), np.bool_(True)], ids=lambda s: type(s).__name__
)
def test_a_scale_is_a_real_scalar(scale):
    with pytest.raises(fad.ArgumentError, match="must be a real scalar"):
        fad.scale_grad(X, scale)


# --- PyTorch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scaled", "masked", "clipped", "squared", "with a constant"])
def test_first_and_second_derivatives_are_those_of_torchs_hooks(name):
    torch = pytest.importorskip("torch", reason="needs torch")
    fns = {
        "scaled": lambda g: g * 0.5,
        "masked": lambda g: torch.where(torch.tensor([True, False, True]), g, 0.0),
        "clipped": lambda g: torch.clip(g, -1.0, 1.0),
        "squared": lambda g: g * g,
        "with a constant": lambda g: g + 1.0,
    }
    x = torch.tensor(X.tolist(), requires_grad=True)
    h = x**2
    h.register_hook(fns[name])
    loss = (torch.sin(h) * torch.arange(1.0, 4.0)).sum()
    (grad,) = torch.autograd.grad(loss, x, create_graph=True)
    (second,) = torch.autograd.grad((grad * torch.tensor([1.0, -2.0, 0.5])).sum(), x)

    ours = jax.grad(hooked(HOOKS[name]))
    twice = jax.grad(lambda x: jnp.sum(ours(x) * jnp.array([1.0, -2.0, 0.5])))
    # Both in float32; values up to 100 from some ten operations.
    np.testing.assert_allclose(ours(X), grad.detach().numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(twice(X), second.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("place", ["plain", "scan", "remat"])
def test_a_print_in_a_linear_hook_is_not_lost(place, compiled):
    calls = []

    def fn(g):
        jax.debug.callback(lambda g: calls.append(g.tolist()), g)
        return 2 * g

    def once(x):
        return fad.grad_hook(x, fn) ** 2

    def loss(x):
        if place == "scan":
            return jnp.sum(lax.scan(lambda c, _: (once(c), None), x, length=1)[0])
        return jnp.sum((jax.checkpoint(once) if place == "remat" else once)(x))

    gradient = jax.grad(loss)
    got = (jax.jit(gradient) if compiled else gradient)(jnp.array([1.0, 2.0]))
    jax.effects_barrier()
    assert calls == [[2.0, 4.0]]
    np.testing.assert_array_equal(got, [4.0, 8.0])


def test_a_hook_may_write_to_a_ref():
    seen = jax.new_ref(jnp.zeros(2))

    def fn(g):
        seen[...] = g
        return g

    jax.grad(lambda x: jnp.sum(fad.grad_hook(x, fn) ** 2))(jnp.array([1.0, 2.0]))
    np.testing.assert_array_equal(seen[...], [2.0, 4.0])


@pytest.mark.parametrize(
    ("fill", "linear"), [({"fill_value": 5.0}, False), ({}, False), ({"fill_value": 0}, True)]
)
def test_what_a_gather_fills_in_is_not_lost(fill, linear):
    def fn(g):
        return g.at[jnp.array([2, 7, 0])].get(mode="fill", **fill)

    assert is_linear(jax.make_jaxpr(fn)(X)) == linear
    got = jax.grad(lambda x: jnp.sum(fad.grad_hook(x, fn) * jnp.arange(1.0, 4.0)))(X)
    np.testing.assert_array_equal(got, fn(jnp.arange(1.0, 4.0)))


def test_indices_that_are_clipped_are_linear():
    assert is_linear(jax.make_jaxpr(lambda g: g[jnp.array([2, 0, 1])])(X))


@pytest.mark.parametrize("name", ["scaled", "clipped"])
def test_a_hook_on_data_may_use_what_is_differentiated(name):
    """Nothing comes back to the data, so the hook must not be asked for a tangent."""

    def loss(w, x):
        return jnp.sum(fad.grad_hook(x, lambda g: HOOKS[name](g * w)) * w**2)

    np.testing.assert_allclose(jax.grad(loss)(2.0, X), 4 * jnp.sum(X), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.hessian(loss))(2.0, X), 2 * jnp.sum(X), rtol=1e-6)
    # The gradient of x is HOOKS(w**3), once for each element.
    outer = jax.grad(lambda w: jnp.sum(jax.grad(loss, 1)(w, X)))(0.5)
    slope = jax.grad(lambda w: jnp.sum(HOOKS[name](jnp.full(3, w**3))))(0.5)
    np.testing.assert_allclose(outer, slope, rtol=1e-6)


def test_one_leaf_of_a_hooked_tree_may_be_constant():
    def loss(w):
        a, b = fad.grad_hook((w, X), lambda g: (jnp.clip(g[0], -1, 1), g[1]))
        return jnp.sum(a * b)

    np.testing.assert_allclose(jax.grad(loss)(X), jnp.clip(X, -1, 1))


def test_what_a_hook_returns_as_a_constant_comes_back_as_an_array():
    got = jax.grad(lambda x: fad.grad_hook(x, lambda g: 1.0) ** 2)(3.0)
    assert isinstance(got, jax.Array)


def test_a_scale_may_be_a_great_int():
    assert jax.grad(lambda x: fad.scale_grad(x, 2**40) * 1.0)(3.0) == 2.0**40


@pytest.mark.parametrize(
    "hook", [lambda x: fad.scale_grad(x, 0.5), lambda x: fad.grad_hook(x, lambda g: g / 2)]
)
def test_tangents_may_be_python_floats(hook):
    assert jax.jvp(hook, (3.0,), (1.0,)) == (3.0, 0.5)
    assert jax.jvp(jax.jit(hook), (3.0,), (1.0,)) == (3.0, 0.5)


@pytest.mark.parametrize("then", LINEAR)
def test_zeros_stay_zeros(then):
    assert is_linear(jax.make_jaxpr(lambda g: LINEAR[then](jnp.zeros_like(g)))(X))
