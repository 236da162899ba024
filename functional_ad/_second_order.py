"""Jacobians and Hessians in bounded memory, and products with them (jacrev, hessian, hvp)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from functional_ad._control import require_grad_enabled
from functional_ad._errors import ArgumentError, explain
from functional_ad._fitting import take_fitting
from functional_ad._gradients import check_loss
from functional_ad._jacobian import Mode, make_jacobian, split_floats
from functional_ad._leaves import combine, partition, select_for


def jacobian(
    fun: Callable[..., Any],
    *,
    argnums: int | Sequence[int] = 0,
    mode: Mode = "auto",
    chunk_size: int | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Makes a function that returns the derivative of every output for every input.

    PyTorch's ``torch.func.jacrev(chunk_size=...)`` and ``jacfwd``. It stands in for ``jax.jacrev``
    (with ``mode="fwd"``, ``jax.jacfwd``): the same trees and shapes, and without ``chunk_size`` the
    same arithmetic. Those compute all rows at once, so each value between input and output is held
    once for every output. With ``chunk_size`` the rows are computed that many at a time, in one
    loop. Then little is held beside the result, if that is one array; the blocks of a tree are cut
    out of one array at the end, which holds them twice for that moment.

    Leaves that are not floating-point or complex, of the argument and of the output, have None
    where JAX raises. As in JAX, reverse mode needs real outputs and forward mode real arguments.

    Args:
        fun: A function from pytrees to a pytree; returns ``(output, aux)`` if ``has_aux``.
        argnums: Position of the argument to differentiate, or several.
        mode: ``"rev"`` takes one pass backward for each element of the output, ``"fwd"`` one
            forward for each of the argument. ``"auto"`` takes the fewer: forward if the
            floating-point leaves of the argument have fewer elements than those of the output,
            else reverse. It takes reverse all the same if the argument is complex, if ``fun`` has
            functions with ``jax.custom_vjp`` or a ``grad_hook`` that is not linear (which have no
            forward mode), or if Python looks at its numbers so that it cannot be traced; and
            forward if the output is complex. To find out, it traces ``fun`` once or twice more.
        chunk_size: At most how many rows (in forward mode columns) to compute at a time; None means
            all. What is held grows with it, the time shrinks until the machine is busy: 32 is
            plenty on a CPU. The parts are of one size, so a few rows may be computed twice.
        has_aux: Whether ``fun`` returns a pair of the output and anything else.

    Returns:
        A function with the arguments of ``fun`` that returns the Jacobian, or ``(jacobian, aux)``.
        The Jacobian has the tree of the output, and at each leaf the tree of the argument (a tuple
        of them for several ``argnums``). A leaf has the shape of its output followed by that of its
        input. Its dtype is the input's, in forward mode the output's, as in JAX; ``"auto"`` gives
        a real leaf the input's in any case.

    Raises:
        ArgumentError: ``argnums``, ``mode`` or ``chunk_size`` is of no use.
        SelectionError: No leaf of the argument is floating-point or complex.
        OutputError: No leaf of the output is, or the mode cannot have complex ones; or the output
            is no pair though ``has_aux`` is set.
        GradModeError: Gradients are off.

    Example:
        >>> import jax.numpy as jnp
        >>> scale = lambda p, x: p["w"] * x
        >>> j = jacobian(scale, chunk_size=2)({"w": jnp.arange(3.0), "step": 7}, jnp.ones(3))
        >>> print(j["w"], j["step"])
        [[1. 0. 0.]
         [0. 1. 0.]
         [0. 0. 1.]] None

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.func.jacrev.html
        https://docs.jax.dev/en/latest/_autosummary/jax.jacrev.html
    """
    return make_jacobian("jacobian", fun, argnums, mode, chunk_size, has_aux)


