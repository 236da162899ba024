"""jacobian, hessian, hvp, ggnvp: what JAX's give, in bounded memory, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import functional_ad as fad

PARAMS = {
    "w": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3),
    "b": jnp.linspace(0.0, 1.0, 3),
    "step": jnp.int32(2),
    "mask": jnp.array([True, False]),
    "absent": None,
    "name": "net",
}
FLOATS = ["b", "w"]
X = jnp.array([0.5, -1.0, 2.0, 0.1])


def model(params, x=X):
    h = jnp.tanh(x @ params["w"] + params["b"])
    return {"h": h * params["step"], "n": params["step"], "total": jnp.sum(h**2)}


def only_floats(params):
    outputs = model({**PARAMS, **params})
    return {name: outputs[name] for name in ("h", "total")}


def assert_same(got, want, rtol=1e-6):
    assert jax.tree.structure(got) == jax.tree.structure(want)

    def check(got, want):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        # One function differentiated in other parts: a few float32 roundings of values near 1.
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-6)

    jax.tree.map(check, got, want)


# --- jacobian ----------------------------------------------------------------------------------

CHUNKS = [None, 1, 2, 3, 4, 15, 100]


@pytest.mark.parametrize("chunk_size", CHUNKS)
@pytest.mark.parametrize(("mode", "reference"), [("rev", jax.jacrev), ("fwd", jax.jacfwd)])
def test_jacobian_of_trees_is_jaxs(mode, reference, chunk_size):
    got = fad.jacobian(model, mode=mode, chunk_size=chunk_size)(PARAMS)
    want = reference(only_floats)({name: PARAMS[name] for name in FLOATS})
    assert got["n"] is None
    for output, row in want.items():
        assert set(got[output]) == set(PARAMS)
        assert all(got[output][name] is None for name in set(PARAMS) - set(FLOATS))
        assert_same({name: got[output][name] for name in FLOATS}, row)


sizes = st.integers(0, 7)


@given(
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=2).map(tuple), min_size=1, max_size=3),
    rows=sizes,
    chunk_size=st.none() | st.integers(1, 9),
    mode=st.sampled_from(["auto", "rev", "fwd"]),
    dtype=st.sampled_from([jnp.float16, jnp.bfloat16, jnp.float32]),
)
@settings(max_examples=40)
def test_jacobian_of_drawn_shapes_and_chunks(shapes, rows, chunk_size, mode, dtype):
    """A linear function of integers, so its Jacobian is exact in every dtype: any lost or doubled
    row or column shows."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    numbers = np.arange(rows * sum(sizes)) % 100 + 1.0
    matrix = jnp.asarray(numbers.reshape(rows, sum(sizes)), dtype)

    def fun(*leaves):
        return matrix @ jnp.concatenate([leaf.ravel() for leaf in leaves])

    leaves = [jnp.zeros(shape, dtype) for shape in shapes]
    argnums = tuple(range(len(shapes)))
    got = fad.jacobian(fun, argnums=argnums, mode=mode, chunk_size=chunk_size)(*leaves)
    start = 0
    for block, shape, size in zip(got, shapes, sizes, strict=True):
        want = matrix[:, start : start + size].reshape(rows, *shape)
        assert (block.shape, block.dtype) == (want.shape, want.dtype)
        np.testing.assert_array_equal(np.asarray(block, float), np.asarray(want, float))
        start += size


def test_argnums_keywords_and_aux_are_jaxs():
    def fun(scale, x, *, power):
        return scale * x**power, {"x": x, "power": power}

    args = (2.0, jnp.array([1.0, 3.0]))
    for argnums in (0, 1, -1, (0, 1), [1], (1, 0)):
        got = fad.jacobian(fun, argnums=argnums, chunk_size=1, has_aux=True)(*args, power=3)
        want = jax.jacrev(fun, argnums=argnums, has_aux=True)(*args, power=3)
        assert type(got[0]) is type(want[0])
        assert_same(got[0], want[0])
        assert got[1]["power"] == 3
        np.testing.assert_array_equal(got[1]["x"], args[1])
    assert fad.jacobian(fun).__name__ == "fun"


