"""Sums over the devices of a mesh, inside ``jax.shard_map``: once after a loop, not in it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from functional_ad._compat import varying_axes


def postpone_sums(diff: PyTree, loss: Any) -> tuple[PyTree, list[tuple[str, ...]]]:
    """Parameters that vary over the mesh axes that the loss does, and the axes that that took.

    Inside ``shard_map``, a gradient for a parameter that does not vary over an axis is summed over
    it, in every microbatch; for one that is made to vary it stays local, and one sum after the loop
    is enough. Where the loss does not vary, since it sums over the axis itself, so must it stay.
    """
    leaves, treedef = jax.tree.flatten(diff)
    axes = [tuple(sorted(varying_axes(loss) - varying_axes(leaf))) for leaf in leaves]
    cast = [
        lax.pcast(leaf, missing, to="varying") if missing else leaf
        for leaf, missing in zip(leaves, axes, strict=True)
    ]
    return jax.tree.unflatten(treedef, cast), axes if any(axes) else []


def sum_over_mesh(grads: PyTree, postponed: list[tuple[str, ...]]) -> PyTree:
    """Sums each gradient over its axes, those of the same axes together."""
    leaves, treedef = jax.tree.flatten(grads)
    for axes in sorted({axes for axes in postponed if axes}):
        places = [i for i, own in enumerate(postponed) if own == axes]
        sums = lax.psum([leaves[i] for i in places], axes)
        for i, total in zip(places, sums, strict=True):
            leaves[i] = total
    return jax.tree.unflatten(treedef, leaves)


def make_zero(kind: Any) -> Any:
    """Zeros of a type: shape, dtype, sharding and the mesh axes that it varies over."""
    # Not zeros_like of the type itself, which fails on a mesh of which only some axes are manual.
    zero = jnp.zeros_like(jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=kind.sharding))
    missing = tuple(sorted(varying_axes(kind) - varying_axes(zero)))
    return lax.pcast(zero, missing, to="varying") if missing else zero
