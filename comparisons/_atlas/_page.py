"""The atlas as one page: searched, sorted and filtered, and readable without a script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, cast

import jinja2
from markupsafe import Markup

from comparisons._atlas import _view
from comparisons._atlas._row import DTYPES, WORST_FIRST, Cell, Row
from comparisons.cases.atlas import OPS, Axis, Op


def render_page(rows: Sequence[Row], environment: Mapping[str, Any]) -> str:
    """The whole page; the same rows give the same bytes."""
    templates = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    names: dict[str, Any] = {"grade": _view.grade, "titles": _view.TITLES, "blank": _view.NONE}
    templates.globals |= names
    templates.filters |= {
        "point": _view.write_point,
        "number": _view.write_number,
        "units": _view.write_units,
    }
    script = _read("_atlas", "atlas.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    ops = {op.name: op for op in OPS}
    entries = [_lay_out(ops[row.name], row, place) for place, row in enumerate(rows)]
    counts = Counter(map(_view.judge_row, rows))
    sums = _view.count_quantities(rows)
    return templates.from_string(_read("_atlas", "atlas.html.jinja")).render(
        entries=entries,
        counts=[(verdict, counts[verdict]) for verdict in WORST_FIRST if counts[verdict]],
        families=list(dict.fromkeys(row.family for row in rows)),
        dtypes=DTYPES,
        axes=_view.AXES,
        sums=sums,
        verdicts=[v for v in WORST_FIRST if any(counter[v] for counter in sums.values())],
        quantities=_view.QUANTITIES,
        meanings={v: _view.MEANINGS[v] for v in WORST_FIRST},
        environment=environment,
        style=Markup(_read("report", "report.css") + _read("_atlas", "atlas.css")),
        script=Markup(script),
        script_digest=digest,
    )


def _lay_out(op: Op, row: Row, place: int) -> dict[str, Any]:
    summary = _view.summarise_row(row)
    curves = {f"{c.dtype} {c.quantity}": [c.x, c.torch, c.jax] for c in row.curves}
    remarks = [
        (remark, sorted({f"{c.quantity} {c.axis}" for c in row.cells if _is_about(op, remark, c)}))
        for remark in op.remarks
    ]
    return {
        "op": op,
        "row": row,
        "anchor": f"op-{place}",
        "summary": summary,
        "data": json.dumps([_shorten(cell) for cell in row.cells], separators=(",", ":")),
        "curves": json.dumps(_without_infinity(curves), separators=(",", ":")) if curves else "",
        "cells": [c for c in row.cells if c.verdict not in ("AGREES", "IDENTICAL")],
        "edges": _view.choose_edges(row.edges),
        "remarks": remarks,
        "flushed": _view.FLUSHED if any(e.axis == "denormal" for e in row.edges) else "",
    }


def _shorten(cell: Cell) -> list[Any]:
    """A cell as the page's script reads it: numbers of lists, and both errors."""
    errors = [
        None if error is None else _without_infinity(error.max) for error in (cell.torch, cell.jax)
    ]
    places = [
        DTYPES.index(cell.dtype),
        list(_view.AXES).index(cast("Axis", cell.axis)),
        _view.QUANTITIES.index(cell.quantity),
        WORST_FIRST.index(cell.verdict),
    ]
    return [*places, *errors]


def _is_about(op: Op, remark: Any, cell: Any) -> bool:
    plain = cell.verdict in ("AGREES", "IDENTICAL")
    return not plain and remark in _view.find_remarks(op, cell)


def _without_infinity(value: Any) -> Any:
    """JSON has no infinity; a browser reads this as one."""
    if isinstance(value, dict):
        return {key: _without_infinity(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(part) for part in value]
    return min(value, 1e300) if isinstance(value, float) else value


def _read(package: str, name: str) -> str:
    return resources.files(f"comparisons.{package}").joinpath(name).read_text(encoding="utf-8")
