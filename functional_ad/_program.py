"""A JAX function as a program: its jaxpr, walked or evaluated equation by equation.

``trace`` makes the program, ``walk`` lists its equations, and ``evaluate`` runs it with a hook that
may change what each of them computes. Both go into compiled, checkpointed and custom-rule functions
and into the bodies of loops and conditions, and both name an equation by the same ``path``.
Evaluation can itself be traced, so a changed program can be compiled or differentiated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from functional_ad._compat import is_jax_code, scan_counts, source_frames

CUSTOM_RULES = frozenset({"custom_jvp_call", "custom_vjp_call"})
# The parameter that holds the function, by the primitive that calls it.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "eval_jaxpr": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
_HERE = Path(__file__)
_TRAINING = _HERE.parent / "training"  # a program that uses the library, as any other
# But for what its layers share: not these lines say which layer it was.
_SHARED = frozenset(_TRAINING / "_models" / name for name in ("_products.py", "_images.py"))


@dataclasses.dataclass(frozen=True)
class Program:
    """A traced function.

    Attributes:
        jaxpr: Its equations.
        out_tree: Structure of what it returns.
    """

    jaxpr: ClosedJaxpr
    out_tree: Any


@dataclasses.dataclass(frozen=True)
class Step:
    """One equation of a program, where it stands.

    Attributes:
        equation: The equation.
        path: Its position: index in the program, or for one inside another equation that one's
            path, which of its functions, and the index there. May be empty if nobody asks for it.
        callers: The equations that it is inside of, outermost first.
    """

    equation: JaxprEqn
    path: tuple[int, ...]
    callers: tuple[JaxprEqn, ...] = ()

    @property
    def op(self) -> str:
        """Name of the primitive, e.g. ``"dot_general"``."""
        return self.equation.primitive.name

    @property
    def in_types(self) -> list[Any]:
        """Shapes and dtypes of its inputs."""
        return [atom.aval for atom in self.equation.invars]

    @property
    def out_types(self) -> list[Any]:
        """Shapes and dtypes of its outputs."""
        return [variable.aval for variable in self.equation.outvars]

    @property
    def is_entered(self) -> bool:
        """Whether it holds functions that `walk` and `evaluate` go into."""
        return bool(_find_bodies(self.equation))

    @property
    def line(self) -> str | None:
        """The user's line that it comes from, as ``"file.py:12"``; None if it is not known."""
        return _write_place(self.place)

    @property
    def place(self) -> tuple[str, int] | None:
        """The file and the line that it comes from, in full; None if they are not known."""
        # What JAX compiled for itself is traced once: its lines may be those of an earlier caller.
        for depth, caller in enumerate(self.callers):
            taken = self.path[2 * depth + 1 : 2 * depth + 2]  # nothing, if the path is not told
            bodies = enumerate(_find_bodies(caller))
            if any(is_jax_code(body) for i, (body, _) in bodies if not taken or i == taken[0]):
                return source_place(caller)
        for equation in (self.equation, *reversed(self.callers)):
            if place := source_place(equation):
                return place
        return None

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Computes the equation's outputs."""
        primitive = self.equation.primitive
        outputs = primitive.bind(*inputs, **primitive.get_bind_params(self.equation.params))
        return list(outputs) if primitive.multiple_results else [outputs]


Hook = Callable[[Step, list[Any]], list[Any]]
"""Gets a step and its inputs; returns its outputs, for example ``step.run(inputs)``."""


def trace(fn: Callable[..., Any], args: tuple[Any, ...]) -> Program | None:
    """Traces a function for arguments like these; the floating arrays among them are its inputs.

    Everything else, such as labels or an axis, is as it is in ``args``.

    Returns:
        The program; None if the function cannot be traced, since Python looks at its numbers.
    """
    leaves, tree = jax.tree.flatten(args)

    def call(floats: list[Any]) -> Any:
        given = iter(floats)
        filled = [next(given) if _is_floating(leaf) else leaf for leaf in leaves]
        return fn(*jax.tree.unflatten(tree, filled))

    try:
        program, _ = trace_arrays(call, select_floats(args))
    except Exception:  # the function has been run with these numbers, so tracing is to blame
        return None
    return program


