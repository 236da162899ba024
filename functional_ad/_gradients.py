"""Gradients of chosen leaves, and of outputs that are not scalars (backward, .grad)."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._control import require_grad_enabled
from functional_ad._errors import ArgumentError, CotangentError, OutputError, explain
from functional_ad._fitting import find_misfit, take_floats
from functional_ad._leaves import Where, combine, partition, select_for


def value_and_grad(
    fun: Callable[..., Any], *, where: Where = None, argnum: int = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, PyTree]]:
    """Makes a function that returns a loss and its gradient for the selected leaves.

    PyTorch's ``loss.backward()`` adds into the ``.grad`` of every leaf that requires a gradient.
    Here the gradient is a value: a tree like the argument, with None at leaves that were not
    selected. Nothing is computed for those: the backward pass that only they need is not there.

    It is ``jax.value_and_grad`` but for ``where``; with floating-point leaves only and no ``where``
    the two compile to one program. For a complex leaf it returns what JAX does, the conjugate of
    what PyTorch does: with z = x + iy, JAX's is dL/dx - i dL/dy, and to descend, as PyTorch's
    optimizers do, take ``jnp.conj`` of it.

    Args:
        fun: Returns a real scalar loss; ``(loss, aux)`` if ``has_aux``.
        where: The leaves of the argument to differentiate, as for ``select``. None means every
            floating-point and complex leaf.
        argnum: Position of the argument to differentiate; negative counts from the end.
        has_aux: Whether ``fun`` returns a pair of the loss and anything else.

    Returns:
        A function with the arguments of ``fun`` that returns ``(loss, grads)``, or
        ``((loss, aux), grads)``. Each gradient has the shape and dtype of its leaf.

    Raises:
        SelectionError: ``where`` does not fit the argument.
        LeafTypeError: A selected leaf is not floating-point or complex.
        OutputError: The loss is not a real scalar, or not a pair though ``has_aux`` is set.
        ArgumentError: ``argnum`` is no position of the call's arguments.
        GradModeError: Gradients are off.

    Example:
        >>> params = {"a": 1.0, "b": 2.0, "epoch": 3}
        >>> loss = lambda p, x: (p["a"] * x + p["b"]) ** 2
        >>> value, grads = value_and_grad(loss, where="a")(params, 2.0)
        >>> float(value), {name: g if g is None else float(g) for name, g in grads.items()}
        (16.0, {'a': 16.0, 'b': None, 'epoch': None})

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
        https://docs.jax.dev/en/latest/_autosummary/jax.value_and_grad.html
    """
    index = check_argnum("value_and_grad", argnum)

    @functools.wraps(fun)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, PyTree]:
        require_grad_enabled("value_and_grad")
        position = find_position("value_and_grad", index, len(args))
        mask = select_for("functional_ad.value_and_grad(where=...)", args[position], where)
        diff, rest = partition(args[position], mask)

        def of_argument(argument: PyTree) -> Any:
            return fun(*args[:position], argument, *args[position + 1 :], **kwargs)

        return differentiate("value_and_grad", of_argument, diff, rest, has_aux=has_aux)

    return value_and_gradient


def differentiate(
    name: str, fun: Callable[[PyTree], Any], diff: PyTree, rest: PyTree, *, has_aux: bool
) -> tuple[Any, PyTree]:
    """Loss and gradient of ``fun(combine(diff, rest))`` for ``diff``, on behalf of ``name``."""

    def of_selected(diff: PyTree) -> Any:
        output = fun(combine(diff, rest))
        check_loss(name, split_aux(name, output)[0] if has_aux else output)
        return output

    return jax.value_and_grad(of_selected, has_aux=has_aux)(diff)


def vjp(
    fun: Callable[..., Any], *primals: PyTree, cotangent: PyTree = None, has_aux: bool = False
) -> tuple[Any, ...]:
    """Evaluates a function and pulls a cotangent back to its arguments.

    PyTorch's ``output.backward(gradient)``, where ``gradient`` is the cotangent, or
    ``torch.autograd.grad(output, inputs, grad_outputs)``. As there, a cotangent may be left out
    for an output with a single element. PyTorch casts a cotangent of another dtype without a word;
    here it is an error. For several cotangents of one evaluation (``retain_graph``) keep the
    function that ``jax.vjp`` returns.

    It is ``jax.vjp`` with these checks. Leaves of the primals that are not floating-point or
    complex have gradient None (``jax.vjp`` returns float0 zeros). For complex values it is JAX's
    pullback: linear, where PyTorch's is conjugate-linear; PyTorch's result is
    ``conj(vjp(..., cotangent=conj(gradient)))``. A complex scalar needs a cotangent, as there.

    Args:
        fun: A function of ``primals`` that returns a pytree; ``(output, aux)`` if ``has_aux``.
        *primals: Its arguments, pytrees with at least one floating-point or complex leaf.
        cotangent: A tree like the output: an array of the same shape and dtype at each
            floating-point or complex leaf, None at the others. May be left out if the output has
            exactly one floating-point leaf, and that has one element: it is then 1.
        has_aux: Whether ``fun`` returns a pair of the output and anything else.

    Returns:
        ``(output, grads)``, or ``(output, grads, aux)``. ``grads`` is like the primal if there is
        one, else a tuple.

    Raises:
        OutputError: ``cotangent`` was left out for an output that is not a real scalar, or the
            output has no floating-point leaf, or is not a pair though ``has_aux`` is set.
        CotangentError: ``cotangent`` has another tree, shape or dtype than the output.
        SelectionError: No leaf of the primals is floating-point or complex.
        GradModeError: Gradients are off.

    Example:
        >>> x = jnp.array([1.0, 2.0, 3.0])
        >>> y, x_bar = vjp(lambda x: x**2, x, cotangent=jnp.array([1.0, 0.1, 0.01]))
        >>> print(x_bar)
        [2.   0.4  0.06]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
        https://docs.jax.dev/en/latest/_autosummary/jax.vjp.html
    """
    require_grad_enabled("vjp")
    mask = select_for("functional_ad.vjp(*primals)", primals, None)
    diff, rest = partition(primals, mask)

    def of_floats(diff: PyTree) -> tuple[list[Any], tuple[Any, Any]]:
        output = fun(*combine(diff, rest))
        output, aux = split_aux("vjp", output) if has_aux else (output, None)
        leaves = [leaf for leaf in jax.tree.leaves(output) if _tree.is_differentiable(leaf)]
        return leaves, (output, aux)

    _, pullback, (output, aux) = jax.vjp(of_floats, diff, has_aux=True)
    (grads,) = pullback(_check_cotangent(output, cotangent))
    if len(primals) == 1:
        (grads,) = grads
    return (output, grads, aux) if has_aux else (output, grads)


def check_argnum(name: str, argnum: int) -> int:
    """``argnum`` as an int, on behalf of the public function ``name``."""
    try:
        if isinstance(argnum, bool):
            raise TypeError
        return operator.index(argnum)
    except TypeError:
        raise ArgumentError(
            explain(
                f"`functional_ad.{name}(argnum=...)` must be one position.",
                expected="an int",
                got=_tree.describe_value(argnum),
                fix="To differentiate several arguments, pass them as one tuple.",
            )
        ) from None


def find_position(name: str, index: int, count: int) -> int:
    """The position that ``argnum`` means in a call with so many arguments."""
    if -count <= index < count:
        return index % count
    raise ArgumentError(
        explain(
            f"`functional_ad.{name}(argnum=...)` must be a position in the call.",
            expected=f"less than {count}, the number of positional arguments",
            got=str(index),
            fix="Pass the argument to differentiate by position, not by keyword.",
        )
    )


def split_aux(name: str, output: Any) -> tuple[Any, Any]:
    """Takes the pair that a function with ``has_aux`` returns apart, on behalf of ``name``."""
    if isinstance(output, tuple | list) and len(output) == 2:
        return output[0], output[1]
    raise OutputError(
        explain(
            f"`functional_ad.{name}(has_aux=True)` needs a `fun` that returns a pair.",
            expected="(output, aux)",
            got=describe_output(output),
            fix="Return `(output, aux)`, or leave `has_aux` out.",
        )
    )


_LOSS_FIX = (
    "Reduce it first, e.g. with `jnp.mean`, or use `functional_ad.vjp` with a `cotangent`; "
    "return further values with `has_aux=True`."
)


def check_loss(name: str, loss: Any, *, fix: str = _LOSS_FIX) -> None:
    """Raises OutputError on behalf of ``name`` unless a loss is a real scalar."""
    leaves = jax.tree.leaves(loss)
    scalar = len(leaves) == 1 and leaves[0] is loss and np.shape(loss) == ()
    if scalar and _tree.is_differentiable(loss) and not _tree.is_complex(loss):
        return
    raise OutputError(
        explain(
            f"`functional_ad.{name}` needs a loss that is a real scalar.",
            expected="a floating-point array of shape ()",
            got=describe_output(loss),
            fix=fix,
        )
    )


def _check_cotangent(output: PyTree, cotangent: PyTree) -> list[Any]:
    """The cotangents of the floating-point leaves of ``output``, in order."""
    output = jax.tree.map(lambda x: jnp.asarray(x) if _tree.is_differentiable(x) else x, output)
    outputs = _tree.flatten_paths(output, _tree.is_none)
    floats = [(path, leaf) for path, leaf in outputs if _tree.is_differentiable(leaf)]
    if not floats:
        raise OutputError(
            explain(
                "`functional_ad.vjp(fun)` needs an output that can be differentiated.",
                expected="at least one floating-point or complex leaf",
                got=describe_output(output),
                fix="Return a floating-point value, or cast with `.astype(jnp.float32)`.",
            )
        )
    if cotangent is None:
        return [_default_cotangent(output, floats)]
    argument = "`functional_ad.vjp(cotangent=...)`"
    whole = "`fun(*primals)`"
    if misfit := find_misfit(output, cotangent, argument=argument, whole=whole, name="output"):
        raise CotangentError(explain(**misfit))
    return take_floats(output, cotangent)


def _default_cotangent(output: PyTree, floats: list[tuple[str, Any]]) -> Any:
    """1 for the only element of the only floating-point leaf, which must be real."""
    leaf = floats[0][1]
    if len(floats) == 1 and np.size(leaf) == 1 and not _tree.is_complex(leaf):
        return jnp.ones_like(leaf)
    raise OutputError(
        explain(
            "`functional_ad.vjp(cotangent=...)` can be left out only for one real scalar output.",
            expected="one floating-point output with one element",
            got=describe_output(output),
            fix="Pass `cotangent=` of the output's shape (torch: `gradient`), or reduce the output "
            "first, e.g. with `jnp.mean`.",
        )
    )


def describe_output(output: Any) -> list[str] | str:
    """The leaves of an output for the "got" line of an error; its structure if there are none."""
    named = [_tree.name_leaf(path, leaf) for path, leaf in _tree.flatten_paths(output)]
    return named or str(jax.tree.structure(output))
