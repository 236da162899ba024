"""What every verdict and every column of the evidence table means, in the words of the reports."""

from __future__ import annotations

import dataclasses
from typing import Literal

from comparisons._verdict import Verdict

CellKind = Literal["text", "code", "number", "verdict"]


@dataclasses.dataclass(frozen=True)
class Column:
    """A table's column.

    Attributes:
        label: The heading, complete on its own.
        meaning: One sentence for the legend.
        kind: What its cells hold.
        group: Heading shared with its neighbours, where a renderer has room for two rows of them.
        short: The heading under ``group``.
    """

    label: str
    meaning: str = ""
    kind: CellKind = "text"
    group: str = ""
    short: str = ""


MEANINGS: dict[Verdict, str] = {
    Verdict.STRUCTURE: "Tree, shape or dtype differ, a side raised, or there was nothing to "
    "compare.",
    Verdict.NONFINITE: "NaN or infinity in different places.",
    Verdict.MISMATCH: "They differ at float64 by more than rounding, where the function is "
    "smooth, and no known cause closes the gap; or float64 agrees, but one side is grossly off at "
    "the working dtype.",
    Verdict.CONVENTION: "They differ only where the function is not smooth, or by a choice that "
    "the frameworks made differently and that is named as the cause.",
    Verdict.APPROXIMATION: "They differ at float64 by little, but by more than rounding: two "
    "formulas for one function.",
    Verdict.LESS_ACCURATE: "float64 agrees, but at the working dtype one side rounds far worse "
    "than the other.",
    Verdict.NO_SIGNAL: "The quantity is below its own rounding noise, so comparing it proves "
    "nothing.",
    Verdict.AGREES: "float64 agrees, and what differs at the working dtype is rounding.",
    Verdict.IDENTICAL: "Bit for bit the same.",
}

COUNTS_AS = {"fail": "counts as a failure", "warn": "a warning", "pass": "a pass"}

REMARKS = {
    "Steps": "Of a training run, the first step and leaf that diverge, and whether a step itself "
    "differs or training amplifies rounding.",
    "Cause": "A known difference between the frameworks. It was tried: the fix closes the gap.",
    "Third vote": "Which side is right, by means that are neither's: finite differences, or a "
    "formula with more digits.",
    "Accepted": "A person accepted the deviation, with this reason: it counts as a pass.",
    "Established": "The precision at which the sides were seen to agree, where it is less than "
    "float64.",
    "Cast": "Where a side computes at less than the precision that it was run at.",
    "Vacuous": "What the comparison cannot show with these inputs.",
    "Power": "The smallest relative error on the JAX side that would be noticed, and which "
    "mistakes, made on purpose, were.",
    "Distances": "Elements of a leaf by the representable numbers (ULP) between the two sides, "
    "each bar twice as far as the one before. Heights are the logarithm of the count.",
}

_DIFFERENCE = "JAX − PyTorch"
_REFEREE = "float64"
_ERROR = "error against float64"

LEAF_COLUMNS = (
    Column("leaf", "Path of the leaf in what the function returned.", "code"),
    Column(
        "quantity",
        "value: what the function returns. jvp: its change along one fixed tangent. vjp: the "
        "gradient of an argument, which the path starts with, against one fixed cotangent. hvp: "
        "that gradient's change along the tangent. state, aux: the two parts of what a training "
        "step returns.",
    ),
    Column("verdict", "The verdict on this leaf.", "verdict"),
    Column("shape", "Shape of the leaf; () is a scalar.", "code"),
    Column("dtype", "Dtype of the working run.", "code"),
    Column(
        "differ",
        "Elements that are not bit for bit the same, of all.",
        "number",
        _DIFFERENCE,
        "differ",
    ),
    Column("max abs", "Greatest absolute difference.", "number", _DIFFERENCE, "max abs"),
    Column(
        "max ULP",
        "Greatest difference counted in representable numbers between the two.",
        "number",
        _DIFFERENCE,
        "max ULP",
    ),
    Column("rms", "Root of the mean squared difference.", "number", _DIFFERENCE, "rms"),
    Column(
        "worst at",
        "Index of the element that is furthest off, relative to what is allowed there.",
        "number",
        _DIFFERENCE,
        "worst at",
    ),
    Column(
        "float64 gap",
        "Difference of the two sides when both run at float64.",
        "number",
        _REFEREE,
        "gap",
    ),
    Column(
        "float64 noise",
        "What rounding at float64 can explain of that gap.",
        "number",
        _REFEREE,
        "noise",
    ),
    Column(
        "JAX error",
        "|JAX at the working dtype − PyTorch at float64|.",
        "number",
        _ERROR,
        "JAX",
    ),
    Column(
        "allowed",
        "What the JAX error may be at the worst element; it is measured, not chosen.",
        "number",
        _ERROR,
        "allowed",
    ),
    Column(
        "PyTorch error",
        "|PyTorch at the working dtype − PyTorch at float64|.",
        "number",
        _ERROR,
        "PyTorch",
    ),
)
