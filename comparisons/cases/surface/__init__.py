"""The map: every name of torch's autograd, with what stands in its place in JAX.

A file for each section of PyTorch's documentation; its docstring is the section's heading, and what
follows the heading is said below it. ``docs/map.md`` is made of these rows.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType

from comparisons.cases.surface import (
    amp,
    autograd,
    checkpoint,
    context,
    debugging,
    distributed,
    forward_ad,
    func,
    func_vmap,
    function,
    function_modes,
    functional,
    grad_mode,
    grad_scaler,
    graph,
    module,
    nn_utils,
    node,
    optim,
    profiler,
    tensor,
    tensor_backward,
)
from comparisons.cases.surface._row import Row

SECTIONS = (
    *(autograd, forward_ad, functional, grad_mode),
    *(
        tensor_backward,
        tensor,
        function,
        function_modes,
        context,
    ),
    *(
        debugging,
        profiler,
        graph,
        node,
        func,
        func_vmap,
    ),
    *(
        nn_utils,
        checkpoint,
        optim,
        module,
        amp,
        grad_scaler,
    ),
    distributed,
)


def _read(section: ModuleType) -> tuple[Row, ...]:
    group = section.__name__.rpartition(".")[2]
    return tuple(
        dataclasses.replace(row, group=group)
        for row in section.ROWS
    )


GROUPS: dict[str, tuple[Row, ...]] = {
    (section.__doc__ or "").strip(): _read(section)
    for section in SECTIONS
}
ROWS: tuple[Row, ...] = tuple(
    row for rows in GROUPS.values() for row in rows
)
CASES = [
    row.case for row in ROWS if row.case is not None
]
