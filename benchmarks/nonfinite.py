"""first_nonfinite, jax.debug_nans and torch's detect_anomaly on the same planted sources.

    python -m benchmarks.nonfinite

An answer is right if it names the operation, the user's line, and whether an output or a gradient
is hit; in a loop also the iteration; for an argument that had it before, the argument. What the
other tools print is read kindly: a name that contains the operation's is that operation
(``LogBackward0`` is the derivative of log), the line may stand anywhere in the message, the
traceback or, for PyTorch, the warning with the forward traceback, and they get the phase for free.
debug_nans runs with debug_infs beside it and on the function as it is, not compiled as a whole.
Sources that PyTorch cannot express do not count for it. On the clean functions an answer is wrong
if it blames anything. Exits 1 if first_nonfinite is wrong once.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks._nonfinite_sources import CLEAN, SOURCES, Source, find_mark
from benchmarks._timing import format_seconds, print_table
from functional_ad import first_nonfinite

# What PyTorch calls JAX's operations, and JAX its compiled functions.
SYNONYMS = {
    "acos": ["arccos", "acos"],
    "atan2": ["arctan2", "atan2"],
    "convert_element_type": ["tocopy", "convert_element_type", "convert"],
    "dot_general": ["mmbackward", "matmul", "dot_general"],
    "integer_pow": ["pow", "power", "square"],
    "pow": ["pow", "power"],
    "sub": ["sub", "softmax"],
    "div": ["div", "true_divide", "std", "reciprocal"],
    "sqrt": ["sqrt", "std", "norm"],
}


class Answer(NamedTuple):
    """What a tool says of one function: right or not in each part; None where it does not apply."""

    blames: bool
    op: bool = False
    line: bool = False
    iteration: bool | None = None
    phase: bool = False

    @property
    def is_right(self) -> bool:
        """Whether every part is right."""
        return all(part is not False for part in self)


def ask_library(source: Source) -> Answer:
    """What `first_nonfinite` says."""
    found = first_nonfinite(source.fun, *source.args)
    if found is None or found.harmless:
        return Answer(False)
    return Answer(
        True,
        found.op in source.ops and found.argument == source.argument,
        found.line == source.line,
        found.iterations == source.iterations if source.iterations else None,
        found.phase == source.phase,
    )


def ask_debug_nans(source: Source) -> Answer:
    """What `jax.debug_nans` and `jax.debug_infs` raise for the value and the gradient."""
    text = _run_debug_nans(source.fun, source.args)
    return _read(source, text, source.line) if text else Answer(False)


def ask_detect_anomaly(source: Source) -> Answer | None:
    """What `torch.autograd.detect_anomaly` raises and warns of; None if there is no twin."""
    from benchmarks._nonfinite_twins import TWINS, convert

    fun = TWINS.get(source.name)
    if fun is None:
        return None
    text = _run_detect_anomaly(fun, convert(source.args))
    return _read(source, text, find_mark(fun) or _find_class_mark(fun)) if text else Answer(False)


TOOLS: dict[str, Callable[[Source], Answer | None]] = {
    "first_nonfinite": ask_library,
    "jax.debug_nans": ask_debug_nans,
    "torch detect_anomaly": ask_detect_anomaly,
}


def count_false_alarms() -> dict[str, int]:
    """On how many of the clean functions each of JAX's tools blames something."""
    ours = [first_nonfinite(fun, *args) for fun, args in CLEAN.values()]
    theirs = [_run_debug_nans(fun, args) for fun, args in CLEAN.values()]
    return {
        "first_nonfinite": sum(found is not None and not found.harmless for found in ours),
        "jax.debug_nans": sum(bool(text) for text in theirs),
    }


def main() -> int:
    """Prints who is right on what, and what does not hold."""
    answers = {tool: [ask(source) for source in SOURCES] for tool, ask in TOOLS.items()}
    _print_sources(answers)
    _print_totals(answers)
    _print_times()
    wrong = [
        source.name
        for source, answer in zip(SOURCES, answers["first_nonfinite"], strict=True)
        if answer is None or not answer.is_right
    ]
    failures = [f"first_nonfinite is wrong on {name}" for name in wrong]
    if alarms := count_false_alarms()["first_nonfinite"]:
        failures.append(f"first_nonfinite blames something in {alarms} clean functions")
    for failure in failures:
        print(f"DOES NOT HOLD: {failure}")
    if not failures:
        print(f"Right on all {len(SOURCES)}, wrong on none of {len(CLEAN)}: holds.")
    return 1 if failures else 0


