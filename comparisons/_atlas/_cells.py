"""Cells and curves: errors in short, and of several arguments the worst."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from comparisons._atlas._judge import Judged, name_sides
from comparisons._atlas._row import Cell, Curve, Edge, Error, worst
from comparisons._atlas._sides import Missing
from comparisons._trees import Array

BINS = 40  # of a curve


def describe_missing(torch: Any, jax: Any, **head: Any) -> Cell:
    """The cell of a quantity that a framework does not compute."""
    lacking = {
        side: found.reason
        for side, found in (("PyTorch", torch), ("JAX", jax))
        if isinstance(found, Missing)
    }
    text = "; ".join(f"{side}: {reason}" for side, reason in lacking.items())
    return Cell(**head, verdict="MISSING", wrong=name_sides(list(lacking)), text=text)


def summarise(errors: Array, points: list[tuple[float, ...]]) -> Error | None:
    """The greatest error, its place, and what 99 % are below."""
    if not errors.size:
        return None
    i = int(np.argmax(errors))
    p99 = float(np.percentile(errors, 99, method="lower"))
    return Error(shorten(float(errors[i])), shorten(p99), points[i])


def find_worst(found: Sequence[Cell | Edge]) -> Judged:
    """The worst verdict of some, AGREES of none; and who is to blame for it."""
    verdict = worst([each.verdict for each in found] or ["AGREES"])
    blamed = {each.wrong for each in found if each.verdict == verdict} - {""}
    return Judged(verdict, name_sides(list(blamed)))


def merge_cells(cells: list[Cell]) -> tuple[Cell, ...]:
    """One cell for each dtype, quantity and axis: of several arguments, the worst."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.dtype, cell.quantity, cell.axis), []).append(cell)
    merged: list[Cell] = []
    for group in groups.values():
        judged = find_worst(group)
        chosen = max(
            (cell for cell in group if cell.verdict == judged.verdict),
            key=lambda cell: max((e.max for e in (cell.torch, cell.jax) if e), default=0.0),
        )
        count = sum(cell.count for cell in group)
        merged.append(dataclasses.replace(chosen, wrong=judged.wrong, count=count))
    return tuple(merged)


def make_curve(
    dtype: str, quantity: str, points: list[tuple[float, ...]], errors: dict[str, Array]
) -> Curve | None:
    if not points or len(points[0]) != 1 or quantity == "jvp":
        return None
    x = np.array(points)[:, 0]
    order = np.argsort(x)
    bins = np.array_split(order, min(BINS, len(order)))
    columns: list[tuple[float, float, float]] = []
    for chosen in bins:
        torch, jax = errors["torch"][chosen], errors["jax"][chosen]
        top = chosen[int(np.argmax(np.maximum(torch, jax)))]
        columns.append((float(x[top]), shorten(float(torch.max())), shorten(float(jax.max()))))
    at, torch, jax = zip(*columns, strict=True)
    return Curve(dtype, quantity, at, torch, jax)


def shorten(x: float) -> float:
    """Three digits: what is stored must not change with the last bit of a measurement."""
    return float(f"{x:.3g}")
