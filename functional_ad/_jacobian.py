"""How a Jacobian is computed: from which side, and so many rows or columns at a time."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._control import require_grad_enabled
from functional_ad._errors import ArgumentError, OutputError, explain
from functional_ad._gradients import describe_output, split_aux
from functional_ad._hooks import backward_only
from functional_ad._leaves import combine, partition, select_for
from functional_ad._mesh import make_zero
from functional_ad._products import multiply_fast
from functional_ad._program import Step, trace, walk

Mode = Literal["auto", "rev", "fwd"]


def make_jacobian(
    name: str,
    fun: Callable[..., Any],
    argnums: int | Sequence[int],
    mode: Mode,
    chunk_size: int | None,
    has_aux: bool,
) -> Callable[..., Any]:
    """``functional_ad.jacobian``, on behalf of the function of that name."""
    indices = _check_argnums(name, argnums)
    chunk = _check_chunk_size(name, chunk_size)
    _check_mode(name, mode)

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        require_grad_enabled(name)
        places = _find_places(name, indices, len(args))
        single = not isinstance(argnums, Sequence)
        chosen = args[places[0]] if single else tuple(args[i] for i in places)
        argument = f"functional_ad.{name}(argnums=...)"
        diff, rest = partition(chosen, select_for(argument, chosen, None))
        inputs, in_tree = jax.tree.flatten(diff)

        def compute(inputs: list[Any]) -> tuple[list[Any], tuple[PyTree, Any]]:
            """The floating-point outputs; beside them their tree, and what is no output."""
            given = combine(jax.tree.unflatten(in_tree, inputs), rest)
            filled = list(args)
            for place, value in zip(places, (given,) if single else given, strict=True):
                filled[place] = value
            output = fun(*filled, **kwargs)
            output, aux = split_aux(name, output) if has_aux else (output, None)
            floats, _ = split_floats(name, output)
            return jax.tree.leaves(floats), (floats, aux)

        chosen_mode = _choose_mode(compute, inputs) if mode == "auto" else mode
        compute_blocks = _compute_by_rows if chosen_mode == "rev" else _compute_by_columns
        blocks, (floats, aux) = compute_blocks(name, compute, inputs, chunk)
        if mode == "auto":
            blocks = [[_match_dtype(b, x) for b, x in zip(r, inputs, strict=True)] for r in blocks]
        rows = [jax.tree.unflatten(in_tree, row) for row in blocks]
        result = jax.tree.unflatten(jax.tree.structure(floats), rows)
        return (result, aux) if has_aux else result

    return jacobian


def split_floats(name: str, output: PyTree) -> tuple[PyTree, PyTree]:
    """An output's floating-point and complex leaves, and the others, on behalf of ``name``."""
    mask = jax.tree.map(_tree.is_differentiable, output)
    if not any(jax.tree.leaves(mask)):
        raise OutputError(
            explain(
                f"`functional_ad.{name}` needs an output that can be differentiated.",
                expected="at least one floating-point or complex leaf",
                got=describe_output(output),
                fix="Return a floating-point value, or cast with `.astype(jnp.float32)`.",
            )
        )
    return partition(output, mask)


def _choose_mode(compute: Callable[..., Any], inputs: list[Any]) -> Mode:
    """What ``mode="auto"`` means, as `functional_ad.jacobian` says it."""
    program = None
    if not any(map(_tree.is_complex, inputs)):
        program = trace(lambda inputs: compute(inputs)[0], (inputs,))
    if program is None:
        return "rev"
    outputs = program.jaxpr.out_avals
    if any(map(_tree.is_complex, outputs)):
        return "fwd"
    if sum(map(np.size, inputs)) >= sum(aval.size for aval in outputs):
        return "rev"
    return "rev" if any(map(_is_backward_only, walk(program))) else "fwd"


def _is_backward_only(step: Step) -> bool:
    hooked = step.equation.params.get("name") == backward_only.__name__
    return hooked or step.op == "custom_vjp_call"


Blocks = tuple[list[list[Any]], tuple[PyTree, Any]]
"""A block for each output and each input, and what was beside the outputs."""


def _compute_by_rows(
    name: str, compute: Callable[..., Any], inputs: list[Any], chunk: int | None
) -> Blocks:
    outputs, pullback, beside = jax.vjp(compute, inputs, has_aux=True)
    _check_real(name, "rev", "outputs", outputs, inputs)
    stacked = _apply_to_basis(lambda unit: pullback(unit)[0], outputs, chunk, axis=0)
    cut = [
        [rows[start:stop].reshape(np.shape(y) + np.shape(x)) for y, start, stop in _cut(outputs)]
        for rows, x in zip(stacked, inputs, strict=True)
    ]
    return [list(row) for row in zip(*cut, strict=True)], beside


def _compute_by_columns(
    name: str, compute: Callable[..., Any], inputs: list[Any], chunk: int | None
) -> Blocks:
    _check_real(name, "fwd", "arguments", inputs, [])
    outputs, push, beside = jax.linearize(compute, inputs, has_aux=True)
    stacked = _apply_to_basis(push, inputs, chunk, axis=-1)
    return [
        [
            cols[..., start:stop].reshape(np.shape(y) + np.shape(x))
            for x, start, stop in _cut(inputs)
        ]
        for cols, y in zip(stacked, outputs, strict=True)
    ], beside


def _cut(leaves: list[Any]) -> list[tuple[Any, int, int]]:
    """Each leaf with where its elements begin and end among those of all."""
    ends = list(itertools.accumulate(map(np.size, leaves)))
    return list(zip(leaves, [0, *ends[:-1]], ends, strict=True))


