"""An operation on whole arrays, examined: its samples, one by one."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._atlas._cells import describe_missing, merge_cells, shorten
from comparisons._atlas._judge import (
    FAR,
    ROUGH,
    TIMES,
    WRONG,
    Judged,
    judge_compiled,
    name_sides,
    unit,
)
from comparisons._atlas._row import DTYPES, Cell, Edge, Error, Row
from comparisons._atlas._sample import Sample, find_misfit, is_floating
from comparisons._atlas._sides import Missing
from comparisons._atlas._slopes import blame, check_slope
from comparisons._atlas._whole_edges import examine_edge
from comparisons._seeds import Seeds
from comparisons._trees import Leaves
from comparisons.cases.atlas import Op


def examine_whole(op: Op, dtypes: tuple[str, ...] = DTYPES) -> Row:
    """Everything that the atlas says of an operation on whole arrays."""
    cells: list[Cell] = []
    edges: list[Edge] = []
    tried = 0
    for name, text in op.samples.items():
        sample = Sample(op, name, text)
        if sample.axis == "ordinary":
            for dtype in dtypes:
                if dtype == "bfloat16" and any(x.dtype.kind == "c" for x in sample.inputs):
                    continue
                cells += _examine_ordinary(sample, dtype)
        elif "float64" in dtypes:
            found, own, count = examine_edge(sample)
            cells += found
            edges += own
            tried += count
    return Row(
        name=op.name,
        family=op.family,
        cells=merge_cells(cells),
        edges=tuple(edges),
        tried=tried,
        referee="finite differences, and float64",
    )


def _examine_ordinary(sample: Sample, dtype: str) -> list[Cell]:
    cells: list[Cell] = []
    for quantity in sample.op.orders:
        head: dict[str, Any] = {"dtype": dtype, "quantity": quantity, "axis": "ordinary"}
        torch, jax = (sample.run(who, quantity, dtype) for who in ("torch", "jax"))
        if isinstance(torch, Missing) or isinstance(jax, Missing):
            cells.append(describe_missing(torch, jax, **head))
            continue
        if misfit := find_misfit(torch, jax):
            cells.append(Cell(**head, verdict="STRUCTURE", text=misfit))
            continue
        judge = _judge_float64 if dtype == "float64" else _judge_coarse
        cells.append(judge(sample, quantity, dtype, torch, jax, head))
        if dtype != "bfloat16" and quantity in ("value", "vjp"):
            cells += _compare_compiled(sample, quantity, dtype, jax)
    cells += _compare_modes(sample, dtype)
    return cells


def _judge_float64(
    sample: Sample, quantity: str, dtype: str, torch: Leaves, jax: Leaves, head: dict[str, Any]
) -> Cell:
    count = sum(x.size for x in torch.values())
    gap = _measure_gap(torch, jax, dtype)
    text = check_slope(sample) if quantity == "vjp" else ""
    if all(np.array_equal(torch[p], jax[p], equal_nan=is_floating(torch[p])) for p in torch):
        return Cell(**head, verdict="IDENTICAL", count=count, gap=gap, text=text)
    part = _find_part(torch, jax)
    if part <= ROUGH:
        return Cell(**head, verdict="AGREES", count=count, gap=gap, text=text)
    if _closes(sample, quantity, torch):
        return Cell(**head, verdict="CONVENTION", count=count, gap=gap)
    wrong, text = blame(sample, quantity) if quantity != "value" else ("", "")
    verdict = "MISMATCH" if part > WRONG else "APPROXIMATION"
    if not np.isfinite(part):
        verdict = "NONFINITE"
    return Cell(**head, verdict=verdict, wrong=wrong, count=count, gap=gap, text=text)


def _judge_coarse(
    sample: Sample, quantity: str, dtype: str, torch: Leaves, jax: Leaves, head: dict[str, Any]
) -> Cell:
    """At a coarse dtype: each side's error against float64, if the sides agree on that."""
    count = sum(x.size for x in torch.values())
    gap = _measure_gap(torch, jax, dtype)
    wide = [sample.run(who, quantity, "float64") for who in ("torch", "jax")]
    if any(isinstance(found, Missing) for found in wide):
        return Cell(**head, verdict="NO_SIGNAL", count=count, gap=gap, text="no float64 referee")
    referee, other = wide
    if _find_part(referee, other) > ROUGH:  # type: ignore[arg-type]
        closed = _closes(sample, quantity, referee)  # type: ignore[arg-type]
        verdict = "CONVENTION" if closed else "NO_SIGNAL"
        text = "" if closed else "the sides differ at float64"
        return Cell(**head, verdict=verdict, count=count, gap=gap, text=text)
    errors: dict[str, Any] = {
        who: _measure_leaves(found, referee, dtype)  # type: ignore[arg-type]
        for who, found in (("torch", torch), ("jax", jax))
    }
    worst_of = {"PyTorch": errors["torch"].max, "JAX": errors["jax"].max}
    far = [side for side, error in worst_of.items() if error > FAR]
    lone = [side for side in far if worst_of[side] > TIMES * max(1.0, min(worst_of.values()))]
    judged = Judged("LESS_ACCURATE", name_sides(lone or far)) if far else Judged("AGREES")
    if not far and all(np.array_equal(torch[p], jax[p], equal_nan=True) for p in torch):
        judged = Judged("IDENTICAL")
    return Cell(**head, verdict=judged.verdict, wrong=judged.wrong, count=count, gap=gap, **errors)


