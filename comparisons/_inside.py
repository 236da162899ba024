"""A look inside both programs: what rounds in them, and where they compute at less than float64."""

from __future__ import annotations

import numpy as np

from comparisons._backends import jax as jax_side
from comparisons._case import Order
from comparisons._referee import Evidence
from comparisons._rounding import measure_rounding
from comparisons._seeds import Seeds
from comparisons._trees import Leaves
from comparisons._trial import Trial

# Rounding errors are proportional to this; the jump of a value at a kink is not, and would hide
# every difference there. At float32's epsilon it counts as little as it does with the probes.
_SIZE = float(np.finfo(np.float32).eps)


def open_up(trial: Trial, quantities: set[str]) -> tuple[Trial, tuple[str, ...]]:
    """The trial with what is found inside both programs, and the casts, a sentence each."""
    more: dict[Order, Evidence] = {
        order: trial.add(order, inner=measure_inner_rounding(trial, order))
        for order in trial.orders
        if order in quantities
    }
    return trial.look(more), ()


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
    return dict(zip(sorted(trial.jax_runs[1][order]), noise, strict=True))
