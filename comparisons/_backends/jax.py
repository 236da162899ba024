"""The JAX side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import functional_ad
from comparisons import _trees
from comparisons._backends import Outputs
from comparisons._case import Order
from comparisons._trees import Leaves

name = "JAX"


def run(
    fn: Callable[..., Any], inputs: tuple[Any, ...], dtype: str, orders: tuple[Order, ...]
) -> Outputs:
    """Values and gradients of a JAX function; 64-bit types are on for a float64 run only."""
    with jax.enable_x64(dtype == "float64"), functional_ad.set_grad_enabled(True):
        output = fn(*_make_arrays(inputs))
        outputs: Outputs = {"value": _to_numpy(output, dtype)}
        if "vjp" in orders:
            # New arrays: the first call may have donated its own.
            outputs["vjp"] = _pull_back(fn, inputs, _make_arrays(inputs), output, dtype)
        return outputs


def describe() -> dict[str, Any]:
    """Settings of this process that may change the last bits."""
    precision: Any = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return {
        "jax devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        "jax matmul precision": str(precision or "default"),
        "jax x64": "on in the float64 runs only",
    }


def _pull_back(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    arrays: tuple[Any, ...],
    output: Any,
    dtype: str,
) -> Leaves:
    leaves = _trees.flatten(output)
    shapes = {
        path: np.shape(leaf)
        for path, leaf in leaves.items()
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
    }
    if not shapes or not any(map(_trees.is_floating, jax.tree.leaves(inputs))):
        return {}
    seeds = _trees.seed_cotangents(shapes)
    cotangent = jax.tree.unflatten(
        jax.tree.structure(output),
        [
            seeds[path].astype(jnp.result_type(leaf)) if path in seeds else None
            for path, leaf in leaves.items()
        ],
    )
    _, grads = functional_ad.vjp(fn, *arrays, cotangent=cotangent)
    return _to_numpy(grads if len(arrays) > 1 else (grads,), dtype)


def _make_arrays(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies, at the mercy of the function."""
    return _trees.map_leaves(
        lambda leaf: jnp.array(leaf) if isinstance(leaf, np.ndarray) else leaf, inputs
    )


def _to_numpy(tree: Any, dtype: str) -> Leaves:
    leaves = _trees.flatten(tree)
    return {path: _trees.to_array(name, path, leaf, dtype) for path, leaf in leaves.items()}