def hessian(
    fun: Callable[..., Any],
    *,
    argnums: int | Sequence[int] = 0,
    chunk_size: int | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Makes a function that returns the second derivatives of every output.

    PyTorch's ``torch.func.hessian``, which has no ``chunk_size``. It stands in for ``jax.hessian``:
    forward over reverse, the same trees and shapes, and without ``chunk_size`` the same arithmetic.
    With it, the columns are computed that many at a time, as by ``jacobian``.

    Args:
        fun: A function from pytrees to a pytree, mostly to a scalar; returns ``(output, aux)`` if
            ``has_aux``.
        argnums: Position of the argument to differentiate, or several.
        chunk_size: At most how many columns to compute at a time; None means all.
        has_aux: Whether ``fun`` returns a pair of the output and anything else.

    Returns:
        A function with the arguments of ``fun`` that returns the Hessian, or ``(hessian, aux)``.
        It has the tree of the output, at each leaf the tree of the argument, and at each of its
        leaves that tree again; None at leaves that are not floating-point or complex.

    Raises:
        ArgumentError, SelectionError, OutputError, GradModeError: As ``jacobian``; arguments and
            outputs must be real.

    Example:
        >>> import jax.numpy as jnp
        >>> print(hessian(lambda x: x[0] ** 2 * x[1], chunk_size=1)(jnp.array([3.0, 5.0])))
        [[10.  6.]
         [ 6.  0.]]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.func.hessian.html
        https://docs.jax.dev/en/latest/_autosummary/jax.hessian.html
    """
    inner = make_jacobian("hessian", fun, argnums, "rev", None, has_aux)
    return make_jacobian("hessian", inner, argnums, "fwd", chunk_size, has_aux)


def hvp(
    fun: Callable[..., Any], primals: Sequence[PyTree], tangents: Sequence[PyTree]
) -> tuple[PyTree, PyTree]:
    """Computes a loss's gradient, and the product of its Hessian with a vector.

    PyTorch's ``torch.autograd.functional.hvp``, which returns the loss in place of the gradient,
    and goes backward twice. This goes forward over backward: ``jax.jvp`` of ``jax.grad``, at about
    the cost of two gradients, with the tangents checked.

    Args:
        fun: A function of ``primals`` that returns a real scalar.
        primals: Its arguments, a tuple of pytrees.
        tangents: The vector, a tuple of trees like ``primals``: an array of the same shape and
            dtype at each floating-point or complex leaf, None at the others.

    Returns:
        ``(grads, products)``, each like the primal if there is one, else a tuple, with None at
        leaves that are not floating-point or complex.

    Raises:
        ArgumentError: ``primals`` is no tuple, or ``tangents`` has another tree, shape or dtype.
        SelectionError: No leaf of the primals is floating-point or complex.
        OutputError: ``fun`` does not return a real scalar.
        GradModeError: Gradients are off.

    Example:
        >>> import jax.numpy as jnp
        >>> x, v = jnp.array([3.0, 5.0]), jnp.array([1.0, 0.0])
        >>> grad, product = hvp(lambda x: x[0] ** 2 * x[1], (x,), (v,))
        >>> print(grad, product)
        [30.  9.] [10.  6.]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html
        https://docs.jax.dev/en/latest/notebooks/autodiff_cookbook.html
    """
    require_grad_enabled("hvp")
    _check_tuples(primals, tangents)
    mask = select_for("functional_ad.hvp(primals)", tuple(primals), None)
    diff, rest = partition(tuple(primals), mask)
    vector = _take_tangents("hvp", tuple(primals), tuple(tangents), diff)

    def compute_loss(diff: PyTree) -> Any:
        loss = fun(*combine(diff, rest))
        check_loss("hvp", loss, fix="Reduce it first, e.g. with `jnp.mean`.")
        return loss

    grads, products = jax.jvp(jax.grad(compute_loss), (diff,), (vector,))
    return (grads[0], products[0]) if len(primals) == 1 else (grads, products)


def ggnvp(
    model: Callable[[PyTree], Any], loss: Callable[[Any], Any], params: PyTree, tangents: PyTree
) -> PyTree:
    """Multiplies a vector by the generalised Gauss-Newton matrix of ``loss(model(params))``.

    PyTorch has no counterpart. The matrix is JᵀHJ, with J the Jacobian of the model and H the
    Hessian of the loss at the model's output. It is the Hessian of the whole without the model's
    curvature, and positive semidefinite for a convex loss; for losses such as cross-entropy of
    logits it is the Fisher matrix. Nothing but products with vectors is computed.

    Args:
        model: A function from parameters to a pytree of outputs.
        loss: A function from those to a real scalar.
        params: Parameters, a pytree.
        tangents: The vector, a tree like ``params``: an array of the same shape and dtype at each
            floating-point or complex leaf, None at the others.

    Returns:
        The product, a tree like ``params`` with None at leaves that are not floating-point or
        complex.

    Raises:
        ArgumentError: ``tangents`` has another tree, shape or dtype than ``params``.
        SelectionError: No leaf of ``params`` is floating-point or complex.
        OutputError: No leaf of the model's output is, or ``loss`` does not return a real scalar.
        GradModeError: Gradients are off.

    Example:
        >>> import jax.numpy as jnp
        >>> x, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0])
        >>> model = lambda w: w * x
        >>> loss = lambda z: 0.5 * jnp.sum((z - y) ** 2)
        >>> print(ggnvp(model, loss, 3.0, 1.0))  # Σ x²
        5.0

    Source:
        https://docs.jax.dev/en/latest/notebooks/autodiff_cookbook.html
        https://arxiv.org/abs/1412.1193
    """
    require_grad_enabled("ggnvp")
    diff, rest = partition(params, select_for("functional_ad.ggnvp(params)", params, None))
    vector = _take_tangents("ggnvp", params, tangents, diff)

    def compute(diff: PyTree) -> tuple[PyTree, PyTree]:
        return split_floats("ggnvp(model)", model(combine(diff, rest)))

    outputs, pullback, static = jax.vjp(compute, diff, has_aux=True)
    _, pushed, _ = jax.jvp(compute, (diff,), (vector,), has_aux=True)

    def compute_loss(outputs: PyTree) -> Any:
        value = loss(combine(outputs, static))
        check_loss("ggnvp", value, fix="Reduce it first, e.g. with `jnp.mean`.")
        return value

    _, curved = jax.jvp(jax.grad(compute_loss), (outputs,), (pushed,))
    (product,) = pullback(curved)
    return product


def _check_tuples(primals: object, tangents: object) -> None:
    for argument, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise ArgumentError(
                explain(
                    f"`functional_ad.hvp({argument})` must be a tuple.",
                    expected="one entry for each argument of `fun`, as for `jax.jvp`",
                    got=type(value).__name__,
                    fix="For a function of one argument write `hvp(fun, (x,), (v,))`.",
                )
            )


def _take_tangents(name: str, primals: PyTree, tangents: PyTree, diff: PyTree) -> PyTree:
    """The tangents in the tree of ``diff``, the leaves of the primals that have one."""
    leaves = take_fitting(
        primals,
        tangents,
        argument=f"`functional_ad.{name}(tangents)`",
        whole="the primals" if name == "hvp" else "`params`",
        name="primal",
        error=ArgumentError,
    )
    return jax.tree.unflatten(jax.tree.structure(diff), leaves)
