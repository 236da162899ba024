"""What a comparison cannot show, because of the numbers that it was given or that came out.

An input with a pattern hides the mistakes that keep the pattern: one of zeros hides a term that is
missing, a symmetric matrix a transposition. If gradients are compared, the gradient of that input
shows them nevertheless, unless it has the same pattern.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from comparisons._evidence import Evidence
from comparisons._results import LeafResult
from comparisons._trees import Leaves, flatten
from comparisons._verdict import Verdict
from functional_ad._program import Program, Step, walk

Array = np.ndarray[Any, Any]

# Changes of one size are seen as equal up to this: Adam's eps and the rounding of the parameters
# themselves, at float64, are less.
SAME_SIZE = 1e-2

_HIDDEN = {
    "zeros": "is all zeros: that it is missing, or has a wrong sign or factor, would not be seen",
    "constant": "has one value everywhere: a wrong order, axis or transposition of it would not be "
    "seen",
    "rows": "is the same along axis {axis}: a wrong order or reduction along it would not be seen",
    "symmetric": "is a symmetric matrix: a transposition of it would not be seen",
    "single": "has one element: a wrong axis, order or reduction of it would not be seen",
}
_KEEP_COUNTS = {"add", "sub", "reshape", "broadcast_in_dim", "convert_element_type"}
_NAMES = {"value": "output", "vjp": "gradient of", "jvp": "derivative of", "hvp": "product for"}


def find_vacuity(
    inputs: tuple[Any, ...], evidence: Sequence[Evidence], leaves: Sequence[LeafResult] = ()
) -> tuple[str, ...]:
    """What this comparison cannot show, a sentence each.

    Args:
        inputs: What the JAX function gets.
        evidence: What was run, one for each quantity.
        leaves: What came of it.

    Returns:
        The sentences; none for ordinary numbers.
    """
    by_order = {found.quantity: found for found in evidence}
    arrays = {path: np.asarray(leaf) for path, leaf in flatten(inputs).items() if _is_array(leaf)}
    notes = [
        *_describe_inputs(arrays, by_order),
        *(note for found in evidence for note in _describe_results(found)),
        *_describe_noise(leaves),
    ]
    if "value" in by_order:
        notes += _describe_bounded_steps(arrays, by_order["value"].torch64)
    return tuple(dict.fromkeys(notes))


def find_short_counts(program: Program | None) -> tuple[str, ...]:
    """Where a program counts along an axis of length 1: a sequence of one token has no positions.

    Args:
        program: The JAX side's; None, of which nothing can be said.
    """
    if program is None:
        return ()
    steps = list(walk(program))
    users: dict[Any, list[Step]] = defaultdict(list)
    for step in steps:
        for atom in step.equation.invars:
            if not isinstance(atom, Literal):
                users[atom].append(step)
    lines = [
        step.line
        for step in steps
        if step.op == "iota"
        and step.equation.params["shape"][step.equation.params["dimension"]] == 1
        and not _is_place(step, users)
    ]
    return tuple(
        f"At {line} positions are counted along an axis of length 1: a mistake in what depends on "
        f"them would not be seen."
        for line in dict.fromkeys(lines)
        if line is not None
    )


def _is_place(step: Step, users: Mapping[Any, Sequence[Step]]) -> bool:
    """Whether a count is only asked for the one place where it equals something.

    ``jnp.eye`` and one-hot rows are made so, and with them every Jacobian of one output.
    """
    (made,) = step.equation.outvars
    return all(
        user.op == "eq" or (user.op in _KEEP_COUNTS and _is_place(user, users))
        for user in users.get(made, ())
    )


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and (
        jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == np.bool_
    )


def _describe_inputs(arrays: Leaves, by_order: dict[str, Evidence]) -> Iterator[str]:
    forward = "jvp" in by_order or "hvp" in by_order
    for path, array in arrays.items():
        exact = not jnp.issubdtype(array.dtype, jnp.inexact)
        patterns = _find_patterns(array, labels=exact)
        if "vjp" in by_order and path in by_order["vjp"].torch64:
            grad = by_order["vjp"].torch64[path]
            if grad.shape == array.shape:
                patterns = [name for name in patterns if name in _find_patterns(grad)]
        elif forward and not exact:
            patterns = [name for name in patterns if name == "single"]  # the tangents have none
        for name in patterns[:1]:
            kind, _, axis = name.partition(" ")
            yield f"Input {path!r} {_HIDDEN[kind].format(axis=axis)}."


def _find_patterns(array: Array, *, labels: bool = False) -> list[str]:
    """What is special about the numbers, from the most special on; scalars are taken as they are.

    Each pattern is one of those that follow from it: zeros are constant, too.
    """
    if not array.ndim or not array.size:
        return []
    if array.size == 1:
        return ["single"]
    found: list[str] = []
    if not array.any():
        found.append("zeros")
    if (array == array.flat[0]).all():
        found.append("constant")
    if labels:
        return found
    for axis, length in enumerate(array.shape):
        if array.ndim > 1 and length > 1 and (array == array.take([0], axis)).all():
            found.append(f"rows {axis}")
    if array.ndim == 2 and array.shape[0] == array.shape[1] and (array == array.T).all():
        found.append("symmetric")
    return found


def _describe_results(evidence: Evidence) -> Iterator[str]:
    kind = _NAMES[evidence.quantity]
    for path, theirs in evidence.torch64.items():
        ours = evidence.jax64.get(path)
        if ours is None or ours.shape != theirs.shape or not theirs.size:
            continue
        if not jnp.issubdtype(theirs.dtype, jnp.inexact):
            continue
        name = f"The {kind} {path!r}" if path else f"The {kind}".removesuffix(" of")
        if np.isnan(ours).all() and np.isnan(theirs).all():
            yield f"{name} is NaN on both sides: nothing else about it is compared."
        elif not ours.any() and not theirs.any() and (evidence.quantity != "value" or theirs.ndim):
            yield f"{name} is zero on both sides: a wrong factor or sign would not be seen."


def _describe_noise(leaves: Sequence[LeafResult]) -> Iterator[str]:
    for leaf in leaves:
        if leaf.verdict is Verdict.NO_SIGNAL and leaf.quantity == "vjp":
            yield (
                f"The gradient of {leaf.path!r} is rounding noise: what comes out does not depend "
                f"on this input, so that nothing about it is compared."
            )


def _describe_bounded_steps(arrays: Leaves, outputs: Leaves) -> Iterator[str]:
    """Of new parameters that differ from the old ones by one size everywhere, as after Adam."""
    for path, new in outputs.items():
        for source, old in arrays.items():
            if old.shape != new.shape or new.size < 4:
                continue
            if not all(jnp.issubdtype(array.dtype, jnp.floating) for array in (old, new)):
                continue
            size = _find_step_size(old.astype(np.float64), new.astype(np.float64))
            if size is not None:
                yield (
                    f"Output {path!r} is input {source!r} plus or minus {size:.3g} in every "
                    "element, as after a first step of Adam: a wrong factor in the gradient would "
                    "not be seen. Compare the gradients, or more steps."
                )
                break


def _find_step_size(old: Array, new: Array) -> float | None:
    """The one size of all changes, if they have one and go both ways; None otherwise."""
    step = new - old
    moved = step[step != 0]
    if not np.isfinite(step).all() or 2 * moved.size < step.size or np.ptp(np.abs(old)) == 0:
        return None
    sizes = np.abs(moved)
    both_ways = (moved > 0).any() and (moved < 0).any()
    alike = float(np.ptp(sizes)) <= SAME_SIZE * float(np.median(sizes))
    return float(np.median(sizes)) if both_ways and alike else None
