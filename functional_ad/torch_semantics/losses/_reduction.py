"""What becomes of the losses of a batch: all of them, their mean or their sum."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from functional_ad.torch_semantics._arguments import check_choice


def check_reduction(function: str, reduction: str, *more: str) -> None:
    """Raises unless a reduction is one of PyTorch's three, or one that this loss has besides.

    Raises:
        ArgumentError: It is another.
    """
    check_choice(f"losses.{function}", "reduction", reduction, ("none", "mean", "sum", *more))


def reduce(loss: jax.Array, reduction: str, dtype: Any) -> jax.Array:
    """All losses, their mean or their sum, in the dtype that they come out in."""
    if reduction == "mean":
        loss = jnp.mean(loss)
    elif reduction == "sum":
        loss = jnp.sum(loss)
    return loss.astype(dtype)
