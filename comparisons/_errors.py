"""An exception in a case, told to its user: which side, at which dtype, at which line of theirs."""

from __future__ import annotations

import functools
import inspect
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from comparisons._case import Case

_FRAMEWORKS = ("jax", "jaxlib", "torch", "numpy", "functional_ad", "comparisons")
_NOTE = " side, at "  # of the note that the runner adds to what a side raises


def explain_error(case: Case, error: BaseException) -> str:
    """Which side raised, the innermost line of the user's own code, and what was raised.

    The user's own code is what is neither the standard library's nor installed, unless the case's
    function is itself; a frame of either framework is named only if there is no other.

    Args:
        case: The case that was run.
        error: What its run raised, with the runner's note of the side and the dtype.

    Returns:
        Two lines or more: the place, then the exception with its text.

    Example:
        >>> from comparisons import ParityCase
        >>> case = ParityCase(name="a", title="", jax=abs, torch=abs)
        >>> error = ValueError("no")
        >>> error.add_note("JAX side, at float32")
        >>> print(explain_error(case, error))
        JAX side, at float32: abs
        ValueError: no
    """
    notes: list[str] = getattr(error, "__notes__", [])
    side = next((note for note in notes if _NOTE in note), None)
    functions = {"JAX": (case.jax,), "PyTorch": (case.torch,), "": (case.jax, case.torch)}
    own = functions.get((side or "").partition(_NOTE)[0], functions[""])
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"{side or 'The comparison'}: {_find_place(own, error, side)}\n{text}"


def find_code(fn: Callable[..., Any]) -> CodeType | None:
    """The Python code beneath partials, wrappers, methods and callable objects; None if none.

    Example:
        >>> find_code(functools.partial(find_code, 3)) is find_code.__code__
        True
    """
    bottom: Any = fn
    while True:
        if isinstance(bottom, functools.partial):
            bottom = bottom.func
        elif (wrapped := inspect.unwrap(bottom)) is not bottom:
            bottom = wrapped
        else:
            break
    own: list[Any] = [
        bottom,
        *(getattr(type(bottom), name, None) for name in ("forward", "__call__")),
    ]
    codes = (getattr(inspect.unwrap(getattr(f, "__func__", f)), "__code__", None) for f in own)
    return next((code for code in codes if code is not None), None)


def _find_place(
    functions: tuple[Callable[..., Any], ...], error: BaseException, side: str | None
) -> str:
    frames = [(frame, line) for frame, line in _walk(error) if not _is_internal(frame)]
    tops = {_top(getattr(fn, "__module__", None) or "") for fn in functions} - {*_FRAMEWORKS}
    installed = [(frame, line) for frame, line in frames if _top(_module(frame)) in tops]
    found = [(frame, line) for frame, line in frames if not _is_library(frame)] or installed
    if found:
        outer, inner = _locate(*found[0]), _locate(*found[-1])
        other_file = found[0][0].f_code.co_filename != found[-1][0].f_code.co_filename
        return f"{inner}, called from {outer}" if other_file else inner
    if side is None:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        return (
            "".join(f"{f.filename}, line {f.lineno}, in {f.name}" for f in last) or "no traceback"
        )
    # Raised outside of the function: what it returned cannot be used, or not be differentiated.
    code = find_code(functions[0])
    if code is None or is_library_file(code.co_filename):
        return getattr(functions[0], "__name__", type(functions[0]).__name__)
    where = f"{code.co_filename}, line {code.co_firstlineno}, {code.co_name}"
    return f"{where}: in what it returns, or the derivative of it"


def _walk(error: BaseException) -> list[tuple[FrameType, int]]:
    """Frames below our own, outermost first; those of the cause where the error has none.

    JAX raises some errors from an exception that has the frames before a transformation.
    """
    current: BaseException | None = error
    own: list[tuple[FrameType, int]] = []
    while current is not None:
        frames = list(traceback.walk_tb(current.__traceback__))
        start = next((i for i, (frame, _) in enumerate(frames) if _is_internal(frame)), 0)
        below = frames[start:]
        if any(not _is_library(frame) and not _is_internal(frame) for frame, _ in below):
            return below
        own = own or below
        current = current.__cause__
    return own


def _locate(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_internal(frame: FrameType) -> bool:
    """Whether a frame is this project's; its cases are as a user's would be."""
    module = _module(frame)
    return _top(module) in {"comparisons", "functional_ad"} and not module.startswith(
        "comparisons.cases."
    )


def _is_library(frame: FrameType) -> bool:
    return is_library_file(frame.f_code.co_filename)


def is_library_file(filename: str) -> bool:
    """Whether a file of code is the standard library's, or installed: not the user's own."""
    if filename.startswith("<"):  # generated code, but for what was typed into an interpreter
        return not filename.startswith(("<stdin", "<ipython"))
    path = Path(filename)
    return any(path.is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[Path, ...]:
    """The standard library, what is installed, and the frameworks wherever they are."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [*(sysconfig.get_path(name) for name in names), *site.getsitepackages()]
    folders.append(site.getusersitepackages())
    for name in ("jax", "jaxlib", "torch", "numpy"):  # which may be checked out elsewhere
        file = getattr(sys.modules.get(name), "__file__", None)
        folders += [str(Path(file).parent)] if file else []
    return tuple(Path(folder) for folder in folders)
