"""What the tools that are used otherwise say of the same pair, with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import torch

from comparisons._trees import Leaves

ASSERT_CLOSE = "torch.testing.assert_close"
ASSERT_ALLCLOSE = "numpy.testing.assert_allclose"
CHECK_GRADS = "jax.test_util.check_grads"


def ask_assert_close(ours: Leaves, theirs: Leaves) -> bool:
    """Whether torch.testing.assert_close objects to some leaf."""
    return any(
        _objects(torch.testing.assert_close, _to_tensor(ours[path]), _to_tensor(theirs[path]))
        for path in theirs
    )


def ask_assert_allclose(ours: Leaves, theirs: Leaves) -> bool:
    """Whether numpy.testing.assert_allclose objects to some leaf."""
    return any(
        _objects(np.testing.assert_allclose, _to_standard(ours[path]), _to_standard(theirs[path]))
        for path in theirs
    )


def ask_check_grads(fun: Callable[..., Any], inputs: tuple[Any, ...]) -> bool:
    """Whether jax.test_util.check_grads objects to the gradients of the JAX side.

    To the first order, in both modes, at the working dtype. What is no floating-point number is
    left as it is.
    """
    leaves, structure = jax.tree.flatten(inputs)
    places = [i for i, leaf in enumerate(leaves) if _is_inexact(leaf)]

    def of_inexact(*inexact: Any) -> Any:
        given = [*leaves]
        for place, leaf in zip(places, inexact, strict=True):
            given[place] = leaf
        outputs = jax.tree.leaves(fun(*jax.tree.unflatten(structure, given)))
        return [leaf for leaf in outputs if _is_inexact(leaf)]

    arguments = tuple(jnp.asarray(leaves[place]) for place in places)
    return _objects(jax.test_util.check_grads, of_inexact, arguments, 1)


def _is_inexact(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def _objects(check: Callable[..., None], *args: Any) -> bool:
    try:
        with np.errstate(all="ignore"):
            check(*args)
    except AssertionError:
        return True
    return False


def _to_tensor(array: Any) -> torch.Tensor:
    """A tensor of the same dtype, which NumPy lacks if it is bfloat16."""
    if array.dtype.name == "bfloat16":
        return torch.tensor(array.astype(np.float32)).to(torch.bfloat16)
    return torch.tensor(array)


def _to_standard(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
