"""What the atlas's page and its text show of an operation: words and numbers, laid out."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from comparisons._atlas._row import WORST_FIRST, Cell, Edge, Row, worst
from comparisons.cases.atlas import Axis, Op, Remark

QUANTITIES = ("value", "vjp", "jvp", "hvp")
TITLES = {"value": "value", "vjp": "VJP", "jvp": "JVP", "hvp": "second"}
NONE = "–"  # where a quantity is not asked for
EDGES_SHOWN = 40
AXES: dict[Axis, str] = {
    "ordinary": "ordinary points",
    "edges": "edges",
    "nonfinite": "NaN and infinity",
    "large": "large numbers",
    "modes": "forward against reverse",
    "jit": "compiled against eager",
    "denormal": "denormal numbers",
}
"""The axes. Where none is chosen, denormal numbers are left out: JAX flushes them to zero on a CPU,
and nothing else would be seen."""

MEANINGS = {
    "CRASHED": "The operation could not be examined; the row says why.",
    "HUNG": "A call did not return within the time limit.",
    "STRUCTURE": "The results have different shapes.",
    "NONFINITE": "NaN or infinity on one side only.",
    "MISMATCH": "The numbers differ where there is no choice, or no choice was found.",
    "MISSING": "A framework does not compute it, or raises.",
    "CONVENTION": "Both numbers are possible there, and the frameworks chose differently.",
    "APPROXIMATION": "They differ by less than float32 could show, and by more than rounding.",
    "LESS_ACCURATE": "A side loses many digits against the referee.",
    "NO_SIGNAL": "There is no float64 to hold it against.",
    "AGREES": "Both are within rounding of the truth.",
    "IDENTICAL": "Bit for bit the same.",
}
FLUSHED = "JAX flushes denormal numbers to zero on a CPU."


def grade(verdict: str) -> str:
    """What a verdict counts as on the page: ``"fail"``, ``"warn"`` or ``"pass"``."""
    place = WORST_FIRST.index(verdict)
    if place >= WORST_FIRST.index("AGREES"):
        return "pass"
    return "fail" if place < WORST_FIRST.index("MISSING") else "warn"


@dataclasses.dataclass(frozen=True)
class Summary:
    """The row of the page's table, for one choice of dtype.

    Attributes:
        verdicts: By quantity; a dash where it is not asked for.
        torch: PyTorch's greatest error, in units; None without a referee.
        jax: JAX's.
    """

    verdicts: dict[str, str]
    torch: float | None
    jax: float | None


def summarise_row(row: Row, dtype: str | None = None, axis: Axis | None = None) -> Summary:
    """The verdicts and the greatest errors of a row, at a dtype and an axis, or at all of them."""
    cells = [
        cell
        for cell in row.cells
        if dtype in (None, cell.dtype)
        and (cell.axis != "denormal" if axis is None else cell.axis == axis)
    ]
    verdicts: dict[str, str] = {}
    for quantity in QUANTITIES:
        own = [cell.verdict for cell in cells if cell.quantity == quantity]
        verdicts[quantity] = worst(own) if own else row.verdict if row.trouble else NONE

    def greatest(side: str) -> float | None:
        errors = [getattr(cell, side) for cell in cells]
        return max((error.max for error in errors if error is not None), default=None)

    return Summary(verdicts, greatest("torch"), greatest("jax"))


def judge_row(row: Row) -> str:
    """The worst verdict of a row, denormal numbers left out."""
    verdicts = [v for v in summarise_row(row).verdicts.values() if v != NONE]
    return worst(verdicts or [row.verdict])


def count_quantities(rows: Sequence[Row]) -> dict[Axis | None, Counter[str]]:
    """How many quantities of operations have which verdict, by axis; None is all axes."""
    return {
        axis: Counter(
            verdict
            for row in rows
            for verdict in summarise_row(row, axis=axis).verdicts.values()
            if verdict != NONE
        )
        for axis in (*AXES, None)
    }


def find_remarks(op: Op, cell: Cell) -> list[Remark]:
    """The remarks that are about a cell."""
    return [
        remark
        for remark in op.remarks
        if (not remark.axes or cell.axis in remark.axes)
        and (not remark.quantities or cell.quantity in remark.quantities)
        and (not remark.dtypes or cell.dtype in remark.dtypes)
    ]


def choose_edges(edges: Sequence[Edge]) -> list[Edge]:
    """The edges to show: values and reverse mode, the worst first, each kind at few points."""
    shown: list[Edge] = []
    counts: dict[tuple[str, str, str], int] = {}
    order = sorted(edges, key=lambda e: (WORST_FIRST.index(e.verdict), e.axis == "denormal"))
    for edge in order:
        kind = (edge.quantity, edge.leaf if isinstance(edge.at, tuple) else "", edge.axis)
        counts[kind] = counts.get(kind, 0) + 1
        if edge.quantity != "jvp" and counts[kind] <= 6:
            shown.append(edge)
    return shown[:EDGES_SHOWN]


def write_point(at: Any) -> str:
    """A point or the name of a sample."""
    if isinstance(at, str):
        return at
    return ", ".join(write_number(x) for x in at)


def write_number(x: float | None) -> str:
    """A number in six digits; -0 with its sign."""
    if x is None:
        return "–"
    if x == 0:
        return "-0" if math.copysign(1, x) < 0 else "0"
    return f"{x:.6g}"


def write_units(x: float | None) -> str:
    """An error in units in the last place."""
    if x is None:
        return "–"
    if math.isinf(x):
        return "∞"
    return f"{x:.2g}" if x < 1e3 else f"{x:.1e}"
