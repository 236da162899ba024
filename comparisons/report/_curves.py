"""Curves of both sides, such as losses, and what is seen of them, in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from comparisons._results import VALUES_KEPT, CaseResult
from comparisons.report._format import escape_controls, format_measure


@dataclasses.dataclass(frozen=True)
class Curves:
    """Both sides of a leaf of shape (steps,), to be drawn over each other.

    ``description`` says in words what is seen; renderers without pictures show it alone.
    """

    label: str
    anchor: str
    torch: tuple[float, ...]
    jax: tuple[float, ...]
    description: str


def build_curves(case: CaseResult, anchor: str) -> tuple[tuple[Curves, ...], str]:
    """The curves that a case asks for, and a sentence about those that cannot be drawn."""
    leaves = {leaf.path: leaf for leaf in case.leaves if leaf.quantity == "value"}
    curves: list[Curves] = []
    missing: list[str] = []
    for path in case.curves:
        leaf = leaves.get(path)
        sides = [_as_curve(leaf.torch), _as_curve(leaf.jax)] if leaf else []
        if sides and all(sides):
            torch, jax = sides
            label = escape_controls(path) or "(output)"
            curves.append(
                Curves(
                    label,
                    f"{anchor}-curve-{len(curves) + 1}",
                    torch,
                    jax,
                    _describe(label, torch, jax),
                )
            )
        else:
            missing.append(escape_controls(path) or "(output)")
    if not missing:
        return tuple(curves), ""
    return tuple(curves), (
        f"Not drawn: {', '.join(missing)}. A curve needs the values of both sides, which are kept "
        f"for outputs of one axis and up to {VALUES_KEPT} elements."
    )


def _as_curve(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list | tuple) or any(isinstance(v, list | tuple) for v in values):
        return ()
    return tuple(float(value) for value in values)


def _describe(label: str, torch: tuple[float, ...], jax: tuple[float, ...]) -> str:
    def travel(side: tuple[float, ...]) -> str:
        first, last = (f"{value:.6g}" for value in (side[0], side[-1]))
        return f"from {first} to {last}"

    steps = f"{len(jax)} step{'s' * (len(jax) != 1)}"
    text = f"{label} over {steps}: PyTorch goes {travel(torch)}, JAX {travel(jax)}."
    if len(torch) != len(jax):
        return f"{text} PyTorch has {len(torch)} steps."
    gaps = [(abs(j - t), step) for step, (j, t) in enumerate(zip(jax, torch, strict=True), 1)]
    finite = [gap for gap in gaps if math.isfinite(gap[0])]
    if len(finite) < len(gaps):
        text += f" {len(gaps) - len(finite)} steps have no finite difference."
    if not finite:
        return text
    greatest, step = max(finite, key=lambda gap: gap[0])
    if greatest == 0:
        return f"{text} The two curves are the same number at every finite step."
    return f"{text} Their greatest difference is {format_measure(greatest)}, at step {step}."
