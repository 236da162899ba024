"""How far apart the elements of a leaf are, by powers of two: for pictures, and in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from comparisons._results import CaseResult, LeafResult
from comparisons.report._format import ABSENT, format_measure, name_leaf

BITS = {"float16": 16, "bfloat16": 16, "float32": 32, "complex64": 32, "float64": 64}
BITS["complex128"] = 64
NARROWEST = 8  # bars that an axis has room for, however few there are
FEWEST = 16  # elements; of fewer the report has the values themselves


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Elements of a leaf by distance in units in the last place.

    Attributes:
        where: Quantity and path of the leaf.
        anchor: Unique in a page.
        counts: Elements at distance 0, at 1, at 2 to 3, at 4 to 7 and so on.
        lone: Elements that are NaN on one side only.
        width: Bars that the axis has room for, the same for all leaves of a case.
        has_lone: Whether it has room for ``lone`` too.
        summary: The usual and the greatest distance, and the cosine, in a few words.
        description: All of it in words.
    """

    where: str
    anchor: str
    counts: tuple[int, ...]
    lone: int
    width: int
    has_lone: bool
    summary: str
    description: str


def build_histograms(case: CaseResult, anchor: str) -> dict[int, Histogram]:
    """The histograms of a case's leaves, by position; none of a leaf that is identical or small."""
    counted = {
        i: _split(leaf) for i, leaf in enumerate(case.leaves) if sum(leaf.histogram) >= FEWEST
    }
    shown = {i: (c, lone) for i, (c, lone) in counted.items() if lone or len(c) > 1}
    width = max([NARROWEST, *(len(counts) for counts, _ in shown.values())])
    return {
        i: Histogram(
            where=name_leaf(case.leaves[i]),
            anchor=f"{anchor}-histogram-{number}",
            counts=counts,
            lone=lone,
            width=width,
            has_lone=any(lone for _, lone in shown.values()),
            summary=_summarize(case.leaves[i], lone),
            description=_describe(counts, lone),
        )
        for number, (i, (counts, lone)) in enumerate(shown.items(), 1)
    }


def name_way(way: int) -> str:
    """The distances that a bar stands for.

    Example:
        >>> [name_way(way) for way in (0, 1, 2, 4, 11, 33)]
        ['0', '1', '2 to 3', '8 to 15', '1024 to 2047', '2^32 to 2^33']
    """
    if way < 2:
        return str(way)
    if way > 20:
        return f"2^{way - 1} to 2^{way}"
    return f"{2 ** (way - 1)} to {2**way - 1}"


def _split(leaf: LeafResult) -> tuple[tuple[int, ...], int]:
    """Counts of numbers, and how many elements are NaN on one side only."""
    numbers = BITS.get(leaf.dtype, len(leaf.histogram)) + 1
    counts: Sequence[int] = leaf.histogram[:numbers]
    while counts and not counts[-1]:
        counts = counts[:-1]
    return tuple(counts), sum(leaf.histogram[numbers:])


def _summarize(leaf: LeafResult, lone: int) -> str:
    parts = [f"99 % within {format_measure(leaf.p99_ulp)} ULP"] * (leaf.p99_ulp != math.inf)
    if lone:
        parts.append(f"{lone} NaN on one side")
    else:
        parts.append(f"all within {format_measure(leaf.max_ulp)}")
    return f"{', '.join(parts)}; cosine {_format_cosine(leaf.cosine)}"


def _format_cosine(cosine: float | None) -> str:
    """By its distance from 1, where three digits would hide it."""
    if cosine is None or not 0.99 < cosine < 1:
        return ABSENT if cosine is None else format_measure(cosine)
    return f"1 − {format_measure(1 - cosine)}"


def _describe(counts: tuple[int, ...], lone: int) -> str:
    total = sum(counts) + lone
    parts = [f"{count} at {name_way(way)}" for way, count in enumerate(counts) if count]
    parts += [f"{lone} NaN on one side only"] * bool(lone)
    return f"Of {total} elements, by distance in ULP: {', '.join(parts)}."
