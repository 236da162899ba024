"""Whether two sides differ only where the function is not smooth, as two conventions do.

At a kink, a tie or a jump a derivative (or a value) is anybody's choice between those beside it.
So the inputs are moved a little, many times. Two conventions agree beside the point, at every one
of them, and both values lie between the least and the greatest that are found there; a bug still
differs beside the point, or gives at it what is found nowhere around.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._case import Order
from comparisons._figures import Figures
from comparisons._inputs import jitter
from comparisons._results import LeafResult
from comparisons._tolerance import JITTER, JITTERS, NOISE_FACTOR
from comparisons._trees import Array
from comparisons._trial import Trial

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What is found beside the point for one leaf.

    Attributes:
        agree: Whether both sides agree there, wherever it was looked.
        ours_between: Whether JAX's values lie between those beside the point.
        theirs_between: Whether PyTorch's do.
        low: The least value beside the point, at the first element that differs.
        high: The greatest.
        points: How many points were looked at.
    """

    agree: bool
    ours_between: bool
    theirs_between: bool
    low: float
    high: float
    points: int

    @property
    def is_convention(self) -> bool:
        """Whether each side chose between what is beside the point."""
        return self.agree and self.ours_between and self.theirs_between


def look_around(trial: Trial, leaves: list[LeafResult]) -> dict[Key, Surroundings]:
    """Looks beside the point for each of these leaves, farther if that may settle more.

    A function that raises beside the point leaves nothing to say.
    """
    points: list[tuple[Any, Any]] = []
    found: dict[Key, Surroundings] = {}
    for wanted in (1, *JITTERS):  # most differences are still there at the first point
        try:
            while len(points) < wanted:
                points.append(trial.run_both(jitter(trial.wide, len(points), JITTER)))
        except Exception:
            return found
        found = {
            (leaf.quantity, leaf.path): surroundings
            for leaf in leaves
            if (surroundings := _describe(trial, leaf, points)) is not None
        }
        agreeing = [surroundings for surroundings in found.values() if surroundings.agree]
        if not agreeing or (wanted > 1 and all(s.is_convention for s in agreeing)):
            break
    return found


def _describe(trial: Trial, leaf: LeafResult, points: list[tuple[Any, Any]]) -> Surroundings | None:
    order: Order = leaf.quantity  # type: ignore[assignment]
    path, evidence = leaf.path, trial.evidence[order]
    ours, theirs = evidence.jax64[path], evidence.torch64[path]
    here = [ours, *(point[0][order].get(path) for point in points)]
    there = [theirs, *(point[1][order].get(path) for point in points)]
    if ours.dtype.kind == "c" or any(a is None or a.shape != ours.shape for a in here + there):
        return None
    exact = not jnp.issubdtype(ours.dtype, jnp.inexact)
    noise = 0.0 if exact else float(np.max(Figures(evidence, path).noise))
    agree = all(
        _agree(np.asarray(a, np.float64), np.asarray(b, np.float64), noise)
        for a, b in zip(here[1:], there[1:], strict=True)
    )
    beside = np.stack([np.asarray(array, np.float64) for array in there[1:]])
    low, high = np.min(beside, axis=0), np.max(beside, axis=0)
    size = float(np.max(np.abs(beside), initial=0.0, where=np.isfinite(beside)))
    room = noise + 10 * JITTER * size  # what moving does to a smooth value
    with np.errstate(invalid="ignore"):
        differs = ~(np.abs(ours - np.asarray(theirs, np.float64)) <= noise)
        ours_between = (ours >= low - room) & (ours <= high + room)
        theirs_between = (theirs >= low - room) & (theirs <= high + room)
    if not differs.any():
        return None
    first = tuple(int(i) for i in np.argwhere(differs)[0])
    return Surroundings(
        agree=agree,
        ours_between=bool(ours_between[differs].all()),
        theirs_between=bool(theirs_between[differs].all()),
        low=float(low[first]),
        high=float(high[first]),
        points=len(points),
    )


def _agree(ours: Array, theirs: Array, noise: float) -> bool:
    """Whether two float64 results beside the point are equal but for rounding."""
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    size = np.where(np.isfinite(theirs), np.abs(theirs), 0.0)
    eps = float(np.finfo(np.float64).eps)
    with np.errstate(invalid="ignore"):
        close = np.abs(ours - theirs) <= noise + NOISE_FACTOR * eps * (
            size + np.max(size, initial=0.0)
        )
    return bool((same | close).all())
