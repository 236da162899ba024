"""What ``first_nonfinite`` answers, in data and in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from functional_ad import _tree
from functional_ad._nonfinite._plan import Origin
from functional_ad._nonfinite._values import is_finite

_OVERFLOWING = ("add", "mul", "square", "integer_pow", "pow")

_CLOSED_OVER = "An array that the function closes over"


@dataclasses.dataclass(frozen=True)
class Range:
    """What went into an operation.

    Attributes:
        kind: Shape and dtype, e.g. ``"float32[3]"``.
        low: Least finite element (of the absolute values, if complex); None if there is none.
        high: Greatest one.
        is_finite: Whether every element is finite.

    Example:
        >>> import functional_ad, jax.numpy as jnp
        >>> functional_ad.first_nonfinite(jnp.log, jnp.array([1.0, 0.0])).inputs[0].low
        0.0
    """

    kind: str
    low: float | None
    high: float | None
    is_finite: bool

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.kind}, " + ("empty" if self.is_finite else "nothing in it finite")
        text = f"{self.kind}, {self.low:.6g} to {self.high:.6g}"
        return text if self.is_finite else f"{text}, and some not finite"


@dataclasses.dataclass(frozen=True)
class NonFinite:
    """Where NaN or infinity begins. ``str(...)`` says it to a person.

    Attributes:
        op: The operation, by JAX's name for it, e.g. ``"log"``. In the backward phase the one whose
            derivative it is, if that can be told. ``"argument"`` if an argument has it already,
            ``"output"`` if nothing can be told.
        value: What it gives: nan, inf or -inf.
        line: The user's line, as ``"file.py:12"``; None if it is not known. In a derivative rule
            that is run backwards, or in compiled code, it is the line that calls the function with
            the rule: JAX keeps no other.
        file: That file in full.
        phase: ``"forward"`` if an output is not finite; ``"backward"`` if only a gradient is.
        iterations: Iterations of the ``scan`` and ``while`` loops around it, outermost first. For
            a ``scan`` the index along the scanned axis; for a ``while`` the number of earlier ones.
        around: The same loops, and the branches of conditions, for people.
        index: The first element of the operation's output that is not finite. Under ``jax.vmap``
            the first number is, for most operations, that of the example.
        inputs: What went into the operation.
        argument: Tree path in ``args`` of the argument that has it already, e.g. ``"0/w"``; empty
            for an array that the function closes over.
        harmless: Whether it reaches no output and no gradient.
        advice: What to do, a sentence; empty if there is none to give.
        primitive: The operation that was at work, in a derivative e.g. ``"div"`` for that of log.
        is_value: Whether the operation's own value is not finite, and not its derivative only. In
            the backward phase, something keeps that value from the outputs, e.g. a ``where``.

    Example:
        >>> import functional_ad, jax.numpy as jnp
        >>> found = functional_ad.first_nonfinite(lambda x: jnp.log(x).sum(), jnp.zeros(3))
        >>> found.op, found.phase, found.harmless
        ('log', 'forward', False)
    """

    op: str
    value: float
    line: str | None
    file: str | None
    phase: Literal["forward", "backward"]
    iterations: tuple[int, ...]
    around: tuple[str, ...]
    index: tuple[int, ...]
    inputs: tuple[Range, ...]
    argument: str | None
    harmless: bool
    advice: str
    primitive: str
    is_value: bool

    def __str__(self) -> str:
        named = "nan" if math.isnan(self.value) else f"{self.value}"
        at = f", first at {list(self.index)}" if self.index else ""
        if self.argument is not None:
            whose = f"The argument at {self.argument!r}" if self.argument else _CLOSED_OVER
            lines = [f"{whose} already holds {named}{at}."]
        elif not self.is_value:
            told = f"The derivative of {self.op} (as {self.primitive})"
            if self.primitive == self.op:  # which may be what a rule of one's own computes
                told = f"In the derivative, {self.op}"
            lines = [f"{told} gives {named}{at}."]
        else:
            lines = [f"{self.op} gives {named}{at}."]
        if self.file is not None:
            lines.append(f"  at {self.file}:{(self.line or '').rpartition(':')[2]}")
        lines += [f"  in {place}" for place in reversed(self.around)]
        lines += [f"  input {i}: {given}" for i, given in enumerate(self.inputs)]
        reaches = {
            (True, "forward"): "It is harmless: every output and gradient is finite.",
            (True, "backward"): "It is harmless: every output and gradient is finite.",
            (False, "forward"): "It reaches an output.",
            (False, "backward"): "The outputs are finite; it reaches a gradient.",
        }
        lines += [reaches[self.harmless, self.phase], self.advice]
        return "\n".join(line for line in lines if line)


def describe_range(value: Any) -> Range:
    """What went into an operation."""
    kind = _tree.describe(value) if hasattr(value, "dtype") else type(value).__name__
    if not hasattr(value, "dtype") or jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return Range(kind, None, None, True)
    array = np.asarray(value)
    array = np.abs(array) if np.iscomplexobj(array) else array.astype(np.float64)
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (None, None)
    return Range(kind, low, high, finite.size == array.size)


def advise(op: str, origin: Origin) -> str:
    """One thing to do about it; empty if there is nothing to say."""
    if origin.source is not None:
        return "Look at where this value comes from: it was not finite before the call."
    if any(value is origin.output for value in origin.inputs):
        return "This constant is written in the function: it reaches the result from here."
    if any(not is_finite(value) for value in origin.inputs):
        return "An input is infinite already, which may be meant; this makes NaN of it."
    overflows = origin.step is not None and origin.step.op == op and op in _OVERFLOWING
    if overflows and math.isinf(abs(origin.became)) and not _has_zero(origin):
        return "The number is too large for the dtype: scale it, or use bfloat16 or float32."
    match op:
        case "log" | "log1p" | "log2":
            return "Keep its input above zero, e.g. `jnp.log(jnp.maximum(x, tiny))`."
        case "div" | "rem":
            return "Keep the divisor away from zero, e.g. add an epsilon to it."
        case "sqrt" | "rsqrt" | "pow" | "integer_pow" | "cbrt":
            return "Keep its input above zero, in the derivative as well: add an epsilon inside."
        case "exp" | "exp2" | "expm1" | "cosh" | "sinh":
            return "Subtract the maximum first, as `jax.nn.logsumexp` and `softmax` do."
        case "convert_element_type" | "reduce_precision":
            return "The number is too large for the dtype: scale it, or use bfloat16 or float32."
        case "gather":
            return "An index is out of range, for which `jnp.take` gives NaN: check the indices."
        case "cholesky" | "eigh" | "qr" | "svd" | "triangular_solve" | "lu":
            return "The matrix is singular, not positive definite or degenerate: regularise it."
        case _:
            return ""


def _has_zero(origin: Origin) -> bool:
    """Whether the first input is zero where infinity begins, as in ``0.0 ** -1``."""
    first = np.broadcast_to(np.asarray(origin.inputs[0]), np.shape(origin.output))
    return bool(first[origin.index] == 0)
