"""Activations, and the softmax of attention."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from comparisons._causes._atlas import do_as_atlas, say_as_atlas
from comparisons._causes._known import Calls, Known, Scene
from comparisons._causes._patch import Call

_SOFTMAX = ("jax.nn.softmax", "jax.nn.log_softmax")


def _choose_axis(scene: Scene) -> list[dict[str, Any]]:
    ranks = [leaf.ndim for leaf in scene.inputs.values()]
    return [{"axis": axis} for axis in (0, 1, -1, 2, 3) if axis < max(ranks, default=0)]


def _choose_scale(scene: Scene) -> list[dict[str, Any]]:
    """Square roots of the last dimensions: a head's or a model's width."""
    widths = {leaf.shape[-1] for leaf in scene.inputs.values() if leaf.ndim >= 2}
    return [{"width": width} for width in sorted(widths - {1})[:6]]


def _is_square(call: Call) -> bool:
    return call.x.ndim >= 2 and call.x.shape[-1] == call.x.shape[-2]


def _mask_future(call: Call) -> Any:
    return call.again(jnp.where(jnp.tri(call.x.shape[-1], dtype=bool), call.x, -jnp.inf))


ACTIVATIONS: tuple[Known, ...] = (
    Known(
        name="gelu-tanh",
        **say_as_atlas("gelu, each with its default", "ordinary"),
        kind="convention",
        rows=("gelu, each with its default",),
        how=Calls(
            ("jax.nn.gelu",),
            lambda call: call.again(approximate=False),
            when=lambda call: bool(call.get("approximate")),
        ),
    ),
    Known(
        name="gelu-exact",
        title='The JAX side has the exact GELU, PyTorch\'s is approximate="tanh".',
        fix="Write jax.nn.gelu(x, approximate=True).",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html",
        kind="mistake",
        how=Calls(
            ("jax.nn.gelu",),
            lambda call: call.again(approximate=True),
            when=lambda call: not call.get("approximate"),
        ),
    ),
    Known(
        name="softplus-threshold",
        **say_as_atlas("softplus"),
        kind="convention",
        rows=("softplus",),
        how=Calls(("jax.nn.softplus",), do_as_atlas("softplus")),
    ),
    Known(
        name="softmax-axis",
        title="The softmax is over another axis than PyTorch's.",
        fix="Write axis={axis} in the softmax; jax.nn.softmax takes the last by default.",
        source="https://docs.jax.dev/en/latest/_autosummary/jax.nn.softmax.html",
        kind="mistake",
        how=Calls(_SOFTMAX, lambda call, axis: call.again(axis=axis), options=_choose_axis),
    ),
    Known(
        name="softmax-twice",
        title="The JAX side applies a softmax where PyTorch's has logits.",
        fix="Leave jax.nn.softmax out: cross entropy takes logits.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        kind="mistake",
        how=Calls(("jax.nn.softmax",), lambda call: call.x),
    ),
    Known(
        name="softmax-without-log",
        title="The JAX side has softmax where PyTorch has log_softmax.",
        fix="Write jax.nn.log_softmax.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html",
        kind="mistake",
        how=Calls(
            ("jax.nn.softmax",), lambda call: jax.nn.log_softmax(call.x, axis=call.get("axis"))
        ),
    ),
    Known(
        name="attention-scale",
        title="Attention scores are not divided by the square root of the width {width}.",
        fix="Divide the scores by {width} ** 0.5 before the softmax.",
        source="https://docs.pytorch.org/docs/stable/generated/"
        "torch.nn.functional.scaled_dot_product_attention.html",
        kind="mistake",
        how=Calls(
            ("jax.nn.softmax",),
            lambda call, width: call.again(call.x / width**0.5),
            options=_choose_scale,
        ),
    ),
    Known(
        name="causal-mask",
        title="PyTorch masks the future in its attention, the JAX side does not.",
        fix="Write jnp.where(jnp.tri(n, dtype=bool), scores, -jnp.inf) before the softmax.",
        source="https://docs.pytorch.org/docs/stable/generated/"
        "torch.nn.functional.scaled_dot_product_attention.html",
        kind="mistake",
        how=Calls(("jax.nn.softmax",), _mask_future, when=_is_square),
    ),
)
