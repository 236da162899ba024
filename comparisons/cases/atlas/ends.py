"""Beside the end of a domain, where a derivative grows without bound."""

from __future__ import annotations

import dataclasses

from comparisons.cases.atlas import special_functions, trigonometry
from comparisons.cases.atlas._op import Interval, Op, Remark

_KNOWN = {op.name: op for op in (*trigonometry.OPS, *special_functions.OPS)}


def _beside_1(name: str, domain: Interval, text: str) -> Op:
    """An operation at numbers near 1, of which few are among those of its whole domain."""
    op = _KNOWN[name]
    said = Remark(
        text=text, axes=("ordinary",), quantities=("vjp", "jvp", "hvp"), dtypes=("float32",)
    )
    return dataclasses.replace(
        op,
        name=f"{name}, beside 1",
        domain=domain,
        remarks=(said, *op.remarks),
        seen_as="",
        trap="",
    )


def _rounded(formula: str) -> str:
    return (
        f"PyTorch rounds x*x before {formula}, which cancels near 1: hundreds of units; what JAX"
        " compiles does not round in between (a fused multiply-add)."
    )


OPS = (
    _beside_1("asin", (0.99, 1), _rounded("1 - x*x")),
    _beside_1("acos", (0.99, 1), _rounded("1 - x*x")),
    _beside_1(
        "atanh",
        (0.99, 1),
        "PyTorch rounds x*x before 1 - x*x, which cancels near 1: hundreds of units; JAX has"
        " (1 + x) * (1 - x).",
    ),
    _beside_1("acosh", (1, 1.01), _rounded("x*x - 1")),
    _beside_1(
        "erfinv",
        (0.99, 1),
        "Both multiply by exp(y*y) with y = erfinv(x), which makes an error in y some 15 times as"
        " great near 1; JAX's own y is up to 60 units off there.",
    ),
)