def test_auto_takes_the_fewer_passes():
    wide, tall = jnp.ones((2, 5)), jnp.ones((5, 2))

    def flops(mode, matrix):
        fun = lambda x: jnp.tanh(matrix @ x)  # noqa: E731
        x = jnp.ones(matrix.shape[1])
        compiled = jax.jit(fad.jacobian(fun, mode=mode)).lower(x).compile()
        return compiled.cost_analysis()["flops"]

    for matrix, fewer, more in ((wide, "rev", "fwd"), (tall, "fwd", "rev")):
        assert flops("auto", matrix) == flops(fewer, matrix) < flops(more, matrix)


def test_auto_gives_the_dtype_of_the_argument():
    fun = lambda x: x.astype(jnp.float32) * jnp.ones(3)  # noqa: E731
    x = jnp.ones((), jnp.float16)
    assert fad.jacobian(fun)(x).dtype == jax.jacrev(fun)(x).dtype == jnp.float16
    assert fad.jacobian(fun, mode="fwd")(x).dtype == jax.jacfwd(fun)(x).dtype == jnp.float32


def test_auto_goes_backward_through_custom_vjp():
    @jax.custom_vjp
    def f(x):
        return x**2

    f.defvjp(lambda x: (x**2, x), lambda x, g: (2 * x * g,))
    fun = lambda x: jax.jit(f)(x) * jnp.ones(3)  # noqa: E731 - three outputs of one input
    assert_same(fad.jacobian(fun)(2.0), jax.jacrev(fun)(2.0))
    with pytest.raises(TypeError, match="forward-mode"):
        fad.jacobian(fun, mode="fwd")(2.0)


def test_auto_goes_backward_through_hooks_that_are_not_linear():
    for hook in (jnp.tanh, lambda g: 2 * g):
        attach = jax.jit(lambda x, hook=hook: fad.grad_hook(x, hook))
        fun = lambda x, attach=attach: attach(x) * jnp.ones(3)  # noqa: E731
        assert_same(fad.jacobian(fun)(2.0), jax.jacrev(fun)(2.0))


def test_auto_goes_backward_where_python_looks_at_numbers():
    fun = lambda x: x * jnp.ones(3) if x > 0 else -x * jnp.ones(3)  # noqa: E731
    assert_same(fad.jacobian(fun, chunk_size=2)(-2.0), jax.jacrev(fun)(-2.0))


def test_forward_mode_goes_through_while_loops():
    fun = lambda x: lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * x, c[1] + 1), (x, 0))[0]  # noqa: E731
    x = jnp.array([1.0, 2.0])
    assert_same(fad.jacobian(fun, mode="fwd", chunk_size=1)(x), jax.jacfwd(fun)(x))


def test_complex_leaves_are_as_in_jax():
    z = jnp.array([1.0 + 2.0j, -0.5j])
    real = lambda z: jnp.abs(z) ** 2  # noqa: E731
    for mode in ("auto", "rev"):
        assert_same(fad.jacobian(real, mode=mode, chunk_size=1)(z), jax.jacrev(real)(z))
    x = jnp.array([1.0, 2.0, 3.0])
    turn = lambda x: x[:2] * 1j  # noqa: E731 - fewer outputs, but they are complex
    for mode in ("auto", "fwd"):
        assert_same(fad.jacobian(turn, mode=mode, chunk_size=2)(x), jax.jacfwd(turn)(x))
    with pytest.raises(fad.OutputError, match="in mode 'rev' needs real outputs") as caught:
        fad.jacobian(turn, mode="rev")(x)
    assert '  got:      complex64[2]\nUse `mode="fwd"`' in str(caught.value)
    with pytest.raises(fad.OutputError, match="in mode 'fwd' needs real arguments"):
        fad.jacobian(real, mode="fwd")(z)
    with pytest.raises(fad.OutputError, match="needs real outputs"):
        fad.jacobian(lambda z: z**2)(z)


