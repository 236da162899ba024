"""Losses: factors, smoothing, reductions and clamps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from comparisons._causes._atlas import say_as_atlas
from comparisons._causes._known import AnyOf, Calls, Details, Known, Program, Scene
from comparisons._causes._patch import Call
from comparisons._causes._rewrite import Rule
from comparisons._causes.catalogue.norms import is_close, replace_literals

_CROSS_ENTROPY = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html"
_SMOOTHINGS = (0.1, 0.05, 0.2, 0.01)
_MISSING = tuple({"smoothing": smoothing} for smoothing in _SMOOTHINGS)


def _smooth_dense(call: Call, smoothing: float) -> Any:
    labels = optax.smooth_labels(call.get("labels"), smoothing)
    return call.again(call.get("logits"), labels)


def _smooth_integer(call: Call, smoothing: float) -> Any:
    uniform = -jnp.mean(jax.nn.log_softmax(call.get("logits")), -1)
    return (1 - smoothing) * call.again() + smoothing * uniform


def _smooth_one_hot(call: Call, smoothing: float) -> Any:
    return (1 - smoothing) * call.again() + smoothing / call.get("num_classes")


def _smooth_gathered(call: Call, smoothing: float) -> Any:
    axis = call.get("axis")
    uniform = jnp.mean(call.x, axis=axis, keepdims=True)
    return (1 - smoothing) * call.again() + smoothing * uniform


def _choose_others(scene: Scene) -> list[Details]:
    """Constants e / (C - 1), with C classes: the smoothing that leaves the true class out."""
    found = scene.literals()
    classes = {length for leaf in scene.inputs.values() for length in leaf.shape} - {0, 1}
    return [
        {"smoothing": e, "classes": c}
        for e in _SMOOTHINGS
        for c in sorted(classes)
        if any(is_close(literal, e / (c - 1)) for literal in found)
        and any(is_close(literal, 1 - e) for literal in found)
    ]


def _spread_over_all(smoothing: float, classes: int) -> Rule:
    e, c = smoothing, classes
    return replace_literals({e / (c - 1): e / c, 1 - e: 1 - e + e / c})


def _clamp_log(call: Call) -> Any:
    """PyTorch's derivative is that of log, or 0 where it is clamped."""
    x = call.x
    low = x <= jnp.exp(-100.0)
    return jnp.where(low, -100.0, call.again(jnp.where(low, 1.0, x)))


def _clamp_any_log(call: Call) -> Any:
    if getattr(call.original, "__name__", "") == "log1p":
        return _clamp_log(Call(jnp.log, (1 + call.x,), {}))
    return _clamp_log(call)


LOSSES: tuple[Known, ...] = (
    Known(
        name="l2-loss-half",
        title="optax.l2_loss is half the squared error, PyTorch's mse_loss all of it.",
        fix="Write optax.squared_error.",
        source="https://optax.readthedocs.io/en/latest/api/losses.html",
        kind="convention",
        how=Calls(("optax.l2_loss",), lambda call: 2 * call.again()),
    ),
    Known(
        name="huber-smooth-l1",
        title="PyTorch's smooth_l1_loss is the Huber loss divided by its beta.",
        fix="Divide optax.huber_loss by delta.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html",
        kind="convention",
        how=Calls(("optax.huber_loss",), lambda call: call.again() / call.get("delta")),
    ),
    Known(
        name="label-smoothing-missing",
        title="PyTorch's loss has label_smoothing={smoothing}, the JAX side none.",
        fix="Write optax.smooth_labels(jax.nn.one_hot(labels, classes), {smoothing}).",
        source=_CROSS_ENTROPY,
        kind="mistake",
        how=AnyOf(
            (
                Calls(("optax.softmax_cross_entropy",), _smooth_dense, options=_MISSING),
                Calls(
                    ("optax.softmax_cross_entropy_with_integer_labels",),
                    _smooth_integer,
                    options=_MISSING,
                ),
                Calls(("jax.nn.one_hot",), _smooth_one_hot, options=_MISSING),
                Calls(("jax.numpy.take_along_axis",), _smooth_gathered, options=_MISSING),
            )
        ),
    ),
    Known(
        name="label-smoothing-others",
        title="The smoothing is spread over the other {classes} - 1 classes, PyTorch's over all.",
        fix="Write optax.smooth_labels(one_hot, {smoothing}).",
        source=_CROSS_ENTROPY,
        kind="convention",
        how=Program(_spread_over_all, _choose_others),
    ),
    Known(
        name="log-clamp",
        **say_as_atlas("binary_cross_entropy"),
        kind="convention",
        rows=("binary_cross_entropy",),
        how=Calls(
            ("jax.numpy.log", "jax.numpy.log1p"), _clamp_any_log, suits=Scene.has_nan_in_jax_alone
        ),
    ),
    Known(
        name="kl-arguments",
        title="The arguments of the KL divergence are in the other order.",
        fix="Write optax.kl_divergence(log_predictions, targets), PyTorch's input and target.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html",
        kind="mistake",
        how=Calls(
            ("optax.kl_divergence",),
            lambda call: call.again(
                jnp.log(call.get("targets")), jnp.exp(call.get("log_predictions"))
            ),
        ),
    ),
    Known(
        name="cosine-epsilon",
        title="PyTorch's cosine_similarity keeps norms above 1e-8, optax's has no epsilon.",
        fix="Write optax.cosine_similarity(a, b, epsilon=1e-8).",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html",
        kind="convention",
        how=Calls(
            ("optax.cosine_similarity", "optax.losses.cosine_similarity"),
            lambda call: call.again(epsilon=1e-8),
            when=lambda call: call.get("epsilon") == 0,
        ),
    ),
)
