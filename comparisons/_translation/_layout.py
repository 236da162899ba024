"""Where the parameters of a live optimizer are in the user's tree, and in which group."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from comparisons._translation._refusal import refuse

Convert = Callable[[dict[str, Any]], Any]
Arrays = Mapping[str, Any]

# Their steps depend on what a matrix is, and not on its numbers alone.
OF_MATRICES: Final = frozenset({"adafactor", "muon"})


@dataclasses.dataclass(frozen=True)
class Layout:
    """The user's tree, and how what PyTorch has by the parameters' names comes into it.

    Attributes:
        tensors: The parameters by their names.
        trained: The names in each group of the optimizer, those that require no gradient left out.
        structure: The user's tree.
        groups: The group of each of its leaves, None if none trains it.
        arrange: Makes its leaves of arrays by the parameters' names.
    """

    tensors: dict[str, Any]
    trained: list[list[str]]
    structure: Any
    groups: list[int | None]
    arrange: Callable[[Arrays], list[Any]]

    def build(self, arrays: Arrays) -> Any:
        """The tree of arrays of the parameters' shapes, by their names."""
        return jax.tree.unflatten(self.structure, [jnp.array(x) for x in self.arrange(arrays)])

    def mask(self, group: int) -> Any:
        """True at the leaves of a group."""
        return jax.tree.unflatten(self.structure, [own == group for own in self.groups])


def find_layout(optimizer: Any, module: Any, convert: Convert | None, name: str) -> Layout:
    """Finds the parameters' names, their groups, and their places in the user's tree.

    Raises:
        ValueError: A parameter has no name or a dtype without a counterpart, or ``convert`` does
            more than to move numbers within a group.
    """
    tensors, members = _name_parameters(optimizer, module)
    _check_dtypes(tensors)
    trained = [[n for n in names if tensors[n].requires_grad] for names in members]
    group_of = {n: number for number, names in enumerate(trained) for n in names}
    names = list(tensors)
    if convert is None:
        tree, structure = jax.tree.flatten(_nest({n: n for n in names}))
        groups = [group_of.get(n) for n in tree]
        return Layout(tensors, trained, structure, groups, lambda xs: [xs[n] for n in tree])
    labels = {n: np.full(tensors[n].shape, i, np.int32) for i, n in enumerate(names)}
    leaves, structure = jax.tree.flatten(convert(_nest(labels)))
    _check_sizes(leaves, labels)
    found = [np.unique(np.asarray(leaf)) for leaf in leaves]
    sets = [{group_of.get(names[i]) for i in indices} for indices in found]
    mixed = [
        ", ".join(repr(names[i]) for i in indices)
        for indices, groups in zip(found, sets, strict=True)
        if len(groups) > 1
    ]
    if mixed:
        raise refuse(
            "(convert=...) must not put parameters of several groups into one leaf.",
            expected="leaves of one of the optimizer's groups each",
            got=mixed,
            fix="Leave them in leaves of their own, as they have options of their own.",
        )
    arrange = _convert_by(convert, structure)
    if name in OF_MATRICES:
        order = [names[indices[0]] for indices in found]
        _check_renamed(name, arrange, order, tensors)
        arrange = _rename_by(order)
    return Layout(tensors, trained, structure, [groups.pop() for groups in sets], arrange)


def _name_parameters(optimizer: Any, module: Any) -> tuple[dict[str, Any], list[list[str]]]:
    """The parameters by name, all that a module has, and the names in each group."""
    groups = optimizer.param_groups
    if module is not None:
        tensors = dict(module.named_parameters())
        name_of = {id(tensor): n for n, tensor in tensors.items()}
        missing = [
            f"parameter {place} of group {number}, of shape {tuple(tensor.shape)}"
            for number, group in enumerate(groups)
            for place, tensor in enumerate(group["params"])
            if id(tensor) not in name_of
        ]
        if missing:
            raise refuse(
                "(module=...) must have the parameters of the optimizer.",
                expected="the module that the optimizer was made for",
                got=missing,
                fix="Leave `module` out to have them by their numbers.",
            )
        return tensors, [[name_of[id(t)] for t in group["params"]] for group in groups]
    members: list[list[str]] = []
    count = 0
    for group in groups:
        numbers = [str(count + i) for i in range(len(group["params"]))]
        members.append(list(group.get("param_names", numbers)))
        count += len(numbers)
    tensors = {
        n: tensor
        for group, names in zip(groups, members, strict=True)
        for n, tensor in zip(names, group["params"], strict=True)
    }
    return tensors, members


def _check_dtypes(tensors: Mapping[str, Any]) -> None:
    for n, tensor in tensors.items():
        dtype = str(tensor.dtype)
        if dtype == "torch.float64" and jnp.result_type(float) != np.float64:
            raise refuse(
                "would round parameters of float64 to float32.",
                expected="jax_enable_x64, or parameters of float32",
                got=f"{n!r}: {dtype}",
                fix='Call `jax.config.update("jax_enable_x64", True)` first.',
            )
        if dtype.startswith("torch.complex"):
            raise refuse(
                "cannot translate the state of complex parameters.",
                expected="real parameters",
                got=f"{n!r}: {dtype}",
                fix="Keep them as two real ones in PyTorch, with `torch.view_as_real`.",
            )


def _check_sizes(leaves: list[Any], labels: Arrays) -> None:
    total = sum(np.size(leaf) for leaf in leaves)
    whole = np.concatenate([np.asarray(leaf).ravel() for leaf in leaves] or [np.zeros(0)])
    counts = np.bincount(whole.astype(np.int64), minlength=len(labels))
    lost = [n for (n, x), count in zip(labels.items(), counts, strict=False) if x.size != count]
    if lost or total != sum(x.size for x in labels.values()):
        raise refuse(
            "(convert=...) must return every number of the parameters once.",
            expected="parameters that are renamed, transposed, reshaped, stacked or split",
            got=[f"{n!r}, with more or fewer numbers than it has" for n in lost]
            or f"{total} numbers",
            fix="Add or leave out parameters after the translation.",
        )


def _check_renamed(
    name: str, arrange: Callable[[Arrays], list[Any]], order: list[str], tensors: Arrays
) -> None:
    """Raises unless each leaf is one parameter as it is."""
    numbers = {n: np.arange(t.numel()).reshape(t.shape) for n, t in tensors.items()}
    changed = [
        n
        for n, leaf in zip(order, arrange(numbers), strict=True)
        if not np.array_equal(np.asarray(leaf), numbers[n])
    ]
    if changed:
        raise refuse(
            f"(convert=...) must not change the shapes of what `{name}` trains.",
            expected="parameters that are renamed only: its steps depend on rows and columns",
            got=[repr(n) for n in changed],
            fix="Keep PyTorch's layout, and transpose where the parameters are used.",
        )


def _convert_by(convert: Convert, structure: Any) -> Callable[[Arrays], list[Any]]:
    def arrange(arrays: Arrays) -> list[Any]:
        leaves, again = jax.tree.flatten(convert(_nest(arrays)))
        if again != structure:
            raise refuse(
                "(convert=...) must return one tree, whatever the numbers are.",
                expected=str(structure),
                got=str(again),
                fix="Let it depend on the names and shapes only.",
            )
        return leaves

    return arrange


def _rename_by(order: list[str]) -> Callable[[Arrays], list[Any]]:
    return lambda arrays: [arrays[n] for n in order]


def _nest(flat: Arrays) -> dict[str, Any]:
    """``{"a.b": x}`` as ``{"a": {"b": x}}``."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = leaf
    return tree
