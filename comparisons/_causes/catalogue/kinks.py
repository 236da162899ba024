"""Points where a function has no derivative, or none that is finite, and a framework chose one."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from comparisons._causes._atlas import do_as_atlas, say_as_atlas
from comparisons._causes._known import Calls, Known, Scene
from comparisons._causes._patch import Call

_AUTOGRAD = "https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions"


def _clip(call: Call) -> Any:
    low, high = call.get("min"), call.get("max")
    return _hold(call.x, low, high)


def _clamp(call: Call) -> Any:
    low, x, high = call.args
    return _hold(x, low, high)


def _hold(x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else jnp.where(x < low, low, x)
    return x if high is None else jnp.where(x > high, high, x)


def _leaky_relu(call: Call) -> Any:
    return jnp.where(call.x > 0, call.x, call.get("negative_slope") * call.x)


def _norm(call: Call) -> Any:
    axis, keep = call.get("axis"), call.get("keepdims")
    return _root(jnp.sum(jnp.square(call.x), axis=axis, keepdims=bool(keep)))


def _root(square: Any) -> Any:
    """The square root, with derivative 0 at 0."""
    zero = square == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))


def _std(call: Call) -> Any:
    names = ("axis", "ddof", "keepdims", "correction", "where")
    given = {name: call.get(name) for name in names if call.get(name) is not None}
    return _root(jnp.var(call.x, **given))


def _is_plain_norm(call: Call) -> bool:
    return call.get("ord") in (None, 2) and (
        call.x.ndim == 1 or call.get("ord") is None or isinstance(call.get("axis"), int)
    )


def _take_first(call: Call) -> Any:
    """The first of the greatest alone has a gradient."""
    axis, keep = call.get("axis"), call.get("keepdims")
    at = call.original.__name__.replace("max", "argmax").replace("min", "argmin").strip("_")
    index = getattr(jnp, at)(call.x, axis=axis, keepdims=True)
    found = jnp.take_along_axis(call.x, index, axis=axis)
    return found if keep else jnp.squeeze(found, axis)


KINKS: tuple[Known, ...] = (
    Known(
        name="abs-at-zero",
        **say_as_atlas("abs"),
        kind="convention",
        rows=("abs", "abs, complex"),
        how=Calls(("jax.numpy.abs", "jax.numpy.absolute", "jax.numpy.fabs"), do_as_atlas("abs")),
    ),
    Known(
        name="clip-at-bound",
        **say_as_atlas("clamp(-1, 1)"),
        kind="convention",
        rows=(
            "clamp(-1, 1)",
            "clamp(min=0)",
            "clamp(min=y)",
        ),
        how=Calls(("jax.numpy.clip",), _clip),
    ),
    Known(
        name="clamp-at-bound",
        **say_as_atlas("clamp(-1, 1), lax"),
        kind="convention",
        rows=("clamp(-1, 1), lax",),
        how=Calls(("jax.lax.clamp",), _clamp),
    ),
    Known(
        name="relu-by-maximum",
        title="At a tie the derivative of jnp.maximum is 1/2; PyTorch's relu has 0.",
        fix="Write jax.nn.relu(x) for jnp.maximum(x, 0).",
        source="https://github.com/jax-ml/jax/issues/37821",
        kind="convention",
        how=Calls(
            ("jax.numpy.maximum",), lambda call: jnp.where(call.x > call.args[1], *call.args)
        ),
    ),
    Known(
        name="clamp-by-maximum",
        title="At a tie the derivative of jnp.maximum is 1/2; PyTorch's clamp has 1.",
        fix="Write jnp.where(x >= low, x, low) for jnp.maximum(x, low).",
        source=_AUTOGRAD,
        kind="convention",
        how=Calls(
            ("jax.numpy.maximum",), lambda call: jnp.where(call.x >= call.args[1], *call.args)
        ),
    ),
    Known(
        name="leaky-relu-at-zero",
        **say_as_atlas("leaky_relu"),
        kind="convention",
        rows=("leaky_relu",),
        how=Calls(("jax.nn.leaky_relu",), _leaky_relu),
    ),
    Known(
        name="hard-tanh-at-bound",
        **say_as_atlas("hardtanh"),
        kind="convention",
        rows=("hardtanh",),
        how=Calls(("jax.nn.hard_tanh",), do_as_atlas("hardtanh")),
    ),
    Known(
        name="norm-at-zero",
        **say_as_atlas("vector_norm"),
        kind="convention",
        rows=(
            "vector_norm",
            "matrix_norm",
        ),
        how=Calls(
            ("jax.numpy.linalg.norm",), _norm, when=_is_plain_norm, suits=Scene.has_nan_in_jax_alone
        ),
    ),
    Known(
        name="std-at-constant",
        **say_as_atlas("std(correction=0)"),
        kind="convention",
        rows=("std(correction=0)",),
        how=Calls(("jax.numpy.std",), _std, suits=Scene.has_nan_in_jax_alone),
    ),
    Known(
        name="max-ties",
        **say_as_atlas("max(dim)"),
        kind="convention",
        rows=(
            "max(dim)",
            "min(dim)",
        ),
        how=Calls(
            ("jax.numpy.max", "jax.numpy.min"),
            _take_first,
            when=lambda call: isinstance(call.get("axis"), int),
        ),
    ),
    Known(
        name="arctan2-at-origin",
        **say_as_atlas("atan2"),
        kind="convention",
        rows=("atan2",),
        how=Calls(("jax.numpy.arctan2",), do_as_atlas("atan2"), suits=Scene.has_nan_in_jax_alone),
    ),
)
