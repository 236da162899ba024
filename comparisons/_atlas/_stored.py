"""What is kept of the atlas: verdicts, errors and edges, and what became another in a new run."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparisons._atlas._judge import FAR
from comparisons._atlas._row import WORST_FIRST, Cell, Row

FORMAT = 2
STORED = Path(__file__).parent.parent / "cases/atlas/stored.json"
"""The results that come with the package."""
GROWN = 16.0
"""An error that is so many times another is another. Processors differ: the same release of either
framework takes other instructions on another machine, with other last bits."""
ROUNDING = ("LESS_ACCURATE", "AGREES", "IDENTICAL")
"""Verdicts that differ by how great an error is, which is compared by itself."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that became another.

    Attributes:
        op: The operation.
        what: The dtype, quantity and axis; or ``"operation"``.
        before: What it was.
        after: What it is.
        worse: Whether it became worse.
    """

    op: str
    what: str
    before: str
    after: str
    worse: bool


class StoredError(Exception):
    """The file cannot be read; the text says why."""


def condense(rows: Sequence[Row], environment: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of rows: of each cell the verdict, the side that is blamed, and the errors."""
    return {
        "format": FORMAT,
        "environment": dict(environment),
        "ops": {row.name: _condense_row(row) for row in rows},
    }


def write_stored(path: Path, rows: Sequence[Row], environment: Mapping[str, Any]) -> None:
    """Writes what is kept, a line for each operation, so that a change is a changed line."""
    data = condense(rows, environment)
    lines = [f"  {json.dumps(name)}: {json.dumps(ops)}" for name, ops in data["ops"].items()]
    head = {key: value for key, value in data.items() if key != "ops"}
    text = json.dumps(head, indent=1)[:-2] + ',\n "ops": {\n' + ",\n".join(lines) + "\n }\n}\n"
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read_stored(path: Path) -> dict[str, Any]:
    """Reads what is kept.

    Raises:
        StoredError: There is no such file, or it is no atlas.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoredError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise StoredError(f"{path} holds no JSON") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "ops" not in data:
        raise StoredError(f"{path} is no stored atlas of format {FORMAT}")
    return data


def name_versions(stored: Mapping[str, Any]) -> str:
    """With which frameworks results were stored."""
    environment = stored.get("environment", {})
    return ", ".join(f"{name} {environment.get(name, '?')}" for name in ("jax", "torch"))


def find_changes(
    stored: Mapping[str, Any], rows: Sequence[Row], *, whole: bool = True
) -> list[Change]:
    """What is another than it was stored, in either direction.

    Args:
        stored: What was kept.
        rows: A new run's.
        whole: Whether everything was run, so that what is not there is gone.
    """
    before, after = stored["ops"], {row.name: _condense_row(row) for row in rows}
    changes: list[Change] = []
    for name, found in after.items():
        if name not in before:
            changes.append(Change(name, "operation", "not stored", "new", worse=False))
            continue
        changes += _compare(name, before[name], found, whole)
    if whole:
        gone = [name for name in before if name not in after]
        changes += [Change(name, "operation", "stored", "gone", worse=True) for name in gone]
    return changes


def _condense_row(row: Row) -> dict[str, Any]:
    if row.trouble:
        return {"trouble": row.verdict}
    return {
        f"{cell.dtype} {cell.quantity} {cell.axis}": [cell.verdict, cell.wrong, *_list_errors(cell)]
        for cell in row.cells
    }


def _list_errors(cell: Cell) -> list[float | str | None]:
    """Both sides' greatest errors; of JAX against itself, how far it is."""
    errors = [None if error is None else error.max for error in (cell.torch, cell.jax)]
    if cell.axis == "jit":
        errors = [None, cell.gap]
    return [None if error is None else _round(error) for error in errors]


def _round(error: float) -> float | str:
    return "inf" if math.isinf(error) else float(f"{error:.2g}")


def _compare(name: str, before: dict[str, Any], after: dict[str, Any], whole: bool) -> list[Change]:
    if "trouble" in before or "trouble" in after:
        was, now = (str(found.get("trouble", "examined")) for found in (before, after))
        if was == now:
            return []
        return [Change(name, "operation", was, now, worse=now != "examined")]
    changes: list[Change] = []
    for what in dict.fromkeys([*before, *after]):
        old, new = before.get(what), after.get(what)
        if new is None and not whole:
            continue  # nobody asked
        if old is None or new is None:
            was, now = ("not there" if x is None else x[0] for x in (old, new))
            changes.append(Change(name, what, was, now, worse=new is None))
        elif old[:2] != new[:2] and not _differ_by_rounding(old, new):
            worse = WORST_FIRST.index(new[0]) < WORST_FIRST.index(old[0])
            changes.append(Change(name, what, " ".join(old[:2]), " ".join(new[:2]), worse))
        else:
            for side, was, now in zip(("PyTorch", "JAX"), old[2:], new[2:], strict=True):
                if _has_moved(was, now):
                    text = f"{side} {was} ULP", f"{side} {now} ULP"
                    changes.append(Change(name, what, *text, worse=float(now) > float(was)))
    return changes


def _differ_by_rounding(old: list[Any], new: list[Any]) -> bool:
    """Whether only errors, which are compared by themselves, tell two verdicts apart."""
    measured = all(any(error is not None for error in cell[2:]) for cell in (old, new))
    return measured and {old[0], new[0]} <= {*ROUNDING}


def _has_moved(was: Any, now: Any) -> bool:
    if was is None or now is None:
        return False  # a side is missing, which the verdict says
    least, most = sorted((float(was), float(now)))
    return most > FAR and most > GROWN * max(1.0, least)
