"""The differences that were known before the atlas: it has each of them, with the right verdict."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons._atlas._examine import examine
from comparisons.cases.atlas import OPS
from comparisons.cases.atlas._expressions import make_jax, make_torch
from comparisons.cases.atlas._makers import make_sample

NAMED = {op.name: op for op in OPS}
NAN = math.nan
GOOD = ("AGREES", "IDENTICAL")


@functools.cache
def look(name, orders, dtype):
    """The row of an operation, for some quantities at a dtype."""
    op = NAMED[name]
    assert set(orders) <= set(op.orders)
    row = examine(dataclasses.replace(op, orders=orders), (dtype,))
    assert not row.trouble
    return row


def find_cell(name, quantity, axis, dtype="float64"):
    orders = ("vjp", "jvp") if axis == "modes" else (quantity,)
    (cell,) = [
        cell
        for cell in look(name, orders, dtype).cells
        if (cell.quantity, cell.axis) == (quantity, axis)
    ]
    return cell


# At these points: operation, quantity, point or sample, by what, PyTorch's number, JAX's, verdict.
AT_POINTS = (
    ("abs", "vjp", (0.0,), "x", 0.0, 1.0, "CONVENTION"),
    ("abs", "vjp", (-0.0,), "x", 0.0, 1.0, "CONVENTION"),
    ("vector_norm(ord=1)", "vjp", "edges: zeros", "x[0]", 0.0, 1.0, "CONVENTION"),
    ("clamp(-1, 1)", "vjp", (1.0,), "x", 1.0, 0.5, "CONVENTION"),
    ("clamp(-1, 1)", "vjp", (-1.0,), "x", 1.0, 0.5, "CONVENTION"),
    ("clamp(-1, 1), lax", "vjp", (1.0,), "x", 1.0, 0.0, "CONVENTION"),
    ("clamp(min=0)", "vjp", (0.0,), "x", 1.0, 0.5, "CONVENTION"),
    ("hardtanh", "vjp", (1.0,), "x", 0.0, 1.0, "CONVENTION"),
    ("hardtanh", "vjp", (-1.0,), "x", 0.0, 1.0, "CONVENTION"),
    ("leaky_relu", "vjp", (0.0,), "x", 0.01, 1.0, "CONVENTION"),
    ("relu", "vjp", (NAN,), "x", 1.0, 0.0, "CONVENTION"),
    ("maximum", "vjp", (NAN, 1.0), "x", 1.0, 0.0, "CONVENTION"),
    ("maximum", "vjp", (NAN, 1.0), "y", 1.0, 0.0, "CONVENTION"),
    ("elu", "hvp", (0.0,), "x,x", 0.0, 1.0, "CONVENTION"),
    ("selu", "hvp", (0.0,), "x,x", 0.0, 1.75809934, "CONVENTION"),
    ("softsign", "hvp", (0.0,), "x,x", 0.0, -2.0, "CONVENTION"),
    ("max(dim)", "vjp", "edges: ties", "x[1,0]", 1.10623946, 1.10623946 / 3, "CONVENTION"),
    ("max(dim)", "vjp", "nonfinite: NaN", "x[0,0]", 0.0, NAN, "CONVENTION"),
    ("max", "vjp", "nonfinite: NaN", "x[0,0]", 0.0, NAN, "CONVENTION"),
    ("median", "value", "edges: even count", "[]", -0.1875, -0.0625, "CONVENTION"),
    ("median", "vjp", "edges: even count", "x[3]", 1.0, 0.5, "CONVENTION"),
    ("median", "vjp", "edges: ties", "x[2]", 1 / 3, 1.0, "CONVENTION"),
    ("std(correction=0)", "vjp", "edges: equal values", "x[0]", 0.0, NAN, "NONFINITE"),
    ("vector_norm", "vjp", "edges: zeros", "x[0]", 0.0, NAN, "NONFINITE"),
    ("matrix_norm", "vjp", "edges: zeros", "x[0,0]", 0.0, NAN, "NONFINITE"),
    ("dist", "vjp", "edges: equal", "x[0]", 0.0, NAN, "NONFINITE"),
    ("cdist", "vjp", "edges: equal rows", "y[0,0]", 0.0, NAN, "NONFINITE"),
    ("x ** 0.0", "vjp", (0.0,), "x", 0.0, NAN, "NONFINITE"),
    ("atan2", "vjp", (0.0, 0.0), "x", 0.0, NAN, "NONFINITE"),
    ("atan2", "vjp", (0.0, 0.0), "y", 0.0, NAN, "NONFINITE"),
    ("sign", "value", (NAN,), "", 0.0, NAN, "CONVENTION"),
    ("heaviside", "value", (NAN, 1.0), "", 0.0, NAN, "CONVENTION"),
    ("logit", "vjp", (2.0,), "x", NAN, -0.5, "CONVENTION"),
    ("topk, indices", "value", "edges: 8 equal", "[0]", None, 0.0, "MISMATCH"),
    ("take_along_dim", "value", "edges: out of bounds", "[0,0]", 0.265625, NAN, "CONVENTION"),
    ("attention, a masked row", "value", "edges: all masked", "[0,0,0,3]", 0.0, None, "CONVENTION"),
    ("softplus", "hvp", (20.5,), "x,x", 0.0, 1.25015e-9, "APPROXIMATION"),
    ("gelu, each with its default", "value", (1.0,), "", 0.841344746, 0.841191991, "CONVENTION"),
    ("log1p", "value", (1e-310,), "", 1e-310, 0.0, "LESS_ACCURATE"),
    # What is plainly wrong.
    ("i0", "vjp", (0.0,), "x", 0.0, 1.0, "MISMATCH"),
    ("hardsigmoid", "vjp", (0.0,), "x", float(np.float32(1 / 6)), 1 / 6, "APPROXIMATION"),
    ("scatter", "vjp", "edges: duplicates", "y[0,0]", 1.10623946, 0.0, "MISMATCH"),
    ("index_put", "vjp", "edges: duplicates", "y[0]", 1.10623946, 0.0, "MISMATCH"),
    ("x[i], clamped", "vjp", "edges: out of bounds", "x[2,1]", 1.10623946, 0.0, "MISMATCH"),
)


@pytest.mark.parametrize(
    ("name", "quantity", "at", "leaf", "torch", "jax", "verdict"),
    AT_POINTS,
    ids=lambda x: str(x) if isinstance(x, str | tuple) else "",
)
def test_a_difference_at_a_point(name, quantity, at, leaf, torch, jax, verdict):
    (edge,) = [
        edge
        for edge in look(name, (quantity,), "float64").edges
        if (str(edge.at), edge.quantity, edge.leaf) == (str(at), quantity, leaf)
    ]
    assert edge.verdict == verdict
    for found, number in ((edge.torch, torch), (edge.jax, jax)):
        if number is not None:
            assert found == pytest.approx(number, rel=1e-5, abs=0, nan_ok=True)


# Along an axis: operation, quantity, axis, verdict, who is wrong.
ALONG_AXES = (
    ("maximum(x, 0)", "vjp", "edges", "AGREES", ""),  # both split
    ("max", "vjp", "edges", "AGREES", ""),
    ("amax", "vjp", "edges", "AGREES", ""),
    ("cummax", "vjp", "edges", "CONVENTION", ""),
    ("cummin", "vjp", "edges", "CONVENTION", ""),
    ("std", "value", "ordinary", "CONVENTION", ""),
    ("var", "value", "ordinary", "CONVENTION", ""),
    ("sort(descending)", "vjp", "edges", "CONVENTION", ""),
    ("argsort(descending, stable)", "value", "edges", "AGREES", ""),
    ("x[i]", "value", "edges", "MISSING", "PyTorch"),
    ("take", "value", "edges", "MISSING", "PyTorch"),
    ("index_put", "value", "edges", "MISSING", "PyTorch"),
    ("embedding(padding_idx)", "vjp", "ordinary", "CONVENTION", ""),
    ("inv", "value", "edges", "MISSING", "PyTorch"),
    ("solve", "value", "edges", "MISSING", "PyTorch"),
    ("cholesky", "value", "edges", "MISSING", "PyTorch"),
    ("cholesky, one triangle is read", "value", "ordinary", "CONVENTION", ""),
    ("eigvalsh, one triangle is read", "value", "ordinary", "CONVENTION", ""),
    ("interpolate(bilinear), down", "value", "ordinary", "CONVENTION", ""),
    ("interpolate(nearest), down", "value", "ordinary", "CONVENTION", ""),
    ("interpolate(nearest-exact), down", "value", "ordinary", "AGREES", ""),
    ("conv_transpose1d", "value", "ordinary", "AGREES", ""),
    ("attention, jax.nn's", "value", "ordinary", "APPROXIMATION", None),
    ("mul, complex", "vjp", "ordinary", "AGREES", ""),  # once one is conjugated
    ("logit", "value", "edges", "AGREES", ""),
    ("hardsigmoid", "vjp", "ordinary", "APPROXIMATION", "PyTorch"),
    ("where(x > 0, sqrt(x), 0)", "jvp", "modes", "NONFINITE", "both"),
    # What one side does not compute.
    ("svd(full_matrices=True), values", "vjp", "ordinary", "MISSING", "JAX"),
    ("scatter_reduce(prod)", "vjp", "ordinary", "MISSING", "JAX"),
    ("eigvals, sorted by size", "hvp", "ordinary", "MISSING", "JAX"),
    ("nextafter", "vjp", "ordinary", "MISSING", "JAX"),
    ("cdist", "jvp", "ordinary", "MISSING", "PyTorch"),
    ("cdist", "hvp", "ordinary", "MISSING", "PyTorch"),
    ("pdist", "jvp", "ordinary", "MISSING", "PyTorch"),
    ("pdist", "hvp", "ordinary", "MISSING", "PyTorch"),
    ("zeta", "vjp", "ordinary", "MISSING", "PyTorch"),
    ("gammainc", "vjp", "ordinary", "MISSING", "PyTorch"),
)


@pytest.mark.parametrize(("name", "quantity", "axis", "verdict", "wrong"), ALONG_AXES)
def test_a_difference_along_an_axis(name, quantity, axis, verdict, wrong):
    cell = find_cell(name, quantity, axis)
    assert cell.verdict in (GOOD if verdict == "AGREES" else (verdict,))
    assert wrong is None or cell.wrong == wrong


# Accuracy at float32: operation, quantity, PyTorch's greatest error in units, JAX's. A processor
# may make it 16 times another.
ACCURACY = (
    ("i0", "vjp", 5.9, 1.0e4, "JAX"),
    ("digamma", "vjp", 113, 3e18, "JAX"),
    ("asin, beside 1", "vjp", 606, 1.0, "PyTorch"),
    ("elu", "vjp", 0.7, 62, ""),
    ("exp2", "vjp", 1.1, 62, ""),
    ("sinh", "vjp", 0.5, 24, ""),
    ("tanh", "vjp", 5.9e6, 1.7e7, "both"),
    ("expm1", "vjp", 1.6e7, 1.6e7, "both"),
    ("ndtr", "value", 1.65e7, 140, "PyTorch"),
    ("gelu", "value", 1.6e7, 120, "PyTorch"),
    ("erfc", "value", 0.7, 46, ""),
    ("log_ndtr", "value", 36, 6.5e4, "JAX"),
)


@pytest.mark.parametrize(("name", "quantity", "torch", "jax", "wrong"), ACCURACY)
def test_a_loss_of_digits(name, quantity, torch, jax, wrong):
    cell = find_cell(name, quantity, "ordinary", "float32")
    assert cell.wrong == wrong
    assert cell.verdict in (("LESS_ACCURATE",) if wrong else GOOD)
    for error, units in ((cell.torch, torch), (cell.jax, jax)):
        assert units / 16 < error.max < units * 16


def test_ties_of_a_running_maximum():
    """PyTorch gives all to the last so far; JAX half, and shares the rest among those before."""
    x, weights = np.array([1.0, 3.0, 3.0, 2.0, 3.0]), np.arange(1.0, 6.0)
    op = NAMED["cummax"]
    ours = jax.grad(lambda x: jnp.sum(make_jax(op)(x[None])[0] * weights))(jnp.asarray(x))
    tensor = torch.tensor(x, requires_grad=True)
    (make_torch(op)(tensor[None])[0] * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(tensor.grad, [1, 2, 7, 0, 5])
    np.testing.assert_array_equal(ours, [1, 6.75, 4.75, 0, 2.5])


@pytest.mark.parametrize("name", ["inv", "solve", "cholesky"])
def test_jax_has_no_numbers_for_what_torch_refuses(name):
    op = NAMED[name]
    (sample,) = [key for key in op.samples if "singular" in key or "not positive" in key]
    found = make_jax(op)(*make_sample(f"{name}, {sample}", op.samples[sample]))
    assert not np.isfinite(np.asarray(found)).all()


def run_jax(name, *inputs):
    return np.asarray(make_jax(NAMED[name])(*map(jnp.asarray, inputs)))


def test_what_jax_does_with_an_index_out_of_range():
    x, i = np.array([1.0, 2.0, 3.0]), np.array([0, 3])
    np.testing.assert_array_equal(run_jax("x[i]", x, i), [1, 3])
    np.testing.assert_array_equal(run_jax("take", x, i), [1, NAN])
    np.testing.assert_array_equal(run_jax("take_along_dim", x[None], i[None]), [[1, NAN]])
    np.testing.assert_array_equal(run_jax("index_put", x, i, np.array([5.0, 7.0])), [5, 2, 3])


def test_jax_averages_where_all_is_masked():
    q, k, v = np.random.default_rng(0).normal(size=(3, 1, 1, 5, 4))
    found = run_jax("attention, a masked row", q[:, :, :3], k, v)
    np.testing.assert_allclose(found, np.broadcast_to(v.mean(2, keepdims=True), found.shape), 1e-5)


def test_a_transposed_convolution_needs_a_transposed_kernel():
    op = NAMED["conv_transpose1d"]
    plain = dataclasses.replace(
        op, jax=op.jax.replace(", transpose_kernel=True", ""), orders=("value",)
    )
    assert plain.jax != op.jax
    assert examine(plain, ("float64",)).judge("value") not in GOOD


def test_what_never_returns_is_not_tried():
    assert (1e300, 1e300) in NAMED["gammainc"].avoid
