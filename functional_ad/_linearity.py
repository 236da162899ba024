"""Whether a program is linear in its inputs: read off its equations, not tried out."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jax.lax import GatherScatterMode

from functional_ad import _tree


class _Kind(enum.IntEnum):
    """How a value depends on the inputs."""

    ZERO = 0  # it is 0 whatever they are, and so both of the next two
    CONSTANT = 1
    LINEAR = 2
    OTHER = 3


# Sums, and what moves numbers about or changes their dtype: linear in all operands together.
_JOINTLY = frozenset(
    {
        *("add", "add_any", "sub", "neg", "copy", "copy_p", "reduce_sum", "cumsum"),
        *("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "rev"),
        *("concatenate", "pad", "slice", "convert_element_type", "reduce_precision"),
    }
)
# Linear in any one operand if the others are constant.
_IN_ONE = frozenset({"mul", "dot_general", "conv_general_dilated"})
# Linear in the first operand if the others are constant.
_IN_FIRST = frozenset({"div", "gather", "dynamic_slice"})
_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call"})


def is_linear(program: ClosedJaxpr) -> bool:
    """Whether every output is linear in the inputs, up to rounding.

    Only operations that are known to be linear count, so the answer may be no for a program that
    is; it is never yes for one that is not. ``jax.linear_transpose`` does not ask: of ``x + 1`` it
    makes the transpose of ``x``. It would lose effects too, such as a print: with one the answer is
    no.

    Example:
        >>> import jax
        >>> [is_linear(jax.make_jaxpr(f)(1.0)) for f in (lambda x: 2 * x, lambda x: x + 1)]
        [True, False]
    """
    inputs = [_Kind.LINEAR for _ in program.jaxpr.invars]
    kinds = _classify(program.jaxpr, inputs)
    if program.effects:
        return False
    floating = [_tree.is_differentiable(aval) for aval in program.in_avals + program.out_avals]
    return all(floating) and all(kind in (_Kind.ZERO, _Kind.LINEAR) for kind in kinds)


def _classify(jaxpr: Jaxpr, inputs: Sequence[_Kind]) -> list[_Kind]:
    """How the outputs of a jaxpr depend on the inputs of the whole program."""
    kinds: dict[Any, _Kind] = dict(zip(jaxpr.invars, inputs, strict=True))
    kinds |= dict.fromkeys(jaxpr.constvars, _Kind.CONSTANT)

    def read(atom: Any) -> _Kind:
        if isinstance(atom, Literal):
            return _Kind.CONSTANT if np.any(atom.val) else _Kind.ZERO
        return kinds[atom]

    for equation in jaxpr.eqns:
        outputs = _classify_outputs(equation, [read(atom) for atom in equation.invars])
        kinds |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _classify_outputs(equation: JaxprEqn, operands: list[_Kind]) -> list[_Kind]:
    name = equation.primitive.name
    if name in _CALLS:
        params = equation.params
        inner: Any = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        return _classify(getattr(inner, "jaxpr", inner), operands)
    if name == "gather" and _may_fill(equation):
        return [_join([max(operands), _Kind.CONSTANT])]
    kind = _classify_output(name, operands)
    # A cast to an integer rounds.
    return [
        kind if kind != _Kind.LINEAR or _tree.is_differentiable(out.aval) else _Kind.OTHER
        for out in equation.outvars
    ]


def _may_fill(equation: JaxprEqn) -> bool:
    """Whether a ``gather`` puts a number other than 0 where an index is out of bounds."""
    fill = equation.params["fill_value"]  # None is NaN
    return equation.params["mode"] == GatherScatterMode.FILL_OR_DROP and (fill is None or fill != 0)


def _classify_output(name: str, operands: list[_Kind]) -> _Kind:
    if name in _JOINTLY:
        return _join(operands)
    if name == "select_n" and operands[0] <= _Kind.CONSTANT:
        return _join(operands[1:])
    factors = operands if name in _IN_ONE else operands[:1] if name in _IN_FIRST else []
    if _Kind.ZERO in factors:
        return _Kind.ZERO
    varying = [place for place, kind in enumerate(operands) if kind > _Kind.CONSTANT]
    if not varying:
        return _Kind.CONSTANT
    return operands[varying[0]] if len(varying) == 1 and varying[0] < len(factors) else _Kind.OTHER


def _join(operands: list[_Kind]) -> _Kind:
    """Constants give a constant, linear values a linear one; both together are affine: neither."""
    kinds = set(operands) - {_Kind.ZERO}
    if not kinds:
        return _Kind.ZERO
    return kinds.pop() if len(kinds) == 1 else _Kind.OTHER
