"""Sums, means, variances and medians, and results that differ by a constant factor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._causes._atlas import say_as_atlas
from comparisons._causes._known import AnyOf, Array, Calls, Details, Known, Outputs, Scene
from comparisons._causes._patch import Call

# Of a ratio of float64 results, which rounding moves in its last digits.
_SAME_RATIO = 1e-9
Explain = Callable[[Scene], Iterator[tuple[float, Details]]]


def _find_ratio(ours: Array, theirs: Array) -> float | None:
    """PyTorch's results as a multiple of JAX's; None if it is not the same for every element."""
    used = (ours != 0) & (theirs != 0)
    if ours.shape != theirs.shape or not used.any() or ours.dtype.kind not in "fc":
        return None
    if not np.array_equal(ours != 0, theirs != 0) or not np.isfinite(ours).all():
        return None
    ratios = theirs[used] / ours[used]
    ratio = ratios.flat[np.argmax(np.abs(ours[used]))]
    return float(ratio.real) if np.allclose(ratios, ratio, rtol=_SAME_RATIO, atol=0) else None


def scale_outputs(explain: Explain) -> Outputs:
    """Multiplies outputs by a number that explains a constant ratio."""

    def options(scene: Scene) -> Iterator[Details]:
        ratios: dict[str, float] = {}
        others: list[float] = []
        for order, path, ours, theirs in scene.pairs():
            ratio = _find_ratio(ours, theirs)
            if ratio is not None and order == "value":
                ratios[path] = ratio
            elif ratio is not None:
                others.append(ratio)
        if not ratios and others:  # derivatives alone: they scale as the outputs do
            ratios = dict.fromkeys(scene.jax.get("value", {"": None}), others[0])
        for number, words in explain(scene):
            scaled = [p for p, ratio in ratios.items() if math.isclose(ratio, number, rel_tol=1e-8)]
            if scaled:
                changes = dict.fromkeys(scaled, lambda leaf, number=number: leaf * number)
                yield {"changes": changes, **words}

    return Outputs(options)


def _explain_sum(scene: Scene) -> Iterator[tuple[float, Details]]:
    yield from ((float(size), {"size": size}) for size in scene.sizes())


def _explain_mean(scene: Scene) -> Iterator[tuple[float, Details]]:
    yield from ((1 / size, {"size": size}) for size in scene.sizes())


def _explain_masked(scene: Scene) -> Iterator[tuple[float, Details]]:
    """The size of a mask or of labels over the number of those that count."""
    for path, leaf in scene.inputs.items():
        for ignored in (0, -1, -100):
            kept = int(np.sum(leaf != ignored))
            if 0 < kept < leaf.size:
                yield leaf.size / kept, {"path": path, "kept": kept, "size": leaf.size}


def _explain_log(scene: Scene) -> Iterator[tuple[float, Details]]:
    for word, base in (("log2", 2), ("log10", 10)):
        yield 1 / math.log(base), {"right": f"jnp.{word}"}
        yield math.log(base), {"right": "jnp.log"}


def _count(call: Call) -> float:
    """How many elements of an array go into one of the result."""
    return jnp.size(call.x) / max(jnp.size(call.again()), 1)


def _take_lower(call: Call) -> Any:
    x, axis = call.x, call.get("axis")
    if axis is None:
        x, axis = jnp.ravel(x), 0
    middle = jnp.take(jnp.sort(x, axis=axis), (x.shape[axis] - 1) // 2, axis=axis)
    return jnp.expand_dims(middle, axis) if call.get("keepdims") else middle


def _halves(call: Call) -> bool:
    axis = call.get("axis")
    length = jnp.size(call.x) if axis is None else call.x.shape[axis]
    return length % 2 == 0


def _choose_axis(scene: Scene) -> list[dict[str, Any]]:
    rank = max((leaf.ndim for leaf in scene.inputs.values()), default=0)
    return [{"axis": axis} for axis in range(min(rank, 4))]


def _truncate(call: Call) -> Any:
    return jnp.fmod(*call.args)


REDUCTIONS: tuple[Known, ...] = (
    Known(
        name="ddof",
        **say_as_atlas("std", "ordinary"),
        kind="convention",
        rows=(
            "std",
            "var",
        ),
        how=Calls(
            ("jax.numpy.std", "jax.numpy.var"),
            lambda call: call.again(ddof=1),
            when=lambda call: not call.get("ddof") and call.get("correction") is None,
        ),
    ),
    Known(
        name="ddof-given",
        title="The JAX side divides by n - 1, PyTorch's by n.",
        fix="Write ddof=0: PyTorch's normalisation layers take the biased variance.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html",
        kind="mistake",
        how=Calls(
            ("jax.numpy.std", "jax.numpy.var"),
            lambda call: call.again(ddof=0, correction=None),
            when=lambda call: call.get("ddof") == 1 or call.get("correction") == 1,
        ),
    ),
    Known(
        name="bessel",
        title="A variance written by hand divides by n, PyTorch's by n - 1.",
        fix="Divide the sum of squares by n - 1 instead of taking the mean.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.var.html",
        kind="convention",
        how=Calls(
            ("jax.numpy.mean",),
            lambda call: call.again() * (_count(call) / (_count(call) - 1)),
            when=lambda call: _count(call) > 1,
        ),
    ),
    Known(
        name="median-even",
        **say_as_atlas("median"),
        kind="convention",
        rows=("median",),
        how=Calls(("jax.numpy.median",), _take_lower, when=_halves),
    ),
    Known(
        name="mean-for-sum",
        title="The JAX side takes a mean where PyTorch takes a sum.",
        fix="Write jnp.sum for jnp.mean.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html",
        kind="mistake",
        how=AnyOf(
            (
                Calls(("jax.numpy.mean",), lambda call: call.again() * _count(call)),
                scale_outputs(_explain_sum),
            )
        ),
    ),
    Known(
        name="sum-for-mean",
        title="The JAX side takes a sum where PyTorch takes a mean.",
        fix="Write jnp.mean for jnp.sum: PyTorch's losses have reduction='mean' by default.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html",
        kind="mistake",
        how=AnyOf(
            (
                Calls(("jax.numpy.sum",), lambda call: call.again() / _count(call)),
                scale_outputs(_explain_mean),
            )
        ),
    ),
    Known(
        name="masked-mean",
        title="The mean is over all {size} elements of input {path}, PyTorch's over the {kept} "
        "that count.",
        fix="Write jnp.sum(loss * mask) / jnp.sum(mask).",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        kind="mistake",
        how=scale_outputs(_explain_masked),
    ),
    Known(
        name="reduction-axis",
        title="A reduction is over another axis than PyTorch's.",
        fix="Write axis={axis}.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.sum.html",
        kind="mistake",
        how=Calls(
            tuple(f"jax.numpy.{name}" for name in ("sum", "mean", "max", "min", "std", "var")),
            lambda call, axis: call.again(axis=axis),
            when=lambda call: isinstance(call.get("axis"), int),
            options=_choose_axis,
        ),
    ),
    Known(
        name="sign",
        title="The results are each other's negative.",
        fix="Negate what the JAX side returns.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",
        kind="mistake",
        how=scale_outputs(lambda scene: iter([(-1.0, {})])),
    ),
    Known(
        name="half",
        title="One side has a factor of 2 that the other has not.",
        fix="Multiply what the JAX side returns by {factor}.",
        source="https://optax.readthedocs.io/en/latest/api/losses.html",
        kind="mistake",
        how=scale_outputs(lambda scene: iter([(2.0, {"factor": 2}), (0.5, {"factor": 0.5})])),
    ),
    Known(
        name="log-base",
        title="The logarithms have different bases.",
        fix="Write {right}.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.log2.html",
        kind="mistake",
        how=scale_outputs(_explain_log),
    ),
    Known(
        name="remainder",
        title="jnp.mod has the divisor's sign, torch.fmod the dividend's.",
        fix="Write jnp.fmod.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.fmod.html",
        kind="mistake",
        how=Calls(("jax.numpy.mod", "jax.numpy.remainder"), _truncate),
    ),
)
