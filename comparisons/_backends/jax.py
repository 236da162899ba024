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
        arrays = _trees.map_leaves(_to_jax, inputs)
        output = fn(*arrays)
        quantities: dict[Order, Leaves] = {}
        if "value" in orders:
            quantities["value"] = _to_numpy(output, dtype)
        if "vjp" in orders:
            quantities["vjp"] = _pull_back(fn, inputs, arrays, output, dtype)
        return Outputs(quantities)


def describe() -> dict[str, Any]:
    """Settings of this process that may change the last bits."""
    precision: Any = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return {
        "jax devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        "jax matmul precision": str(precision or "default"),
    }


def _pull_back(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    arrays: tuple[Any, ...],
    output: Any,
    dtype: str,
) -> Leaves:
    def seed(path: Any, leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return None
        written = jax.tree_util.keystr(path, simple=True, separator="/")
        return _trees.seed_cotangent(written, np.shape(leaf), jnp.result_type(leaf))

    cotangent = jax.tree_util.tree_map_with_path(seed, output)
    if not jax.tree.leaves(cotangent) or not any(map(_trees.is_floating, jax.tree.leaves(inputs))):
        return {}
    _, grads = functional_ad.vjp(fn, *arrays, cotangent=cotangent)
    return _to_numpy(grads if len(arrays) > 1 else (grads,), dtype)


def _to_jax(leaf: Any) -> Any:
    return jnp.array(leaf) if isinstance(leaf, np.ndarray) else leaf  # a copy: it may be donated


def _to_numpy(tree: Any, dtype: str) -> Leaves:
    leaves = _trees.flatten(tree)
    return {path: _trees.to_array(name, path, leaf, dtype) for path, leaf in leaves.items()}
