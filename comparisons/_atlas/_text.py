"""The atlas in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from comparisons._atlas import _view
from comparisons._atlas._check import Trap
from comparisons._atlas._row import WORST_FIRST, Row
from comparisons._atlas._stored import Change
from comparisons.cases.atlas import Op

STYLES = {"fail": "red", "warn": "yellow", "pass": "green"}


def lay_out_rows(rows: Sequence[Row]) -> Table:
    """A line for each operation: its verdicts by quantity, and the greatest errors."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("operation", overflow="fold")
    for title in _view.TITLES.values():
        table.add_column(title, no_wrap=True)
    table.add_column("PyTorch, ULP", justify="right")
    table.add_column("JAX, ULP", justify="right")
    for row in rows:
        summary = _view.summarise_row(row)
        table.add_row(
            row.name,
            *(_paint(verdict) for verdict in summary.verdicts.values()),
            _view.write_units(summary.torch),
            _view.write_units(summary.jax),
        )
    return table


def lay_out_counts(rows: Sequence[Row]) -> Table:
    """How many quantities there are by axis and verdict."""
    counts = _view.count_quantities(rows)
    found = [v for v in WORST_FIRST if any(counter[v] for counter in counts.values())]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("quantities", no_wrap=True)
    for verdict in found:
        table.add_column(_paint(verdict), justify="right")
    for axis, title in _view.AXES.items():
        if counts[axis]:
            table.add_row(title, *(str(counts[axis][verdict] or "") for verdict in found))
    return table


def count_rows(rows: Sequence[Row]) -> str:
    """How many operations and quantities there are, by the worst verdict of each, in words."""
    counts = _view.count_quantities(rows)[None]
    parts = [f"{counts[v]} {v}" for v in WORST_FIRST if counts[v]]
    total = sum(counts.values())
    noun = "operation" if len(rows) == 1 else "operations"
    things = "quantity" if total == 1 else "quantities"
    return f"{len(rows)} {noun}, {total} {things}: {', '.join(parts)}"


def lay_out_row(op: Op, row: Row) -> RenderableType:
    """Everything about one operation."""
    parts: list[RenderableType] = [Text.assemble((op.name, "bold"), f"  ({op.family})")]
    facts = {
        "PyTorch": op.torch,
        "JAX": op.jax,
        "formula": op.formula,
        "like PyTorch": op.torch_like,
        "see": op.torch_docs,
        "and": op.jax_docs,
        "referee": row.referee,
        "trouble": row.trouble,
    }
    parts += [Text(f"{label:13}{text}") for label, text in facts.items() if text]
    for remark in op.remarks:
        who = f"{remark.wrong} is wrong: " if remark.wrong else ""
        parts += [Text(""), Text(f"{who}{remark.text}")]
        parts += [Text(remark.link, "dim")] if remark.link else []
        parts += [Text(remark.repro)] if remark.repro else []
    if any(edge.axis == "denormal" for edge in row.edges):
        parts += [Text(""), Text(_view.FLUSHED)]
    differing = [cell for cell in row.cells if _view.grade(cell.verdict) != "pass"]
    if differing:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("quantity", "dtype", "axis", "verdict", "blamed"):
            table.add_column(name)
        for name in ("PyTorch, ULP", "at", "JAX, ULP", "at"):
            table.add_column(name, justify="right")
        for cell in differing:
            errors = [
                text
                for e in (cell.torch, cell.jax)
                for text in (("", "") if e is None else (_view.write_units(e.max), _point(e.at)))
            ]
            head = (_view.TITLES[cell.quantity], cell.dtype, cell.axis)
            table.add_row(*head, _paint(cell.verdict), cell.wrong, *errors)
        parts.append(table)
        parts += [Text(f"  {c.quantity}, {c.dtype}: {c.text}", "dim") for c in differing if c.text]
    if edges := _view.choose_edges(row.edges):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="edges, at float64")
        for name in ("at", "quantity", "PyTorch", "JAX", "truth", "below", "above", "verdict"):
            table.add_column(name)
        for edge in edges:
            numbers = (edge.torch, edge.jax, edge.truth, edge.below, edge.above)
            what = f"{_view.TITLES[edge.quantity]} {edge.leaf}".strip()
            written = map(_view.write_number, numbers)
            table.add_row(_point(edge.at), what, *written, _paint(edge.verdict))
        parts.append(table)
    return Group(*parts)


def lay_out_changes(changes: Sequence[Change], versions: str) -> RenderableType:
    """What became another, a line each.

    Args:
        changes: What became another.
        versions: What it was stored with.
    """
    if not changes:
        return Text(f"Nothing became another than it was stored ({versions}).")
    lines = [
        Text.assemble(
            ("worse  " if change.worse else "better ", "red" if change.worse else "green"),
            f"{change.op}, {change.what}: {change.before} → {change.after}",
        )
        for change in changes
    ]
    things = "change" if len(changes) == 1 else "changes"
    return Group(Text(f"{len(changes)} {things} since it was stored ({versions}):"), *lines)


def lay_out_unexplained(found: Mapping[str, Sequence[str]]) -> RenderableType:
    """What nothing is said of, by operation."""
    lines = [f"{name}: {line}" for name, own in found.items() for line in own]
    return Text("\n".join(lines) if lines else "There is a remark on every difference.")


def _paint(verdict: str) -> Text:
    return Text(verdict, STYLES[_view.grade(verdict)] if verdict in WORST_FIRST else "")


def _point(at: Any) -> str:
    return _view.write_point(at)


def print_lines(console: Console, *parts: RenderableType) -> None:
    """Prints without highlighting, so that a pipe gets what a terminal shows."""
    for part in parts:
        console.print(part, highlight=False, soft_wrap=not isinstance(part, Table))


def lay_out_traps(traps: Sequence[Trap]) -> RenderableType:
    """What a user's function meets, a paragraph each."""
    if not traps:
        return Text("At these inputs the function comes to no edge that the atlas knows.")
    parts: list[RenderableType] = []
    for trap in traps:
        where = f"{trap.line}: " if trap.line else ""
        at = f" (the first at {list(trap.index)})" if trap.of > 1 else ""
        head = f"{trap.op.name}, {trap.count} of {trap.of} elements are at an edge{at}"
        parts.append(Text.assemble((where, "bold"), head))
        parts += [Text(f"  {remark.text}") for remark in trap.op.remarks if not remark.dtypes]
        if trap.op.torch_like:
            parts.append(Text(f"  as PyTorch, for {trap.op.jax}: {trap.op.torch_like}"))
    return Group(*parts)
