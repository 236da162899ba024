"""What the tests of the cases share: a wrong output planted in each place of a case in turn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from comparisons._trial import Trial


def damage(leaf):
    """The least of a porting mistake: a sign, a flag, a count."""
    leaf = jnp.asarray(leaf)
    if leaf.dtype == jnp.bool_:
        return ~leaf
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        return leaf + 1
    return jnp.where(leaf == 0, 1, -leaf).astype(leaf.dtype)


@pytest.fixture(scope="session")
def find_unnoticed():
    """The outputs of a case's JAX side, by position, that can be wrong and no leaf fails.

    The PyTorch side runs once for all, and the verdicts are the referee's: why a leaf differs is
    asked in other tests, and takes most of the time of a failure.
    """

    def find(case):
        trial = Trial(case, case.dtype)
        count = len(jax.tree.leaves(case.jax(*jax.tree.map(jnp.asarray, case.inputs))))
        assert count
        unnoticed = []
        for position in range(count):

            def damaged(*args, position=position):
                leaves, tree = jax.tree.flatten(case.jax(*args))
                leaves[position] = damage(leaves[position])
                return jax.tree.unflatten(tree, leaves)

            with np.errstate(all="ignore"):
                leaves = trial.change(dataclasses.replace(case, jax=damaged)).judge()
            if not any(leaf.outcome == "fail" for leaf in leaves):
                unnoticed.append(position)
        return unnoticed

    return find