def test_jacobian_of_a_jacobian():
    fun = lambda x: jnp.sin(x) * x[0]  # noqa: E731
    x = jnp.array([0.3, 0.7, 1.1])
    ours = lambda mode: fad.jacobian(fun, mode=mode, chunk_size=2)  # noqa: E731
    want = jax.jacfwd(jax.jacrev(fun))(x)
    for inner in ("rev", "fwd"):
        for outer in ("rev", "fwd"):
            assert_same(fad.jacobian(ours(inner), mode=outer, chunk_size=2)(x), want)
    total = lambda fn: jax.grad(lambda x: jnp.sum(fn(x) ** 2))(x)  # noqa: E731
    assert_same(total(ours("rev")), total(jax.jacrev(fun)), rtol=1e-5)


# --- hessian -----------------------------------------------------------------------------------


def scalar(params, x=X):
    return model(params, x)["total"]


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_hessian_of_trees_is_jaxs(chunk_size):
    got = fad.hessian(scalar, chunk_size=chunk_size)(PARAMS)
    want = jax.hessian(lambda p: scalar({**PARAMS, **p}))({name: PARAMS[name] for name in FLOATS})
    for first in PARAMS:
        if first not in FLOATS:
            assert got[first] is None
            continue
        assert all(got[first][name] is None for name in set(PARAMS) - set(FLOATS))
        assert_same({name: got[first][name] for name in FLOATS}, want[first])


def test_hessian_of_several_arguments_and_outputs():
    def fun(x, y):
        return {"a": x**2 * y[0], "b": jnp.sum(y**3)}, "aux"

    args = (jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0, 5.0]))
    got, aux = fad.hessian(fun, argnums=(0, 1), chunk_size=2, has_aux=True)(*args)
    want = jax.hessian(lambda *args: fun(*args)[0], argnums=(0, 1))(*args)
    assert aux == "aux"
    assert_same(got, want)


# --- memory ------------------------------------------------------------------------------------


