"""The third vote: where two sides differ, what the function itself says, and how sure it is.

A derivative has a referee that neither framework's differentiation rules can sway: the slope of
the values, by central differences at float64, extrapolated to a step of zero (Richardson; the
error estimate is Ridders's). A value has one only where the case gives a formula, which mpmath
works out to 50 digits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons._case import Order
from comparisons._inputs import find_differentiated
from comparisons._results import LeafResult
from comparisons._seeds import Seeds
from comparisons._trees import Array, Leaves, flatten, map_leaves
from comparisons._trial import Inputs, Trial

# Steps of the central differences: the first, as a part of the element's size, and how often it is
# halved. An extrapolation of order 2 k leaves an error of about (step)**(2 k).
FIRST_STEP = 0.05 * 2**-0.25  # no simple fraction, or steps may be whole periods of a function
HALVINGS = 7
DIGITS = 50


@dataclasses.dataclass(frozen=True)
class Vote:
    """What the third vote says of one leaf: who is right, or None, and why, in a sentence."""

    right: str | None
    reason: str


def take_vote(trial: Trial, leaf: LeafResult) -> Vote:
    """Asks the case's formula, or else finite differences, about the leaf's worst element."""
    order: Order = leaf.quantity  # type: ignore[assignment]
    if leaf.worst is None or not leaf.dtype.startswith(("float", "bfloat", "complex")):
        return Vote(None, "")
    try:
        if trial.case.formula is not None and (found := _ask_formula(trial, leaf)) is not None:
            return found
        if leaf.quantity == "value":
            return Vote(
                None,
                "A value has no derivative to be checked against, and the case has no formula.",
            )
        known = trial.known.get(order, {})
        if any(leaf.path in known.get(name, {}) for name in ("jax_casts", "torch_casts")):
            return Vote(None, "A side computes at less than float64, too coarse for differences.")
        return _ask_differences(trial, leaf)
    except Exception as error:  # a function may not bear to be evaluated elsewhere
        return Vote(None, f"The function raises {type(error).__name__} beside the point.")


def _ask_differences(trial: Trial, leaf: LeafResult) -> Vote:
    """Compares both derivatives with the slopes of both sides' own functions."""
    assert leaf.worst is not None
    evidence = trial.evidence[leaf.quantity]  # type: ignore[index]
    ours, theirs = (side[leaf.path][leaf.worst] for side in (evidence.jax64, evidence.torch64))
    slopes = _find_slopes(trial, leaf)
    if slopes is None:
        return Vote(None, "The function is not finite around this point.")
    (our_slope, our_error), (their_slope, their_error) = slopes
    error = max(our_error, their_error)
    gap = abs(ours - theirs)
    if abs(our_slope - their_slope) > max(10 * (our_error + their_error), 1e-3 * gap):
        # Two functions: each derivative can only be held against its own.
        wrong = [
            name
            for name, found, slope in (("JAX", ours, our_slope), ("PyTorch", theirs, their_slope))
            if abs(found - slope) > max(10 * error, 0.1 * gap)
        ]
        if not wrong:
            return Vote(
                None,
                "Finite differences: each side's derivative is the slope of its own "
                "function, so the functions differ, not their derivatives.",
            )
        return Vote(
            None,
            f"Finite differences: the functions differ, and {' and '.join(wrong)}'s "
            "derivative is not the slope of its own.",
        )
    return _decide(
        ours,
        theirs,
        (our_slope + their_slope) / 2,
        error,
        "Finite differences (which know of no gradient that is stopped on purpose)",
    )


def _decide(ours: Any, theirs: Any, truth: Any, error: float, how: str) -> Vote:
    gap = abs(ours - theirs)
    said = f"{how} give {_write(truth)} ± {error:.1g} where JAX has {_write(ours)} and PyTorch "
    said += f"{_write(theirs)}"
    if not error <= 0.04 * gap:
        return Vote(None, f"{said}: that error is too large to tell.")
    distance, nearest = min((abs(ours - truth), "JAX"), (abs(theirs - truth), "PyTorch"))
    return Vote(nearest if distance <= max(10 * error, 1e-3 * gap) else "neither", f"{said}.")


def _write(number: Any) -> str:
    return f"{number:.6g}"


def _find_slopes(trial: Trial, leaf: LeafResult) -> list[tuple[Any, float]] | None:
    """The slope of each side's function that the leaf's worst element should be, and its error."""
    primals = find_differentiated(trial.wide)
    if leaf.quantity == "vjp":
        below: Order = "value"
        point = primals[leaf.path]
        direction: Leaves = {leaf.path: np.zeros(point.shape, point.dtype)}
        direction[leaf.path][leaf.worst] = 1
        greatest = float(np.max(np.abs(point), initial=0.0))
        scale = max(float(abs(point[leaf.worst])), 0.1 * greatest) or 1.0
        steps = [direction]
        if point.dtype.kind == "c":
            steps.append({leaf.path: 1j * direction[leaf.path]})
    else:
        below = "value" if leaf.quantity == "jvp" else "vjp"
        specs = {path: (x.shape, x.dtype.kind == "c") for path, x in primals.items()}
        steps = [Seeds(trial.dtype).draw_tangents(specs)]
        scale = min(
            (float(np.max(np.abs(x), initial=0.0)) or 1.0)
            / (float(np.max(np.abs(steps[0][path]), initial=0.0)) or 1.0)
            for path, x in primals.items()
        )

    def observe(outputs: Leaves) -> Any:
        if leaf.quantity != "vjp":
            return outputs[leaf.path][leaf.worst]
        floats = {path: x for path, x in outputs.items() if x.dtype.kind in "fc"}
        specs = {path: (x.shape, x.dtype.kind == "c") for path, x in floats.items()}
        seeds = Seeds(trial.dtype).draw_cotangents(specs)
        return sum(np.sum(np.conj(seeds[path]) * x).real for path, x in floats.items())

    found: list[list[tuple[Any, float]]] = []
    for direction in steps:

        def evaluate(step: float, direction: Leaves = direction) -> np.ndarray[Any, Any]:
            outputs = trial.run_both(_shift(trial.wide, direction, step), (below,))
            return np.array([observe(side[below]) for side in outputs])

        slopes = extrapolate(evaluate, FIRST_STEP * scale)
        if slopes is None:
            return None
        found.append(slopes)
    if len(found) == 1:
        return found[0]
    return [
        (real + 1j * imaginary, max(error, other))
        for (real, error), (imaginary, other) in zip(*found, strict=True)
    ]


