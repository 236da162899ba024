"""The line search of L-BFGS against PyTorch's own, on a thousand curves."""

import math
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")

import torch
from torch.optim.lbfgs import _strong_wolfe

from functional_ad.torch_semantics.optim import _wolfe

CURVES = 1_000


def draw_curves():
    """Polynomials with waves, some of which bend or end at a point, and how far to search each."""
    rng = np.random.default_rng(0)
    shape = (CURVES,)
    curves = {
        "slope": -np.exp(rng.uniform(-3, 3, shape)),
        "bend": rng.normal(0, 2, shape),
        "twist": np.exp(rng.uniform(-3, 1, shape)),
        "wave": rng.normal(0, 1, shape) * (rng.uniform(size=shape) < 0.5),
        "pace": np.exp(rng.uniform(0, 3, shape)),
        "end": np.where(rng.uniform(size=shape) < 0.1, rng.uniform(0.1, 3, shape), 1e9),
        "bend_at": rng.uniform(0.0, 1.0, shape),
        "sharply": 20.0 * (rng.uniform(size=shape) < 0.1),
        "d": np.exp(rng.uniform(-1, 1, shape)),
        "t": np.exp(rng.uniform(-4, 3, shape)),
    }
    return curves, rng.integers(0, 40, shape)


def look(xp, curve, t):
    """The loss at a step length, and its derivative; NaN beyond the curve's end."""
    x = t * curve["d"]
    rest = xp.sqrt(curve["end"] - x)
    phase = curve["pace"] * x
    loss = curve["slope"] * x + curve["bend"] * x**2 + curve["twist"] * x**3
    loss = loss + curve["wave"] * xp.sin(phase) + 1e-3 * rest
    grad = curve["slope"] + 2 * curve["bend"] * x + 3 * curve["twist"] * x**2
    grad = grad + curve["wave"] * curve["pace"] * xp.cos(phase) - 0.5e-3 / rest
    past = x > curve["bend_at"]
    return (
        loss + curve["sharply"] * past * (x - curve["bend_at"]),
        grad + curve["sharply"] * past,
    )


def search_torch(curves, limits):
    found = []
    for i, limit in enumerate(limits):
        curve = {name: torch.tensor(x[i]) for name, x in curves.items()}
        d = curve["d"].reshape(1)

        def evaluate(x, t, d, curve=curve):
            loss, grad = look(torch, curve, torch.as_tensor(t, dtype=torch.float64))
            return float(loss), grad.reshape(1)

        loss, grad = evaluate(None, 0.0, d)
        slope = grad.dot(d)
        if slope >= 0:  # no direction of descent, which L-BFGS does not search
            found.append((math.nan,) * 4)
            continue
        new, grad, t, evals = _strong_wolfe(
            evaluate, None, curve["t"], d, loss, grad, slope, max_ls=int(limit)
        )
        found.append((float(t), new, float(grad[0]), evals))
    return np.array(found)


def search_here(curves, limits):
    def search(curve, limit):
        def evaluate(t):
            loss, grad = look(jnp, curve, t)
            return _wolfe.Point(t, loss, grad, grad * curve["d"])

        start = evaluate(jnp.zeros(()))
        point, evals = _wolfe.search_wolfe(evaluate, start, curve["t"], curve["d"], limit)
        found = jnp.stack([point.t, point.loss, point.grad, evals])
        return jnp.where(start.slope >= 0, jnp.nan, found)

    return np.asarray(jax.jit(jax.vmap(search))(curves, limits))


def measure(ones, others, curves):
    """How far the points are apart, in each curve's own size; infinitely if the counts differ."""
    first = np.abs(curves["slope"])
    sizes = np.stack([np.abs(ones[:, 0]), first * curves["t"], first], 1)
    sizes = sizes + np.abs(ones[:, :3])
    same = (ones == others) | (np.isnan(ones) & np.isnan(others))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(same[:, :3], 0.0, np.abs(ones - others)[:, :3] / sizes).max(1)
    return np.where(same[:, 3] & ~np.isnan(apart), apart, np.inf)


@pytest.fixture(scope="module")
def searched():
    """The curves, PyTorch's points and ours, and which curves do not magnify a rounding.

    Where a curve is nearly straight, an interpolation divides two differences that cancel, and a
    last bit of the first step length moves the point, in PyTorch as well.
    """
    with jax.enable_x64(True):
        curves, limits = draw_curves()
        ours = search_here(curves, limits)
        steady = np.ones(CURVES, bool)
        for way in (math.inf, -math.inf):
            shaken = {**curves, "t": np.nextafter(curves["t"], way)}
            steady &= measure(ours, search_here(shaken, limits), curves) < 1e-12
        return curves, limits, search_torch(curves, limits), ours, steady


def test_the_points_are_pytorchs(searched):
    """The same evaluations, and the same point at their end, wherever that can be said."""
    curves, _, theirs, ours, steady = searched
    assert steady.sum() > 0.95 * CURVES
    assert measure(theirs, ours, curves)[steady].max() < 1e-8


def test_the_curves_lead_everywhere(searched):
    """What ends a search: the first point, a few, the limit, and a curve that is NaN."""
    _, limits, theirs, _, steady = searched
    evals = theirs[steady, 3]
    assert (evals == 1).sum() > 50
    assert ((evals > 2) & (evals <= limits[steady])).sum() > 50
    assert (evals == limits[steady] + 1).sum() > 50
    assert np.isnan(theirs[steady, 1]).sum() > 5


DEFECTS = {
    "it falls too little": ("_DECREASE", 0.3),
    "it is too steep": ("_CURVATURE", 0.8),
    "a bracket is given up early": ("_WIDTH", 1e-3),
    "no cubic": ("_interpolate", lambda a, b, least, most: (least + most) / 2),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_noticed(defect, searched):
    curves, limits, theirs, _, steady = searched
    with mock.patch.object(_wolfe, *DEFECTS[defect]), jax.enable_x64(True):
        ours = search_here(curves, limits)
    assert (measure(theirs, ours, curves)[steady] > 1e-3).sum() > 5