def trace_arrays(fn: Callable[[list[Any]], Any], arrays: list[Any]) -> tuple[Program, Any]:
    """Traces a function of a list of arrays; what it raises while traced is not caught.

    Returns:
        The program, and what the function returns with shapes and dtypes in place of arrays.
    """
    jaxpr, shapes = jax.make_jaxpr(fn, return_shape=True)(arrays)
    return Program(jaxpr, jax.tree.structure(shapes)), shapes


def select_floats(args: Any) -> list[Any]:
    """The floating and complex arrays of a tree, which are the inputs of its program."""
    return [leaf for leaf in jax.tree.leaves(args) if _is_floating(leaf)]


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def walk(program: Program, *, into_custom: bool = True) -> Iterator[Step]:
    """Every equation, in order; one that holds functions comes before the equations in them.

    Args:
        program: The program.
        into_custom: Whether to go into functions that have a derivative rule of their own.
    """
    yield from _walk(program.jaxpr.jaxpr, (), (), into_custom)


def _walk(
    jaxpr: Jaxpr, path: tuple[int, ...], callers: tuple[JaxprEqn, ...], into_custom: bool
) -> Iterator[Step]:
    for index, equation in enumerate(jaxpr.eqns):
        step = Step(equation, (*path, index), callers)
        yield step
        if equation.primitive.name in CUSTOM_RULES and not into_custom:
            continue
        for position, (inner, _) in enumerate(_find_bodies(equation)):
            yield from _walk(inner, (*step.path, position), (*callers, equation), into_custom)


def source_line(equation: JaxprEqn) -> str | None:
    """The user's line that an equation was traced from, as ``"file.py:12"``, if it is known.

    The innermost one outside of installed packages, such as flax, if there is one.
    """
    return _write_place(source_place(equation))


def source_place(equation: JaxprEqn) -> tuple[str, int] | None:
    """The file and the line of ``source_line``."""
    frames: list[tuple[str, int]] = []
    for file, line in source_frames(equation):
        if Path(file) == _HERE:  # what is further out called `trace`
            break
        path = Path(file)
        ours = path.is_relative_to(_HERE.parent) and not path.is_relative_to(_TRAINING)
        if not ours and path not in _SHARED:
            frames.append((file, line))
    if not frames:
        return None
    own = [frame for frame in frames if "site-packages" not in Path(frame[0]).parts]
    return (own or frames)[0]


def _write_place(place: tuple[str, int] | None) -> str | None:
    return f"{Path(place[0]).name}:{place[1]}" if place else None


def evaluate(program: Program, args: Any, hook: Hook, *, into_custom: bool = True) -> Any:
    """Runs a program, equation by equation, with what the hook makes of each.

    The hook is called for the equations that compute something, not for those that are gone into:
    calls, loops and conditions. In the body of a loop it is called once, with tracers.

    Args:
        program: What ``trace`` made.
        args: The arguments; only their floating arrays are used.
        hook: What to compute in each step.
        into_custom: Whether to go into functions that have a derivative rule of their own. That
            loses the rule, so pass False if the evaluation is to be differentiated.

    Returns:
        What the function returns.
    """
    outputs = _evaluate(program.jaxpr, select_floats(args), (), (), _Run(hook, into_custom))
    return jax.tree.unflatten(program.out_tree, outputs)


def evaluate_body(body: ClosedJaxpr, inputs: Sequence[Any], hook: Hook) -> list[Any]:
    """Runs the body of a loop or a call as ``evaluate`` runs a program, on all its inputs."""
    return _evaluate(body, inputs, (), (), _Run(hook, into_custom=True))


@dataclasses.dataclass(frozen=True)
class _Run:
    """What stays the same during one evaluation."""

    hook: Hook
    into_custom: bool


