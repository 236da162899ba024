"""Runs a function while some public functions of JAX, optax or flax are others.

The substitutes are put wherever the program refers to the originals (``_references.py``), for the
duration of one call, and taken out again also when it raises. JAX's own modules refer to each other
by private names, so what JAX does inside stays what it is, compiled as it is. The user's own
functions that were traced before would answer from a cache: they run without their ``jax.jit`` and
``jax.checkpoint``, and the bodies of loops and branches are new functions each time. Where a
substitute is not reached all the same, jit is switched off altogether, which is slower.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.core import ShapedArray

from comparisons._causes._references import References, Setter

Replace = Callable[["Call"], Any]
"""What is returned instead of the call's own result."""

# Methods and operators of arrays that are another way to write a function of jax.numpy.
METHODS: Mapping[str, str] = {
    "jax.numpy.abs": "__abs__",
    "jax.numpy.clip": "clip",
    "jax.numpy.imag": "imag",
    "jax.numpy.max": "max",
    "jax.numpy.mean": "mean",
    "jax.numpy.min": "min",
    "jax.numpy.mod": "__mod__",
    "jax.numpy.power": "__pow__",
    "jax.numpy.ravel": "ravel",
    "jax.numpy.reshape": "reshape",
    "jax.numpy.std": "std",
    "jax.numpy.sum": "sum",
    "jax.numpy.var": "var",
}


def _pass_through(call: Call) -> Any:
    """A transformation that leaves the function as it is, also as a decorator with arguments."""
    return call.x if call.args or call.kwargs.get("fun") else lambda fn: fn


def _renew(call: Call) -> Any:
    """Functions that JAX has not seen before, for those that it may have traced."""
    args = [
        (lambda *given, fn=arg: fn(*given)) if inspect.isfunction(arg) else arg for arg in call.args
    ]
    return call.original(*args, **call.kwargs)


# What keeps traces of the functions that it is given.
_CACHING: Mapping[str, Replace] = {
    "jax.jit": _pass_through,
    "jax.checkpoint": _pass_through,
    "jax.remat": _pass_through,
    "jax.lax.scan": _renew,
    "jax.lax.map": _renew,
    "jax.lax.cond": _renew,
    "jax.lax.fori_loop": _renew,
    "jax.lax.while_loop": _renew,
}


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a function that is replaced.

    Attributes:
        original: What was called.
        args: Positional arguments; for a method, the array first.
        kwargs: Keyword arguments.
        site: File and line of the innermost frame that is not an installed package's.
    """

    original: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    site: str = ""

    @functools.cached_property
    def arguments(self) -> dict[str, Any]:
        """Every argument by name, defaults included; empty if the signature is unknown."""
        try:
            bound = inspect.signature(self.original).bind(*self.args, **self.kwargs)
        except (TypeError, ValueError):
            return {}
        bound.apply_defaults()
        return dict(bound.arguments)

    @property
    def x(self) -> Any:
        """The first argument."""
        return self.args[0] if self.args else next(iter(self.kwargs.values()))

    def get(self, name: str, default: Any = None) -> Any:
        """An argument by name, whether it was given or is the default."""
        return self.arguments.get(name, default)

    def again(self, *first: Any, **changes: Any) -> Any:
        """Calls the original, with other leading arguments or other arguments by name."""
        if not first and not changes:
            return self.original(*self.args, **self.kwargs)
        args = first + self.args[len(first) :]
        try:
            bound = inspect.signature(self.original).bind(*args, **self.kwargs)
        except (TypeError, ValueError):
            return self.original(*args, **{**self.kwargs, **changes})
        bound.arguments.update(changes)
        return self.original(*bound.args, **bound.kwargs)


@dataclasses.dataclass
class _Use:
    """What became of the substitutes of one run."""

    called: bool = False


class _Substitute:
    """Stands for a function; all but calling it is the original's."""

    def __init__(self, original: Any, replace: Replace, use: _Use) -> None:
        self._original, self._replace, self._use = original, replace, use
        self._inside = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._use.called = True
        if self._inside:  # a replacement that uses the function itself
            return self._original(*args, **kwargs)
        self._inside = True
        try:
            return self._replace(Call(self._original, args, kwargs, _find_site()))
        finally:
            self._inside = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@dataclasses.dataclass(frozen=True)
