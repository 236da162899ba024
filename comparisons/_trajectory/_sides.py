"""One training step of one side, from flat NumPy states to flat NumPy states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from comparisons import _trees
from comparisons._trees import Leaves


class Stepped(NamedTuple):
    """What one step gave: the new state and whatever else the step returned."""

    state: Leaves
    aux: Leaves


class Frame:
    """The tree that all states have, whichever side made them."""

    def __init__(self, state: Any):
        import jax

        self.leaves: Leaves = _trees.flatten(state)
        self.structure = jax.tree.structure(state)

    def build(self, leaves: Leaves) -> Any:
        """The tree with these leaves."""
        import jax

        return jax.tree.unflatten(self.structure, [leaves[path] for path in self.leaves])


class Side:
    """The step function of one framework, at either dtype, from whatever state it is given."""

    def __init__(self, backend: Any, fn: Callable[..., Any], frame: Frame):
        self._backend, self._fn, self._frame = backend, fn, frame

    def step(self, state: Leaves, batch: Any, dtype: str, number: int) -> Stepped:
        """One step; an exception gets a note that says which side it was, the dtype and the step.

        The function gets arrays of its own, which it may change or donate.
        """
        try:
            with self._backend.session(dtype):
                arrays = self._backend.from_numpy(self._frame.build(state))
                output = self._fn(arrays, self._backend.from_numpy(batch))
                if not isinstance(output, tuple) or len(output) != 2:
                    raise TypeError(
                        f"A training step must return a pair.\n  expected: (state, aux)\n"
                        f"  got:      {type(output).__name__}\n"
                        f"Where there is nothing beside the state, return (state, {{}})."
                    )
                stepped = Stepped(*(self._read(tree, dtype) for tree in output))
            self._check_state(state, stepped.state)
        except (Exception, SystemExit) as error:
            error.add_note(f"{self._backend.name} side, at {dtype}, step {number}")
            raise
        return stepped

    def _read(self, tree: Any, dtype: str) -> Leaves:
        leaves = _trees.flatten(self._backend.to_numpy(tree))
        return {
            path: _trees.to_array(self._backend.name, path, leaf, dtype)
            for path, leaf in leaves.items()
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
