"""What the atlas knows of an operation: plain data, and the same as JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

Point = tuple[float, ...]
DTYPES = ("float64", "float32", "bfloat16")

WORST_FIRST = (
    *("CRASHED", "HUNG", "STRUCTURE", "NONFINITE", "MISMATCH", "MISSING", "CONVENTION"),
    *("APPROXIMATION", "LESS_ACCURATE", "NO_SIGNAL", "AGREES", "IDENTICAL"),
)
"""The verdicts, and what only an atlas has: no answer, an end of the process, no derivative."""


@dataclasses.dataclass(frozen=True)
class Error:
    """How far one side is from the truth, in units in the last place.

    Attributes:
        max: The greatest error.
        p99: 99 % of the errors are no greater.
        at: Where the greatest is: the point, or the index in a whole array.
    """

    max: float
    p99: float
    at: Point


@dataclasses.dataclass(frozen=True)
class Cell:
    """One quantity of an operation at one dtype, along one axis.

    Attributes:
        dtype: The dtype.
        quantity: As ``Order`` names it.
        axis: The axis.
        verdict: One of ``WORST_FIRST``.
        wrong: The side that is to blame: ``"JAX"``, ``"PyTorch"``, ``"both"``, or empty.
        count: How many elements were compared.
        gap: The greatest distance of the two sides, in units in the last place.
        torch: PyTorch's error; None without a referee.
        jax: JAX's error; None without a referee.
        text: What was raised, or what else there is to say.
    """

    dtype: str
    quantity: str
    axis: str
    verdict: str
    wrong: str = ""
    count: int = 0
    gap: float | None = None
    torch: Error | None = None
    jax: Error | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Edge:
    """One number at one edge, at float64.

    Attributes:
        at: The point, or the name of the sample.
        axis: The axis that it belongs to.
        quantity: As ``Order`` names it.
        leaf: What it is differentiated by, e.g. ``"x"`` or ``"x,y"``.
        torch: PyTorch's number.
        jax: JAX's number.
        truth: The number that it should be; None where there is a choice, or nobody knows.
        below: Its limit from below.
        above: Its limit from above.
        verdict: One of ``WORST_FIRST``.
        wrong: The side that is to blame.
        closed: Whether ``torch_like`` gives PyTorch's number.
    """

    at: Point | str
    axis: str
    quantity: str
    leaf: str
    torch: float | None
    jax: float | None
    truth: float | None = None
    below: float | None = None
    above: float | None = None
    verdict: str = "AGREES"
    wrong: str = ""
    closed: bool = False


@dataclasses.dataclass(frozen=True)
class Curve:
    """Errors over the domain of an operation of one argument, by ordinary points in their order.

    Attributes:
        dtype: The dtype.
        quantity: As ``Order`` names it.
        x: Where the greatest error of a few neighbouring points is.
        torch: PyTorch's greatest errors there.
        jax: JAX's.
    """

    dtype: str
    quantity: str
    x: tuple[float, ...]
    torch: tuple[float, ...]
    jax: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation.

    Attributes:
        name: The operation's name.
        family: Its family.
        cells: What was found, by dtype, quantity and axis.
        edges: The edges at which the sides differ.
        tried: How many numbers at edges were compared.
        curves: Errors over the domain.
        referee: What the truth is: a formula, or float64.
        seconds: How long it took.
        trouble: Why there are no cells: it never returned, its process died, its referee failed.
    """

    name: str
    family: str
    cells: tuple[Cell, ...] = ()
    edges: tuple[Edge, ...] = ()
    tried: int = 0
    curves: tuple[Curve, ...] = ()
    referee: str = ""
    seconds: float = 0.0
    trouble: str = ""

    @property
    def verdict(self) -> str:
        """The worst of its cells; HUNG or CRASHED if there are none."""
        if self.trouble:
            return "HUNG" if self.trouble.startswith("HUNG") else "CRASHED"
        return worst(cell.verdict for cell in self.cells)

    def judge(self, quantity: str) -> str:
        """The worst verdict of a quantity."""
        return worst(cell.verdict for cell in self.cells if cell.quantity == quantity)

    def to_data(self) -> dict[str, Any]:
        """Itself as JSON has it: NaN and infinities are strings."""
        return _encode(dataclasses.asdict(self))


def read_row(data: dict[str, Any]) -> Row:
    """The inverse of ``Row.to_data``."""
    found: dict[str, Any] = _decode(data)
    for cell in found["cells"]:
        for side in ("torch", "jax"):
            cell[side] = _make(Error, cell[side]) if cell[side] is not None else None
    kinds = {"cells": Cell, "edges": Edge, "curves": Curve}
    parts = {name: tuple(_make(kind, x) for x in found[name]) for name, kind in kinds.items()}
    return _make(Row, found | parts)


def _make(kind: Any, data: dict[str, Any]) -> Any:
    return kind(**{key: tuple(x) if isinstance(x, list) else x for key, x in data.items()})


def worst(verdicts: Any) -> str:
    """The worst of some verdicts; of none, CRASHED: comparing nothing proves nothing."""
    return min(verdicts, key=WORST_FIRST.index, default="CRASHED")


_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encode(part) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_encode(part) for part in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: part if key in _TEXTS else _decode(part) for key, part in items}
    if isinstance(value, list):
        return [_decode(part) for part in cast("list[Any]", value)]
    return _NAMES.get(value, value) if isinstance(value, str) else value


_TEXTS = frozenset({"name", "family", "text", "trouble", "referee", "leaf", "verdict", "wrong"})