def _evaluate(
    jaxpr: Any,
    inputs: Sequence[Any],
    path: tuple[int, ...],
    callers: tuple[JaxprEqn, ...],
    run: _Run,
) -> list[Any]:
    def compute(index: int, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
        return _evaluate_step(Step(equation, (*path, index), callers), inputs, run)

    return evaluate_equations(jaxpr, inputs, compute)


def evaluate_equations(
    jaxpr: Any, inputs: Sequence[Any], compute: Callable[[int, JaxprEqn, list[Any]], list[Any]]
) -> list[Any]:
    """Evaluates a jaxpr with its equations computed by a function; nothing is gone into.

    Args:
        jaxpr: A jaxpr, with its constants.
        inputs: Values of its inputs.
        compute: Gets an equation's index, the equation and its inputs; returns its outputs.
    """
    inner, constants = open_jaxpr(jaxpr)
    values: dict[Any, Any] = dict(zip(inner.constvars, constants, strict=True))
    values |= zip(inner.invars, inputs, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for index, equation in enumerate(inner.eqns):
        outputs = compute(index, equation, [read(atom) for atom in equation.invars])
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in inner.outvars]


def _evaluate_step(step: Step, inputs: list[Any], run: _Run) -> list[Any]:
    params, callers = step.equation.params, (*step.callers, step.equation)

    def call(jaxpr: Any, position: int, inputs: Sequence[Any]) -> list[Any]:
        return _evaluate(jaxpr, inputs, (*step.path, position), callers, run)

    if step.op == "scan":
        return _evaluate_scan(step.equation, inputs, call)
    if step.op == "while":
        return _evaluate_while(params, inputs, call)
    if step.op == "cond":
        branches = [
            lambda *operands, at=position, jaxpr=branch: call(jaxpr, at, operands)
            for position, branch in enumerate(params["branches"])
        ]
        return list(jax.lax.switch(inputs[0], branches, *inputs[1:]))
    if step.op in CALLS and (run.into_custom or step.op not in CUSTOM_RULES):
        return call(params[CALLS[step.op]], 0, inputs)
    return run.hook(step, inputs)


def _evaluate_scan(
    equation: JaxprEqn, inputs: list[Any], call: Callable[..., list[Any]]
) -> list[Any]:
    params = equation.params
    constants, carried = scan_counts(equation)
    start = constants + carried
    body, _ = open_jaxpr(params["jaxpr"])

    def step(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        outputs = call(params["jaxpr"], 0, [*inputs[:constants], *carry, *slices])
        return match_types(outputs[:carried], body.outvars), outputs[carried:]

    carry, stacked = jax.lax.scan(
        step,
        match_types(inputs[constants:start], body.outvars),
        inputs[start:],
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*carry, *stacked]


def _evaluate_while(
    params: dict[str, Any], inputs: list[Any], call: Callable[..., list[Any]]
) -> list[Any]:
    tested, constants = params["cond_nconsts"], params["body_nconsts"]
    body, _ = open_jaxpr(params["body_jaxpr"])
    ahead, fixed = inputs[:tested], inputs[tested : tested + constants]
    return jax.lax.while_loop(
        lambda carry: call(params["cond_jaxpr"], 0, [*ahead, *carry])[0],
        lambda carry: match_types(call(params["body_jaxpr"], 1, [*fixed, *carry]), body.outvars),
        match_types(inputs[tested + constants :], body.outvars),
    )


def match_types(values: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Gives floating values the dtype of the variables, and none of them a weak type."""
    return [
        jax.lax.convert_element_type(value, variable.aval.dtype) if _is_floating(value) else value
        for value, variable in zip(values, variables, strict=False)
    ]


def _find_bodies(equation: JaxprEqn) -> list[tuple[Jaxpr, Sequence[Any]]]:
    """The functions that an equation holds and that are gone into, in the order of their paths."""
    params = equation.params
    match equation.primitive.name:
        case "scan":
            bodies = [params["jaxpr"]]
        case "while":
            bodies = [params["cond_jaxpr"], params["body_jaxpr"]]
        case "cond":
            bodies = list(params["branches"])
        case name if name in CALLS:
            bodies = [params[CALLS[name]]]
        case _:
            bodies = []
    return [open_jaxpr(body) for body in bodies]


def open_jaxpr(jaxpr: Any) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr and the values of its constants, whether it holds them (a ClosedJaxpr) or not."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())
