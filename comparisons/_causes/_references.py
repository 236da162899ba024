"""Where a program holds on to some functions: module globals, closures, defaults, attributes."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import jax

Setter = Callable[[Any], None]
"""Puts another object into the one place that a reference was found at."""

MOST_VISITED = 20_000  # objects: a bound for programs that hold large data structures
# Their own modules go on calling each other as they were written; torch and numpy know no JAX.
_CHECKPOINT: str = inspect.unwrap(jax.checkpoint).__globals__["__name__"]
_PRIVATE = _CHECKPOINT.rpartition(".")[0]  # the package in which JAX keeps all that it does
_UNTOUCHED = (_PRIVATE, "jaxlib", "numpy", "scipy", "torch", "comparisons._")
_NOT_ENTERED = (*_UNTOUCHED, "jax", "builtins")


class References:
    """Every place from which the functions ``targets`` are reached by ``root`` or by any module.

    Modules are searched whole, so a name imported from ``jax.nn`` is found wherever it went;
    closures, default arguments, partial applications, attributes and containers are searched from
    ``root`` on. Places in JAX itself are left out.

    Attributes:
        places: By ``id`` of the target, what sets each place.
        stale: The user's functions under ``jax.jit`` or ``jax.checkpoint``, which would answer from
            an earlier trace: what sets the place, the function, and the one that it wraps.
    """

    def __init__(self, root: Any, targets: list[Any]) -> None:
        self.places: dict[int, list[Setter]] = defaultdict(list)
        self.stale: list[tuple[Setter, Any, Any]] = []
        self._targets = {id(target): target for target in targets}
        self._seen: dict[int, Any] = {}  # keeps them alive, so that no id is given twice
        for module in list(sys.modules.values()):
            if not _is_within(getattr(module, "__name__", ""), _UNTOUCHED):
                self._search_namespace(getattr(module, "__dict__", {}))
        self._walk(root)

    def unwrap(self, fn: Any) -> Any:
        """What is under the layers of ``fn`` that would answer from an earlier trace."""
        layers = {id(layer): wrapped for _, layer, wrapped in self.stale}
        while id(fn) in layers:
            fn = layers[id(fn)]
        return fn

    def _search_namespace(self, namespace: dict[str, Any]) -> None:
        self._seen[id(namespace)] = namespace
        for name, value in list(namespace.items()):
            if id(value) in self._targets:
                self.places[id(value)].append(_set_item(namespace, name))

    def _walk(self, root: Any) -> None:
        pending: list[tuple[Any, Setter]] = [(root, _ignore)]
        while pending and len(self._seen) < MOST_VISITED:
            value, place = pending.pop()
            if id(value) in self._targets:
                self.places[id(value)].append(place)
            elif id(value) not in self._seen:
                self._seen[id(value)] = value
                pending += self._look_into(value, place)

    def _look_into(self, value: Any, place: Setter) -> Iterator[tuple[Any, Setter]]:
        """What ``value`` refers to; a tuple cannot be changed, so it is replaced where it is."""
        if isinstance(value, types.FunctionType):
            yield from self._look_into_function(value, place)
        elif isinstance(value, types.MethodType):
            yield from ((value.__self__, _ignore), (value.__func__, _ignore))
        elif isinstance(value, functools.partial):
            yield from _look_into_partial(value)
        elif isinstance(value, dict):
            yield from ((item, _set_item(value, key)) for key, item in list(value.items()))
        elif isinstance(value, list):
            yield from ((item, _set_item(value, i)) for i, item in enumerate(value))
        elif isinstance(value, tuple):
            items = list(value)
            make = getattr(type(value), "_make", type(value))
            for i, item in enumerate(value):
                yield item, _set_in_tuple(items, i, make, place)
        elif isinstance(value, types.ModuleType):
            if _is_users(value):
                yield from ((v, _ignore) for v in list(vars(value).values()))
        elif isinstance(value, type):
            if not _is_within(value.__module__, _NOT_ENTERED):
                for name, item in list(vars(value).items()):
                    yield item, functools.partial(setattr, value, name)
        else:
            wrapped = getattr(value, "__wrapped__", None)
            if type(value).__name__ == "PjitFunction" and not _is_within(
                getattr(value, "__module__", None) or "", _NOT_ENTERED
            ):
                self.stale.append((place, value, wrapped))
            yield from _look_into_instance(value)

    def _look_into_function(
        self, function: types.FunctionType, place: Setter
    ) -> Iterator[tuple[Any, Setter]]:
        home = str(function.__globals__.get("__name__", ""))
        wrapped = getattr(function, "__wrapped__", None)
        if home == _CHECKPOINT and wrapped is not None:
            self.stale.append((place, function, wrapped))
        if wrapped is not None:
            yield wrapped, _ignore
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents, functools.partial(setattr, cell, "cell_contents")
            except ValueError:  # not assigned yet
                continue
        if _is_within(home, _NOT_ENTERED):
            return
        yield function.__defaults__, functools.partial(setattr, function, "__defaults__")
        yield function.__kwdefaults__, _ignore
        for name in _find_names(function.__code__):
            if name in function.__globals__:
                yield function.__globals__[name], _set_item(function.__globals__, name)


def _look_into_partial(value: Any) -> Iterator[tuple[Any, Setter]]:
    """Its parts are read-only, but it can be given another state, as unpickling does."""

    def set_function(new: Any) -> None:
        value.__setstate__((new, value.args, value.keywords, vars(value)))

    def set_args(new: Any) -> None:
        value.__setstate__((value.func, new, value.keywords, vars(value)))

    yield from ((value.func, set_function), (value.args, set_args), (value.keywords, _ignore))


def _look_into_instance(value: Any) -> Iterator[tuple[Any, Setter]]:
    wrapped = getattr(value, "__wrapped__", None)  # jax.jit, jax.custom_vjp
    if wrapped is not None:
        yield wrapped, _ignore
    if not _is_within(type(value).__module__, _NOT_ENTERED):
        yield getattr(value, "__dict__", None), _ignore
        yield type(value), _ignore


def _find_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _find_names(constant)


def _is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(
        name == package or name.startswith(package if package.endswith("_") else f"{package}.")
        for package in packages
    )


def _is_users(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    return bool(file) and "-packages" not in file and not file.startswith(sys.base_prefix + "/lib")


def _set_item(container: Any, key: Any) -> Setter:
    return functools.partial(container.__setitem__, key)


def _set_in_tuple(
    items: list[Any], index: int, make: Callable[[list[Any]], Any], place: Setter
) -> Setter:
    def put(new: Any) -> None:
        items[index] = new
        place(make(items))

    return put


def _ignore(new: Any) -> None:
    """A place that cannot be set, or that is only on the way to others."""
