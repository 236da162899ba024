"""The operations of the gradient atlas: a file for each family, its docstring the family's title.

An operation is data (`Op`): two expressions and where they are tried.
"""

from __future__ import annotations

import dataclasses

from comparisons.cases.atlas import (
    activations,
    arithmetic,
    attention,
    bounds,
    complex_numbers,
    cumulative,
    decompositions,
    ends,
    exponentials,
    fourier,
    gamma_functions,
    indexing,
    layers,
    linear_algebra,
    losses,
    norms,
    powers,
    rectifiers,
    reductions,
    shapes,
    singularities,
    sorting,
    special_functions,
    trigonometry,
)
from comparisons.cases.atlas._op import Axis as Axis
from comparisons.cases.atlas._op import Op as Op
from comparisons.cases.atlas._op import Remark as Remark
from comparisons.cases.atlas._op import Side as Side

FAMILIES = (
    *(arithmetic, bounds, powers, exponentials, trigonometry, singularities, gamma_functions),
    *(special_functions, ends, activations, rectifiers, reductions, norms, cumulative, sorting),
    *(indexing, shapes, linear_algebra, decompositions, fourier, complex_numbers, losses),
    *(layers, attention),
)
OPS: tuple[Op, ...] = tuple(
    dataclasses.replace(op, family=(family.__doc__ or "").strip().rstrip("."))
    for family in FAMILIES
    for op in family.OPS
)
