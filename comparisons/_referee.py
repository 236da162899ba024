"""The float64 referee: decides whether a difference is rounding, without a tolerance set by hand.

Both sides run twice on the same numbers, at the working dtype and at float64. Two programs for one
function agree at float64 to some 1e-16 whatever they do at float32; a bug does not shrink. What
rounding can do is measured on the PyTorch side: it also runs with every nonzero input and cotangent
off by its last bit, up or down, at both dtypes.

With J and T the results at the working dtype, J64 and T64 those at float64, per element:

    eJ     |J - T64|
    eT     greatest of |T - T64| and |T(perturbed) - T64(perturbed)|
    unit   one rounding's worth: greatest |T64(perturbed) - T64|, which is what the last bit of the
           inputs does, + eps |T64| + eps max|T64| over the leaf + the least normal number
    noise  NOISE_FACTOR (unit + eT + |J - J64|) eps64 / eps

The greatest element of the leaf counts because an element may be the small difference of numbers
of that size, as 1 - tanh(x)**2 is; the least normal number because JAX flushes smaller ones to zero
on a CPU. Since a single error may be small by luck, eT is raised to its median over the leaf, in
units. Rounding errors and the effect of a last bit both shrink with eps, so `noise` is what they
come to at float64; at a kink, where a last bit makes a jump, it shrinks alike and hides nothing.

    MISMATCH       |J64 - T64| > noise
    LESS_ACCURATE  eJ > ERROR_FACTOR (eT + unit), or PyTorch's error likewise against JAX's;
                   but MISMATCH if that error is gross: above eps**GROSS_POWER max|T64|
    IDENTICAL      J and T are equal bit for bit
    AGREES         otherwise

The other rungs of the ladder are still to come; until then a difference at float64 is a MISMATCH,
also where it is a convention at a kink or another formula for the same function.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from comparisons._measure import absolute_gap, measure
from comparisons._results import VALUES_KEPT, LeafResult
from comparisons._tolerance import ERROR_FACTOR, GROSS_POWER, NOISE_FACTOR
from comparisons._trees import Leaves
from comparisons._verdict import Verdict

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Probe:
    """PyTorch's leaves where inputs and cotangents are off by a last bit, at both dtypes."""

    working: Leaves
    float64: Leaves


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything that was run for one quantity of one case."""

    quantity: str
    jax: Leaves
    torch: Leaves
    jax64: Leaves
    torch64: Leaves
    probes: tuple[Probe, ...]


def judge(evidence: Evidence) -> list[LeafResult]:
    """One result per leaf of either side."""
    paths = list(dict.fromkeys([*evidence.torch, *evidence.jax]))
    return [_judge_leaf(evidence, path) for path in paths]


def _judge_leaf(evidence: Evidence, path: str) -> LeafResult:
    ours, theirs = evidence.jax.get(path), evidence.torch.get(path)
    problem = _compare_structure(ours, theirs)
    if ours is None or theirs is None or problem:
        return LeafResult(
            path=path, quantity=evidence.quantity, verdict=Verdict.STRUCTURE, reason=problem
        )
    found: dict[str, Any] = {
        "path": path,
        "quantity": evidence.quantity,
        "dtype": str(theirs.dtype),
        "shape": theirs.shape,
        **_keep_values(ours, theirs),
        **dataclasses.asdict(measure(ours, theirs)),
    }
    ours64, theirs64 = evidence.jax64.get(path), evidence.torch64.get(path)
    problem = _compare_structure(ours64, theirs64)
    if ours64 is None or theirs64 is None or problem:
        reason = f"At float64, {problem[0].lower()}{problem[1:]}"
        return LeafResult(verdict=Verdict.STRUCTURE, reason=reason, **found)
    if theirs.dtype.kind != "f":
        return _judge_exact(ours, theirs, ours64, theirs64, found)
    for dtype, j, t in ((str(theirs.dtype), ours, theirs), ("float64", ours64, theirs64)):
        problem = _compare_nonfinite(dtype, j, t)
        if problem:
            return LeafResult(verdict=Verdict.NONFINITE, reason=problem, **found)
    probes = [
        (probe.working[path], probe.float64[path])
        for probe in evidence.probes
        if path in probe.working
        and path in probe.float64
        and probe.working[path].shape == probe.float64[path].shape == theirs.shape
    ]
    return _judge_rounding(ours, theirs, ours64, theirs64, probes, found)


def _judge_rounding(
    ours: Array,
    theirs: Array,
    ours64: Array,
    theirs64: Array,
    probes: list[tuple[Array, Array]],
    found: dict[str, Any],
) -> LeafResult:
    info = np.finfo(theirs.dtype)
    eps, shrink = float(info.eps), float(np.finfo(ours64.dtype).eps / info.eps)
    scale = float(np.max(_finite(np.abs(theirs64)), initial=0.0))
    move = _greatest_of([absolute_gap(wide, theirs64) for _, wide in probes], theirs64)
    unit = move + eps * (_finite(np.abs(theirs64)) + scale) + float(info.tiny)

    same = absolute_gap(ours, theirs) == 0
    jax_error, torch_error = absolute_gap(ours, theirs64), absolute_gap(theirs, theirs64)
    own_errors = [absolute_gap(narrow, wide) for narrow, wide in probes]
    usual_jax = _raise_to_median(_finite(jax_error), unit)
    usual_torch = _raise_to_median(_greatest_of([torch_error, *own_errors], theirs64), unit)
    allowed = ERROR_FACTOR * (usual_torch + unit)
    allowed_to_torch = ERROR_FACTOR * (usual_jax + unit)

    gap = absolute_gap(ours64, theirs64)
    if shrink < 1:
        rounding = unit + usual_torch + _finite(absolute_gap(ours, ours64))
        noise = NOISE_FACTOR * rounding * shrink
    else:
        noise = allowed  # neither side has run at float64, so that is all there is to go by
    differs = gap > noise
    jax_worse, torch_worse = ~same & (jax_error > allowed), ~same & (torch_error > allowed_to_torch)
    gross = np.where(jax_worse, jax_error, torch_error) > eps**GROSS_POWER * scale
    gross &= jax_worse | torch_worse

    if differs.any():
        worst = _find_worst(gap, noise)
    elif torch_worse.any() and not jax_worse.any():
        worst = _find_worst(torch_error, allowed_to_torch)
    else:
        worst = _find_worst(np.where(same, 0.0, jax_error), allowed)
    at: dict[str, Any] = {
        "worst": worst,
        "float64_gap": _at(gap, worst),
        "float64_noise": _at(noise, worst),
        "jax_error": _at(jax_error, worst),
        "torch_error": _at(torch_error, worst),
        "allowed": _at(allowed, worst),
    }
    if differs.any():
        verdict, reason = Verdict.MISMATCH, _explain_gap(at, int(np.sum(differs)), theirs64, eps)
    elif jax_worse.any() or torch_worse.any():
        verdict = Verdict.MISMATCH if gross.any() else Verdict.LESS_ACCURATE
        names = ("JAX", "PyTorch") if jax_worse.any() else ("PyTorch", "JAX")
        errors = {"JAX": at["jax_error"], "PyTorch": at["torch_error"]}
        reason = (
            f"The float64 runs agree, but {names[0]}'s error at {theirs.dtype} is "
            f"{errors[names[0]]:.3g} where {names[1]}'s is {errors[names[1]]:.3g} "
            f"({np.sum(jax_worse | torch_worse)} of {same.size} elements)."
        )
    elif found["different"] == 0:
        verdict, reason = Verdict.IDENTICAL, "Equal bit for bit."
    else:
        verdict = Verdict.AGREES
        reason = "The float64 runs agree to rounding noise; the difference is rounding."
    if shrink == 1:
        reason += f" Neither side has a float64 run here: both return {theirs.dtype}."
    return LeafResult(verdict=verdict, reason=reason + _count_nonfinite(theirs), **found, **at)


def _explain_gap(at: dict[str, Any], count: int, theirs64: Array, eps: float) -> str:
    reason = (
        f"The float64 runs differ by {at['float64_gap']:.3g} where rounding explains "
        f"{at['float64_noise']:.3g} ({count} of {theirs64.size} elements)."
    )
    rounding = ERROR_FACTOR * eps * float(abs(theirs64[at["worst"]]))
    if theirs64.dtype == np.float64 and at["float64_gap"] < rounding:
        reason += " That is the size of a float32 rounding: does one side cast to float32?"
    return reason


def _judge_exact(
    ours: Array, theirs: Array, ours64: Array, theirs64: Array, found: dict[str, Any]
) -> LeafResult:
    """Integers and booleans, whatever their width: equal or not, in both runs."""
    working, wide = ours != theirs, ours64 != theirs64
    if wide.any():
        unequal, verdict, where = wide, Verdict.MISMATCH, " in the float64 runs"
    elif working.any():
        unequal, verdict, where = (
            working,
            Verdict.LESS_ACCURATE,
            ", but none at float64: rounding decides",
        )
    else:
        return LeafResult(verdict=Verdict.IDENTICAL, reason="Equal.", **found)
    worst = tuple(int(i) for i in np.argwhere(unequal)[0])
    reason = f"{unequal.sum()} of {unequal.size} elements differ{where}."
    return LeafResult(verdict=verdict, reason=reason, worst=worst, **found)


def _compare_structure(ours: Array | None, theirs: Array | None) -> str:
    """What is wrong with the structure, as a sentence; empty if nothing is."""
    if ours is None or theirs is None:
        has, lacks = ("PyTorch", "JAX") if ours is None else ("JAX", "PyTorch")
        return f"The {has} side has this leaf, the {lacks} side has not."
    if ours.shape != theirs.shape:
        return f"The shapes differ: JAX {ours.shape}, PyTorch {theirs.shape}."
    same = ours.dtype == theirs.dtype if theirs.dtype.kind == "f" else _same_kind(ours, theirs)
    return "" if same else f"The dtypes differ: JAX {ours.dtype}, PyTorch {theirs.dtype}."


def _same_kind(ours: Array, theirs: Array) -> bool:
    """Integers of any width are one kind: PyTorch counts in int64, JAX in int32."""
    kinds = {ours.dtype.kind, theirs.dtype.kind}
    return kinds <= {"i", "u"} or kinds == {"b"}


def _compare_nonfinite(dtype: str, ours: Array, theirs: Array) -> str:
    finite = np.isfinite(ours) & np.isfinite(theirs)
    same = finite | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if same.all():
        return ""
    worst = tuple(int(i) for i in np.argwhere(~same)[0])
    return (
        f"At {dtype}, {np.sum(~same)} of {ours.size} elements are NaN or infinite on one side "
        f"only or differently: JAX {float(ours[worst])}, PyTorch {float(theirs[worst])} at "
        f"{list(worst)}."
    )


def _count_nonfinite(theirs: Array) -> str:
    count = int(np.sum(~np.isfinite(theirs)))
    return f" {count} of {theirs.size} elements are NaN or infinite on both sides." if count else ""


def _greatest_of(arrays: list[Array], like: Array) -> Array:
    """Elementwise maximum; where a probe is not finite it says nothing."""
    greatest = np.zeros(like.shape)
    for array in arrays:
        greatest = np.maximum(greatest, _finite(array))
    return greatest


def _finite(array: Array) -> Array:
    """Zero where an array is not finite, which says nothing of rounding."""
    return np.where(np.isfinite(array), array, 0.0)


def _raise_to_median(error: Array, unit: Array) -> Array:
    """Raises each error to the leaf's median (of two, the lower one), both counted in units."""
    if not error.size:
        return error
    ratio = np.quantile(error / unit, 0.5, method="lower")
    return np.maximum(error, ratio * unit)


def _find_worst(error: Array, allowed: Array) -> tuple[int, ...] | None:
    """Index of the element whose error is the greatest part of what is allowed there."""
    if not error.size:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0.0, error / allowed)
    flat = int(np.argmax(np.nan_to_num(ratio, nan=0.0)))
    return tuple(int(i) for i in np.unravel_index(flat, error.shape))


def _at(array: Array, index: tuple[int, ...] | None) -> float | None:
    return None if index is None else float(array[index])


def _keep_values(ours: Array, theirs: Array) -> dict[str, Any]:
    if ours.size > VALUES_KEPT:
        return {}
    return {"jax": ours.tolist(), "torch": theirs.tolist()}
