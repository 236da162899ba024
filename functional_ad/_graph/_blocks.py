"""A piece of a program as it is drawn: its operations and regions, what goes in and what comes out.

A block is a whole function, the body of a region, or the operations of one ``jax.named_scope``.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn, Literal

from functional_ad import _flow
from functional_ad._compat import scope_path
from functional_ad._program import Program
from functional_ad._regions import Body, list_bodies

_TRANSFORMED = re.compile(r"(?P<transforms>(?:\w+\()*)(?P<name>[^()]*)\)*")


@dataclasses.dataclass(frozen=True)
class Value:
    """What goes into a block.

    Attributes:
        label: How it is called.
        kind: ``"input"`` or ``"constant"``.
        is_leaf: Whether it was not computed, or needs no gradient.
    """

    label: str
    kind: str = "input"
    is_leaf: bool = True


@dataclasses.dataclass(frozen=True)
class Scope:
    """Equations that follow each other in one ``jax.named_scope``.

    Attributes:
        name: The scope's.
        is_backward: Whether they are the transposed ones, of the backward pass.
        equations: The equations.
    """

    name: str
    is_backward: bool
    equations: tuple[JaxprEqn, ...]


Item = JaxprEqn | Scope
"""What is drawn as one node."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A piece of a program.

    Attributes:
        title: Name of the function, region or scope.
        equations: Its equations.
        inputs: What goes in, by variable.
        outputs: What comes out, with how it is called.
        required: For each value, whether it requires a gradient.
        reached: For each value, whether a gradient passes it on its way from the outputs.
        callers: The equations that it is inside of, outermost first.
        depth: The number of scopes that it is inside of, since the innermost of ``callers``.
    """

    title: str
    equations: tuple[JaxprEqn, ...]
    inputs: Mapping[Any, Value]
    outputs: Sequence[tuple[Any, str]]
    required: _flow.Flags
    reached: _flow.Flags
    callers: tuple[JaxprEqn, ...] = ()
    depth: int = 0

    @property
    def items(self) -> list[Item]:
        """The equations, those in a scope as one."""
        items: list[Item] = []
        for scope, run in itertools.groupby(self.equations, self._find_scope):
            equations = tuple(run)
            if scope is None or len(equations) == 1:
                items.extend(equations)
            else:
                items.append(Scope(*scope, equations))
        return items

    def _find_scope(self, equation: JaxprEqn) -> tuple[str, bool] | None:
        scopes = list_scopes(equation)
        return scopes[self.depth] if len(scopes) > self.depth else None


def make_block(
    title: str,
    program: Program,
    inputs: Sequence[tuple[str, bool]],
    outputs: Sequence[str],
    constants: Sequence[str],
) -> Block:
    """The block of a whole function.

    Args:
        title: Its name.
        program: The traced function.
        inputs: For each input, how it is called and whether it requires a gradient.
        outputs: How the outputs are called.
        constants: How the values are called that the function closes over.
    """
    jaxpr = program.jaxpr.jaxpr
    values = {
        variable: Value(name, "constant")
        for variable, name in zip(jaxpr.constvars, constants, strict=True)
    }
    values |= {
        variable: Value(name) for variable, (name, _) in zip(jaxpr.invars, inputs, strict=True)
    }
    given = dict.fromkeys(jaxpr.constvars, False)
    given |= {v: flag for v, (_, flag) in zip(jaxpr.invars, inputs, strict=True)}
    required = _flow.find_required(jaxpr.eqns, given)
    return Block(
        title,
        tuple(jaxpr.eqns),
        values,
        list(zip(jaxpr.outvars, outputs, strict=True)),
        required,
        _flow.find_reached(jaxpr.eqns, required, jaxpr.outvars),
    )


def open_scope(block: Block, scope: Scope, labels: Mapping[Any, str]) -> Block:
    """The block of one scope of a block, whose values are called as ``labels`` says."""
    ins, outs = find_ends(block, scope)
    inputs = {v: block.inputs.get(v) or _pass_in(block, v, labels) for v in ins}
    outputs = [(variable, labels[variable]) for variable in outs]
    return dataclasses.replace(
        block,
        title=scope.name,
        equations=scope.equations,
        inputs=inputs,
        outputs=outputs,
        depth=block.depth + 1,
    )


def open_body(
    block: Block, equation: JaxprEqn, body: Body, title: str, labels: Mapping[Any, str]
) -> Block:
    """The block of one function that an equation of a block holds."""
    jaxpr = body.jaxpr
    given = [_flow.read(block.required, atom) for atom in equation.invars]
    required = _flow.find_required_inside(body, given)
    wanted = [block.reached[variable] for variable in equation.outvars]
    carried = {jaxpr.invars[place] for place in body.feedback.values()}
    slices = {jaxpr.invars[place] for place in body.slices}
    inputs = {
        v: Value(name_constant(c), "constant")
        for v, c in zip(jaxpr.constvars, body.constants, strict=False)
    }
    for variable, place in zip(jaxpr.invars, body.inputs, strict=True):
        atom = equation.invars[place]
        value = _pass_in(block, atom, labels)
        if variable in carried:
            value = Value(f"{value.label} (carried)", "input", not required[variable])
        elif variable in slices:
            value = dataclasses.replace(value, label=f"{value.label}[i]")
        inputs[variable] = value
    names = [labels[equation.outvars[place]] for place in body.outputs] or ["output"]
    return Block(
        title,
        tuple(jaxpr.eqns),
        inputs,
        list(zip(jaxpr.outvars, names, strict=True)),
        required,
        _flow.find_reached_inside(body, required, wanted),
        (*block.callers, equation),
    )


def find_ends(block: Block, item: Item) -> tuple[list[Any], list[Any]]:
    """What goes into an item, literals left out, and what others in the block take out of it."""
    if not isinstance(item, Scope):
        return [a for a in item.invars if not isinstance(a, Literal)], list(item.outvars)
    mine = {id(equation) for equation in item.equations}
    made = {variable for equation in item.equations for variable in equation.outvars}
    used = {
        atom
        for equation in block.equations
        if id(equation) not in mine
        for atom in equation.invars
        if not isinstance(atom, Literal)
    }
    used |= {atom for atom, _ in block.outputs if not isinstance(atom, Literal)}
    taken = dict.fromkeys(
        atom
        for equation in item.equations
        for atom in equation.invars
        if not isinstance(atom, Literal) and atom not in made
    )
    given = [v for equation in item.equations for v in equation.outvars if v in used]
    return list(taken), given


def is_region(item: Item) -> bool:
    """Whether an item can be opened."""
    return isinstance(item, Scope) or bool(list_bodies(item))


def list_scopes(equation: JaxprEqn) -> list[tuple[str, bool]]:
    """The scopes that an equation is in, outermost first, and whether it is a transposed one.

    Example:
        >>> import jax
        >>> with jax.named_scope("layer"):
        ...     jaxpr = jax.make_jaxpr(lambda x: 2 * x)(1.0)
        >>> list_scopes(jaxpr.eqns[0])
        []
    """
    scopes: list[tuple[str, bool]] = []
    for part in scope_path(equation).split("/"):
        match = _TRANSFORMED.fullmatch(part)
        name, transforms = (match["name"], match["transforms"]) if match else (part, "")
        if name:
            scopes.append((name, "transpose(" in transforms))
    return scopes


def name_constant(value: Any) -> str:
    """A constant's value if it is one number, else ``"constant"``."""
    value = value.val if isinstance(value, Literal) else value
    try:
        number = np.asarray(value).item() if np.size(value) == 1 else "constant"
        return f"{number:.6g}" if isinstance(number, float) else str(number)
    except Exception:  # a tracer, a key: it has no number to show
        return "constant"


def _pass_in(block: Block, atom: Any, labels: Mapping[Any, str]) -> Value:
    """What a value of a block is inside one of its regions."""
    if isinstance(atom, Literal):
        return Value(name_constant(atom), "constant")
    if outer := block.inputs.get(atom):
        return outer
    return Value(labels[atom], "input", not block.required[atom])
