"""The figures of one leaf: what rounding explains at both dtypes, and what it does not.

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

A side that computes at less than float64 in its float64 run is no referee. Which leaves that
reaches is found by scanning (``Evidence.jax_casts``, ``torch_casts``): if it is JAX's alone,
nothing changes but that the float64 gap may be as large as `eJ` may; if it is PyTorch's alone, J64
takes T64's place; if both sides', there is no referee, and eps is that of the coarser dtype.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from comparisons._evidence import Evidence, Probe
from comparisons._measure import absolute_gap
from comparisons._tolerance import APPROXIMATION_EPS, ERROR_FACTOR, NOISE_FACTOR
from comparisons._trees import Array

_FLOAT32_EPS = float(np.finfo(np.float32).eps)


class Figures:
    """The figures of one leaf.

    Attributes:
        dtype: The working dtype of the leaf.
        wide: The dtype of its float64 run.
        eps: Of the working dtype, or of the coarsest dtype that both sides go through.
        casts: The dtypes that JAX's and PyTorch's float64 runs have gone through.
        narrowed: Whether neither side returns anything better in its float64 run.
        scale: The leaf's greatest element at float64.
        gap: |J64 - T64|, of each element, as all that follows.
        noise: What rounding explains of it.
        approximation: What another formula explains of it.
        jax_error: eJ.
        torch_error: |T - T64|.
        allowed: What `jax_error` may reach.
        allowed_to_torch: What `torch_error` may reach.
        same: Whether J and T are equal bit for bit.
        wobble: What a side's results differ by from run to run.
        signal: The greater of |J64| and |T64|.
        silent: Whether all of the leaf is below its own rounding noise, and not all zero.
        theirs64: T64.
    """

    def __init__(self, evidence: Evidence, path: str) -> None:
        ours, theirs = evidence.jax[path], evidence.torch[path]
        ours64, theirs64 = evidence.jax64[path], evidence.torch64[path]
        self.dtype, self.wide = theirs.dtype, ours64.dtype
        casts = (evidence.jax_casts.get(path), evidence.torch_casts.get(path))
        # A loss may be float32 in a run at bfloat16: it rounds as the run does.
        working_eps = max(float(jnp.finfo(self.dtype).eps), find_eps(evidence.dtype))
        wide_eps = float(jnp.finfo(self.wide).eps)
        self.narrowed = wide_eps >= working_eps  # neither side returns anything better
        self.casts = casts
        eps = max(working_eps, *map(find_eps, casts)) if all(casts) else working_eps
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
            coarsest = max(map(find_eps, (*casts, str(self.wide))))
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


def find_eps(dtype: str | None) -> float:
    """The distance from 1 to the next number; 0 for no dtype."""
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
