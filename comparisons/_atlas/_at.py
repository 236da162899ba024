"""One operation at one point: what both frameworks give there, side by side."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from comparisons._atlas import _view
from comparisons._atlas._examination import Examination, Part, list_parts
from comparisons._atlas._judge import SAME, same
from comparisons._atlas._sides import Missing
from comparisons.cases.atlas import Op


@dataclasses.dataclass(frozen=True)
class Reading:
    """One quantity at a point.

    Attributes:
        quantity: As ``Order`` names it.
        leaf: What it is differentiated by.
        torch: PyTorch's number, or why there is none.
        jax: JAX's number, or why there is none.
        like: That of ``torch_like``; None if the operation has none.
    """

    quantity: str
    leaf: str
    torch: float | str
    jax: float | str
    like: float | str | None


def read_at(op: Op, point: tuple[float, ...]) -> list[Reading]:
    """Every quantity of a pointwise operation at a point, at float64."""
    examination = Examination(dataclasses.replace(op, points=(point,), kinks=(), formula=""))
    place = examination.points.ordinary  # the first edge

    def read(who: str, part: Part) -> float | str:
        found: Any = examination.run(who, part, "float64")
        return found.reason if isinstance(found, Missing) else float(found[place])

    return [
        Reading(
            part.quantity,
            part.name(examination.args),
            read("torch", part),
            read("jax", part),
            read("like", part) if op.torch_like else None,
        )
        for part in list_parts(op)
    ]


def lay_out_readings(op: Op, point: tuple[float, ...]) -> RenderableType:
    """The readings as a table, with what there is to say of them."""
    readings = read_at(op, point)
    title = ", ".join(
        f"{name} = {_view.write_number(x)}" for name, x in zip(op.args.split(), point, strict=True)
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "PyTorch", "JAX", *(["JAX like PyTorch"] if op.torch_like else [])):
        table.add_column(name)
    for reading in readings:
        name = f"{_view.TITLES[reading.quantity]} {reading.leaf}".strip()
        numbers = [reading.torch, reading.jax, *([reading.like] if op.torch_like else [])]
        differ = not _is_one(reading.torch, reading.jax)
        cells = [Text(_write(x), "bold" if differ else "") for x in numbers]
        table.add_row(name, *cells)
    parts: list[RenderableType] = [
        Text.assemble((op.name, "bold"), f" at {title}, at float64"),
        Text(f"PyTorch  {op.torch}"),
        Text(f"JAX      {op.jax}"),
        table,
    ]
    if op.torch_like:
        parts.append(Text(f"like PyTorch: {op.torch_like}"))
    parts += [Text(remark.text) for remark in op.remarks]
    return Group(*parts)


def _is_one(torch: float | str, jax: float | str) -> bool:
    if isinstance(torch, str) or isinstance(jax, str):
        return False
    return bool(same(torch, jax, SAME))


def _write(x: float | str | None) -> str:
    return x if isinstance(x, str) else _view.write_number(x)
