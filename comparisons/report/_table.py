"""The tables of a report: cells are text, and verdicts with what they count as."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Outcome, Verdict
from comparisons.report._format import (
    escape_controls,
    format_index,
    format_measure,
    format_value,
    name_leaf,
    walk_values,
)
from comparisons.report._legend import LEAF_COLUMNS, Column


@dataclasses.dataclass(frozen=True)
class Mark:
    """A verdict, and what it counts as: a pass, if it is accepted."""

    verdict: Verdict
    outcome: Outcome

    def __str__(self) -> str:
        """The verdict's name, with a word if it does not count as what it is."""
        accepted = self.outcome != self.verdict.outcome
        return f"{self.verdict} (accepted)" if accepted else str(self.verdict)


Row = tuple[str | Mark, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text under columns; a cell of a verdict column is a Mark.

    ``marked`` holds the positions of the rows to be pointed out.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    marked: frozenset[int] = frozenset()


OVERVIEW_COLUMNS = (
    Column("case", "The case's name.", "code"),
    Column("verdict", "The worst verdict of its leaves.", "verdict"),
    Column("leaves", "How many were compared.", "number"),
    Column("max abs", "Greatest absolute difference of all leaves.", "number"),
    Column("max ULP", "The same in units in the last place.", "number"),
)
POWER_COLUMN = Column("power", "The smallest relative error that would be noticed.", "number")

VALUE_COLUMNS = (
    Column("index", kind="code"),
    Column("PyTorch", kind="number"),
    Column("JAX", kind="number"),
    Column("JAX − PyTorch", kind="number"),
)


def build_overview(cases: Sequence[CaseResult]) -> Table:
    """A row per case; with a column for the power if that was measured anywhere."""
    with_power = any(leaf.power is not None for case in cases for leaf in case.leaves)
    rows = tuple(
        (
            escape_controls(case.name),
            Mark(case.verdict, case.outcome),
            str(len(case.leaves)),
            format_measure(_greatest(leaf.max_abs for leaf in case.leaves)),
            format_measure(_greatest(leaf.max_ulp for leaf in case.leaves)),
            *([format_measure(case.power)] if with_power else []),
        )
        for case in cases
    )
    columns = (*OVERVIEW_COLUMNS, POWER_COLUMN) if with_power else OVERVIEW_COLUMNS
    return Table("Cases", columns, rows)


def build_leaves(case: CaseResult) -> Table:
    """The evidence, a row per leaf."""
    return Table("Leaves", LEAF_COLUMNS, tuple(map(_leaf_row, case.leaves)))


def build_values(leaf: LeafResult) -> Table:
    """The values of both sides, a row per element; marked where they differ."""
    sides = [
        {} if values is None else dict(walk_values(values)) for values in (leaf.torch, leaf.jax)
    ]
    rows: list[Row] = []
    marked: set[int] = set()
    for index in sorted(sides[0].keys() | sides[1].keys()):
        torch, jax = (side.get(index) for side in sides)
        # repr tells -0.0 from 0.0, and makes one NaN like another.
        if repr(torch) != repr(jax):
            marked.add(len(rows))
        rows.append(
            (
                format_index(index),
                *(
                    format_measure(None) if side is None else format_value(side, leaf.dtype)
                    for side in (torch, jax)
                ),
                format_measure(_subtract(jax, torch)),
            )
        )
    return Table(name_leaf(leaf), VALUE_COLUMNS, tuple(rows), frozenset(marked))


def _leaf_row(leaf: LeafResult) -> Row:
    size = math.prod(leaf.shape)
    differ = None if leaf.different is None else f"{leaf.different}/{size}"
    return (
        escape_controls(leaf.path) or "(output)",
        escape_controls(leaf.quantity),
        Mark(leaf.verdict, leaf.outcome),
        format_index(leaf.shape),
        escape_controls(leaf.dtype),
        differ or format_measure(None),
        format_measure(leaf.max_abs),
        format_measure(leaf.max_ulp),
        format_measure(leaf.rms),
        format_index(leaf.worst),
        format_measure(leaf.float64_gap),
        format_measure(leaf.float64_noise),
        format_measure(leaf.jax_error),
        format_measure(leaf.allowed),
        format_measure(leaf.torch_error),
    )


def _greatest(measures: Iterable[float | None]) -> float | None:
    """The greatest that was measured; NaN if one is NaN, for no number is greater."""
    known = [measure for measure in measures if measure is not None]
    return math.nan if any(map(math.isnan, known)) else max(known, default=None)


def _subtract(jax: Any, torch: Any) -> complex | None:
    if jax is None or torch is None:
        return None
    if isinstance(jax, complex) or isinstance(torch, complex):
        return jax - torch
    return 0.0 if jax == torch else float(jax) - float(torch)
