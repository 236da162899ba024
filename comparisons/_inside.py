"""A look inside both programs: what rounds in them, and where they compute at less than float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from comparisons._backends import jax as jax_side
from comparisons._case import Order
from comparisons._casts import Cast, find_casts, find_lowest
from comparisons._measure import absolute_gap
from comparisons._referee import Probe
from comparisons._rounding import measure_rounding
from comparisons._seeds import Seeds
from comparisons._trees import Array, Leaves, flatten, is_inexact
from comparisons._trial import Trial

# Rounding errors are proportional to this; the jump of a value at a kink is not, and would hide
# every difference there. At float32's epsilon it counts as little as it does with the probes.
_SIZE = float(np.finfo(np.float32).eps)

# A gap of this part of the greatest number that goes in or comes out anywhere would be rounding
# only of numbers 1e10 times as large in between; measuring that is not worth its seconds.
_BEYOND = 1e-6


def open_up(trial: Trial, quantities: set[str]) -> tuple[Trial, tuple[str, ...]]:
    """The trial with what is found inside both programs, and the casts, a sentence each."""
    ours, theirs = find_jax_casts(trial), find_torch_casts(trial)
    known: dict[Order, dict[str, Any]] = {}
    for order in trial.orders:
        if order not in quantities:
            continue
        if ours or theirs:  # then rounding at float64 is not what is to be known
            known[order] = {"jax_casts": find_lowest(ours), "torch_casts": find_lowest(theirs)}
        elif _is_beyond_rounding(trial, order):
            continue
        else:
            known[order] = {"inner": measure_inner_rounding(trial, order)}
        known[order]["jax_probes"] = tuple(
            Probe(near[order], far[order]) for near, far in trial.jax_probes
        )
    return trial.learn(known), tuple(map(str, (*ours, *theirs)))


def _is_beyond_rounding(trial: Trial, order: Order) -> bool:
    """Whether some float64 gap is so large beside every number around that no rounding makes it."""
    around = [trial.wide, *(side[o] for side in (trial.jax64, trial.torch64) for o in side)]
    arrays = [leaf for tree in around for leaf in flatten(tree).values() if is_inexact(leaf)]
    greatest = max((_find_greatest(array) for array in arrays), default=0.0)
    ours, theirs = trial.jax64[order], trial.torch64[order]
    return any(
        ours[path].shape == leaf.shape
        and _find_greatest(absolute_gap(ours[path], leaf)) > _BEYOND * greatest
        for path, leaf in theirs.items()
        if path in ours and is_inexact(leaf) and is_inexact(ours[path])
    )


def _find_greatest(array: Array) -> float:
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))


def find_jax_casts(trial: Trial) -> tuple[Cast, ...]:
    """Where the JAX side's float64 run computes at less; nowhere if it cannot be traced."""
    with jax_side.session("float64"):
        return find_casts(trial.case.jax, jax_side.from_numpy(trial.wide)) or ()


def find_torch_casts(trial: Trial) -> tuple[Cast, ...]:
    """Where the PyTorch side's float64 run computes at less."""
    from comparisons._backends import torch as torch_side
    from comparisons._backends import torch_casts

    with torch_side.session(torch_side.DTYPES["float64"]):
        arguments, _ = torch_side.from_numpy(trial.wide)
        return torch_casts.find_casts(trial.case.torch, arguments)


def measure_inner_rounding(trial: Trial, order: Order) -> Leaves:
    """What rounding inside the JAX program does to each leaf at float64; nothing if it is unknown.

    A function that cannot be traced, since Python looks at its numbers, leaves it unknown.
    """
    with jax_side.session("float64"):
        arguments = jax_side.from_numpy(trial.wide)
        program = jax_side.derive(trial.case.jax, trial.wide, order, Seeds(trial.dtype))
        noise = measure_rounding(lambda *arrays: program(arrays), arguments, size=_SIZE)
    if noise is None:
        return {}
    # A dictionary's leaves come in the order of its keys.
    return dict(zip(sorted(trial.jax64[order]), noise, strict=True))