def _run_debug_nans(fun: Callable, args: tuple) -> str:
    """The text of what is raised, its causes and tracebacks included; empty if nothing is."""

    def total(floats: list) -> jax.Array:
        given = iter(floats)
        filled = [next(given) if take else leaf for leaf, take in zip(leaves, chosen, strict=True)]
        outputs = jax.tree.leaves(fun(*jax.tree.unflatten(tree, filled)))
        return sum(jnp.sum(x) for x in outputs if jnp.issubdtype(x.dtype, jnp.inexact))

    leaves, tree = jax.tree.flatten(args)
    chosen = [jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) for leaf in leaves]
    floats = [leaf for leaf, take in zip(leaves, chosen, strict=True) if take]
    # It prints a line for each function that it runs once more.
    quiet = contextlib.redirect_stdout(io.StringIO())
    with jax.debug_nans(True), jax.debug_infs(True), quiet:
        try:
            fun(*args)
            if floats:
                jax.block_until_ready(jax.grad(total)(floats))
        except FloatingPointError as error:
            return "".join(traceback.format_exception(error))
        except ValueError as error:  # a `while` has no gradient
            if "while_loop" not in str(error):
                raise
    return ""


def _run_detect_anomaly(fun: Callable, args: list) -> str:
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with torch.autograd.detect_anomaly():
                output = fun(*args)
                if output.requires_grad:
                    output.sum().backward()
        except RuntimeError as error:
            warned = [str(w.message) for w in caught]
            return "".join([*traceback.format_exception(error), *warned])
    return ""


def _read(source: Source, text: str, mark: str | None) -> Answer:
    """Looks for the operation's name in what a tool says at the end, and for the line anywhere."""
    says = " ".join(re.findall(r"(?:invalid value .*|Function '.*)", text)).lower()
    names = {name for op in source.ops for name in SYNONYMS.get(op, [op])}
    file, _, number = (mark or "").partition(":")
    return Answer(
        True,
        any(name in says for name in names),
        bool(mark) and re.search(rf'{file}", line {number}\b', text) is not None,
        False if source.iterations else None,
        True,
    )


def _find_class_mark(fun: Callable) -> str | None:
    """The mark of a twin that stands in an autograd.Function."""
    used = [fun.__globals__.get(name) for name in fun.__code__.co_names]
    marks = [find_mark(value.forward) for value in used if hasattr(value, "forward")]
    return next((mark for mark in marks if mark), None)


def _print_sources(answers: dict[str, list[Answer | None]]) -> None:
    rows = [
        [source.name, source.phase, *(_mark(answers[tool][i]) for tool in TOOLS)]
        for i, source in enumerate(SOURCES)
    ]
    print_table(
        f"Planted NaN and infinities: what is said (jax {jax.__version__})",
        ["", "phase", *TOOLS],
        rows,
    )


def _mark(answer: Answer | None) -> str:
    if answer is None:
        return "no twin"
    if not answer.blames:
        return "nothing"
    wrong = [
        part for part in ("op", "line", "iteration", "phase") if getattr(answer, part) is False
    ]
    return f"wrong: {', '.join(wrong)}" if wrong else "right"


def _print_totals(answers: dict[str, list[Answer | None]]) -> None:
    alarms = count_false_alarms()
    rows = []
    for tool, given in answers.items():
        pairs = list(zip(SOURCES, given, strict=True))
        there = [answer for answer in given if answer is not None]
        loops = [answer for source, answer in pairs if answer is not None and source.iterations]
        rows.append(
            [
                tool,
                *(
                    f"{sum(bool(getattr(answer, part)) for answer in there)}/{len(there)}"
                    for part in ("is_right", "blames", "op", "line")
                ),
                f"{sum(bool(answer.iteration) for answer in loops)}/{len(loops)}",
                f"{alarms[tool]}/{len(CLEAN)}" if tool in alarms else "-",
            ]
        )
    print_table(
        "Right answers, and false alarms on clean functions",
        ["", "right", "says something", "op", "line", "iteration", "false alarms"],
        rows,
    )


def _print_times() -> None:
    by_name = {source.name: source for source in SOURCES}
    rows = []
    for name in ("log_of_zero", "in_a_long_scan", "backward_through_a_long_scan"):
        times = []
        for _ in range(2):
            started = time.perf_counter()
            ask_library(by_name[name])
            times.append(time.perf_counter() - started)
        rows.append([name, *map(format_seconds, times)])
    print_table("Time of first_nonfinite", ["", "first call", "second"], rows)


if __name__ == "__main__":
    sys.exit(main())