def _shift(inputs: Inputs, direction: Leaves, step: float) -> Inputs:
    paths = iter(flatten(inputs))

    def shift(leaf: Any) -> Any:
        path = next(paths)
        return leaf + step * direction[path] if path in direction else leaf

    return map_leaves(shift, inputs)


def extrapolate(
    evaluate: Callable[[float], Array], first_step: float
) -> list[tuple[Any, float]] | None:
    """The derivative of ``evaluate`` at 0, and its error, for each of the numbers that it returns.

    Central differences at halved steps, extrapolated to a step of zero; the error estimate is the
    change from the neighbours in the table, as Ridders has it. A first step that leaves the domain
    is made smaller.

    Returns:
        Pairs of derivative and error estimate; None if no step stays in the domain.

    Source:
        C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering
        Software 4 (1982)

    Example:
        >>> [(slope, error)] = extrapolate(lambda t: np.array([np.exp(1 + t)]), 0.1)
        >>> bool(abs(slope - np.e) < error), error < 1e-10
        (True, True)
    """
    step = first_step
    for _ in range(8):
        rows = [_difference(evaluate, step / 2**k) for k in range(HALVINGS)]
        if np.isfinite(rows).all():
            break
        step /= 16
    else:
        return None
    best: list[tuple[Any, float]] = []
    for column in np.moveaxis(np.array(rows), -1, 0):
        previous: list[Any] = []
        found, error = column[0][0], np.inf
        for difference, rounding in column:
            row = [difference]
            for order, before in enumerate(previous, start=1):
                row.append(row[-1] + (row[-1] - before) / (4.0**order - 1))
                change = max(abs(row[-1] - row[-2]), abs(row[-1] - before))
                # Neighbours may be equal by luck; what rounding does they cannot show.
                estimate = float(change + abs(rounding))
                if estimate < error:
                    found, error = row[-1], estimate
            previous = row
        best.append((found, error))
    return best


def _difference(evaluate: Callable[[float], Array], step: float) -> Array:
    """The slope over a step to either side, and what rounding may do to it."""
    above, below = evaluate(step), evaluate(-step)
    rounding = np.finfo(np.float64).eps * np.maximum(np.abs(above), np.abs(below)) / step
    return np.stack([(above - below) / (2 * step), rounding])


def _ask_formula(trial: Trial, leaf: LeafResult) -> Vote | None:
    """The formula at the worst element; None if it does not apply to this leaf."""
    import mpmath

    formula, index = trial.case.formula, leaf.worst
    assert formula is not None
    assert index is not None
    order: Order = leaf.quantity  # type: ignore[assignment]
    evidence = trial.evidence[order]
    shape = evidence.torch64[leaf.path].shape
    primals = flatten(trial.wide)
    if len(trial.evidence["value"].torch64) != 1:
        return None
    if any(not isinstance(x, np.ndarray) or x.shape not in ((), shape) for x in primals.values()):
        return None
    with mpmath.workdps(DIGITS):
        point = [_to_mpmath(x[index] if x.shape else x[()]) for x in primals.values()]

        def differentiate(position: int) -> Any:
            orders = tuple(int(k == position) for k in range(len(point)))
            return mpmath.diff(formula, tuple(point), orders)

        if order == "value":
            truth = formula(*point)
        elif order == "vjp" and primals[leaf.path].shape == shape:
            ((path, output),) = trial.evidence["value"].torch64.items()
            seed = Seeds(trial.dtype).draw_cotangents({path: (output.shape, False)})[path]
            truth = differentiate(list(primals).index(leaf.path)) * float(seed[index])
        elif order == "jvp":
            specs = {path: (x.shape, False) for path, x in primals.items()}
            tangents = Seeds(trial.dtype).draw_tangents(specs)
            truth = sum(
                differentiate(position) * float(tangents[path][index if x.shape else ()])
                for position, (path, x) in enumerate(primals.items())
            )
        else:
            return None
    ours, theirs = evidence.jax64[leaf.path][index], evidence.torch64[leaf.path][index]
    truth = complex(truth) if isinstance(ours, complex) else float(truth)
    # To float64 the formula is exact; a derivative of it is by differences at 50 digits.
    error = float(np.spacing(abs(truth)))
    return _decide(ours, theirs, truth, error, f"The formula, at {DIGITS} digits, would")


def _to_mpmath(number: Any) -> Any:
    import mpmath

    if np.iscomplexobj(number):
        return mpmath.mpc(complex(number))
    return mpmath.mpf(float(number))
