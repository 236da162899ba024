"""Lower precision inside a float64 run is found, with the user's line, on either side."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import _casts
from comparisons._backends import torch_casts

X = np.random.default_rng(0).normal(size=(2, 8, 4, 16))


def attend(x):
    y = x + 1
    return jax.nn.dot_product_attention(y, y, y)


def cast_in_a_loop(x):
    def step(carry, row):
        return carry + row.astype(jnp.bfloat16).sum(), None

    return jax.lax.scan(step, jnp.zeros((), jnp.bfloat16), x)[0].astype(x.dtype)


def cast_in_a_branch(x):
    return jax.lax.cond(
        x.sum() > 1e9,
        lambda y: jnp.sin(y.astype(jnp.float32)).astype(y.dtype),
        lambda y: y,
        x,
    )


@jax.custom_vjp
def ruled(x):
    return jnp.exp(x.astype(jnp.float16)).astype(x.dtype)


ruled.defvjp(lambda x: (ruled(x), x), lambda x, g: (g * x,))


def product(x):
    y = x[0, 0]
    return jnp.einsum("ij,kj->ik", y, y, preferred_element_type=jnp.float32)


def accumulate(x):
    y = x[0, 0]
    return jax.lax.dot(y, y.T, precision="F32_F32_F32", preferred_element_type=jnp.float64)


def reduced(x):
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7) + x


def positions(x):
    angles = jnp.sin(jnp.arange(16, dtype=jnp.float32))
    return x + angles


def to_complex64(x):
    return jnp.abs(x.astype(jnp.complex64)).sum()


def line(fn, offset):
    return f"test_casts.py:{inspect.getsourcelines(fn)[1] + offset}"


@pytest.mark.parametrize(
    ("fn", "given", "taken", "op", "offset"),
    [
        (attend, "float64", "float32", "convert_element_type", 2),
        (cast_in_a_loop, "float64", "bfloat16", "convert_element_type", 2),
        (cast_in_a_branch, "float64", "float32", "convert_element_type", 3),
        (ruled, "float64", "float16", "convert_element_type", 2),
        (product, "float64", "float32", "dot_general", 2),
        (accumulate, "float64", "float32", "dot_general", 2),
        (reduced, "float64", "bfloat16", "reduce_precision", 1),
        (positions, "float32", "float32", "sin", 1),
        (to_complex64, "float64", "complex64", "convert_element_type", 1),
    ],
)
def test_jax_casts_are_found_where_they_are(fn, given, taken, op, offset):
    where = line(fn.__wrapped__ if isinstance(fn, jax.custom_vjp) else fn, offset)
    found = _casts.find_casts(fn, (X,))
    assert _casts.Cast("JAX", given, taken, op, where) in found
    assert _casts.find_lowest(found) == taken


def test_the_jax_cast_is_why_attention_is_off_at_float64():
    """What the scan is for: 1e-7 off although all goes in and comes out as float64."""
    with jax.enable_x64(True):
        ours = np.asarray(attend(jnp.asarray(X)))
    q = torch.tensor(X + 1).transpose(1, 2)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).numpy()
    assert ours.dtype == np.float64
    assert 1e-9 < np.abs(ours - theirs).max() < 1e-5


def test_each_line_is_named_once():
    def twice(x):
        return sum(x.astype(jnp.float32).sum() for _ in range(3))

    assert len(_casts.find_casts(twice, (X,))) == 1


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: jax.nn.softmax(x) @ jnp.ones((16, 3)) + jnp.var(x),
        lambda x: x + jnp.zeros(16, jnp.float32) + jnp.arange(16, dtype=jnp.float32),
        lambda x: (x > 0).astype(jnp.float32).astype(x.dtype) * x,
        lambda x: jax.random.normal(jax.random.key(0), x.shape) + x,
        lambda x: jnp.fft.fft(x).real,
        lambda x: x.astype(jnp.int32),
    ],
    ids=["float64", "constants", "mask", "random", "complex128", "integers"],
)
def test_no_cast_is_found_where_there_is_none(fn):
    assert _casts.find_casts(fn, (X,)) == ()


def test_a_function_that_cannot_be_traced_cannot_be_scanned():
    assert _casts.find_casts(lambda x: x if x.sum() > 0 else -x, (X,)) is None


def test_the_lowest_precision_of_several():
    casts = _casts.find_casts(lambda x: (x.astype("float32"), x.astype("bfloat16")), (X,))
    assert _casts.find_lowest(casts) == "bfloat16"
    assert _casts.find_lowest(()) is None


def test_a_cast_reads_as_a_sentence():
    [cast] = _casts.find_casts(to_complex64, (X,))
    assert str(cast) == (
        f"The JAX side computes in complex64 at {line(to_complex64, 1)} "
        "(convert_element_type of float64)."
    )
    assert str(_casts.Cast("JAX", "float64", "float32", "cos", None)) == (
        "The JAX side computes in float32 (cos of float64)."
    )


def torch_float(x):
    y = x * 2
    return y.float().sum().double()


def torch_half_in_a_module(x):
    layer = torch.nn.Linear(16, 3).half()
    return layer(x.half())


def torch_autocast(x):
    y = x.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return y[0, 0] @ y[0, 0].T


def torch_positions(x):
    angles = torch.arange(16, dtype=torch.float32).sin()
    return x + angles


def torch_backward(x):
    x = x.detach().requires_grad_()
    x.float().exp().sum().backward()
    return x.grad


@pytest.mark.parametrize(
    ("fn", "given", "taken", "op", "offset"),
    [
        (torch_float, "float64", "float32", "aten._to_copy", 2),
        (torch_half_in_a_module, "float64", "float16", "aten._to_copy", 2),
        (torch_autocast, "float32", "bfloat16", "aten._to_copy", 3),
        (torch_positions, "float32", "float32", "aten.sin", 1),
        (torch_backward, "float64", "float32", "aten._to_copy", 2),
    ],
)
def test_torch_casts_are_found_where_they_are(fn, given, taken, op, offset):
    found = torch_casts.find_casts(fn, (torch.tensor(X),))
    assert _casts.Cast("PyTorch", given, taken, op, line(fn, offset)) in found
    assert _casts.find_lowest(found) == taken


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: torch.softmax(x, -1).var() + x.matmul(x.mT).sum(),
        lambda x: x + torch.zeros(16, dtype=torch.float32) + torch.arange(16.0).float(),
        lambda x: (x > 0).float().double() * x,
        lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x),
        lambda x: x.long(),
    ],
    ids=["float64", "constants", "mask", "attention", "integers"],
)
def test_no_torch_cast_is_found_where_there_is_none(fn):
    assert torch_casts.find_casts(fn, (torch.tensor(X),)) == ()


def test_the_watch_ends_with_the_run():
    def fail(x):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        torch_casts.find_casts(fail, (torch.tensor(X),))
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None


# Which results a cast reaches.


def low(x):
    return x.astype(jnp.float32).astype(x.dtype)


@jax.custom_jvp
def own_rule(x):
    return low(x)


own_rule.defjvp(lambda primals, tangents: (own_rule(*primals), tangents[0]))


def in_three_steps(x):
    """What is cast in one iteration comes to `b` in the next and to `a` in the one after."""
    (a, b, c), stacked = jax.lax.scan(
        lambda c, _: ((c[1], c[2], low(x)), c[0]), (x, x, x), None, length=5
    )
    return a, b, c, stacked, x + 1


REACHED = {
    "beside": (lambda x: (low(x), x * 2), ["float32", None]),
    "further on": (lambda x: (jnp.sin(low(x)) @ x.mT, x @ x.mT), ["float32", None]),
    "the lower of two": (lambda x: low(x) + x.astype(jnp.bfloat16), ["bfloat16"]),
    "a mask": (lambda x: jnp.where(low(x) > 0, x, 0.0), [None]),
    "positions": (lambda x: (x * jnp.sin(jnp.arange(16, dtype=jnp.float32)), x), ["float32", None]),
    "a carry": (in_three_steps, ["float32"] * 4 + [None]),
    "a branch": (
        lambda x: jax.lax.cond(x[0, 0, 0, 0] > 0, lambda: (low(x), x), lambda: (x, x)),
        ["float32", None],
    ),
    "a loop that may not run": (
        lambda x: jax.lax.while_loop(
            lambda c: c[0][0, 0, 0, 0] > 0, lambda c: (c[1], x), (x, low(x))
        ),
        ["float32", "float32"],
    ),
    "compiled": (lambda x: jax.jit(lambda a, b: (b, a))(low(x), x), [None, "float32"]),
    "a rule": (lambda x: (own_rule(x), x), ["float32", None]),
    "a gradient": (
        lambda x: jax.grad(lambda x, y: jnp.sum(low(x) * 2 + y * 3), (0, 1))(x, x),
        ["float32", None],
    ),
}


@pytest.mark.parametrize("name", REACHED)
def test_what_a_jax_cast_reaches(name):
    fn, expected = REACHED[name]
    assert _casts.find_reached(fn, (X,)) == expected


def test_of_what_cannot_be_traced_nothing_is_known():
    assert _casts.find_reached(lambda x: x if x.sum() > 0 else -x, (X,)) is None


def torch_in_place(x):
    y, z = torch.zeros_like(x), torch.zeros_like(x)
    y[0] = x[0].float()
    z[0] = x[0]
    return {"y": y, "z": z}


def torch_gradients(x):
    a, b = (x.detach().requires_grad_() for _ in range(2))
    loss = (a.float() * 2).sum().double() + (b * 3).sum()
    return dict(zip("ab", torch.autograd.grad(loss, (a, b)), strict=True))


TORCH_REACHED = {
    "beside": (lambda x: {"a": x.float().double(), "b": x * 2}, {"a": "float32"}),
    "a view": (lambda x: {"a": x.bfloat16().double().mT[0], "b": x.mT}, {"a": "bfloat16"}),
    "a mask": (lambda x: {"a": torch.where(x.float() > 0, x, 0.0)}, {}),
    "in place": (torch_in_place, {"y": "float32"}),
    "a gradient": (torch_gradients, {"a": "float32"}),
    "a number": (lambda x: {"a": x * x.float().sum().item()}, {"a": "float32"}),
    "through NumPy": (
        lambda x: {"a": torch.from_numpy(x.float().double().numpy()) + 1, "b": x + 1},
        {"a": "float32"},
    ),
}


@pytest.mark.parametrize("name", TORCH_REACHED)
def test_what_a_torch_cast_reaches(name):
    fn, expected = TORCH_REACHED[name]
    x = torch.tensor(X)
    assert torch_casts.find_reached(lambda read: read(fn(x + 0))) == expected


def test_numbers_that_are_given_after_a_cast_are_none_of_it():
    """As cotangents are; of other new tensors it is not known what they were made of."""

    def make(array):
        return torch.tensor(array)

    def run(read):
        torch.tensor(X).float()
        return read({"given": make(X) * 2, "other": torch.tensor(X) * 2})

    assert torch_casts.find_reached(run, given_by=make) == {"other": "float32"}
