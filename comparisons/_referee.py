"""The float64 referee: decides whether a difference is rounding, without a tolerance set by hand.

Both sides run twice on the same numbers, at the working dtype and at float64. Two programs for one
function agree at float64 to some 1e-16 whatever they do at float32; a bug does not shrink. What
rounding can do is measured on the PyTorch side: it also runs with every nonzero input and cotangent
off by its last bit, up or down, at both dtypes.

The differences between the four results, and what rounding explains of each, are in
``_figures.py``: `eJ`, `eT`, `unit` and `noise` are explained there. Of a leaf:

    MISMATCH       |J64 - T64| > noise, and more than APPROXIMATION allows
    APPROXIMATION  |J64 - T64| > noise, but nowhere more than APPROXIMATION_EPS roundings at
                   float32, of |T64| + max|T64|
    LESS_ACCURATE  eJ > ERROR_FACTOR (eT + unit), or PyTorch's error likewise against JAX's, which
                   is measured by perturbed runs, too, before this is said;
                   but MISMATCH if that error is gross: above eps**GROSS_POWER max|T64|
    NO_SIGNAL      nowhere more than `noise` at float64 on either side, and not all zero
    IDENTICAL      J and T are equal bit for bit
    AGREES         otherwise

``_inquiry.py`` decides the rest: whether a MISMATCH is a convention, and which side is right.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._evidence import Evidence
from comparisons._figures import Figures, find_eps
from comparisons._measure import measure
from comparisons._results import VALUES_KEPT, LeafResult
from comparisons._structure import (
    compare_nonfinite,
    compare_structure,
    count_nonfinite,
    judge_exact,
)
from comparisons._tolerance import GROSS_POWER
from comparisons._trees import Array
from comparisons._verdict import Verdict

_MEASURED = {field.name for field in dataclasses.fields(LeafResult)}


def judge(evidence: Evidence) -> list[LeafResult]:
    """One result per leaf of either side."""
    paths = list(dict.fromkeys([*evidence.torch, *evidence.jax]))
    return [_judge_leaf(evidence, path) for path in paths]


def _judge_leaf(evidence: Evidence, path: str) -> LeafResult:
    ours, theirs = evidence.jax.get(path), evidence.torch.get(path)
    problem = compare_structure(ours, theirs)
    if ours is None or theirs is None or problem:
        return LeafResult(
            path=path, quantity=evidence.quantity, verdict=Verdict.STRUCTURE, reason=problem
        )
    measured = dataclasses.asdict(measure(ours, theirs))
    found: dict[str, Any] = {
        "path": path,
        "quantity": evidence.quantity,
        "dtype": str(theirs.dtype),
        "shape": theirs.shape,
        **_keep_values(ours, theirs),
        **{name: value for name, value in measured.items() if name in _MEASURED},
    }
    ours64, theirs64 = evidence.jax64.get(path), evidence.torch64.get(path)
    problem = compare_structure(ours64, theirs64)
    if ours64 is None or theirs64 is None or problem:
        reason = f"At float64, {problem[0].lower()}{problem[1:]}"
        return LeafResult(verdict=Verdict.STRUCTURE, reason=reason, **found)
    if not jnp.issubdtype(theirs.dtype, jnp.inexact):
        return judge_exact(ours, theirs, ours64, theirs64, found)
    for dtype, j, t in (("float64", ours64, theirs64), (str(theirs.dtype), ours, theirs)):
        problem = compare_nonfinite(dtype, j, t)
        if problem:
            return LeafResult(verdict=Verdict.NONFINITE, reason=problem, **found)
    return _judge_figures(Figures(evidence, path), found)


def _judge_figures(figures: Figures, found: dict[str, Any]) -> LeafResult:
    """The verdict, worst rung first."""
    differs = figures.gap > figures.noise
    jax_worse = ~figures.same & (figures.jax_error > figures.allowed)
    torch_worse = ~figures.same & (figures.torch_error > figures.allowed_to_torch)
    error = np.where(jax_worse, figures.jax_error, figures.torch_error)
    gross = (jax_worse | torch_worse) & (error > figures.eps**GROSS_POWER * figures.scale)
    if figures.silent:
        # Nothing but rounding, and some of its elements are exact by luck, a row at a time.
        most = [np.max(allowed) for allowed in (figures.allowed, figures.allowed_to_torch)]
        gross &= error > np.where(jax_worse, *most)
    if differs.any():
        worst = _find_worst(figures.gap, figures.noise)
    elif torch_worse.any() and not jax_worse.any():
        worst = _find_worst(figures.torch_error, figures.allowed_to_torch)
    else:
        worst = _find_worst(np.where(figures.same, 0.0, figures.jax_error), figures.allowed)
    at: dict[str, Any] = {
        "worst": worst,
        "float64_gap": _at(figures.gap, worst),
        "float64_noise": _at(figures.noise, worst),
        "jax_error": _at(figures.jax_error, worst),
        "torch_error": _at(figures.torch_error, worst),
        "allowed": _at(figures.allowed, worst),
    }
    established = None
    if differs.any():
        verdict, reason = _explain_gap(figures, at, differs)
    elif figures.silent and not gross.any():
        verdict = Verdict.NO_SIGNAL
        reason = (
            "Every element is below its own rounding noise "
            f"(at most {np.max(figures.signal):.3g} at float64), so this proves nothing."
        )
    elif jax_worse.any() or torch_worse.any():
        verdict = Verdict.MISMATCH if gross.any() else Verdict.LESS_ACCURATE
        reason = _explain_error(figures, at, jax_worse, torch_worse)
    else:
        established = _find_established(figures)
        verdict = Verdict.AGREES
        reason = "The float64 runs agree to rounding noise; the difference is rounding."
        if any(figures.casts):
            reason = f"The difference is no more than rounding at {established} explains."
        if found["different"] == 0:
            verdict, reason = Verdict.IDENTICAL, "Equal bit for bit."
    reason += _explain_referee(figures) + _explain_wobble(figures, worst)
    reason += count_nonfinite(figures.theirs64)
    return LeafResult(verdict=verdict, reason=reason, established=established, **found, **at)


def _explain_gap(figures: Figures, at: dict[str, Any], differs: Array) -> tuple[Verdict, str]:
    gap, count = at["float64_gap"], f"({np.sum(differs)} of {differs.size} elements)"
    runs = f"{figures.wide} runs" if not figures.narrowed else "runs"
    if (figures.gap <= np.maximum(figures.noise, figures.approximation)).all():
        return Verdict.APPROXIMATION, (
            f"The {runs} differ by {gap:.3g} where rounding explains "
            f"{at['float64_noise']:.3g} {count}, which is no more than a rounding at float32: "
            "two formulas for one function, or a constant with few digits."
        )
    return Verdict.MISMATCH, (
        f"The {runs} differ by {gap:.3g} where rounding explains {at['float64_noise']:.3g} {count}."
    )


def _explain_error(
    figures: Figures, at: dict[str, Any], jax_worse: Array, torch_worse: Array
) -> str:
    names = ("JAX", "PyTorch") if jax_worse.any() else ("PyTorch", "JAX")
    errors = {"JAX": at["jax_error"], "PyTorch": at["torch_error"]}
    return (
        f"The float64 runs agree, but {names[0]}'s error at {figures.dtype} is "
        f"{errors[names[0]]:.3g} where {names[1]}'s is {errors[names[1]]:.3g} "
        f"({np.sum(jax_worse | torch_worse)} of {figures.same.size} elements)."
    )


def _find_established(figures: Figures) -> str:
    if figures.narrowed:
        return str(figures.dtype)
    return max([cast for cast in figures.casts if cast], key=find_eps, default=str(figures.wide))


def _explain_referee(figures: Figures) -> str:
    if figures.narrowed:
        return f" Neither side has a float64 run here: both return {figures.dtype}."
    jax, torch = figures.casts
    if jax and torch:
        return (
            f" Neither side has a float64 run here: JAX computes at {jax} inside, PyTorch at "
            f"{torch}; no more than that is established."
        )
    if jax or torch:
        name, other = ("JAX", "PyTorch") if jax else ("PyTorch", "JAX")
        return (
            f" {name} computes at {jax or torch} inside its float64 run, so {other}'s is the "
            f"referee; agreement beyond {jax or torch} is not established."
        )
    return ""


def _explain_wobble(figures: Figures, worst: tuple[int, ...] | None) -> str:
    most = float(np.max(figures.wobble, initial=0.0))
    if not most or worst is None:
        return ""
    return f" The same run gave results up to {most:.3g} apart, which is counted as rounding."


def _find_worst(error: Array, allowed: Array) -> tuple[int, ...] | None:
    """Index of the element whose error is the greatest part of what is allowed there."""
    if not error.size:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0.0, error / allowed)
    flat = int(np.argmax(np.nan_to_num(ratio, nan=0.0)))
    return tuple(int(i) for i in np.unravel_index(flat, error.shape))


def _at(array: Array, index: tuple[int, ...] | None) -> float | None:
    return None if index is None else float(np.broadcast_to(array, array.shape)[index])


def _keep_values(ours: Array, theirs: Array) -> dict[str, Any]:
    """Both sides as nested lists."""
    if ours.size > VALUES_KEPT:
        return {}
    return {"jax": ours.tolist(), "torch": theirs.tolist()}
