"""Places where a function computes at less than the precision that it is run at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from comparisons._exact import EXACT
from functional_ad._program import Step, trace, walk

# Bits of the mantissa, so that bfloat16 counts as less than float16.
PRECISION = {
    "float64": 52,
    "complex128": 52,
    "float32": 23,
    "complex64": 23,
    "float16": 10,
    "bfloat16": 7,
}


@dataclasses.dataclass(frozen=True)
class Cast:
    """Where a lower precision begins.

    Attributes:
        side: ``"JAX"`` or ``"PyTorch"``.
        given: The dtype that goes in, e.g. ``"float64"``.
        taken: The dtype that is computed at, e.g. ``"float32"``.
        op: What lowers it, e.g. ``"convert_element_type"`` or ``"aten.to"``.
        where: The user's line, as ``"file.py:12"``; None if it is not known.
    """

    side: Literal["JAX", "PyTorch"]
    given: str
    taken: str
    op: str
    where: str | None

    def __str__(self) -> str:
        """One sentence."""
        where = f" at {self.where}" if self.where else ""
        return f"The {self.side} side computes in {self.taken}{where} ({self.op} of {self.given})."


def find_lowest(casts: Iterable[Cast]) -> str | None:
    """The least precise dtype that is computed at; None if there is no cast."""
    return min((cast.taken for cast in casts), key=PRECISION.__getitem__, default=None)


def find_casts(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Cast, ...] | None:
    """Where a JAX function, run at float64, computes at less than that.

    PyTorch has no counterpart; ``comparisons._backends.torch_casts`` watches the PyTorch side. This
    reads the function's jaxpr, so it finds casts in loops, conditions and derivative rules whether
    they are run or not. A float32 result may be float64 again before it is returned.

    Args:
        fn: Takes ``args`` and returns a pytree of arrays.
        args: Pytrees whose floating arrays are float64.

    Returns:
        The casts in the order of the program, one for each line, operation and dtype; None if the
        function cannot be traced.

    Example:
        >>> import numpy as np
        >>> def norm(x):
        ...     return jnp.sqrt(jnp.sum(x.astype("float32") ** 2))
        >>> [cast] = find_casts(norm, (np.ones(3),))
        >>> cast.given, cast.taken, cast.op
        ('float64', 'float32', 'convert_element_type')

    Source:
        https://docs.jax.dev/en/latest/jaxpr.html
    """
    with jax.enable_x64(True):
        program = trace(fn, args)
    if program is None:
        return None
    steps = [step for step in walk(program) if not step.is_entered]
    casts = [_describe(step, name) for step in steps if (name := _find_lowered(step))]
    if not casts:  # what is low from the start, as positions that are made in float32
        casts = [_describe(step, name) for step in steps if (name := _find_low(step))]
    return tuple(dict.fromkeys(casts))


def _describe(step: Step, taken: str) -> Cast:
    return Cast("JAX", _find_highest(step), taken, step.op, step.line)


def _find_lowered(step: Step) -> str | None:
    """The dtype that one equation computes at, if that is less precise than what it is given."""
    params = step.equation.params
    taken = [_name(kind) for kind in step.out_types]
    if step.op == "reduce_precision":
        taken = [name for name, bits in PRECISION.items() if bits >= params["mantissa_bits"]]
    algorithm = getattr(params.get("precision"), "accumulation_type", None)
    if algorithm is not None:  # a product may be stored at a higher precision than it is made at
        taken.append(jnp.dtype(algorithm).name)
    lower = [name for name in taken if name in PRECISION]
    lowest = min(lower, key=PRECISION.__getitem__, default="")
    return lowest if lower and PRECISION[lowest] < PRECISION.get(_find_highest(step), 0) else None


def _find_low(step: Step) -> str | None:
    """The dtype of an equation's results, if it rounds them to less than float64."""
    names = [_name(kind) for kind in step.out_types]
    low = [name for name in names if PRECISION.get(name, 52) < 52]
    return low[0] if low and step.op not in EXACT else None


def _find_highest(step: Step) -> str:
    return max(map(_name, step.in_types), key=lambda name: PRECISION.get(name, 0), default="")


def _name(kind: Any) -> str:
    return str(getattr(kind, "dtype", ""))
