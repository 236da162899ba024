"""A look inside both programs: what rounds in them, and where they compute at less than float64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from comparisons._backends import jax as jax_side
from comparisons._case import Order
from comparisons._casts import Cast, find_casts, find_lowest, find_reached
from comparisons._evidence import Probe
from comparisons._measure import absolute_gap
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


def open_up(trial: Trial, leaves: Iterable[tuple[str, str]]) -> tuple[Trial, tuple[str, ...]]:
    """The trial with what is found inside both programs, and the casts, a sentence each.

    Args:
        trial: The trial.
        leaves: Quantity and path of those that it matters to.
    """
    ours, theirs = find_jax_casts(trial), find_torch_casts(trial)
    known: dict[Order, dict[str, Any]] = {}
    for order in trial.orders:
        paths = {path for quantity, path in leaves if quantity == order}
        if not paths:
            continue
        found: dict[str, Any] = {
            "jax_casts": _reach_in_jax(trial, order, ours) if ours else {},
            "torch_casts": _reach_in_torch(trial, order) if theirs else {},
        }
        reached = found["jax_casts"].keys() | found["torch_casts"].keys()
        if free := paths - reached:  # rounding at float64 is what is to be known of these
            if not _is_beyond_rounding(trial, order, free):
                inner = measure_inner_rounding(trial, order)
                found["inner"] = {path: inner[path] for path in inner.keys() - reached}
            elif not reached:
                continue
        found["jax_probes"] = tuple(
            Probe(near[order], far[order]) for near, far in trial.jax_probes
        )
        known[order] = found
    return trial.learn(known), tuple(map(str, (*ours, *theirs)))


def _is_beyond_rounding(trial: Trial, order: Order, paths: Iterable[str]) -> bool:
    """Whether some float64 gap is so large beside every number around that no rounding makes it."""
    around = [trial.wide, *(side[o] for side in (trial.jax64, trial.torch64) for o in side)]
    arrays = [leaf for tree in around for leaf in flatten(tree).values() if is_inexact(leaf)]
    greatest = max((_find_greatest(array) for array in arrays), default=0.0)
    pairs = [(trial.jax64[order].get(path), trial.torch64[order].get(path)) for path in paths]
    return any(
        is_inexact(ours)
        and is_inexact(theirs)
        and ours.shape == theirs.shape
        and _find_greatest(absolute_gap(ours, theirs)) > _BEYOND * greatest
        for ours, theirs in pairs
        if ours is not None and theirs is not None
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


def _reach_in_jax(trial: Trial, order: Order, casts: tuple[Cast, ...]) -> dict[str, str]:
    """The dtype that each of JAX's leaves has gone through, where it is not float64."""
    paths = sorted(trial.jax64[order])  # a dictionary's leaves come in the order of its keys
    with jax_side.session("float64"):
        arguments = jax_side.from_numpy(trial.wide)
        program = jax_side.derive(trial.case.jax, trial.wide, order, Seeds(trial.dtype))
        names = find_reached(lambda *arrays: program(arrays), arguments)
    if names is None:  # the derivative cannot be traced
        names = [find_lowest(casts) for _ in paths]
    return {path: name for path, name in zip(paths, names, strict=True) if name}


def _reach_in_torch(trial: Trial, order: Order) -> dict[str, str]:
    """The dtype that each of PyTorch's leaves has gone through, where it is not float64."""
    from comparisons._backends import torch as torch_side
    from comparisons._backends import torch_casts

    def run(read: Any) -> Any:
        return torch_side.derive(trial.case.torch, trial.wide, (order,), Seeds(trial.dtype), read)[
            order
        ]

    with torch_side.session(torch_side.DTYPES["float64"]):
        return torch_casts.find_reached(run, given_by=torch_side.to_tensor)


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
