"""What L-BFGS carries from step to step, and how PyTorch's state becomes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics.optim._curvature import Curvature


class LBFGSState(NamedTuple):
    """The state of ``lbfgs``, with PyTorch's names.

    Attributes:
        count: How many times ``step`` was called, an int32 scalar.
        func_evals: How many times the loss was evaluated in all.
        n_iter: How many iterations there were in all.
        d: The last direction, a tree like the trained leaves; in PyTorch one flat vector.
        t: The last step length.
        prev_flat_grad: The gradient where that step began, a tree.
        prev_loss: The loss there.
        curvature: The pairs that directions are made of.
    """

    count: Any
    func_evals: Any
    n_iter: Any
    d: PyTree
    t: Any
    prev_flat_grad: PyTree
    prev_loss: Any
    curvature: Curvature


def write_lbfgs_state(
    state: LBFGSState, values: Mapping[str, Any], *, count: int = 0
) -> LBFGSState:
    """Puts PyTorch's numbers into a state, in the dtypes that it has.

    Args:
        state: What ``lbfgs(...).init(params)`` makes.
        values: The state that PyTorch keeps with the first parameter, by its names, with a tree
            like the trained leaves in place of each flat vector: ``d``, ``prev_flat_grad``, and
            each one in the lists ``old_dirs`` and ``old_stps``. What is left out stays as it is, so
            a state that has made no iteration is written, too; ``al``, which PyTorch reuses as
            memory, is not looked at.
        count: How many times ``step`` was called, which PyTorch does not count.

    Returns:
        The state with which the next step is PyTorch's.

    Raises:
        ArgumentError: There are more pairs than the state has places for.
    """
    pairs, places = len(values.get("ro", ())), len(state.curvature.ro)
    if pairs > places:
        raise ArgumentError(
            explain(
                "PyTorch's L-BFGS has more pairs than this state has places for.",
                expected=f"at most {places}",
                got=str(pairs),
                fix=f"Make it with `lbfgs(history_size={pairs})` or more, as PyTorch's was.",
            )
        )

    def put(name: str, old: PyTree) -> PyTree:
        return _cast(values[name], old) if name in values else old

    def fill(name: str, memory: PyTree) -> PyTree:
        return _fill(values.get(name, ()), memory)

    curvature = state.curvature
    return LBFGSState(
        count=jnp.asarray(count, jnp.int32),
        func_evals=put("func_evals", state.func_evals),
        n_iter=put("n_iter", state.n_iter),
        d=put("d", state.d),
        t=put("t", state.t),
        prev_flat_grad=put("prev_flat_grad", state.prev_flat_grad),
        prev_loss=put("prev_loss", state.prev_loss),
        curvature=Curvature(
            old_dirs=fill("old_dirs", curvature.old_dirs),
            old_stps=fill("old_stps", curvature.old_stps),
            ro=fill("ro", curvature.ro),
            num_pairs=jnp.asarray(pairs, jnp.int32),
            h_diag=put("H_diag", curvature.h_diag),
        ),
    )


def _cast(tree: PyTree, like: PyTree) -> PyTree:
    return jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), tree, like)


def _fill(pairs: Sequence[PyTree], memory: PyTree) -> PyTree:
    """The memory with the pairs in its first places, the oldest first."""

    def put(old: jax.Array, *new: Any) -> jax.Array:
        filled = np.array(old)
        for place, x in enumerate(new):
            filled[place] = x
        return jnp.asarray(filled)

    return jax.tree.map(put, memory, *pairs)
