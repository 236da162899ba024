"""What needs no referee: trees, shapes and dtypes, NaN and infinities, integers and booleans."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._results import LeafResult
from comparisons._trees import Array
from comparisons._verdict import Verdict


def compare_structure(ours: Array | None, theirs: Array | None) -> str:
    """What is wrong with the structure, as a sentence; empty if nothing is."""
    if ours is None or theirs is None:
        has, lacks = ("PyTorch", "JAX") if ours is None else ("JAX", "PyTorch")
        return f"The {has} side has this leaf, the {lacks} side has not."
    if ours.shape != theirs.shape:
        return f"The shapes differ: JAX {ours.shape}, PyTorch {theirs.shape}."
    inexact = jnp.issubdtype(theirs.dtype, jnp.inexact)
    same = ours.dtype == theirs.dtype if inexact else _are_one_kind(ours, theirs)
    return "" if same else f"The dtypes differ: JAX {ours.dtype}, PyTorch {theirs.dtype}."


def _are_one_kind(ours: Array, theirs: Array) -> bool:
    """Integers of any width are one kind: PyTorch counts in int64, JAX in int32."""
    kinds = {ours.dtype.kind, theirs.dtype.kind}
    return kinds <= {"i", "u"} or kinds == {"b"}


def compare_nonfinite(dtype: str, ours: Array, theirs: Array) -> str:
    """Where only one side is NaN or infinite, or the infinities differ; empty if nowhere."""
    finite = np.isfinite(ours) & np.isfinite(theirs)
    same = finite | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if same.all():
        return ""
    worst = tuple(int(i) for i in np.argwhere(~same)[0])
    return (
        f"At {dtype}, {np.sum(~same)} of {ours.size} elements are NaN or infinite on one side "
        f"only or differently: JAX {ours[worst]}, PyTorch {theirs[worst]} at {list(worst)}."
    )


def count_nonfinite(theirs: Array) -> str:
    """How many elements are NaN or infinite where both sides agree on it, as a sentence."""
    count = int(np.sum(~np.isfinite(theirs)))
    return f" {count} of {theirs.size} elements are NaN or infinite on both sides." if count else ""


def judge_exact(
    ours: Array, theirs: Array, ours64: Array, theirs64: Array, found: dict[str, Any]
) -> LeafResult:
    """Integers and booleans, whatever their width: equal or not, in both runs."""
    working, wide = ours != theirs, ours64 != theirs64
    if wide.any():
        unequal, verdict, where = wide, Verdict.MISMATCH, " in the float64 runs"
    elif working.any() and _overflows(ours[working], theirs[working]):
        unequal, verdict, where = (
            working,
            Verdict.MISMATCH,
            ", by multiples of 2**32: JAX's 32 bits overflow where PyTorch counts in 64",
        )
    elif working.any():
        unequal, verdict, where = (
            working,
            Verdict.LESS_ACCURATE,
            ", but none at float64: rounding decides",
        )
    else:
        return LeafResult(
            verdict=Verdict.IDENTICAL, reason="Equal.", established="float64", **found
        )
    worst = tuple(int(i) for i in np.argwhere(unequal)[0])
    reason = f"{unequal.sum()} of {unequal.size} elements differ{where}."
    return LeafResult(verdict=verdict, reason=reason, worst=worst, **found)


def _overflows(ours: Array, theirs: Array) -> bool:
    """Whether integers differ as those of 32 bits do that were counted too far."""
    if ours.dtype.kind == "b":
        return False
    return bool(((theirs.astype(object) - ours.astype(object)) % 2**32 == 0).all())
