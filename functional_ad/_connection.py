"""Which leaves have a gradient at all (allow_unused, None gradients)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from functional_ad import _flow, _tree
from functional_ad._leaves import combine, partition


def connected(fun: Callable[..., Any], *args: PyTree) -> PyTree:
    """Says which leaves of the arguments a gradient of ``fun(*args)`` comes back to.

    PyTorch's ``backward`` leaves ``.grad`` None where nothing connects a leaf with the output, and
    ``torch.autograd.grad`` raises, or returns None with ``allow_unused``. JAX returns zeros, which
    look like a gradient: a layer left out by mistake trains to nothing without a word.

    Nothing is computed: the function is traced with shapes and dtypes, and the derivative's program
    is followed from the output's cotangents. A leaf is not connected if it reaches the output
    only through ``stop_gradient``, rounding, comparisons, casts to integers, values of a loop that
    are not used after it, or a rule (``jax.custom_vjp``) that returns zeros for it. So it says more
    than PyTorch, for which rounding connects, with a gradient of zeros. A product with zero
    connects in both.

    Args:
        fun: A function that returns a pytree.
        *args: Its arguments: arrays or ``jax.ShapeDtypeStruct``, and anything else that it takes.

    Returns:
        A tree of Python booleans, like the argument if there is one, else a tuple of such. False at
        leaves that are not floating-point or complex.

    Raises:
        Exception: What JAX raises for a function that cannot be traced or differentiated.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"used": 1.0, "detached": 1.0, "forgotten": 1.0, "step": 3}
        >>> connected(lambda p: p["used"] * jax.lax.stop_gradient(p["detached"]), params)
        {'detached': False, 'forgotten': False, 'step': False, 'used': True}

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    mask = jax.tree.map(_tree.is_differentiable, args)
    diff, rest = partition(args, mask)
    leaves, tree = jax.tree.flatten(diff)
    # Shapes of integers stand for arrays too.
    shapes, others = partition(rest, jax.tree.map(_is_shape, rest))
    given, shapes_tree = jax.tree.flatten(shapes)

    def of_floats(leaves: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        filled = combine(jax.tree.unflatten(shapes_tree, given), others)
        outputs = jax.tree.leaves(fun(*combine(jax.tree.unflatten(tree, leaves), filled)))
        return [leaf for leaf in outputs if _tree.is_differentiable(leaf)]

    try:
        flags = _follow_backward(of_floats, leaves, given)
    except ValueError as error:
        # A loop of unknown length has a derivative in forward mode only.
        try:
            flags = _follow_forward(of_floats, leaves, given)
        except Exception:
            raise error from None
    found = iter(flags)
    result = jax.tree.map(lambda is_float: is_float and next(found), mask)
    return result[0] if len(args) == 1 else result


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


Traced = Callable[[Sequence[Any], Sequence[Any]], list[Any]]
"""A function of the leaves that may be connected, and of other arrays."""


def _follow_backward(fun: Traced, leaves: list[Any], others: list[Any]) -> list[bool]:
    """Which cotangents of the leaves are made from those of the outputs."""

    def pull_back(leaves: list[Any], others: list[Any], cotangents: list[Any]) -> list[Any]:
        _, pullback = jax.vjp(lambda leaves: fun(leaves, others), leaves)
        (grads,) = pullback(cotangents)
        return grads

    cotangents = jax.eval_shape(fun, leaves, others)
    jaxpr = jax.make_jaxpr(pull_back)(leaves, others, cotangents).jaxpr
    ahead = len(leaves) + len(others)
    given = {v: place >= ahead for place, v in enumerate(jaxpr.invars)}
    flags = _flow.find_required(jaxpr.eqns, given | dict.fromkeys(jaxpr.constvars, False))
    return [_flow.read(flags, atom) for atom in jaxpr.outvars]


def _follow_forward(fun: Traced, leaves: list[Any], others: list[Any]) -> list[bool]:
    """Which tangents of the leaves those of the outputs are made from."""

    def push_forward(leaves: list[Any], others: list[Any], tangents: list[Any]) -> list[Any]:
        return jax.jvp(lambda leaves: fun(leaves, others), (leaves,), (tangents,))[1]

    jaxpr = jax.make_jaxpr(push_forward)(leaves, others, leaves).jaxpr
    ahead = len(leaves) + len(others)
    given = {v: place >= ahead for place, v in enumerate(jaxpr.invars)}
    flags = _flow.find_required(jaxpr.eqns, given | dict.fromkeys(jaxpr.constvars, False))
    reached = _flow.find_reached(jaxpr.eqns, flags, jaxpr.outvars)
    return [reached[variable] for variable in jaxpr.invars[ahead:]]
