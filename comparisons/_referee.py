"""The float64 referee: decides whether a difference is rounding, without a tolerance set by hand.

Both sides run twice on the same numbers, at the working dtype and at float64. Two programs for one
function agree at float64 to some 1e-16 whatever they do at float32; a bug does not shrink. What
rounding can do is measured on the PyTorch side: it also runs with every nonzero input and cotangent
off by its last bit, up or down, at both dtypes.

With J and T the results at the working dtype, J64 and T64 those at float64, per element:

    eJ     |J - T64|
    eT     greatest of |T - T64|, |T(perturbed) - T64(perturbed)| and, where a side gives another
           result each time, |T - T(again)| and |J - J(again)|
    unit   one rounding's worth: greatest |T64(perturbed) - T64|, which is what the last bit of the
           inputs does, + eps |T64| + eps max|T64| over the leaf + the least normal number
    inner  what rounding inside the JAX program does at float64 (``_rounding.py``); it is measured
           only where the rest does not explain a difference
    noise  NOISE_FACTOR ((unit + eT + |J - J64|) eps64 / eps + inner)

The greatest element of the leaf counts because an element may be the small difference of numbers
of that size, as 1 - tanh(x)**2 is; the least normal number because JAX flushes smaller ones to zero
on a CPU. Since a single error may be small by luck, eT is raised to its median over the leaf, in
units. Rounding errors and the effect of a last bit both shrink with eps, so `noise` is what they
come to at float64; at a kink, where a last bit makes a jump, it shrinks alike and hides nothing.

    MISMATCH       |J64 - T64| > noise, and more than APPROXIMATION allows
    APPROXIMATION  |J64 - T64| > noise, but nowhere more than APPROXIMATION_EPS roundings at
                   float32, of |T64| + max|T64|
    LESS_ACCURATE  eJ > ERROR_FACTOR (eT + unit), or PyTorch's error likewise against JAX's, which
                   is measured by perturbed runs, too, before this is said;
                   but MISMATCH if that error is gross: above eps**GROSS_POWER max|T64|
    NO_SIGNAL      nowhere more than `noise` at float64 on either side, and not all zero
    IDENTICAL      J and T are equal bit for bit
    AGREES         otherwise

A side that computes at less than float64 in its float64 run is no referee. Which leaves that
reaches is found by scanning (``Evidence.jax_casts``, ``torch_casts``): if it is JAX's alone,
nothing changes but that the float64 gap may be as large as `eJ` may; if it is PyTorch's alone, J64
takes T64's place; if both sides', there is no referee, and eps is that of the coarser dtype.

``_inquiry.py`` decides the rest: whether a MISMATCH is a convention, and which side is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._measure import absolute_gap, measure
from comparisons._results import VALUES_KEPT, LeafResult
from comparisons._structure import (
    compare_nonfinite,
    compare_structure,
    count_nonfinite,
    judge_exact,
)
from comparisons._tolerance import APPROXIMATION_EPS, ERROR_FACTOR, GROSS_POWER, NOISE_FACTOR
from comparisons._trees import Array, Leaves
from comparisons._verdict import Verdict

_FLOAT32_EPS = float(np.finfo(np.float32).eps)
_MEASURED = {field.name for field in dataclasses.fields(LeafResult)}


@dataclasses.dataclass(frozen=True)
class Probe:
    """One side's leaves where inputs and cotangents are off by a last bit, at both dtypes."""

    working: Leaves
    float64: Leaves


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything that was run for one quantity of one case.

    Attributes:
        quantity: The order, e.g. ``"value"``.
        jax: JAX's leaves at the working dtype.
        torch: PyTorch's.
        jax64: JAX's leaves at float64.
        torch64: PyTorch's.
        probes: PyTorch's runs that are off by a last bit.
        jax_again: JAX's leaves at the working dtype from a second run, or nothing.
        torch_again: PyTorch's.
        inner: What rounding inside the JAX program does at float64, by path, where measured.
        jax_casts: The coarsest dtype that a leaf of JAX's float64 run has gone through, by path,
            where it is not float64.
        torch_casts: PyTorch's.
        jax_probes: JAX's runs that are off by a last bit, where they were made.
        dtype: The working dtype; None if it is that of the leaves.
    """

    quantity: str
    jax: Leaves
    torch: Leaves
    jax64: Leaves
    torch64: Leaves
    probes: tuple[Probe, ...] = ()
    jax_again: Leaves = dataclasses.field(default_factory=dict[str, Array])
    torch_again: Leaves = dataclasses.field(default_factory=dict[str, Array])
    inner: Leaves = dataclasses.field(default_factory=dict[str, Array])
    jax_casts: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    torch_casts: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    jax_probes: tuple[Probe, ...] = ()
    dtype: str | None = None


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
    return Rounding(evidence, path).judge(found)


class Rounding:
    """The figures of one leaf: what rounding explains at both dtypes, and what it does not."""

    def __init__(self, evidence: Evidence, path: str) -> None:
        ours, theirs = evidence.jax[path], evidence.torch[path]
        ours64, theirs64 = evidence.jax64[path], evidence.torch64[path]
        self.dtype, self.wide = theirs.dtype, ours64.dtype
        casts = (evidence.jax_casts.get(path), evidence.torch_casts.get(path))
        # A loss may be float32 in a run at bfloat16: it rounds as the run does.
        working_eps = max(float(jnp.finfo(self.dtype).eps), _find_eps(evidence.dtype))
        wide_eps = float(jnp.finfo(self.wide).eps)
        self.narrowed = wide_eps >= working_eps  # neither side returns anything better
        self.casts = casts
        eps = max(working_eps, *map(_find_eps, casts)) if all(casts) else working_eps
        self.shrink = wide_eps / eps
        referee = ours64 if casts[1] and not casts[0] else theirs64

        probes = _find_probes(evidence.probes, path, theirs.shape)
        jax_probes = _find_probes(evidence.jax_probes, path, theirs.shape)
        size = _finite(np.abs(referee))
        self.scale = float(np.max(size, initial=0.0))
        move = _greatest_of([absolute_gap(wide, theirs64) for _, wide in probes], size)
        inner = _finite(evidence.inner.get(path, np.zeros(())))
        tiny = float(jnp.finfo(self.dtype).tiny)
        bare = move + eps * (size + self.scale) + tiny
        unit = bare + inner / self.shrink
        again = [
            absolute_gap(side[path], other[path])
            for side, other in (
                (evidence.jax, evidence.jax_again),
                (evidence.torch, evidence.torch_again),
            )
            if path in other and other[path].shape == theirs.shape
        ]
        self.wobble = _greatest_of(again, size)
        self.same = absolute_gap(ours, theirs) == 0
        self.jax_error = absolute_gap(ours, referee)
        self.torch_error = absolute_gap(theirs, referee)
        own = [absolute_gap(narrow, wide) for narrow, wide in probes]
        own_jax = [absolute_gap(narrow, wide) for narrow, wide in jax_probes]
        usual_jax = _raise_to_median(_greatest_of([self.jax_error, *own_jax], size), unit)
        usual_jax = usual_jax + self.wobble
        usual_torch = _raise_to_median(_greatest_of([self.torch_error, *own], size), unit)
        steady = ERROR_FACTOR * (usual_torch + unit)
        # What rounds inside JAX's program explains a gap at float64, but is no excuse for JAX.
        bare_torch = _raise_to_median(_greatest_of([self.torch_error, *own], size), bare)
        self.allowed = ERROR_FACTOR * (bare_torch + self.wobble + bare)
        usual_torch = usual_torch + self.wobble
        self.allowed_to_torch = ERROR_FACTOR * (usual_jax + unit)

        self.gap = absolute_gap(ours64, theirs64)
        self.theirs64 = theirs64
        self.signal = np.maximum(_finite(np.abs(ours64)), size)
        if self.narrowed or any(casts):
            # The float64 runs are no better than the coarsest of their casts.
            coarsest = max(map(_find_eps, (*casts, str(self.wide))))
            self.noise = steady * min(1.0, coarsest / working_eps)
        else:
            rounding = unit + usual_torch + _finite(absolute_gap(ours, ours64))
            self.noise = NOISE_FACTOR * (rounding * self.shrink + inner)
        # Without `move`: at a kink that is a jump, and a jump is no approximation.
        self.approximation = APPROXIMATION_EPS * _FLOAT32_EPS * (size + self.scale)
        self.eps = eps
        self.silent = bool(
            self.gap.size
            and (self.signal <= NOISE_FACTOR * ((unit + usual_torch) * self.shrink + inner)).all()
            and max(np.abs(ours).max(), np.abs(theirs).max(), self.signal.max()) > 0
        )

    def judge(self, found: dict[str, Any]) -> LeafResult:
        """The verdict, worst rung first."""
        differs = self.gap > self.noise
        jax_worse = ~self.same & (self.jax_error > self.allowed)
        torch_worse = ~self.same & (self.torch_error > self.allowed_to_torch)
        error = np.where(jax_worse, self.jax_error, self.torch_error)
        gross = (jax_worse | torch_worse) & (error > self.eps**GROSS_POWER * self.scale)
        if self.silent:
            # Nothing but rounding, and some of its elements are exact by luck, a row at a time.
            most = [np.max(allowed) for allowed in (self.allowed, self.allowed_to_torch)]
            gross &= error > np.where(jax_worse, *most)
        if differs.any():
            worst = _find_worst(self.gap, self.noise)
        elif torch_worse.any() and not jax_worse.any():
            worst = _find_worst(self.torch_error, self.allowed_to_torch)
        else:
            worst = _find_worst(np.where(self.same, 0.0, self.jax_error), self.allowed)
        at: dict[str, Any] = {
            "worst": worst,
            "float64_gap": _at(self.gap, worst),
            "float64_noise": _at(self.noise, worst),
            "jax_error": _at(self.jax_error, worst),
            "torch_error": _at(self.torch_error, worst),
            "allowed": _at(self.allowed, worst),
        }
        established = None
        if differs.any():
            verdict, reason = self._explain_gap(at, differs)
        elif self.silent and not gross.any():
            verdict = Verdict.NO_SIGNAL
            reason = (
                "Every element is below its own rounding noise "
                f"(at most {np.max(self.signal):.3g} at float64), so this proves nothing."
            )
        elif jax_worse.any() or torch_worse.any():
            verdict = Verdict.MISMATCH if gross.any() else Verdict.LESS_ACCURATE
            reason = self._explain_error(at, jax_worse, torch_worse)
        else:
            established = self._find_established()
            verdict = Verdict.AGREES
            reason = "The float64 runs agree to rounding noise; the difference is rounding."
            if any(self.casts):
                reason = f"The difference is no more than rounding at {established} explains."
            if found["different"] == 0:
                verdict, reason = Verdict.IDENTICAL, "Equal bit for bit."
        reason += self._explain_referee() + self._explain_wobble(worst)
        reason += count_nonfinite(self.theirs64)
        return LeafResult(verdict=verdict, reason=reason, established=established, **found, **at)

    def _explain_gap(self, at: dict[str, Any], differs: Array) -> tuple[Verdict, str]:
        gap, count = at["float64_gap"], f"({np.sum(differs)} of {differs.size} elements)"
        runs = f"{self.wide} runs" if not self.narrowed else "runs"
        if (self.gap <= np.maximum(self.noise, self.approximation)).all():
            return Verdict.APPROXIMATION, (
                f"The {runs} differ by {gap:.3g} where rounding explains "
                f"{at['float64_noise']:.3g} {count}, which is no more than a rounding at float32: "
                "two formulas for one function, or a constant with few digits."
            )
        return Verdict.MISMATCH, (
            f"The {runs} differ by {gap:.3g} where rounding explains "
            f"{at['float64_noise']:.3g} {count}."
        )

    def _explain_error(self, at: dict[str, Any], jax_worse: Array, torch_worse: Array) -> str:
        names = ("JAX", "PyTorch") if jax_worse.any() else ("PyTorch", "JAX")
        errors = {"JAX": at["jax_error"], "PyTorch": at["torch_error"]}
        return (
            f"The float64 runs agree, but {names[0]}'s error at {self.dtype} is "
            f"{errors[names[0]]:.3g} where {names[1]}'s is {errors[names[1]]:.3g} "
            f"({np.sum(jax_worse | torch_worse)} of {self.same.size} elements)."
        )

    def _find_established(self) -> str:
        if self.narrowed:
            return str(self.dtype)
        return max([cast for cast in self.casts if cast], key=_find_eps, default=str(self.wide))

    def _explain_referee(self) -> str:
        if self.narrowed:
            return f" Neither side has a float64 run here: both return {self.dtype}."
        jax, torch = self.casts
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

    def _explain_wobble(self, worst: tuple[int, ...] | None) -> str:
        most = float(np.max(self.wobble, initial=0.0))
        if not most or worst is None:
            return ""
        return f" The same run gave results up to {most:.3g} apart, which is counted as rounding."


def _find_eps(dtype: str | None) -> float:
    return float(jnp.finfo(dtype).eps) if dtype else 0.0


def _find_probes(
    probes: tuple[Probe, ...], path: str, shape: tuple[int, ...]
) -> list[tuple[Array, Array]]:
    return [
        (probe.working[path], probe.float64[path])
        for probe in probes
        if path in probe.working
        and path in probe.float64
        and probe.working[path].shape == probe.float64[path].shape == shape
    ]


def _greatest_of(arrays: list[Array], like: Array) -> Array:
    """Elementwise maximum; where a probe is not finite it says nothing."""
    greatest = np.zeros(like.shape)
    for array in arrays:
        greatest = np.maximum(greatest, _finite(array))
    return greatest


def _finite(array: Array) -> Array:
    """Zero where an array is not finite, which says nothing of rounding; at float64."""
    return np.where(np.isfinite(array), array, 0.0).astype(np.float64)


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
    return None if index is None else float(np.broadcast_to(array, array.shape)[index])


def _keep_values(ours: Array, theirs: Array) -> dict[str, Any]:
    """Both sides as nested lists."""
    if ours.size > VALUES_KEPT:
        return {}
    return {"jax": ours.tolist(), "torch": theirs.tolist()}
