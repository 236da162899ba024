"""The state of a live optimizer, in the places that it has in the state of the one here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from comparisons._translation._layout import Layout
from comparisons._translation._refusal import is_of, refuse
from functional_ad.torch_semantics.optim._lbfgs_state import write_lbfgs_state
from functional_ad.torch_semantics.optim._slots import SLOTS, write_state

Entries = Mapping[str, Mapping[str, Any]]
"""The state of each parameter of a group, by the parameters' names."""


def read_entries(optimizer: Any, layout: Layout, group: int) -> Entries:
    """What an optimizer keeps of the parameters of a group.

    Raises:
        ValueError: It keeps something of some and nothing of the others.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    for name in layout.trained[group]:
        state = optimizer.state.get(layout.tensors[name], {})
        entries[name] = {key: value for key, value in state.items() if value is not None}
    idle = [name for name, entry in entries.items() if not entry]
    if idle and len(idle) < len(entries) and not is_of(optimizer, "torch.optim", ["LBFGS"]):
        raise refuse(
            "cannot translate a group of which some parameters never had a gradient.",
            expected="parameters that made the same updates",
            got=[repr(name) for name in idle],
            fix="Call `requires_grad_(False)` on what has no part in the loss.",
        )
    return entries


def count_updates(entries: Entries) -> int:
    """What the state here is to count: the updates, or 1 for any where PyTorch does not count them.

    L-BFGS, which only a schedule makes count its steps, begins at 0.
    """
    first = next(iter(entries.values()), {})
    counts = "step" in first or "n_iter" in first
    return int(first.get("step", 0)) if counts else int(bool(first))


def fill_state(name: str, state: Any, entries: Entries, layout: Layout, group: int | None) -> Any:
    """The state of the optimizer `name`, as its ``init`` makes it, with PyTorch's numbers.

    Args:
        name: The function of `optim`.
        state: The state, of one group alone.
        entries: What PyTorch's keeps of the group.
        layout: The user's tree.
        group: The number of the group, None if it has all leaves.

    Returns:
        The state to go on with.
    """
    slots = SLOTS[name]
    values: dict[str, Any] = {}
    for key in dict.fromkeys(key for entry in entries.values() for key in entry):
        own = {n: to_numpy(entry.get(key)) for n, entry in entries.items()}
        shared = key in slots and slots[key].shared
        values[key] = own if shared else _place(own, layout, group)
    count = None if "step" in values else count_updates(entries)
    return write_state(slots, state, values, count=count)


def _place(own: Mapping[str, Any], layout: Layout, group: int | None) -> Any:
    """The tree of one entry, in which the leaves of other groups are left out."""
    others = {n: np.zeros(t.shape) for n, t in layout.tensors.items() if n not in own}
    leaves = layout.arrange({**others, **own})
    masked = [
        leaf if group is None or owner == group else optax.MaskedNode()
        for leaf, owner in zip(leaves, layout.groups, strict=True)
    ]
    return jax.tree.unflatten(layout.structure, masked)


def fill_lbfgs(state: Any, entry: Mapping[str, Any], layout: Layout) -> Any:
    """The state of L-BFGS, which PyTorch keeps with the first parameter, in flat vectors."""

    def build(flat: Any) -> Any:
        return layout.build(_split(flat, layout))

    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key in ("d", "prev_flat_grad"):
            values[key] = build(value)
        elif key in ("old_dirs", "old_stps"):
            values[key] = [build(flat) for flat in value]
        elif value is not None:
            values[key] = jax.tree.map(to_numpy, value)
    return write_lbfgs_state(state, values)


def _split(flat: Any, layout: Layout) -> dict[str, Any]:
    """PyTorch's flat vector by the parameters' names, in the order of the optimizer's."""
    arrays: dict[str, Any] = {}
    numbers, begin = to_numpy(flat), 0
    for name in layout.trained[0]:
        shape = tuple(layout.tensors[name].shape)
        end = begin + int(np.prod(shape))
        arrays[name] = numbers[begin:end].reshape(shape)
        begin = end
    return arrays


def to_numpy(value: Any) -> Any:
    """A tensor as a NumPy array of its own; anything else as it is."""
    from comparisons._backends import torch as backend

    return backend.to_numpy(value)
