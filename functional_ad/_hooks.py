"""Functions of the gradient on its way back: grad_hook, scale_grad (register_hook)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._compat import pull_only
from functional_ad._errors import ArgumentError, CotangentError, PrimitiveError, explain
from functional_ad._fitting import find_misfit, take_floats
from functional_ad._linearity import is_linear


def grad_hook(x: PyTree, fn: Callable[[PyTree], PyTree]) -> PyTree:
    """Returns ``x``; the gradient that comes back to it goes through ``fn``.

    PyTorch's ``Tensor.register_hook``, which marks a tensor in place: here it is the value that is
    returned that has the hook, so use that one. As in PyTorch, ``fn`` acts again in derivatives of
    derivatives, on each gradient that goes through this place, and not at all where none comes
    back. In PyTorch a hook that returns None leaves the gradient as it is; here that is an error,
    so that a missing ``return`` shows.

    ``fn`` is traced when ``grad_hook`` is called, so its shapes are checked there even if no
    gradient is ever taken. It may use any values at hand, traced ones too, but not look at numbers
    from Python: print with ``jax.debug.print``. Under ``jax.vmap`` it gets one example's gradient,
    or, of an ``x`` that all examples share, the sum of theirs.

    Reverse mode works with any ``fn``. Forward mode (``jax.jvp``, and so ``jax.hessian``) needs one
    that is linear and prints nothing: sums, products with constants, masks, matrix products, and
    what only moves numbers about (not ``jnp.take``, which puts NaN where there is nothing to take,
    but ``g[indices]``). The tangent then goes through its transpose.

    Args:
        x: A pytree with at least one floating-point or complex leaf.
        fn: Gets the cotangent of ``x``, a tree like it with None at leaves that are not
            floating-point or complex, and returns one of the same tree, shapes and dtypes.

    Returns:
        ``x``, bit for bit.

    Raises:
        CotangentError: ``fn`` returns None, or another tree, shape or dtype.
        ArgumentError: ``fn`` is no function, or ``x`` has no floating-point or complex leaf.
        PrimitiveError: In forward mode, and only there: ``fn`` is not known to be linear.

    Example:
        >>> clip = lambda g: jnp.clip(g, -1.0, 1.0)
        >>> print(jax.grad(lambda x: jnp.sum(grad_hook(x, clip) ** 3))(jnp.array([0.5, 2.0])))
        [0.75 1.  ]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
        https://docs.jax.dev/en/latest/notebooks/Custom_derivative_rules_for_Python_code.html
    """
    leaves, treedef = jax.tree.flatten(x)
    places = [i for i, leaf in enumerate(leaves) if _tree.is_differentiable(leaf)]
    _check_hook(x, fn, places)
    floats = [jnp.asarray(leaves[i]) for i in places]

    def call(cotangents: list[Any]) -> list[Any]:
        filled = dict(zip(places, cotangents, strict=True))
        tree = jax.tree.unflatten(treedef, [filled.get(i) for i in range(len(leaves))])
        returned = fn(tree)
        if returned is None:
            raise CotangentError(
                explain(
                    "What `functional_ad.grad_hook(fn=...)` returns must not be None.",
                    expected="a tree like the cotangent that it gets",
                    got="None",
                    fix="Return the cotangent at the end of `fn`, changed or not.",
                )
            )
        misfit = find_misfit(
            x,
            returned,
            argument="What `functional_ad.grad_hook(fn=...)` returns",
            whole="the cotangent that it gets",
            name="cotangent",
        )
        if misfit:
            raise CotangentError(explain(**misfit))
        return take_floats(x, returned)

    program = jax.make_jaxpr(call)(floats)
    filled = dict(zip(places, _attach(program, floats), strict=True))
    return jax.tree.unflatten(treedef, [filled.get(i, leaf) for i, leaf in enumerate(leaves)])


def scale_grad(x: PyTree, scale: Any) -> PyTree:
    """Returns ``x``; the gradient that comes back to it is multiplied by ``scale``.

    PyTorch's ``x.register_hook(lambda grad: scale * grad)``, or the autograd functions that are
    written for it. With -1 it is the gradient reversal layer of domain-adversarial training. It is
    ``grad_hook`` with a linear ``fn``, so it goes through every transformation, forward mode
    included.

    Args:
        x: A pytree. Leaves that are not floating-point or complex are left alone.
        scale: A real number, or a real scalar array, which may be traced. It is a constant: no
            gradient goes to it.

    Returns:
        ``x``, bit for bit.

    Raises:
        ArgumentError: ``scale`` is not a real scalar.

    Example:
        >>> float(jax.grad(lambda x: scale_grad(x, -1) ** 2)(3.0))
        -6.0

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
        https://arxiv.org/abs/1505.07818
    """
    if isinstance(scale, int) and not isinstance(scale, bool):
        scale = float(scale)  # it may be above what an array of integers holds
    _check_scale(scale)

    def attach(leaf: Any) -> Any:
        return _scale(leaf, scale) if _tree.is_differentiable(leaf) else leaf

    return jax.tree.map(attach, x)


@jax.custom_jvp
def _scale(x: Any, scale: Any) -> Any:
    del scale
    return jnp.asarray(x)


@_scale.defjvp
def _scale_tangent(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    # Called anew for the value, so that a derivative of this derivative is scaled, too.
    (x, scale), (tangent, _) = primals, tangents
    tangent = jnp.asarray(tangent)  # it may be a Python float
    return _scale(x, scale), tangent * jnp.asarray(scale).astype(tangent.dtype)


def _attach(program: ClosedJaxpr, floats: list[Any]) -> list[Any]:
    """The values, with a derivative rule that takes cotangents through the program."""
    linear = is_linear(program)

    def pull(constants: list[Any], cotangents: list[Any]) -> list[Any]:
        return [*map(jnp.asarray, jaxpr_as_fun(ClosedJaxpr(program.jaxpr, constants))(*cotangents))]

    # What the hook closes over are arguments: a rule must not hold values of another trace.
    @jax.custom_jvp
    def attached(floats: list[Any], constants: list[Any]) -> list[Any]:
        del constants
        return floats if linear else jax.jit(backward_only)(floats)

    def push(primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        (floats, constants), (given, _) = primals, tangents
        values = attached(floats, constants)
        if all(isinstance(tangent, SymbolicZero) for tangent in given):
            return values, [jnp.zeros_like(value) for value in floats]
        pushed = [
            jnp.zeros_like(value) if isinstance(tangent, SymbolicZero) else jnp.asarray(tangent)
            for value, tangent in zip(floats, given, strict=True)
        ]
        if linear:
            (pushed,) = jax.linear_transpose(lambda cts: pull(constants, cts), floats)(pushed)
        else:
            pushed = pull_only(pull, constants, pushed, _refuse_forward)
        return values, pushed

    # Nothing comes back to values that depend on nothing, whatever the constants depend on.
    attached.defjvp(push, symbolic_zeros=True)
    return attached(floats, list(program.consts))


def backward_only(floats: list[Any]) -> list[Any]:
    """The values as they are; `jacobian` sees by the name in a program where not to go forward."""
    return floats


def _refuse_forward() -> NoReturn:
    raise PrimitiveError(
        explain(
            "`functional_ad.grad_hook(fn=...)` must be linear to be used in forward mode.",
            expected="sums, products with constants, masks, matrix products, reshapes",
            got="an operation that is none of these, an added constant, or a print",
            fix="Take the derivative in reverse mode (`jax.grad`, `jax.vjp`), twice for a second "
            "derivative; to only scale a gradient, use `functional_ad.scale_grad`.",
        )
    )


def _check_hook(x: PyTree, fn: object, places: list[int]) -> None:
    if not callable(fn):
        raise ArgumentError(
            explain(
                "`functional_ad.grad_hook(fn=...)` must be a function of the cotangent.",
                expected="a function that returns the cotangent to go on with",
                got=_tree.describe_value(fn),
                fix="Write `grad_hook(x, lambda g: ...)`.",
            )
        )
    if not places:
        raise ArgumentError(
            explain(
                "`functional_ad.grad_hook(x)` must have a leaf that a gradient can come back to.",
                expected="at least one floating-point or complex leaf",
                got=[_tree.name_leaf(*pair) for pair in _tree.flatten_paths(x)]
                or "a tree with no leaves",
                fix="Hook a floating-point value.",
            )
        )


def _check_scale(scale: Any) -> None:
    real = isinstance(scale, int | float | np.ndarray | np.generic | jax.Array)
    if real and not isinstance(scale, bool) and np.shape(scale) == ():
        dtype = jax.typeof(scale).dtype
        if jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer):
            return
    raise ArgumentError(
        explain(
            "`functional_ad.scale_grad(scale=...)` must be a real scalar.",
            expected="a number, or an array of shape ()",
            got=_tree.describe(scale) if np.shape(scale) else _tree.describe_value(scale),
            fix="To scale by an array, use `functional_ad.grad_hook(x, lambda g: scale * g)`.",
        )
    )