def _closes(sample: Sample, quantity: str, torch: Leaves) -> bool:
    """Whether ``torch_like`` does as PyTorch does, at float64."""
    if not sample.op.torch_like:
        return False
    like = sample.run("like", quantity, "float64")
    return (
        not isinstance(like, Missing)
        and not find_misfit(torch, like)
        and (_find_part(torch, like) <= ROUGH)
    )


def _find_part(torch: Leaves, jax: Leaves) -> float:
    """The greatest difference of a leaf, as a part of its greatest number."""
    parts = [0.0]
    for path, x in torch.items():
        y = jax[path]
        if not is_floating(x):
            parts.append(0.0 if np.array_equal(x, y) else 1.0)
            continue
        equal = (x == y) | (np.isnan(x) & np.isnan(y))
        scale = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where(equal, 0.0, np.abs(x - y))
        greatest = float(np.max(np.nan_to_num(gap, nan=np.inf), initial=0.0))
        parts.append(greatest / scale if greatest and scale else greatest)
    return max(parts)


def _measure_leaves(found: Leaves, referee: Leaves, dtype: str) -> Error:
    """Errors in units of each leaf's greatest number."""
    worst_error, p99, at = 0.0, 0.0, ()
    for path, truth in referee.items():
        if not is_floating(truth) or not truth.size:
            continue
        scale = float(unit(np.asarray(np.max(np.abs(truth))), dtype))
        x = found[path]
        wide = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        with np.errstate(invalid="ignore"):
            errors = np.nan_to_num(np.abs(wide - truth) / scale, nan=0.0, posinf=np.inf)
        errors = np.where(np.isfinite(wide) == np.isfinite(truth), errors, np.inf)
        if errors.max() >= worst_error:
            worst_error = float(errors.max())
            index = np.unravel_index(int(errors.argmax()), errors.shape)
            at = tuple(float(i) for i in index)
        p99 = max(p99, float(np.percentile(errors, 99, method="lower")))
    return Error(shorten(worst_error), shorten(p99), at)


def _measure_gap(torch: Leaves, jax: Leaves, dtype: str) -> float:
    eps = float(jnp.finfo(dtype).eps)
    wide = [
        {p: x.astype(np.float64) if x.dtype.name == "bfloat16" else x for p, x in side.items()}
        for side in (torch, jax)
    ]
    return shorten(_find_part(*wide) / eps)


def _compare_compiled(sample: Sample, quantity: str, dtype: str, eager: Leaves) -> list[Cell]:
    head: dict[str, Any] = {"dtype": dtype, "quantity": quantity, "axis": "jit"}
    compiled = sample.run("compiled", quantity, dtype)
    if isinstance(compiled, Missing):
        return [Cell(**head, verdict="MISSING", wrong="JAX", text=compiled.reason)]
    gap = _measure_gap(eager, compiled, dtype)
    judged = judge_compiled(gap, gap * float(jnp.finfo(dtype).eps), dtype)
    count = sum(x.size for x in eager.values())
    return [Cell(**head, verdict=judged.verdict, wrong=judged.wrong, count=count, gap=gap)]


def _compare_modes(sample: Sample, dtype: str) -> list[Cell]:
    """Forward against reverse: both are the derivative along the tangents, weighed."""
    if dtype == "bfloat16" or not {"vjp", "jvp"} <= set(sample.op.orders):
        return []
    cells: list[Cell] = []
    for side, who in (("PyTorch", "torch"), ("JAX", "jax")):
        back, forward = (sample.run(who, q, dtype) for q in ("vjp", "jvp"))
        if isinstance(back, Missing) or isinstance(forward, Missing) or not back:
            continue
        a, b, size = _contract(sample, dtype, back, forward)
        bound = max(1.0, size) * 2.0 ** (-30 if dtype == "float64" else -12)
        agrees = not np.isfinite([a, b]).all() or abs(a - b) <= bound
        text = "" if agrees else f"{side}: {a:.6g} in reverse, {b:.6g} forward"
        head: dict[str, Any] = {"dtype": dtype, "quantity": "jvp", "axis": "modes"}
        verdict = "AGREES" if agrees else "MISMATCH"
        cells.append(
            Cell(**head, verdict=verdict, wrong="" if agrees else side, count=1, text=text)
        )
    return cells


def _contract(
    sample: Sample, dtype: str, back: Leaves, forward: Leaves
) -> tuple[float, float, float]:
    """The derivative along the tangents by either mode, and the size of what is summed."""
    wide = np.complex128
    tangents = Seeds(dtype).draw_tangents(
        {path: (x.shape, x.dtype.kind == "c") for path, x in back.items()}
    )
    cotangents = Seeds(dtype).draw_cotangents(
        {path: (x.shape, x.dtype.kind == "c") for path, x in forward.items()}
    )
    ours = [np.conj(back[p]).astype(wide) * tangents[p].astype(wide) for p in back]
    theirs = [np.conj(cotangents[p]).astype(wide) * forward[p].astype(wide) for p in forward]
    size = sum(float(np.sum(np.abs(x))) for x in (*ours, *theirs))
    a, b = (sum(float(np.sum(x).real) for x in terms) for terms in (ours, theirs))
    return a, b, size
