"""Differences that the atlas found and nothing is said of."""

from __future__ import annotations

from comparisons._atlas import _view
from comparisons._atlas._row import Cell, Row
from comparisons.cases.atlas import Op

_BUGS = ("STRUCTURE", "NONFINITE", "MISMATCH")


def find_unexplained(op: Op, row: Row) -> list[str]:
    """What is to be said yet of an operation's differences, a line each.

    Every difference needs a remark that is about it, but for denormal numbers that JAX flushes:
    that is said of all of them at once. A choice needs JAX's code for PyTorch's (``torch_like``),
    and a side that is wrong needs a few lines that show it (``repro``).
    """
    if row.trouble:
        return [] if op.remarks else [f"{row.trouble}: no remark"]
    lines = [line for cell in row.cells if (line := _ask(op, cell))]
    chosen = [edge for edge in row.edges if edge.verdict == "CONVENTION" and not edge.closed]
    lines += [
        f"{edge.quantity} {edge.leaf} at {_view.write_point(edge.at)}: torch_like does not give "
        f"PyTorch's {_view.write_number(edge.torch)}"
        for edge in chosen
    ]
    return lines


def _ask(op: Op, cell: Cell) -> str:
    """What a cell lacks; an empty text if nothing."""
    if _view.grade(cell.verdict) == "pass" or cell.verdict == "NO_SIGNAL":
        return ""
    if (cell.axis, cell.verdict, cell.wrong) == ("denormal", "LESS_ACCURATE", "JAX"):
        return ""  # flushed
    remarks = _view.find_remarks(op, cell)
    where = f"{cell.dtype} {cell.quantity} {cell.axis}: {cell.verdict}"
    if not remarks:
        return f"{where} {cell.wrong}".rstrip() + " has no remark"
    named = {remark.wrong for remark in remarks}
    both = "both" in named or {"JAX", "PyTorch"} <= named
    if cell.verdict in _BUGS and cell.wrong and not both and cell.wrong not in named:
        return f"{where}: no remark says that {cell.wrong} is wrong"
    if cell.verdict == "CONVENTION" and not op.torch_like:
        return f"{where} has no torch_like"
    return ""