class Patched:
    """A function that runs with others in place of the public functions named.

    Attributes:
        fn: The function.
        replacements: By full public name, e.g. ``"jax.nn.gelu"``.
        references: Where the originals are referred to.
    """

    fn: Callable[..., Any]
    replacements: Mapping[str, Replace]
    references: References

    def __call__(self, *inputs: Any) -> Any:
        """Runs the function."""
        use = _Use()
        with _patched(self, use) as fn:
            result = fn(*inputs)
        if use.called:
            return result
        with jax.disable_jit(), _patched(self, use) as fn:
            return fn(*inputs)


def find_references(root: Any, targets: Iterable[str]) -> References:
    """Where the functions of these public names are referred to, and what keeps traces of them."""
    functions = map(resolve, {*targets, *_CACHING})
    return References(root, [fn for fn in functions if fn is not None])


def resolve(target: str) -> Any:
    """The function of that public name, None where its module is not loaded or has none."""
    module, _, name = target.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


@contextlib.contextmanager
def _patched(patched: Patched, use: _Use) -> Generator[Callable[..., Any]]:
    """Puts the substitutes in place; ``use`` says whether one was called."""
    references = patched.references
    undo: list[tuple[Setter, Any]] = []

    def put(place: Setter, old: Any, new: Any) -> None:
        undo.append((place, old))
        place(new)

    root = references.unwrap(patched.fn)
    try:
        for place, layer, _ in references.stale:
            put(place, layer, references.unwrap(layer))
        for target, replace in (*_CACHING.items(), *patched.replacements.items()):
            original = resolve(target)
            if original is None:
                continue
            noted = _Use() if target in _CACHING else use
            substitute = _Substitute(original, replace, noted)
            if root is original:
                root = substitute
            for place in references.places.get(id(original), ()):
                put(place, original, substitute)
            for place, method, new in _find_methods(target, replace, noted):
                put(place, method, new)
        yield root
    finally:
        for place, original in reversed(undo):
            place(original)


def _find_methods(target: str, replace: Replace, use: _Use) -> Generator[tuple[Setter, Any, Any]]:
    """Where arrays and tracers have the function as a method; nothing where JAX changed that."""
    name = METHODS.get(target)
    if name is None:
        return
    tracers = f"_{name.strip('_')}" if name.startswith("__") else name
    for cls, attribute in ((_array_type(), name), (ShapedArray, tracers)):
        old: Any = vars(cls).get(attribute)
        place = functools.partial(setattr, cls, attribute)
        if isinstance(old, property):  # an array's .imag
            yield place, old, property(_as_method(old.fget, replace, use))
        elif isinstance(old, staticmethod):  # a tracer's operator
            yield place, old, staticmethod(_as_method(old.__func__, replace, use))
        elif hasattr(old, "fun"):  # a tracer's method
            yield place, old, type(old)(_as_method(old.fun, replace, use))
        elif hasattr(old, "fget"):  # a tracer's property
            yield place, old, type(old)(_as_method(old.fget, replace, use))
        elif callable(old):
            yield place, old, _as_method(old, replace, use)


def _as_method(original: Any, replace: Replace, use: _Use) -> Callable[..., Any]:
    substitute = _Substitute(original, replace, use)
    return lambda *args, **kwargs: substitute(*args, **kwargs)


@functools.cache
def _array_type() -> type:
    with jax.ensure_compile_time_eval():  # no tracer, whoever is tracing now
        return type(jax.numpy.zeros(()))


def _find_site() -> str:
    """The line of the user's own code that is on its way into a substitute; empty if none is."""
    frame = inspect.currentframe()
    package, here = str(Path(__file__).parents[1]), str(Path(__file__).parent)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{package}/") and not file.startswith((here, f"{package}/cases/")):
            return ""  # the function that is compared is itself what is replaced
        if "-packages" not in file and not file.startswith(here):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
