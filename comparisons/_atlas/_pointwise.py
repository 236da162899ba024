"""A pointwise operation, examined: errors at ordinary points, and numbers at its edges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from comparisons._atlas._cells import describe_missing, make_curve, merge_cells, shorten, summarise
from comparisons._atlas._edges import list_edges, sum_edges
from comparisons._atlas._examination import Examination, Part, list_parts
from comparisons._atlas._judge import (
    NEAR,
    SAME,
    Judged,
    find_part,
    judge_compiled,
    judge_gap,
    judge_ordinary,
    measure_errors,
    same,
    unit,
)
from comparisons._atlas._own_slopes import blame
from comparisons._atlas._points import TINY
from comparisons._atlas._row import DTYPES, Cell, Curve, Row
from comparisons._atlas._sides import Missing
from comparisons._trees import Array
from comparisons.cases.atlas import Op


def examine_pointwise(op: Op, dtypes: tuple[str, ...] = DTYPES) -> Row:
    """Everything that the atlas says of a pointwise operation.

    Raises:
        RefereeError: The formula's derivatives are not sure.
    """
    examination = Examination(op)
    cells: list[Cell] = []
    curves: list[Curve] = []
    for dtype in dtypes:
        for part in list_parts(op):
            cell, curve = _judge_part(examination, part, dtype)
            cells.append(cell)
            curves += [curve] if curve is not None else []
            if dtype != "bfloat16" and part.quantity in ("value", "vjp"):
                cells += _compare_compiled(examination, part, dtype)
        cells += _compare_modes(examination, dtype)
    edges, tried = list_edges(examination) if "float64" in dtypes else ([], {})
    cells += sum_edges(edges, tried)
    return Row(
        name=op.name,
        family=op.family,
        cells=merge_cells(cells),
        edges=tuple(edge for edge in edges if edge.verdict != "AGREES"),
        tried=sum(tried.values()),
        curves=tuple(curves) if op.arity == 1 else (),
        referee="formula" if op.formula else "float64",
    )


def _judge_part(examination: Examination, part: Part, dtype: str) -> tuple[Cell, Curve | None]:
    head = {"dtype": dtype, "quantity": part.quantity, "axis": "ordinary"}
    torch, jax = (examination.run(who, part, dtype) for who in ("torch", "jax"))
    if isinstance(torch, Missing) or isinstance(jax, Missing):
        return describe_missing(torch, jax, **head), None
    count = min(examination.points.ordinary, len(examination.points.take(dtype)[0]))
    if dtype == "bfloat16":
        count = min(count, 80)
    high, low = (x[:count] for x in examination.find_truth(part))
    torch, jax = torch[:count], jax[:count]
    gap = _measure_gap(torch, jax, dtype)
    known = ~np.isnan(high) & ~((high != 0) & (np.abs(high) < TINY_OF[dtype]))
    errors = {
        "torch": measure_errors(torch, high, low, dtype)[known],
        "jax": measure_errors(jax, high, low, dtype)[known],
    }
    points = [
        point for point, k in zip(examination.points.list_ordinary(), known, strict=False) if k
    ]
    judged = judge_ordinary(errors["torch"], errors["jax"], high[known], dtype)
    lost = np.isnan(high) & ~same(torch, jax, SAME)
    if dtype == "float64" and examination.truth is None and lost.any():
        judged = judge_gap(torch.astype(np.float64), jax.astype(np.float64))
        judged = _excuse(examination, part, judged)
        if judged.verdict in ("MISMATCH", "NONFINITE") and part.by:
            judged = dataclasses.replace(judged, wrong=blame(examination, part, lost))
    if judged.verdict == "AGREES" and np.array_equal(torch, jax, equal_nan=True):
        judged = Judged("IDENTICAL")
    cell = Cell(
        **head,
        verdict=judged.verdict,
        wrong=judged.wrong,
        count=int(known.sum()) or count,
        gap=gap,
        torch=summarise(errors["torch"], points),
        jax=summarise(errors["jax"], points),
    )
    return cell, make_curve(dtype, part.quantity, points, errors)


TINY_OF = {"float64": TINY, "float32": 2.0**-126, "bfloat16": 2.0**-126}


def _excuse(examination: Examination, part: Part, judged: Judged) -> Judged:
    """Two functions by choice are a convention: JAX has PyTorch's under another name."""
    if judged.verdict == "AGREES" or not examination.op.torch_like:
        return judged
    torch, like = (examination.run(who, part, "float64") for who in ("torch", "like"))
    if isinstance(torch, Missing) or isinstance(like, Missing):
        return judged
    count = examination.points.ordinary
    closes = same(torch[:count], like[:count], SAME).all()
    return Judged("CONVENTION") if closes else judged


