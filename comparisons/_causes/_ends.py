"""Functions with another input or another output: what a mistake at either end is undone with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

Change = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class InputsChanged:
    """A function of either framework that gets some leaves of its inputs changed.

    Gradients are with respect to the leaves as they were before.

    Attributes:
        fn: The function.
        change: From the leaves by path to those that are to be others.
    """

    fn: Callable[..., Any]
    change: Callable[[dict[str, Any]], dict[str, Any]]

    def __call__(self, *inputs: Any) -> Any:
        """Runs the function on the changed inputs."""
        pairs, structure = jax.tree_util.tree_flatten_with_path(inputs)
        leaves = {write_path(path): leaf for path, leaf in pairs}
        leaves |= self.change(leaves)
        return self.fn(*jax.tree.unflatten(structure, list(leaves.values())))


@dataclasses.dataclass(frozen=True)
class OutputsChanged:
    """A function some of whose outputs are changed.

    Attributes:
        fn: The function.
        changes: What is done to each leaf, by path.
    """

    fn: Callable[..., Any]
    changes: Mapping[str, Change]

    def __call__(self, *inputs: Any) -> Any:
        """Runs the function and changes its outputs."""

        def change(path: Any, leaf: Any) -> Any:
            return self.changes.get(write_path(path), lambda same: same)(leaf)

        return jax.tree_util.tree_map_with_path(change, self.fn(*inputs))


def write_path(path: Any) -> str:
    """A path as the results write it: ``"0/w"``."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
