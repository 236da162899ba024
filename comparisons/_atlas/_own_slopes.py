"""Where nobody knows the truth: whether a pointwise derivative is the slope of its own side."""

from __future__ import annotations

import numpy as np

from comparisons._atlas._examination import Examination, Part
from comparisons._atlas._judge import NEAR, SAME, name_sides
from comparisons._atlas._sides import Missing
from comparisons._atlas._slopes import SIDE_STEP, difference
from comparisons._trees import Array


def blame(examination: Examination, part: Part, chosen: Array) -> str:
    """The sides whose derivative is not the slope of what they differentiate, at some points.

    Args:
        examination: The operation.
        part: A derivative of it.
        chosen: Which of the ordinary points are looked at.

    Returns:
        The names of the sides, as ``name_sides`` writes them.
    """
    wrong: list[str] = []
    for side, who in (("PyTorch", "torch"), ("JAX", "jax")):
        found = examination.run(who, part, "float64")
        assert not isinstance(found, Missing)
        derivatives = found[: len(chosen)][chosen]
        slopes, errors = _find_slopes(examination, who, part, chosen)
        bound = np.maximum(10 * errors, SAME + NEAR * np.abs(slopes))
        if (~(np.abs(derivatives - slopes) <= bound) & np.isfinite(slopes)).any():
            wrong.append(side)
    return name_sides(wrong)


def _find_slopes(
    examination: Examination, who: str, part: Part, chosen: Array
) -> tuple[Array, Array]:
    """Slopes at some points and their errors, which are as great as the jump where there is one."""
    along = part.by[-1]
    below = Part("vjp", part.by[:1]) if part.quantity == "hvp" else Part("value", ())
    at = examination.points.take("float64")[along]
    scale = np.where(np.isfinite(at), np.maximum(1.0, np.abs(at)), 1.0)

    def evaluate(step: float) -> Array:
        found = examination.run_beside(who, below, along, step * scale)
        return np.full(at.shape, np.nan) if isinstance(found, Missing) else found

    with np.errstate(invalid="ignore", over="ignore"):
        left, right, near_left, near_right = (
            difference(evaluate, step)
            for step in (-SIDE_STEP, SIDE_STEP, -SIDE_STEP / 2, SIDE_STEP / 2)
        )
        slopes = (near_left + near_right) / 2
        errors = np.abs(left - right) + np.abs((left + right) / 2 - slopes)
    slopes, errors = (x[: len(chosen)][chosen] for x in (slopes / scale, errors / scale))
    return slopes, errors
