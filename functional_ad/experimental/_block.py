"""no_grad_block: a ``with`` block whose results are constants (``with torch.no_grad():``)."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

import jax

from functional_ad._compat import current_trace, find_unknown_traces, stop_tangents, use_trace
from functional_ad._errors import ArgumentError, GradModeError, PrimitiveError, explain

_LAZY = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class no_grad_block:  # noqa: N801 - used like a function, as torch.no_grad is
    """A ``with`` block in which whatever is computed is a constant for every derivative.

    PyTorch's ``with torch.no_grad():``. Each operation in the block gets its inputs through
    ``jax.lax.stop_gradient``: operations of ``jnp`` and ``lax``, compiled functions, loops,
    conditions, custom rules, random numbers, callbacks. Values come out as if each had been stopped
    by hand, and nothing is saved for a backward pass. The public way, for code that can be put into
    a function, is ``functional_ad.no_grad``.

    As in PyTorch it holds for the current thread, a name that only stands for a value from outside
    (``y = x``) keeps that value's gradient, and a gradient taken *inside* the block is a gradient:
    ``jax.grad(fun)`` there differentiates ``fun``, as ``torch.func.grad`` does under ``no_grad``,
    and its result is a constant for whatever is outside. Where the two differ:

    - forward mode is stopped too; in PyTorch ``no_grad`` does not apply to it;
    - JAX hands back its argument where there is nothing to do, such as ``x.reshape(x.shape)``,
      ``x[...]``, or a condition or loop that hands an input on as it is: that is ``y = x``, where
      PyTorch may make a new tensor. If in doubt, write
      ``jax.lax.stop_gradient(x)``;
    - a value that is written to a ``jax.Ref`` is stopped as well; a ``Ref`` cannot go into a
      compiled function, a loop or a condition while it is in the block;
    - a generator or coroutine must not wait (``yield``, ``await``) inside the block and leave it
      open around other code. In PyTorch, that code runs under ``no_grad``; here its next operation
      raises. ``@contextlib.contextmanager`` is no such generator.

    An object can be entered again, also inside itself.

    Raises:
        GradModeError: The block is left elsewhere than it was entered (in another thread, or out of
            order), or held open by something that waits, or the installed JAX is not known.
        PrimitiveError: A ``jax.Ref`` goes into an operation that has a body.
        ArgumentError: It is used as a decorator.

    Example:
        >>> import jax
        >>> from functional_ad.experimental import no_grad_block
        >>> def loss(w, x):
        ...     with no_grad_block():
        ...         target = w * x
        ...     return (w * 2.0 - target) ** 2
        >>> jax.grad(loss)(1.0, 3.0)  # target is 3, a constant
        Array(-4., dtype=float32, weak_type=True)

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
        https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html
    """

    def __init__(self) -> None:
        self._entered: list[_Entered] = []

    def __enter__(self) -> None:
        _require_known_jax()
        self._entered.append(_Entered(_find_holder(sys._getframe(1))))  # pyright: ignore[reportPrivateUsage]

    def __exit__(self, kind: type[BaseException] | None, *exc_info: Any) -> None:
        if not self._entered:
            _refuse_order("no block that is open")
        # A generator that is thrown away has been refused before, if anything came of it.
        if kind is not GeneratorExit or self._entered[-1].is_innermost():
            self._entered[-1].leave()  # if it raises, the block is open still
        self._entered.pop()

    def __call__(self, fn: Any) -> NoReturn:
        """Refuses to be a decorator: ``functional_ad.no_grad`` is one."""
        raise ArgumentError(
            explain(
                "`functional_ad.experimental.no_grad_block()` is for a `with` statement.",
                expected="`with no_grad_block():`",
                got=f"no_grad_block()({getattr(fn, '__name__', type(fn).__name__)})",
                fix="Decorate with `@functional_ad.no_grad`.",
            )
        )


class _Entered:
    """One entering of a block: what to put back, and who holds it open."""

    def __init__(self, holder: FrameType | None) -> None:
        self._holder = holder
        self._thread = threading.get_ident()
        parent = current_trace()
        # Where nothing is traced there is nothing to stop, and compiled functions stay fast.
        self._trace = stop_tangents(parent, self._check, _refuse_ref) if parent else None
        self._context = use_trace(self._trace) if parent else contextlib.nullcontext()
        self._context.__enter__()

    def is_innermost(self) -> bool:
        return self._thread == threading.get_ident() and current_trace() is self._trace

    def leave(self) -> None:
        if self._thread != threading.get_ident():
            _refuse_order("another thread")
        if not self.is_innermost():
            _refuse_order("inside of another block or transform, or after it")
        self._context.__exit__(None, None, None)

    def _check(self) -> None:
        """Raises if what entered the block waits: a generator that does has no caller."""
        if self._holder is not None and self._holder.f_back is None:
            code = self._holder.f_code
            raise GradModeError(
                explain(
                    "`functional_ad.experimental.no_grad_block()` must be left before other code "
                    "runs.",
                    expected="no `yield` or `await` inside the block",
                    got=f"a block that {code.co_name!r} holds open while it waits "
                    f"({code.co_filename}:{self._holder.f_lineno})",
                    fix="End the block before the `yield` or `await`; for a block of your own, "
                    "decorate the generator with `@contextlib.contextmanager`.",
                )
            )


def _find_holder(frame: FrameType | None) -> FrameType | None:
    """The generator or coroutine whose ``with`` statement it is, if it is one.

    A generator under ``@contextlib.contextmanager`` is held by whoever enters that.
    """
    while frame is not None:
        advanced_by = frame.f_back
        if frame.f_code.co_filename == contextlib.__file__:
            frame = advanced_by
        elif not frame.f_code.co_flags & _LAZY:
            return None
        elif advanced_by is not None and advanced_by.f_code.co_filename == contextlib.__file__:
            frame = advanced_by
        else:
            return frame
    return None


def _refuse_ref(primitive: str) -> NoReturn:
    raise PrimitiveError(
        explain(
            "`functional_ad.experimental.no_grad_block()` cannot follow a `jax.Ref` into a body.",
            expected="operations on arrays, or `ref[...]` in the block itself",
            got=f"{primitive!r}, with a Ref among its inputs",
            fix="Read the Ref before it, and write to it after it; or call it outside of the "
            "block on values that went through `jax.lax.stop_gradient`.",
        )
    )


def _refuse_order(got: str) -> NoReturn:
    raise GradModeError(
        explain(
            "`functional_ad.experimental.no_grad_block()` must be left where it was entered.",
            expected="the thread, function and transform that entered it, innermost first",
            got=got,
            fix="Use it in a `with` statement, and don't pass a generator that is inside of one "
            "on to other code.",
        )
    )


@functools.cache
def _find_changes() -> tuple[str, ...]:
    return tuple(find_unknown_traces())


def _require_known_jax() -> None:
    if changes := _find_changes():
        raise GradModeError(
            explain(
                "`functional_ad.experimental.no_grad_block()` does not know the inside of this "
                "JAX.",
                expected="what JAX 0.10.2 and 0.12.0 have",
                got=[f"JAX {jax.__version__}:", *changes],
                fix="Use `functional_ad.no_grad` on a function, or `jax.lax.stop_gradient` on "
                "values: they need no private JAX.",
            )
        )