def _compare_compiled(examination: Examination, part: Part, dtype: str) -> list[Cell]:
    """Whether JAX's own results change when they are compiled."""
    eager, compiled = (examination.run(who, part, dtype) for who in ("jax", "compiled"))
    if isinstance(eager, Missing):
        return []
    head: dict[str, Any] = {"dtype": dtype, "quantity": part.quantity, "axis": "jit"}
    if isinstance(compiled, Missing):
        return [Cell(**head, verdict="MISSING", wrong="JAX", text=compiled.reason)]
    count = examination.points.ordinary
    gap = _measure_gap(eager[:count], compiled[:count], dtype)
    eager, compiled = (x[:count].astype(np.float64) for x in (eager, compiled))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same(eager, compiled, 0.0), 0.0, np.abs(eager - compiled))
    judged = judge_compiled(gap, find_part(gaps, eager), dtype)
    return [Cell(**head, verdict=judged.verdict, wrong=judged.wrong, count=count, gap=gap)]


def _compare_modes(examination: Examination, dtype: str) -> list[Cell]:
    """Whether a framework disagrees with itself: forward mode against reverse, everywhere."""
    cells: list[Cell] = []
    if not {"vjp", "jvp"} <= set(examination.op.orders):
        return cells
    for k in range(examination.op.arity):
        for side, who in (("PyTorch", "torch"), ("JAX", "jax")):
            back, forward = (examination.run(who, Part(q, (k,)), dtype) for q in ("vjp", "jvp"))
            if isinstance(back, Missing) or isinstance(forward, Missing):
                continue
            count = examination.points.ordinary
            if dtype == "float64":
                count += examination.points.edges
            back, forward = (x[:count].astype(np.float64) for x in (back, forward))
            finite = np.all([np.isfinite(x[:count]) for x in examination.points.take(dtype)], 0)
            bound = NEAR if dtype == "float64" else 2.0**-5
            differ = ~same(back, forward, bound)
            # Out of the domain neither means anything, and far in a tail both may be 0.
            differ &= finite & (np.isfinite(back) | np.isfinite(forward))
            with np.errstate(invalid="ignore"):
                differ &= ~(np.abs(back - forward) <= bound * 2.0**-20)
            head: dict[str, Any] = {"dtype": dtype, "quantity": "jvp", "axis": "modes"}
            if not differ.any():
                cells.append(Cell(**head, verdict="AGREES", count=count))
                continue
            i = int(np.argmax(differ))
            at = ", ".join(f"{x[i]:.6g}" for x in examination.points.take(dtype))
            verdict = "MISMATCH" if dtype == "float64" else "LESS_ACCURATE"
            if not np.isfinite([back[i], forward[i]]).all():
                verdict = "NONFINITE"
            text = f"{side} at {at}: {back[i]:.6g} in reverse, {forward[i]:.6g} forward"
            cells.append(Cell(**head, verdict=verdict, wrong=side, count=count, text=text))
    return cells


def _measure_gap(a: Array, b: Array, dtype: str) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    equal = same(a, b, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.where(equal, 0.0, np.abs(a - b) / unit(np.maximum(np.abs(a), np.abs(b)), dtype))
    return shorten(float(np.max(np.nan_to_num(gap, nan=np.inf, posinf=np.inf), initial=0.0)))
