"""The schedules that another is put together of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics.lr_scheduler._schedule import Schedule


def check_schedules(function: str, schedulers: Any) -> tuple[Schedule, ...]:
    parts = tuple(schedulers) if isinstance(schedulers, Sequence) else ()
    strange = [part for part in parts if not isinstance(part, Schedule)]
    if parts and not strange:
        return parts
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.lr_scheduler.{function}(schedulers=...)` must be "
            f"schedules.",
            expected="a list of what step_lr and its like return, at least one",
            got=_tree.describe(strange[0]) if strange else _tree.describe_value(schedulers),
            fix="A reduce_lr_on_plateau cannot be one of them, in PyTorch neither."
            if strange
            else "Put the schedules into a list.",
        )
    )


def find_base(function: str, parts: Sequence[Schedule]) -> Any:
    """The optimizer's base rate once all have been made, in their order."""
    base: Any = None
    has_one_cycle = False
    for leaf in _list_leaves(parts):
        if has_one_cycle and (leaf.base == "replace" or leaf.momentum is not None):
            _refuse_cycles(function)
        has_one_cycle |= leaf.base == "replace"
        if leaf.base == "take" and _is_number(base, leaf.lr) and base != leaf.lr:
            raise ArgumentError(
                explain(
                    f"`functional_ad.torch_semantics.lr_scheduler.{function}(schedulers=...)` "
                    f"must have the learning rate of one optimizer.",
                    expected=f"lr={base!r}, which the schedules before it have left there",
                    got=f"lr={leaf.lr!r}",
                    fix="Make all of them with one `lr`, as they have one optimizer in PyTorch.",
                )
            )
        base = pass_base(base, leaf)
    return base


def pass_base(initial: Any, part: Schedule) -> Any:
    """What is in the optimizer's `initial_lr` after a scheduler was made; None is nothing."""
    for leaf in _list_leaves([part]):
        if initial is None or leaf.base == "replace":
            initial = leaf.lr
    return initial


def _refuse_cycles(function: str) -> None:
    raise ArgumentError(
        explain(
            f"`functional_ad.torch_semantics.lr_scheduler.{function}(schedulers=...)` cannot have "
            f"a schedule that cycles after a `one_cycle_lr`.",
            expected="one of them, or a `cyclic_lr` before the `one_cycle_lr`",
            got="a later one, with which PyTorch overwrites the bounds of the earlier",
            fix="Join two such schedules with `optax.join_schedules`.",
        )
    )


def _list_leaves(parts: Sequence[Schedule]) -> Iterator[Schedule]:
    for part in parts:
        yield from _list_leaves(part.parts) if part.parts else (part,)


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def is_same(a: Any, b: Any) -> bool:
    return a is b or (_is_number(a, b) and a == b)