def _apply_to_basis(
    linear: Callable[[list[Any]], list[Any]], like: list[Any], chunk: int | None, *, axis: int
) -> list[Any]:
    """Applies a linear function to each unit vector of ``like``; stacks what it returns.

    The vectors are made as they are needed: the whole basis would have a row for each row of the
    Jacobian. The parts overlap where they do not divide it, so that each is written where it
    belongs in the result: to join a shorter last one to the others would copy them all.
    """
    kinds = [jax.eval_shape(lambda x: x, leaf) for leaf in like]
    count = sum(map(np.size, like))

    steps = 1 if chunk is None else -(-count // chunk)
    size = -(-count // max(steps, 1))

    apply = jax.vmap(linear, out_axes=axis)
    apply_fast = multiply_fast(apply)

    def make_units(start: Any) -> tuple[list[Any], list[Any]]:
        """One unit vector a row, and for leaves that are vectors, where its 1 is if it has one."""
        rows = start + jnp.arange(size, dtype=jnp.int32)
        indices = [rows - first for _, first, _ in _cut(kinds)]
        units = [
            jax.vmap(functools.partial(_make_unit, kind))(index)
            for kind, index in zip(kinds, indices, strict=True)
        ]
        vectors = [kind.ndim == 1 for kind in kinds]
        return units, [i if is_one else None for i, is_one in zip(indices, vectors, strict=True)]

    if steps <= 1:
        return apply(make_units(jnp.int32(0))[0])

    def add_part(step: Any, results: list[Any]) -> list[Any]:
        start = jnp.minimum(step * size, count - size)
        return [
            lax.dynamic_update_slice_in_dim(result, part, start, axis % result.ndim)
            for result, part in zip(results, apply_fast(*make_units(start)), strict=True)
        ]

    parts = jax.eval_shape(lambda: apply_fast(*make_units(jnp.int32(0))))
    return lax.fori_loop(0, steps, add_part, [_make_result(part, count, axis) for part in parts])


def _make_unit(kind: jax.ShapeDtypeStruct, index: Any) -> Any:
    """1 at one element, 0 at the others, or at all if the index is out of range."""
    positions = lax.iota(jnp.int32, kind.size).reshape(kind.shape)
    # The zeros bring the mesh and its axes; the compiler drops the sum.
    return (positions == index).astype(kind.dtype) + make_zero(kind)


def _make_result(part: jax.ShapeDtypeStruct, count: int, axis: int) -> Any:
    shape = list(part.shape)
    shape[axis] = count
    return make_zero(part.update(shape=tuple(shape)))


def _match_dtype(block: Any, leaf: Any) -> Any:
    return block if _tree.is_complex(block) else block.astype(jax.typeof(leaf).dtype)


def _check_real(name: str, mode: str, what: str, leaves: list[Any], opposite: list[Any]) -> None:
    wrong = [_tree.describe(leaf) for leaf in leaves if _tree.is_complex(leaf)]
    if wrong:
        other = "the real and imaginary parts as two leaves"
        if mode == "fwd":
            fix = f'Use `mode="rev"`, or pass {other}.'
        elif any(map(_tree.is_complex, opposite)):
            fix = f"Pass and return {other}: no mode has both complex."
        else:
            fix = f'Use `mode="fwd"`, or return {other}.'
        raise OutputError(
            explain(
                f"`functional_ad.{name}` in mode {mode!r} needs real {what}.",
                expected="floating-point leaves",
                got=wrong,
                fix=fix,
            )
        )


def _check_mode(name: str, mode: object) -> None:
    if mode not in get_args(Mode):
        raise ArgumentError(
            explain(
                f"`functional_ad.{name}(mode=...)` must be one of three.",
                expected=", ".join(repr(known) for known in get_args(Mode)),
                got=_tree.describe_value(mode),
                fix='Leave it out, which means "auto".',
            )
        )


def _check_chunk_size(name: str, chunk_size: Any) -> int | None:
    if chunk_size is None:
        return None
    try:
        size = 0 if isinstance(chunk_size, bool) else operator.index(chunk_size)
    except TypeError:
        size = 0
    if size < 1:
        raise ArgumentError(
            explain(
                f"`functional_ad.{name}(chunk_size=...)` must be a positive number of rows.",
                expected="an int of at least 1, or None for all rows at once",
                got=_tree.describe_value(chunk_size),
                fix="Try 32; a smaller one holds less memory.",
            )
        )
    return size


def _check_argnums(name: str, argnums: Any) -> tuple[int, ...]:
    given = argnums if isinstance(argnums, tuple | list) else (argnums,)
    try:
        if any(isinstance(i, bool) for i in given):
            raise TypeError
        indices = tuple(operator.index(i) for i in given)
    except TypeError:
        indices = ()
    if not indices:
        raise ArgumentError(
            explain(
                f"`functional_ad.{name}(argnums=...)` must be one position or several.",
                expected="an int or a tuple of ints",
                got=_tree.describe_value(argnums),
                fix="Leave it out to differentiate the first argument.",
            )
        )
    return indices


def _find_places(name: str, indices: tuple[int, ...], count: int) -> list[int]:
    places = [index % count for index in indices if -count <= index < count]
    if len(set(places)) == len(indices):
        return places
    raise ArgumentError(
        explain(
            f"`functional_ad.{name}(argnums=...)` must be different positions in the call.",
            expected=f"less than {count}, the number of positional arguments",
            got=", ".join(map(str, indices)),
            fix="Pass the arguments to differentiate by position, not by keyword.",
        )
    )
