"""Where torch.optim's state is in the state of the optimizers here, as data.

`SLOTS[name][key]` says for the optimizer `name` ("sgd") where the entry `key` of PyTorch's
``optimizer.state[param]`` ("momentum_buffer") is: in which field of the NamedTuples that its state
is made of. Each new optimizer adds its row.

To go on from a live optimizer of PyTorch: make the transform with its options, take
``state = transform.init(params)``, and put PyTorch's numbers in with ``write_state``. An entry that
PyTorch has not made yet is left out of the values, and stays as ``init`` made it: PyTorch makes its
state in the first step, and what ``init`` makes is what that step begins with. PyTorch's SGD counts
no steps, so pass ``count=``: 0 before the first step; after it any other, or that of the schedule.

With `param_groups`, do so group by group, with ``state.inner_states["0"].inner_state`` and so on.
Leaves of complex dtypes are two real ones in the state, and are not read or written here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from functional_ad._errors import ArgumentError, explain


def _keep(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where an entry of PyTorch's state is here.

    Attributes:
        field: The name of the field, of a NamedTuple anywhere in the state.
        shared: Whether it is one scalar here, where PyTorch has one for each parameter.
        optional: Whether a state may lack it, and nothing is lost: PyTorch counts steps also where
            nothing depends on their number.
        to_torch: Makes PyTorch's entry of a leaf of the field.
        from_torch: Makes the leaf of PyTorch's entry.
    """

    field: str
    shared: bool = False
    optional: bool = False
    to_torch: Callable[[Any], Any] = _keep
    from_torch: Callable[[Any], Any] = _keep


_ADAM: Final = {
    "step": Slot("count", shared=True),
    "exp_avg": Slot("mu"),
    "exp_avg_sq": Slot("nu"),
}

_STEP: Final = Slot("count", shared=True, optional=True)

SLOTS: Final[Mapping[str, Mapping[str, Slot]]] = {
    "sgd": {"momentum_buffer": Slot("trace")},
    "adam": {**_ADAM, "max_exp_avg_sq": Slot("nu_max")},
    "adamw": {**_ADAM, "max_exp_avg_sq": Slot("nu_max")},
    "adamax": {"step": _ADAM["step"], "exp_avg": Slot("mu"), "exp_inf": Slot("nu")},
    "nadam": {**_ADAM, "mu_product": Slot("mu_product", shared=True)},
    "radam": _ADAM,
    "rmsprop": {
        "step": _STEP,
        "square_avg": Slot("nu"),
        "momentum_buffer": Slot("trace"),
        "grad_avg": Slot("mu"),
    },
    "adagrad": {"step": _STEP, "sum": Slot("sum_of_squares")},
    "adadelta": {"step": _STEP, "square_avg": Slot("e_g"), "acc_delta": Slot("e_x")},
    "rprop": {"step": _STEP, "prev": Slot("prev_updates"), "step_size": Slot("step_sizes")},
    "asgd": {
        "step": Slot("count", shared=True),
        "eta": Slot("eta", shared=True),
        "mu": Slot("mu", shared=True),
        "ax": Slot("ax"),
    },
    "adafactor": {
        "step": Slot("count", shared=True),
        "row_var": Slot("row_var"),
        "col_var": Slot("col_var"),
        "variance": Slot("variance"),
    },
    "muon": {"momentum_buffer": Slot("momentum_buffer")},
}


def read_state(slots: Mapping[str, Slot], state: PyTree, params: PyTree) -> dict[str, PyTree]:
    """Reads a state under PyTorch's names.

    Args:
        slots: A row of ``SLOTS``.
        state: The state of that optimizer.
        params: The parameters, for their tree.

    Returns:
        By PyTorch's name, a tree like the parameters'. What the state lacks, such as the momentum
        of an optimizer without one, is left out.
    """
    values = {}
    for name, slot in slots.items():
        found = optax.tree.get_all_with_path(state, slot.field, _is_field)
        if found:
            value = found[0][1]
            leaves = jax.tree.map(lambda _, value=value: value, params) if slot.shared else value
            values[name] = jax.tree.map(slot.to_torch, leaves)
    return values


def write_state(
    slots: Mapping[str, Slot],
    state: PyTree,
    values: Mapping[str, PyTree],
    *,
    count: int | None = None,
) -> PyTree:
    """Puts PyTorch's numbers into a state, in the dtypes that it has.

    Args:
        slots: A row of ``SLOTS``.
        state: The state of that optimizer, as its ``init`` makes it.
        values: By PyTorch's name, a tree like the parameters', with None where a parameter has no
            such entry. What is left out stays as it is.
        count: The number of steps, for an optimizer that PyTorch does not count them of.

    Returns:
        The new state.

    Raises:
        ArgumentError: The state has no such entry, or PyTorch's parameters differ in what they
            share here.
    """
    fields: dict[str, PyTree] = {} if count is None else {"count": jnp.asarray(count, jnp.int32)}
    for name, value in values.items():
        slot = slots.get(name)
        found = slot and optax.tree.get_all_with_path(state, slot.field, _is_field)
        if slot and slot.optional and not found:
            continue
        if not slot or not found:
            raise ArgumentError(
                explain(
                    "PyTorch's state has an entry that this optimizer's state has no place for.",
                    expected=" or ".join(repr(key) for key in slots),
                    got=repr(name),
                    fix="Make the optimizer with the options that PyTorch's has.",
                )
            )
        new = jax.tree.map(slot.from_torch, value)
        new = _share(name, new) if slot.shared else new
        fields[slot.field] = jax.tree.map(
            lambda x, old: jnp.asarray(x, jnp.result_type(old)), new, found[0][1]
        )
    if "count" in fields and not optax.tree.get_all_with_path(state, "count", _is_field):
        del fields["count"]
    return optax.tree.set(state, _is_field, **fields) if fields else state


def _is_field(path: Any, value: Any) -> bool:
    """Whether it is a NamedTuple's field, and not a parameter's name."""
    del value
    return isinstance(path[-1], optax.tree_utils.NamedTupleKey)


def _share(name: str, tree: PyTree) -> Any:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    if all(leaf == leaves[0] for leaf in leaves):
        return leaves[0]
    raise ArgumentError(
        explain(
            f"PyTorch's {name!r} must be one for all parameters of a group.",
            expected="parameters that made the same steps",
            got=", ".join(sorted({str(leaf) for leaf in leaves})),
            fix="Put parameters that were skipped in some steps into a group of their own.",
        )
    )
