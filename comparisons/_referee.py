"""The float64 referee: decides whether a difference is rounding, without a tolerance set by hand.

Both sides run twice on the same numbers, at the working dtype and at float64. Two programs for one
function agree at float64 to some 1e-16 whatever they do at float32; a bug does not shrink. What
rounding can do is measured on the PyTorch side: it also runs with every input off by its last bit,
at both dtypes.

With J and T the results at the working dtype, J64 and T64 those at float64, per element:

    move   greatest |T64(perturbed) - T64|           what the last bit of the inputs does
    eT     greatest |T(perturbed) - T64(perturbed)|  PyTorch's own rounding error
    eJ     |J - T64|                                 JAX's error
    unit   move + eps |T64|                          one rounding's worth
    noise  NOISE_FACTOR (unit + eT + |J - J64|) eps64 / eps

eT is raised to at least its root mean square over the leaf, in units, since a single error may be
small by luck. Rounding errors and the effect of a last bit both shrink with eps, so `noise` is
what they come to at float64; at a kink, where a last bit makes a jump, it shrinks alike and hides
nothing.

    MISMATCH       |J64 - T64| > noise
    LESS_ACCURATE  eJ > ERROR_FACTOR (eT + unit)
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
from comparisons._tolerance import ERROR_FACTOR, NOISE_FACTOR
from comparisons._trees import Leaves
from comparisons._verdict import Verdict

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Probe:
    """The PyTorch side's leaves for inputs that are off by a last bit, at both dtypes."""

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
    if theirs.dtype.kind != "f":
        return _judge_exact(ours, theirs, found)
    ours64, theirs64 = evidence.jax64.get(path), evidence.torch64.get(path)
    problem = _compare_structure(ours64, theirs64)
    if ours64 is None or theirs64 is None or problem:
        reason = f"At float64, {problem[0].lower()}{problem[1:]}"
        return LeafResult(verdict=Verdict.STRUCTURE, reason=reason, **found)
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
    eps = float(np.finfo(theirs.dtype).eps)
    shrink = float(np.finfo(np.float64).eps) / eps
    move = _greatest_of([absolute_gap(wide, theirs64) for _, wide in probes], theirs64)
    own_errors = [absolute_gap(narrow, wide) for narrow, wide in probes]
    unit = move + eps * np.abs(theirs64)
    torch_error = _raise_to_rms(
        _greatest_of([absolute_gap(theirs, theirs64), *own_errors], theirs64), unit
    )
    jax_error = absolute_gap(ours, theirs64)
    gap = absolute_gap(ours64, theirs64)
    with np.errstate(invalid="ignore"):
        noise = NOISE_FACTOR * (unit + torch_error + absolute_gap(ours, ours64)) * shrink
        allowed = ERROR_FACTOR * (torch_error + unit)

    differs, inaccurate = gap > noise, jax_error > allowed
    worst = _find_worst(gap, noise) if differs.any() else _find_worst(jax_error, allowed)
    at: dict[str, Any] = {
        "worst": worst,
        "float64_gap": _at(gap, worst),
        "float64_noise": _at(noise, worst),
        "jax_error": _at(jax_error, worst),
        "torch_error": _at(torch_error, worst),
        "allowed": _at(allowed, worst),
    }
    if differs.any():
        verdict, reason = Verdict.MISMATCH, _explain_gap(at, float(np.sum(differs)), theirs64, eps)
    elif inaccurate.any():
        verdict = Verdict.LESS_ACCURATE
        reason = (
            f"The float64 runs agree, but JAX's error at {theirs.dtype} is {at['jax_error']:.3g} "
            f"where PyTorch's is {at['torch_error']:.3g} and {at['allowed']:.3g} would pass "
            f"({np.sum(inaccurate):.0f} of {inaccurate.size} elements)."
        )
    elif found["different"] == 0:
        verdict, reason = Verdict.IDENTICAL, "Equal bit for bit."
    else:
        verdict = Verdict.AGREES
        reason = "The float64 runs agree to rounding noise; the difference is rounding."
    return LeafResult(verdict=verdict, reason=reason + _count_nonfinite(theirs), **found, **at)


def _explain_gap(at: dict[str, Any], count: float, theirs64: Array, eps: float) -> str:
    scale = float(abs(theirs64[at["worst"]]))
    reason = (
        f"The float64 runs differ by {at['float64_gap']:.3g} where rounding explains "
        f"{at['float64_noise']:.3g} ({count:.0f} of {theirs64.size} elements)."
    )
    if at["float64_gap"] < 4 * eps * scale:
        reason += " That is the size of a float32 rounding: does one side cast to float32?"
    return reason


def _judge_exact(ours: Array, theirs: Array, found: dict[str, Any]) -> LeafResult:
    """Integers and booleans, whatever their width: equal or not."""
    unequal = ours != theirs
    if not unequal.any():
        return LeafResult(verdict=Verdict.IDENTICAL, reason="Equal.", **found)
    worst = tuple(int(i) for i in np.argwhere(unequal)[0])
    reason = f"{unequal.sum()} of {unequal.size} elements differ."
    return LeafResult(verdict=Verdict.MISMATCH, reason=reason, worst=worst, **found)


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
        greatest = np.maximum(greatest, np.where(np.isfinite(array), array, 0.0))
    return greatest


def _raise_to_rms(error: Array, unit: Array) -> Array:
    """Raises each error to the leaf's root mean square, both counted in units."""
    countable = (unit > 0) & np.isfinite(unit)
    if not countable.any():
        return error
    rms = np.sqrt(np.mean((error[countable] / unit[countable]) ** 2))
    return np.maximum(error, np.where(countable, rms * unit, 0.0))


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