def test_chunks_bound_the_memory():
    """Three tanh layers of width 400: JAX's holds 400 of each value, a chunk of 8 holds 8."""
    weights = [jnp.eye(400)] * 3

    def net(x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return x

    def measure(fn):
        compiled = jax.jit(fn).lower(jnp.ones(400)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    loss = lambda x: jnp.sum(net(x) ** 2)  # noqa: E731
    for mode in ("rev", "fwd"):
        chunked = measure(fad.jacobian(net, mode=mode, chunk_size=8))
        assert chunked < measure(fad.jacobian(net, mode=mode)) / 10
        assert chunked < measure(jax.jacrev(net)) / 10
    assert measure(fad.hessian(loss, chunk_size=8)) < measure(jax.hessian(loss)) / 10
    whole_basis = lambda x: lax.map(jax.vjp(net, x)[1], jnp.eye(400), batch_size=8)  # noqa: E731
    assert measure(whole_basis) > measure(jax.jacrev(net)) / 10, "what the bound rules out"


# --- products ----------------------------------------------------------------------------------


def make_vector(tree):
    """A tangent of each floating leaf, None elsewhere."""
    rng = np.random.default_rng(1)

    def make(leaf):
        if not jnp.issubdtype(getattr(leaf, "dtype", int), jnp.floating):
            return None
        return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(make, tree)


def flatten(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def flatten_matrix(blocks):
    """The matrix of a Hessian or Jacobian over PARAMS."""
    rows = [[blocks[a][b] for b in FLOATS] for a in FLOATS]
    size = {name: PARAMS[name].size for name in FLOATS}
    return jnp.block(
        [
            [block.reshape(size[a], size[b]) for b, block in zip(FLOATS, row, strict=True)]
            for a, row in zip(FLOATS, rows, strict=True)
        ]
    )


def test_hvp_is_the_hessian_times_the_vector():
    vector = make_vector(PARAMS)
    grads, products = fad.hvp(scalar, (PARAMS,), (vector,))
    want = jax.grad(lambda p: scalar({**PARAMS, **p}))({name: PARAMS[name] for name in FLOATS})
    assert_same({name: grads[name] for name in FLOATS}, want)
    assert [products[name] for name in ("step", "mask", "absent", "name")] == [None] * 4
    matrix = flatten_matrix(fad.hessian(scalar)(PARAMS))
    # Sums of fifteen float32 products of size 1.
    np.testing.assert_allclose(flatten(products), matrix @ flatten(vector), rtol=1e-4, atol=1e-5)


def test_hvp_of_several_primals_is_a_tuple():
    grads, products = fad.hvp(lambda x, y: x**2 * y, (3.0, 5.0), (1.0, 0.0))
    assert [float(g) for g in grads] == [30.0, 9.0]
    assert [float(p) for p in products] == [10.0, 6.0]


def test_ggnvp_is_the_matrix_times_the_vector():
    def loss(outputs):
        return jax.nn.logsumexp(outputs["h"]) + outputs["total"] ** 2 * outputs["n"]

    vector = make_vector(PARAMS)
    got = fad.ggnvp(model, loss, PARAMS, vector)
    assert got["step"] is None
    jacobians = fad.jacobian(model)(PARAMS)
    outputs = model(PARAMS)
    j = jnp.concatenate(
        [
            jnp.concatenate([jacobians[o][p].reshape(outputs[o].size, -1) for p in FLOATS], axis=1)
            for o in ("h", "total")
        ]
    )
    of_vector = lambda z: loss({"h": z[:3], "total": z[3], "n": PARAMS["step"]})  # noqa: E731
    h = jax.hessian(of_vector)(jnp.append(outputs["h"], outputs["total"]))
    want = j.T @ h @ j @ flatten(vector)
    # Three products of small matrices in float32.
    np.testing.assert_allclose(flatten(got), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("product", ["hvp", "ggnvp"])
def test_a_wrong_product_is_noticed(product):
    """The two tests above could pass on zeros."""
    vector = make_vector(PARAMS)
    if product == "hvp":
        got = fad.hvp(scalar, (PARAMS,), (vector,))[1]
    else:
        got = fad.ggnvp(model, lambda z: jnp.sum(z["h"] ** 2), PARAMS, vector)
    assert float(jnp.linalg.norm(flatten(got))) > 0.1
    doubled = jax.tree.map(lambda v: 2 * v, vector)
    assert not np.allclose(flatten(got), flatten(doubled))


# --- what they refuse --------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [0, -1, True, 2.0, "32"])
@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_a_chunk_is_a_positive_number_of_rows(name, chunk_size):
    with pytest.raises(fad.ArgumentError) as caught:
        getattr(fad, name)(jnp.sin, chunk_size=chunk_size)
    assert str(caught.value) == (
        f"`functional_ad.{name}(chunk_size=...)` must be a positive number of rows.\n"
        "  expected: an int of at least 1, or None for all rows at once\n"
        f"  got:      {chunk_size!r} ({type(chunk_size).__name__})\n"
        "Try 32; a smaller one holds less memory."
    )


@pytest.mark.parametrize("mode", ["reverse", None, 1])
def test_a_mode_is_one_of_three(mode):
    with pytest.raises(fad.ArgumentError, match="must be one of three") as caught:
        fad.jacobian(jnp.sin, mode=mode)
    assert "  expected: 'auto', 'rev', 'fwd'\n" in str(caught.value)


@pytest.mark.parametrize("argnums", [True, None, 0.0, (), (0, True), "0"])
def test_argnums_are_positions(argnums):
    with pytest.raises(fad.ArgumentError, match="must be one position or several"):
        fad.jacobian(jnp.sin, argnums=argnums)


@pytest.mark.parametrize("argnums", [1, -2, (0, 0), (0, 1), (0, -1)])
def test_argnums_are_different_positions_of_the_call(argnums):
    with pytest.raises(fad.ArgumentError, match="must be different positions in the call"):
        fad.hessian(jnp.sin, argnums=argnums)(1.0)


def test_there_must_be_something_to_differentiate():
    with pytest.raises(fad.SelectionError, match=r"^`functional_ad.jacobian\(argnums=...\)` "):
        fad.jacobian(lambda n: n * 2.0)(3)
    with pytest.raises(fad.OutputError, match=r"`functional_ad.hessian` needs an output that can"):
        fad.hessian(jnp.argmax)(X)
    with pytest.raises(fad.OutputError, match=r"ggnvp\(model\)` needs an output that can"):
        fad.ggnvp(jnp.argmax, jnp.sum, X, X)


@pytest.mark.parametrize("name", ["hvp", "ggnvp"])
@pytest.mark.parametrize(
    ("tangents", "text"),
    [
        ({"w": jnp.ones(2), "n": None}, "  expected: 'w': float32[3]\n  got:      'w': float32[2]"),
        ({"w": jnp.ones(3), "n": 0}, "  expected: 'n': None\n  got:      'n': int"),
        ({"w": jnp.ones(3, jnp.bfloat16), "n": None}, "'w': bfloat16[3]"),
        ({"w": jnp.ones(3)}, "must have the tree of"),
    ],
    ids=["shape", "integer leaf", "dtype", "tree"],
)
def test_tangents_are_like_the_primals(name, tangents, text):
    params = {"w": jnp.ones(3), "n": 7}
    calls = {
        "hvp": lambda: fad.hvp(lambda p: jnp.sum(p["w"] ** 2), (params,), (tangents,)),
        "ggnvp": lambda: fad.ggnvp(lambda p: p["w"], jnp.sum, params, tangents),
    }
    with pytest.raises(fad.ArgumentError) as caught:
        calls[name]()
    assert str(caught.value).startswith(f"`functional_ad.{name}(tangents)` must have the ")
    prefix = "0/" if name == "hvp" else ""
    for leaf in ("w", "n"):
        text = text.replace(f"'{leaf}'", f"'{prefix}{leaf}'")
    assert text in str(caught.value)


def test_numpys_float64_and_python_numbers_are_tangents():
    """JAX makes float32 of both sides."""
    x = np.array([1.0, 2.0])
    _, product = fad.hvp(lambda x, s: jnp.sum(x**3) * s, (x, 1.0), (x, 0))
    np.testing.assert_allclose(product[0], 6 * x * x)


def test_primals_are_a_tuple():
    with pytest.raises(fad.ArgumentError, match=r"hvp\(primals\)` must be a tuple"):
        fad.hvp(jnp.sum, X, X)
    with pytest.raises(fad.ArgumentError, match=r"hvp\(tangents\)` must be a tuple"):
        fad.hvp(jnp.sum, (X,), X)


def test_the_loss_is_a_real_scalar():
    with pytest.raises(fad.OutputError, match=r"`functional_ad.hvp` needs a loss that is a real"):
        fad.hvp(jnp.sin, (X,), (X,))
    with pytest.raises(fad.OutputError, match=r"`functional_ad.ggnvp` needs a loss") as caught:
        fad.ggnvp(jnp.sin, jnp.cos, X, X)
    assert str(caught.value).endswith("Reduce it first, e.g. with `jnp.mean`.")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("jacobian", lambda: fad.jacobian(jnp.sin)(X)),
        ("hessian", lambda: fad.hessian(jnp.sum)(X)),
        ("hvp", lambda: fad.hvp(jnp.sum, (X,), (X,))),
        ("ggnvp", lambda: fad.ggnvp(jnp.sin, jnp.sum, X, X)),
    ],
    ids=["jacobian", "hessian", "hvp", "ggnvp"],
)
def test_gradients_may_be_off(name, call):
    with fad.set_grad_enabled(False), pytest.raises(fad.GradModeError, match=rf"\.{name}` was"):
        call()


def test_auto_goes_backward_through_a_hook_that_has_no_forward_mode():
    def fun(x):
        return jnp.outer(fad.grad_hook(x, lambda g: jnp.clip(g, -1.0, 1.0)), x)

    got = fad.jacobian(fun)(X)
    np.testing.assert_array_equal(got, fad.jacobian(fun, mode="rev")(X))
    assert got.shape == (4, 4, 4)


def test_complex_values_on_both_sides_name_no_mode():
    with pytest.raises(fad.OutputError) as raised:
        fad.jacobian(lambda z: z**2)(jnp.array([1j]))
    text = "Pass and return the real and imaginary parts as two leaves: no mode has both complex."
    assert str(raised.value).endswith(text)
