"""An operation on whole arrays at an edge: the element of each leaf that differs most."""

from __future__ import annotations

from typing import Any

import numpy as np

from comparisons._atlas._cells import describe_missing
from comparisons._atlas._judge import NEAR, ROUGH, SAME, judge_edge, same
from comparisons._atlas._row import Cell, Edge, worst
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
        verdict = worst([edge.verdict for edge in own] or ["AGREES"])
        blamed = {edge.wrong for edge in own if edge.verdict == verdict} - {""}
        wrong = "both" if len(blamed) > 1 else "".join(blamed)
        cells.append(Cell(**head, verdict=verdict, wrong=wrong, count=count))
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
        return None
    with np.errstate(invalid="ignore"):
        gap = np.where(differ, np.nan_to_num(np.abs(torch * 1.0 - jax), nan=np.inf), -1.0)
    index = np.unravel_index(int(gap.argmax()), gap.shape)
    limits: tuple[float | None, float | None] = (None, None)
    if quantity == "vjp":
        limits = find_limits(sample, path, index)
    elif quantity == "jvp":
        limits = find_jvp_limits(sample, path, index)
    truth = None
    if None not in limits and same(limits[0], limits[1], NEAR):
        truth = limits[0]
    numbers = [to_number(x[index]) for x in (torch, jax)]

    def closes() -> bool:
        like = sample.run("like", quantity, "float64") if sample.op.torch_like else Missing("")
        return not isinstance(like, Missing) and bool(same(torch, like[path], NEAR).all())

    judged = judge_edge(numbers[0], numbers[1], truth, limits, closes)
    place = ",".join(map(str, map(int, index)))
    by_input = quantity in ("vjp", "hvp")
    leaf = f"{sample.op.args.split()[int(path)] if by_input else path}[{place}]"
    return Edge(
        at=sample.name,
        axis=sample.axis,
        quantity=quantity,
        leaf=leaf,
        torch=numbers[0],
        jax=numbers[1],
        truth=truth,
        below=limits[0],
        above=limits[1],
        verdict=judged.verdict,
        wrong=judged.wrong,
        closed=closes(),
    )
