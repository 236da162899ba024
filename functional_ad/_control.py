"""Switching gradients off: no_grad for a function, set_grad_enabled for a thread."""

from __future__ import annotations

import enum
import functools
import inspect
import numbers
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax import lax

from functional_ad import _tree
from functional_ad._errors import ArgumentError, GradModeError, explain

P = ParamSpec("P")
R = TypeVar("R")

_MISSING: Any = None  # so that `@no_grad()`, PyTorch's way to write it, gets an answer

_mode = jax.make_user_context(default_value=True)


def no_grad(fn: Callable[P, R] = _MISSING) -> Callable[P, R]:
    """Makes a function whose result is a constant as far as gradients are concerned.

    PyTorch's ``torch.no_grad`` is a decorator, a ``with`` block and a mode of the thread: what runs
    under it is not recorded. JAX records nothing, so here it is a function of a function:
    ``jax.lax.stop_gradient`` on every array on the way in and on the way out. That covers values
    the function closes over, too, and since the function itself is not traced anew, Python control
    flow, callbacks and strings in its arguments go on working. For single values write
    ``jax.lax.stop_gradient(value)``, which is also PyTorch's ``detach``. For ``with`` blocks there
    is ``functional_ad.experimental.no_grad_block``, which needs private JAX.

    Trees come in and go out as copies: where PyTorch code updates parameters in place under
    ``no_grad``, return the new ones. Out of reach are gradients that leave by a side effect: a list
    that ``fn`` appends to, or a ``jax.Ref`` that it writes.

    Args:
        fn: A function of pytrees. Not a generator, coroutine or class, whose work begins only after
            the call returns.

    Returns:
        A function with the signature and the values of ``fn``, and zero derivatives.

    Raises:
        ArgumentError: ``fn`` is not such a function, or (when called) returns what is no tree of
            arrays, numbers and text: a gradient could pass through it unseen.

    Example:
        >>> @no_grad
        ... def target(w, x):
        ...     return w * x
        >>> jax.grad(lambda w: (w * 2.0 - target(w, 3.0)) ** 2)(1.0)  # target is 3, a constant
        Array(-4., dtype=float32, weak_type=True)

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
        https://docs.jax.dev/en/latest/_autosummary/jax.lax.stop_gradient.html
    """
    _check_function("no_grad(fn)", "`@no_grad` without parentheses", fn)
    call: Callable[..., R] = fn

    @functools.wraps(fn)
    def constant(*args: P.args, **kwargs: P.kwargs) -> R:
        stopped_args, stopped_kwargs = _stop((args, kwargs))
        result = call(*stopped_args, **stopped_kwargs)
        for path, leaf in _tree.flatten_paths(result, _is_opaque):
            if not isinstance(leaf, _VALUES):
                raise ArgumentError(
                    explain(
                        "`functional_ad.no_grad(fn)` needs a function that returns values.",
                        expected="a tree of arrays, numbers and text",
                        got=_tree.name_leaf(path, leaf),
                        fix="Return what it computes or holds: a gradient could pass through it "
                        "unseen.",
                    )
                )
        return _stop(result)

    return constant


class set_grad_enabled:  # noqa: N801 - PyTorch's name, and used like a function
    """Allows or forbids this library's gradients: at once, for a ``with`` block, or a function.

    PyTorch's ``torch.set_grad_enabled`` decides whether operations are recorded; with it off,
    ``backward`` raises. Here ``value_and_grad``, ``vjp`` and ``accumulate_grads`` raise: a guard
    for code that must not differentiate, such as evaluation. As in PyTorch it holds for the current
    thread (which the tasks of asyncio share), takes effect at once, and is undone only at the end
    of a ``with`` block; as there, be careful with the global form. As a decorator it holds during
    each call.

    It is part of the key of JAX's caches, so a function that was jitted while gradients were on is
    traced anew, and raises, when they are off. JAX's own transforms know nothing of it:
    ``jax.grad`` goes on working, and a program compiled ahead of time is what it was when it was
    compiled.

    Args:
        mode: Whether gradients may be taken.

    Raises:
        ArgumentError: ``mode`` is not a bool; or, as a decorator, it is put on a generator,
            coroutine or class, whose work begins only after the call.

    Example:
        >>> with set_grad_enabled(False):
        ...     is_grad_enabled()
        False
        >>> is_grad_enabled()
        True

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.set_grad_enabled.html
        https://docs.jax.dev/en/latest/_autosummary/jax.make_user_context.html
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise ArgumentError(
                explain(
                    "`functional_ad.set_grad_enabled(mode=...)` must be a bool.",
                    expected="True or False",
                    got=_tree.describe_value(mode),
                    fix="Write `set_grad_enabled(False)`.",
                )
            )
        self._mode = mode
        self._context: AbstractContextManager[Any] | None = None
        self.__enter__()  # at once: PyTorch's takes effect without a `with`, too

    def __enter__(self) -> None:
        if self._context is None:
            self._context = _mode(self._mode)
            self._context.__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        if self._context is not None:
            self._context.__exit__(*exc_info)
            self._context = None

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """As a decorator it holds during each call of ``fn``, and not until then."""
        self.__exit__(None, None, None)
        _check_function("set_grad_enabled(mode)(fn)", "`@set_grad_enabled(False)`", fn)

        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with set_grad_enabled(self._mode):
                return fn(*args, **kwargs)

        return call

    def __repr__(self) -> str:
        return f"set_grad_enabled({self._mode})"


def is_grad_enabled() -> bool:
    """Whether this library's gradients are allowed in this thread.

    PyTorch's ``torch.is_grad_enabled`` says whether operations are recorded.

    Returns:
        True unless ``set_grad_enabled(False)`` is in effect.

    Example:
        >>> is_grad_enabled()
        True

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.is_grad_enabled.html
    """
    return bool(_mode.value)


def require_grad_enabled(name: str) -> None:
    """Raises GradModeError on behalf of a public function if gradients are off."""
    if not is_grad_enabled():
        raise GradModeError(
            explain(
                f"`functional_ad.{name}` was called while gradients are off.",
                expected="set_grad_enabled(True), the default",
                got="set_grad_enabled(False), in effect in this thread",
                fix="Move the call out of the `with set_grad_enabled(False):` block, "
                "or call `set_grad_enabled(True)`.",
            )
        )


def _stop(tree: Any) -> Any:
    """``stop_gradient`` on the arrays of a tree; anything else, strings included, as it is."""
    return jax.tree.map(lambda x: lax.stop_gradient(x) if isinstance(x, jax.Array) else x, tree)


# What a derivative cannot hide in. Anything else that is a leaf might hold a traced array.
_VALUES = (
    *(jax.Array, np.ndarray, np.generic, numbers.Number),
    *(np.dtype, jax.ShapeDtypeStruct, str, bytes, enum.Enum),
)


def _is_opaque(node: object) -> bool:
    """Nodes that are not to be looked into: JAX takes a Partial apart but not what it calls."""
    return isinstance(node, Iterator | jax.tree_util.Partial)


def _check_function(name: str, example: str, fn: object) -> None:
    lazy = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if not callable(fn) or inspect.isclass(fn) or any(test(fn) for test in lazy):
        raise ArgumentError(
            explain(
                f"`functional_ad.{name}` must get a function that returns its result.",
                expected=f"a function, as in {example}",
                got=_tree.describe_value(fn),
                fix="For a block of code, put it in a function, or use "
                "`with functional_ad.experimental.no_grad_block():`.",
            )
        )
