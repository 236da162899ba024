"""One operation, examined, whichever kind it is."""

from __future__ import annotations

import dataclasses
import time

from comparisons._atlas._pointwise import examine_pointwise
from comparisons._atlas._row import DTYPES, Row
from comparisons._atlas._truth import RefereeError
from comparisons._atlas._whole import examine_whole
from comparisons.cases.atlas import Op


def examine(op: Op, dtypes: tuple[str, ...] = DTYPES) -> Row:
    """Everything that the atlas says of an operation, in this process."""
    start = time.perf_counter()
    try:
        row = (examine_pointwise if op.is_pointwise else examine_whole)(op, dtypes)
    except RefereeError as error:
        row = Row(name=op.name, family=op.family, trouble=f"the referee failed: {error}")
    except Exception as error:  # an expression that does not run is a row, too
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        row = Row(name=op.name, family=op.family, trouble=f"CRASHED: {text}")
    return dataclasses.replace(row, seconds=round(time.perf_counter() - start, 3))
