"""An operation on whole arrays at an edge: the element of each leaf that differs most."""

from __future__ import annotations

from typing import Any

import numpy as np

from comparisons._atlas._cells import describe_missing, find_worst
from comparisons._atlas._judge import NEAR, ROUGH, SAME, judge_edge, same
from comparisons._atlas._row import Cell, Edge
from comparisons._atlas._sample import Sample, find_misfit, is_floating
from comparisons._atlas._sides import Missing
from comparisons._atlas._slopes import find_jvp_limits, find_limits, to_number
from comparisons._trees import Array


def examine_edge(sample: Sample) -> tuple[list[Cell], list[Edge], int]:
    cells: list[Cell] = []
    edges: list[Edge] = []
    tried = 0
    for quantity in sample.op.orders:
        head: dict[str, Any] = {"dtype": "float64", "quantity": quantity, "axis": sample.axis}
        torch, jax = (sample.run(who, quantity, "float64") for who in ("torch", "jax"))
        if isinstance(torch, Missing) or isinstance(jax, Missing):
            cell = describe_missing(torch, jax, **head)
            cells.append(cell)
            if cell.wrong != "both":
                edges.append(_tell_missing(sample, quantity, cell))
            continue
        if misfit := find_misfit(torch, jax):
            cells.append(Cell(**head, verdict="STRUCTURE", text=f"{sample.name}: {misfit}"))
            continue
        own = [
            edge
            for path in torch
            if (edge := _compare_leaf(sample, quantity, path, torch[path], jax[path])) is not None
        ]
        edges += own
        count = sum(x.size for x in torch.values())
        tried += count
        judged = find_worst(own)
        cells.append(Cell(**head, verdict=judged.verdict, wrong=judged.wrong, count=count))
    return cells, edges, tried


def _tell_missing(sample: Sample, quantity: str, cell: Cell) -> Edge:
    return Edge(
        at=sample.name,
        axis=sample.axis,
        quantity=quantity,
        leaf=cell.text,
        torch=None,
        jax=None,
        verdict="MISSING",
        wrong=cell.wrong,
    )


def _compare_leaf(
    sample: Sample, quantity: str, path: str, torch: Array, jax: Array
) -> Edge | None:
    """The element of a leaf that differs most; None if none does."""
    if not torch.size:
        return None
    differ = ~same(torch, jax, SAME)
    scale = float(np.max(np.abs(torch[np.isfinite(torch)]), initial=0.0))
    with np.errstate(invalid="ignore"):
        tiny = np.abs(torch - jax) <= ROUGH * scale if is_floating(torch) else False
    differ &= ~np.asarray(tiny)
    if not differ.any():
        return _find_lost(sample, quantity, path, torch)
    with np.errstate(invalid="ignore"):
        gap = np.where(differ, np.nan_to_num(np.abs(torch * 1.0 - jax), nan=np.inf), -1.0)
    index = np.unravel_index(int(gap.argmax()), gap.shape)
    limits, truth = _find_slopes(sample, quantity, path, index)
    numbers = [to_number(x[index]) for x in (torch, jax)]

    def closes() -> bool:
        like = sample.run("like", quantity, "float64") if sample.op.torch_like else Missing("")
        return not isinstance(like, Missing) and bool(same(torch, like[path], NEAR).all())

    judged = judge_edge(numbers[0], numbers[1], truth, limits, closes)
    return Edge(
        at=sample.name,
        axis=sample.axis,
        quantity=quantity,
        leaf=_name_element(sample, quantity, path, index),
        torch=numbers[0],
        jax=numbers[1],
        truth=truth,
        below=limits[0],
        above=limits[1],
        verdict=judged.verdict,
        wrong=judged.wrong,
        closed=closes(),
    )


def _find_lost(sample: Sample, quantity: str, path: str, torch: Array) -> Edge | None:
    """A derivative of which both sides make NaN, though their values have a slope: both are wrong.

    They agree, and that is no proof.
    """
    if sample.axis == "nonfinite" or not (is_floating(torch) and np.isnan(torch).any()):
        return None
    index = np.unravel_index(int(np.isnan(torch).argmax()), torch.shape)
    limits, truth = _find_slopes(sample, quantity, path, index)
    if truth is None:
        return None
    return Edge(
        at=sample.name,
        axis=sample.axis,
        quantity=quantity,
        leaf=_name_element(sample, quantity, path, index),
        torch=np.nan,
        jax=np.nan,
        truth=truth,
        below=limits[0],
        above=limits[1],
        verdict="NONFINITE",
        wrong="both",
    )


def _find_slopes(
    sample: Sample, quantity: str, path: str, index: Any
) -> tuple[tuple[float | None, float | None], float | None]:
    """The slopes to both sides, and what the derivative is if they are one."""
    limits: tuple[float | None, float | None] = (None, None)
    if quantity == "vjp":
        limits = find_limits(sample, path, index)
    elif quantity == "jvp":
        limits = find_jvp_limits(sample, path, index)
    is_one = None not in limits and same(limits[0], limits[1], NEAR)
    return limits, limits[0] if is_one else None


def _name_element(sample: Sample, quantity: str, path: str, index: Any) -> str:
    place = ",".join(map(str, map(int, index)))
    by_input = quantity in ("vjp", "hvp")
    return f"{sample.op.args.split()[int(path)] if by_input else path}[{place}]"
