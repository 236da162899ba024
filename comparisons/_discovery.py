"""Finds cases: those that this project ships, by name, and those in a user's file."""

from __future__ import annotations

import difflib
import fnmatch
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from comparisons._case import Case, ParityCase, TrainingCase


class DiscoveryError(ValueError):
    """A case or a file of cases cannot be found or loaded."""


def load_shipped_cases() -> list[Case]:
    """Every case that this project ships: the tutorial's in its order, the map's, training runs."""
    from comparisons.cases import surface, training, tutorial

    chapters = [case for chapter in tutorial.CHAPTERS for case in collect_cases(chapter)]
    return [*chapters, *surface.CASES, *training.CASES]


def find_cases(targets: Sequence[str]) -> list[Case]:
    """The cases that some targets name, each once, in order; all shipped ones if there is none.

    Args:
        targets: Names, beginnings of names up to a slash, globs, or paths of Python files.

    Raises:
        DiscoveryError: A target matches no case, or a file cannot be loaded or holds no case.
    """
    if not targets:
        return load_shipped_cases()
    found: dict[str, Case] = {}
    for target in targets:
        is_file = target.endswith(".py")
        for case in load_file(Path(target)) if is_file else find_by_name(target):
            if found.setdefault(case.name, case) is not case:
                raise DiscoveryError(
                    f"two cases have the name {case.name!r}; give one of them another name"
                )
    return list(found.values())


def find_by_name(pattern: str) -> list[Case]:
    """The shipped cases whose name is, begins with, or as a glob matches ``pattern``."""
    if not pattern:
        raise DiscoveryError("'' is no case; leave it out to run all cases")
    cases = load_shipped_cases()
    prefix = pattern.rstrip("/")
    matching = [
        case
        for case in cases
        if case.name == prefix
        or case.name.startswith(prefix + "/")
        or fnmatch.fnmatchcase(case.name, pattern)
    ]
    if not matching and Path(pattern).is_dir():
        raise DiscoveryError(f"{pattern!r} is a folder; name the Python files in it")
    if not matching:
        names = [case.name for case in cases]
        near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.0)
        raise DiscoveryError(f"no case matches {pattern!r}; the nearest is {near[0]!r}")
    return matching


def load_file(path: Path) -> list[Case]:
    """The cases of a Python file: every case among its globals, or in a list of them."""
    cases = collect_cases(load_module(path))
    if not cases:
        raise DiscoveryError(f"{str(path)!r} holds no ParityCase or TrainingCase")
    return cases


def load_module(path: Path) -> ModuleType:
    """Runs a Python file as a module of its own."""
    if not path.is_file():
        raise DiscoveryError(f"there is no file {str(path)!r}")
    name = f"comparisons_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise DiscoveryError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles of the file look themselves up there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as if the file were run: it may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = _find_line(error, path)
        where = f"line {line}: " if line else ""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise DiscoveryError(f"cannot load {str(path)!r}: {where}{text}") from error
    return module


def collect_cases(module: ModuleType) -> list[Case]:
    """Every case among a module's globals, alone or in a collection, in order."""
    cases: dict[int, Case] = {}
    for value in vars(module).values():
        for case in _unpack(value):
            cases[id(case)] = case
    return list(cases.values())


def _unpack(value: Any) -> Iterable[Case]:
    if isinstance(value, ParityCase | TrainingCase):
        return (value,)
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if isinstance(value, list | tuple):
        return (case for case in value if isinstance(case, ParityCase | TrainingCase))
    return ()


def _find_line(error: BaseException, path: Path) -> int | None:
    """The line of the file where loading failed."""
    if isinstance(error, SyntaxError):
        return error.lineno
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.resolve()):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
