"""Where a function computes at less than the precision that it is run at, and what that reaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn
from jax.extend.core import Literal as Constant

from comparisons._exact import EXACT
from functional_ad._program import Step, trace, walk
from functional_ad._regions import Body, list_bodies

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
    return choose_lowest(cast.taken for cast in casts)


def choose_lowest(names: Iterable[str | None]) -> str | None:
    """The least precise of some dtypes, of which None is float64."""
    return min((name for name in names if name), key=PRECISION.__getitem__, default=None)


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


def find_reached(fn: Callable[..., Any], args: tuple[Any, ...]) -> list[str | None] | None:
    """The lowest precision that each result of a JAX function, run at float64, has gone through.

    What is decided at a lower precision, an integer or a mask, passes it on no further: that it
    would have been decided otherwise is no rounding.

    Args:
        fn: Takes ``args`` and returns a pytree of arrays.
        args: Pytrees whose floating arrays are float64.

    Returns:
        For each result, in order, the dtype, or None if it is float64 all along; None altogether if
        the function cannot be traced.

    Example:
        >>> import numpy as np
        >>> find_reached(lambda x: (x.astype("float32") + 1.0, jnp.sin(x)), (np.ones(3),))
        ['float32', None]
    """
    with jax.enable_x64(True):
        program = trace(fn, args)
    if program is None:
        return None
    return _follow(program.jaxpr.jaxpr, [None for _ in program.jaxpr.jaxpr.invars])


def _follow(jaxpr: Jaxpr, given: Sequence[str | None]) -> list[str | None]:
    """What the outputs of a jaxpr have gone through if its inputs have gone through ``given``."""
    reached: dict[Any, str | None] = dict.fromkeys(jaxpr.constvars)
    reached |= zip(jaxpr.invars, given, strict=True)

    def read(atom: Any) -> str | None:
        return None if isinstance(atom, Constant) else reached[atom]

    for equation in jaxpr.eqns:
        outputs = _pass_on(equation, [read(atom) for atom in equation.invars])
        for variable, name in zip(equation.outvars, outputs, strict=True):
            dtype = getattr(variable.aval, "dtype", None)
            is_inexact = dtype is not None and jnp.issubdtype(dtype, jnp.inexact)
            reached[variable] = name if is_inexact else None
    return [read(atom) for atom in jaxpr.outvars]


def _pass_on(equation: JaxprEqn, given: list[str | None]) -> list[str | None]:
    """What the outputs of one equation have gone through."""
    bodies = list_bodies(equation)
    outputs: list[str | None] = [None for _ in equation.outvars]
    if not bodies:
        step = Step(equation, ())
        own = _find_lowered(step) or _find_low(step)
        return [choose_lowest([own, *given]) for _ in outputs]
    for body in bodies:
        inner = _pass_through(body, given)
        for output, place in enumerate(body.outputs):
            names = [outputs[place], inner[output]]
            if body.may_be_skipped:
                names.append(given[body.inputs[body.feedback[output]]])
            outputs[place] = choose_lowest(names)
    return outputs


def _pass_through(body: Body, given: list[str | None]) -> list[str | None]:
    """What the outputs of a body have gone through, after as many iterations as change anything."""
    inputs = [given[place] for place in body.inputs]
    while True:
        outputs = _follow(body.jaxpr, inputs)
        fed = list(inputs)
        for output, place in body.feedback.items():
            fed[place] = choose_lowest([fed[place], outputs[output]])
        if fed == inputs:
            return outputs
        inputs = fed


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
