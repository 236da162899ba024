"""value_and_grad and vjp: what they return, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import functional_ad as fad


def quadratic(p, x=1.0):
    return jnp.sum((p["w"] * x + p["b"]) ** 2)


PARAMS = {"w": jnp.arange(3.0), "b": jnp.ones(3), "step": jnp.int32(2), "name": "net"}


def test_argnum_keywords_and_aux():
    def fun(scale, params, *, power):
        return jnp.sum(scale * params["w"] ** power), {"power": power, "label": "kept"}

    step = fad.value_and_grad(fun, argnum=-1, where="w", has_aux=True)
    (value, aux), grads = step(2.0, PARAMS, power=2)
    assert float(value) == 10.0
    assert aux == {"power": 2, "label": "kept"}
    np.testing.assert_array_equal(grads["w"], [0.0, 4.0, 8.0])
    assert [grads[name] for name in ("b", "step", "name")] == [None] * 3
    assert step.__name__ == "fun"


def test_gradients_have_the_dtype_of_their_leaves():
    dtypes = [jnp.float16, jnp.bfloat16, jnp.float32]
    params = {str(i): jnp.ones(2, dtype) for i, dtype in enumerate(dtypes)}
    fun = lambda p: sum(jnp.sum(x.astype(jnp.float32)) for x in p.values())  # noqa: E731
    _, grads = fad.value_and_grad(fun)(params)
    assert [g.dtype for g in grads.values()] == dtypes


def test_frozen_layers_have_no_backward_pass():
    """Five of six layers frozen: the program must do what hand-written JAX does, not all of it."""
    weights = [jnp.ones((32, 32)) for _ in range(6)]

    def net(weights, x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return jnp.sum(x)

    def flops(fn):
        return jax.jit(fn).lower(weights, jnp.ones((8, 32))).compile().cost_analysis()["flops"]

    ours = flops(lambda w, x: fad.value_and_grad(net, where="5")(w, x))
    by_hand = flops(lambda w, x: jax.value_and_grad(lambda l: net([*w[:5], l], x))(w[5]))  # noqa: E741
    assert ours == by_hand
    assert ours < 0.5 * flops(jax.value_and_grad(net))


@pytest.mark.parametrize(
    ("fun", "got"),
    [
        (lambda p: p["w"], "float32[3]"),
        (lambda p: p["w"][:1], "float32[1]"),
        (lambda p: p["step"], "int32[]"),
        (lambda p: jnp.sum(p["w"]) * 1j, "complex64[]"),
        (lambda p: {"loss": jnp.sum(p["w"])}, "'loss': float32[]"),
        (lambda p: (jnp.sum(p["w"]), 3), "'0': float32[]\n            '1': int"),
        (lambda p: None, "PyTreeDef(None)"),
        (lambda p: "loss", "str"),
    ],
    ids=["vector", "one element", "integer", "complex", "dict", "pair", "nothing", "text"],
)
def test_the_loss_is_a_real_scalar(fun, got):
    with pytest.raises(fad.OutputError) as caught:
        fad.value_and_grad(fun)(PARAMS)
    assert str(caught.value) == (
        "`functional_ad.value_and_grad` needs a loss that is a real scalar.\n"
        f"  expected: a floating-point array of shape ()\n  got:      {got}\n"
        "Reduce it first, e.g. with `jnp.mean`, or use `functional_ad.vjp` with a `cotangent`; "
        "return further values with `has_aux=True`."
    )


def test_aux_needs_a_pair():
    with pytest.raises(fad.OutputError, match="needs a `fun` that returns a pair"):
        fad.value_and_grad(quadratic, has_aux=True)(PARAMS)
    with pytest.raises(fad.OutputError, match=r"vjp\(has_aux=True\)` needs a `fun` that returns"):
        fad.vjp(quadratic, PARAMS, has_aux=True)


@pytest.mark.parametrize("argnum", [1, -2])
def test_argnum_is_a_position_of_the_call(argnum):
    with pytest.raises(fad.ArgumentError, match="must be a position in the call") as caught:
        fad.value_and_grad(quadratic, argnum=argnum)(PARAMS)
    assert f"  got:      {argnum}\n" in str(caught.value)


@pytest.mark.parametrize("argnum", [(0, 1), True, 0.0, None])
def test_argnum_is_one_position(argnum):
    with pytest.raises(fad.ArgumentError, match="must be one position") as caught:
        fad.value_and_grad(quadratic, argnum=argnum)
    assert f"  got:      {argnum} ({type(argnum).__name__})\n" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "error"),
    [("bias", fad.SelectionError), ("step", fad.LeafTypeError), (3, fad.ArgumentError)],
)
def test_a_wrong_selection_names_the_function_that_was_called(where, error):
    with pytest.raises(error, match=r"^`functional_ad.value_and_grad\(where=...\)` "):
        fad.value_and_grad(quadratic, where=where)(PARAMS)


# --- vjp -------------------------------------------------------------------------------------


def test_several_primals_and_aux():
    y, (w_bar, x_bar), aux = fad.vjp(
        lambda w, x: (w @ x, {"n": jnp.int32(3), "text": "kept"}),
        jnp.array([[1.0, 2.0]]),
        jnp.array([3.0, 4.0]),
        cotangent=jnp.array([10.0]),
        has_aux=True,
    )
    np.testing.assert_array_equal(y, [11.0])
    np.testing.assert_array_equal(w_bar, [[30.0, 40.0]])
    np.testing.assert_array_equal(x_bar, [10.0, 20.0])
    assert aux == {"n": 3, "text": "kept"}


def test_mixed_trees_in_and_out():
    def fun(p):
        return {"y": p["w"] * 2, "step": p["step"] + 1, "name": p["name"], "nothing": None}

    cotangent = {"y": jnp.array([1.0, 0.0, 2.0]), "step": None, "name": None, "nothing": None}
    out, grads = fad.vjp(fun, PARAMS, cotangent=cotangent)
    assert (int(out["step"]), out["name"], out["nothing"]) == (3, "net", None)
    np.testing.assert_array_equal(grads["w"], [2.0, 0.0, 4.0])
    np.testing.assert_array_equal(grads["b"], [0.0, 0.0, 0.0])
    assert (grads["step"], grads["name"]) == (None, None)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_output_of_one_element_needs_no_cotangent(shape):
    """As in PyTorch, where `backward` asks for numel() == 1, not for a 0-d tensor."""
    y, x_bar = fad.vjp(lambda x: (x**2).reshape(shape), jnp.array([3.0]))
    assert y.shape == shape
    np.testing.assert_array_equal(x_bar, [6.0])


def test_the_only_float_among_integers_needs_no_cotangent():
    out, grad = fad.vjp(lambda x: {"loss": x**2, "n": 3}, 3.0)
    assert (float(out["loss"]), out["n"], float(grad)) == (9.0, 3, 6.0)


def test_a_number_seeds_a_scalar():
    assert fad.vjp(lambda x: x**2, 3.0, cotangent=2)[1] == 12.0
    assert fad.vjp(lambda x: x**2, 3.0, cotangent=0.5)[1] == 3.0


def test_an_output_that_does_not_depend_on_the_primal_has_zero_gradient():
    assert fad.vjp(lambda x: jnp.float32(2.0), 3.0)[1] == 0.0
    assert fad.vjp(lambda x: 2.0, 3.0)[1] == 0.0


@pytest.mark.parametrize(
    ("fun", "got"),
    [
        (lambda x: x * 2, "float32[3]"),
        (lambda x: {"a": x.sum(), "b": x.sum()}, "'a': float32[]\n            'b': float32[]"),
        (lambda x: x.sum() + 1j, "complex64[]"),
    ],
    ids=["vector", "two scalars", "complex"],
)
def test_without_a_cotangent_it_says_what_torch_says(fun, got):
    with pytest.raises(fad.OutputError) as caught:
        fad.vjp(fun, jnp.ones(3))
    assert str(caught.value) == (
        "`functional_ad.vjp(cotangent=...)` can be left out only for one real scalar output.\n"
        f"  expected: one floating-point output with one element\n  got:      {got}\n"
        "Pass `cotangent=` of the output's shape (torch: `gradient`), or reduce the output first, "
        "e.g. with `jnp.mean`."
    )


@pytest.mark.parametrize(
    ("cotangent", "expected", "got"),
    [
        (jnp.ones(2), "float32[3]", "float32[2]"),
        (jnp.ones((3, 1)), "float32[3]", "float32[3,1]"),
        (jnp.ones(3, jnp.int32), "float32[3]", "int32[3]"),
        (jnp.ones(3, jnp.bfloat16), "float32[3]", "bfloat16[3]"),
        (np.ones(3), "float32[3]", "float64[3]"),
        (jnp.ones(3) * 1j, "float32[3]", "complex64[3]"),
        (1.0, "float32[3]", "float"),
        (jax.ShapeDtypeStruct((3,), jnp.float32), "float32[3]", "float32[3]"),
    ],
    ids=["shape", "rank", "integer", "narrow", "wide", "complex", "number", "abstract"],
)
def test_a_cotangent_has_the_shape_and_dtype_of_the_output(cotangent, expected, got):
    with pytest.raises(fad.CotangentError) as caught:
        fad.vjp(lambda x: x * 2, jnp.ones(3), cotangent=cotangent)
    assert str(caught.value) == (
        "`functional_ad.vjp(cotangent=...)` must have the shape and dtype of the output.\n"
        f"  expected: {expected}\n  got:      {got}\n"
        "Build it with `jnp.ones_like(output)`, or cast it with `.astype`."
    )


def test_a_wrong_leaf_of_a_cotangent_is_named():
    def fun(x):
        return {"y": [x, 2 * x], "n": 3}

    good, bad = jnp.ones(3), jnp.ones(4)
    with pytest.raises(fad.CotangentError) as caught:
        fad.vjp(fun, jnp.ones(3), cotangent={"y": [good, bad], "n": 1})
    assert "  expected: 'n': None, 'y/1': float32[3]\n" in str(caught.value)
    assert "  got:      'n': int\n            'y/1': float32[4]\n" in str(caught.value)


def test_a_cotangent_has_the_tree_of_the_output():
    with pytest.raises(fad.CotangentError) as caught:
        fad.vjp(lambda x: x * 2, jnp.ones(3), cotangent=(jnp.ones(3),))
    assert str(caught.value) == (
        "`functional_ad.vjp(cotangent=...)` must have the tree of `fun(*primals)`.\n"
        "  expected: PyTreeDef(*)\n  got:      PyTreeDef((*,))\n"
        "Build it with `jax.tree.map` over the output, with None at leaves that are not "
        "floating-point."
    )


def test_an_output_of_numpy_has_the_dtype_that_jax_makes_of_it():
    y, grad = fad.vjp(lambda x: np.ones(3), jnp.ones(3), cotangent=jnp.ones(3))
    assert (y.shape, float(grad.sum())) == ((3,), 0.0)
    with pytest.raises(fad.CotangentError, match=r"expected: float32\[3\]"):
        fad.vjp(lambda x: np.ones(3), jnp.ones(3), cotangent=np.ones(3))


def test_a_boolean_is_no_cotangent():
    with pytest.raises(fad.CotangentError, match="got:      bool"):
        fad.vjp(lambda x: x**2, 3.0, cotangent=True)


def test_an_output_without_floats_cannot_be_pulled_back():
    with pytest.raises(fad.OutputError, match="needs an output that can be differentiated") as e:
        fad.vjp(lambda x: {"n": jnp.argmax(x)}, jnp.ones(3))
    assert "  got:      'n': int32[]\n" in str(e.value)


def test_primals_without_floats_have_no_gradient():
    with pytest.raises(fad.SelectionError) as caught:
        fad.vjp(lambda n: n * 2.0, 3)
    assert str(caught.value).startswith("`functional_ad.vjp(*primals)` selects no leaf")
    with pytest.raises(fad.SelectionError, match="a tree with no leaves"):
        fad.vjp(lambda: 1.0)


# --- complex: JAX's conventions, which the docstrings promise ---------------------------------

complexes = hnp.arrays(np.complex64, 3, elements=st.complex_numbers(max_magnitude=4, width=64))


@given(z=complexes)
def test_a_real_loss_of_complex_parameters(z):
    """With L = sum |z|^2 = x^2 + y^2, JAX's gradient is 2x - 2iy, PyTorch's 2x + 2iy."""
    _, grad = fad.value_and_grad(lambda z: jnp.sum(jnp.abs(z) ** 2))(jnp.asarray(z))
    # Two or three float32 roundings of values up to 16; tiny |z| square to zero, hence atol.
    np.testing.assert_allclose(grad, 2 * np.conj(z), rtol=1e-5, atol=1e-18)


@given(z=complexes, ct=complexes)
def test_a_complex_pullback_is_linear_in_the_cotangent(z, ct):
    _, z_bar = fad.vjp(lambda z: z**2, jnp.asarray(z), cotangent=jnp.asarray(ct))
    # One complex product of magnitudes up to 4 * 8: a few roundings of 32.
    np.testing.assert_allclose(z_bar, 2 * z * ct, rtol=1e-5, atol=1e-5)


def test_a_complex_cotangent_for_a_complex_output_is_needed_and_typed():
    with pytest.raises(fad.OutputError, match=r"got:      complex64\[3\]"):
        fad.vjp(lambda x: x * 1j, jnp.ones(3))
    with pytest.raises(fad.CotangentError, match=r"expected: complex64\[3\]"):
        fad.vjp(lambda x: x * 1j, jnp.ones(3), cotangent=jnp.ones(3))
    _, x_bar = fad.vjp(lambda x: x * 1j, jnp.ones(()), cotangent=-2j)
    assert float(x_bar) == 2.0  # the real part of -2i * i


# --- shapes and dtypes, drawn ------------------------------------------------------------------

shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
dtypes = st.sampled_from([jnp.float16, jnp.bfloat16, jnp.float32])


@given(shape=shapes, dtype=dtypes)
def test_vjp_keeps_shapes_and_dtypes(shape, dtype):
    x = jnp.ones(shape, dtype)
    y, x_bar = fad.vjp(lambda x: 2 * x, x, cotangent=jnp.full(shape, 3, dtype))
    assert (x_bar.shape, x_bar.dtype) == (shape, dtype)
    np.testing.assert_array_equal(x_bar.astype(jnp.float32), np.full(shape, 6.0))
    np.testing.assert_array_equal(y.astype(jnp.float32), np.full(shape, 2.0))
