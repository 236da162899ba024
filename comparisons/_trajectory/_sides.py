"""One training step of one side, from flat NumPy states to flat NumPy states."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import numpy as np

from comparisons import _trees
from comparisons._backends import jax as jax_side
from comparisons._backends import torch as torch_side
from comparisons._trees import Leaves


class Stepped(NamedTuple):
    """What one step gave: the new state and whatever else the step returned."""

    state: Leaves
    aux: Leaves


class Frame:
    """The tree that all states have, whichever side made them."""

    def __init__(self, state: Any):
        self.leaves: Leaves = _trees.flatten(state)
        self.structure = jax.tree.structure(state)

    def build(self, leaves: Leaves) -> Any:
        """The tree with these leaves."""
        return jax.tree.unflatten(self.structure, [leaves[path] for path in self.leaves])


class Side:
    """The step function of one framework, at either dtype, from whatever state it is given.

    Attributes:
        name: The framework's.
        fn: The step function.
    """

    def __init__(self, name: str, fn: Callable[..., Any], frame: Frame):
        self.name, self.fn, self._frame = name, fn, frame

    def step(self, state: Leaves, batch: Any, dtype: str, number: int) -> Stepped:
        """One step; an exception gets a note that says which side it was, the dtype and the step.

        The function gets arrays of its own, which it may change or donate.
        """
        try:
            with self._enter(dtype):
                output = self.fn(*self._convert((self._frame.build(state), batch)))
                if not isinstance(output, tuple) or len(output) != 2:
                    raise TypeError(
                        f"A training step must return a pair.\n  expected: (state, aux)\n"
                        f"  got:      {type(output).__name__}\n"
                        f"Where there is nothing beside the state, return (state, {{}})."
                    )
                stepped = Stepped(*(self._read(tree, dtype) for tree in output))
            self._check_state(state, stepped.state)
        except (Exception, SystemExit) as error:
            error.add_note(f"{self.name} side, at {dtype}, step {number}")
            raise
        return stepped

    def _enter(self, dtype: str) -> AbstractContextManager[None]:
        if self.name == "JAX":
            return jax_side.session(dtype)
        return torch_side.session(torch_side.DTYPES[dtype])

    def _convert(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (
            jax_side.from_numpy(inputs) if self.name == "JAX" else torch_side.from_numpy(inputs)[0]
        )

    def _read(self, tree: Any, dtype: str) -> Leaves:
        # What torch.max(x, 0) returns is a tuple to Python, but a leaf to JAX.
        tree = _trees.map_leaves(
            lambda leaf: tuple(leaf) if isinstance(leaf, tuple) else leaf, tree
        )
        return {
            path: _trees.to_array(self.name, path, torch_side.to_numpy(leaf), dtype)
            for path, leaf in _trees.flatten(tree).items()
        }

    def _check_state(self, before: Leaves, after: Leaves) -> None:
        expected, got = (
            {path: np.shape(leaf) for path, leaf in state.items()} for state in (before, after)
        )
        if got != expected:
            paths = [p for p in {**expected, **got} if expected.get(p) != got.get(p)]
            raise ValueError(
                f"A training step must return a state like the one it got, which is the next "
                f"step's.\n"
                f"  expected: {_describe(expected, paths)}\n  got:      {_describe(got, paths)}\n"
                f"Return what is to be compared but not carried on in `aux`."
            )


def _describe(shapes: dict[str, tuple[int, ...]], paths: list[str]) -> str:
    shown = [f"{path or '(state)'} {shapes.get(path, 'missing')}" for path in paths[:4]]
    return ", ".join(shown) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
