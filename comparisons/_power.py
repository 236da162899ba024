"""What a comparison would catch: how small a mistake, and which of those that are often made."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from comparisons._case import ParityCase
from comparisons._defects import find_defects
from comparisons._evidence import Evidence
from comparisons._referee import judge
from comparisons._results import LeafResult, PlantedDefect
from comparisons._trees import Leaves
from comparisons._verdict import Outcome
from functional_ad._program import select_floats

Array = np.ndarray[Any, Any]

LIMIT = 16  # planted defects a case: each runs the JAX side anew
SMALLEST = -16  # power of ten: a change of less than a rounding is none
# Two programs that differ by less on numbers drawn at random are one program: a few roundings at
# float64. Ten times an eps of 1e-12 makes more of a difference.
EQUIVALENT = 1e-13

Retry = Callable[[ParityCase], Sequence[LeafResult]]
_RANK: dict[Outcome, int] = {"pass": 0, "warn": 1, "fail": 2}


def measure_power(evidence: Evidence) -> dict[str, float | None]:
    """The smallest relative error on the JAX side that the referee would notice, for each leaf.

    Nothing is run: the results that there are, at both dtypes, are multiplied by 1 + 10**-k, and
    judged again.

    Args:
        evidence: What was judged.

    Returns:
        By path a power of ten, 1.0 where only a factor of two or a wrong sign would be noticed, and
        None where not even that would. What does not pass as it is has no power.
    """
    paths = [path for path in evidence.torch if path in evidence.jax]
    return {path: _measure_leaf(_select(evidence, path), path) for path in paths}


def _measure_leaf(evidence: Evidence, path: str) -> float | None:
    [plain] = judge(evidence)
    if plain.verdict.outcome == "fail":
        return None
    if not jnp.issubdtype(evidence.jax[path].dtype, jnp.inexact):
        return _measure_exact(evidence.jax64[path])

    def notices(factor: float) -> bool:
        runs = ("jax", "jax64", "jax_again")
        ours = {name: _scale(getattr(evidence, name), factor) for name in runs}
        [leaf] = judge(dataclasses.replace(evidence, **ours))
        return _RANK[leaf.verdict.outcome] > _RANK[plain.verdict.outcome]

    low, high = SMALLEST, 0  # what is noticed at one power is noticed at each greater one
    if not notices(2.0):
        return 1.0 if notices(-1.0) else None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if notices(1 + 10.0**middle) else (middle + 1, high)
    return float(f"1e{high}")


def _measure_exact(values: Array) -> float | None:
    """Integers are compared exactly: the smallest change is 1 of the greatest of them."""
    if not values.size:
        return None
    greatest = max(1.0, float(np.max(np.abs(values.astype(np.float64)))))
    return float(f"1e{int(np.ceil(-np.log10(greatest)))}")


def _select(evidence: Evidence, path: str) -> Evidence:
    """The evidence on one leaf only."""

    def pick(leaves: Leaves) -> Leaves:
        return {path: leaves[path]} if path in leaves else {}

    probes = tuple(
        dataclasses.replace(probe, working=pick(probe.working), float64=pick(probe.float64))
        for probe in evidence.probes
    )
    kept = {name: pick(value) for name, value in vars(evidence).items() if isinstance(value, dict)}
    return dataclasses.replace(evidence, probes=probes, **kept)


def _scale(leaves: Leaves, factor: float) -> Leaves:
    def scale(array: Array) -> Array:
        wide = np.complex128 if np.iscomplexobj(array) else np.float64
        with np.errstate(all="ignore"):
            return (array.astype(wide) * factor).astype(array.dtype)

    return {path: scale(array) for path, array in leaves.items()}


def plant_defects(
    case: ParityCase, arguments: tuple[Any, ...], retry: Retry, limit: int = LIMIT
) -> tuple[PlantedDefect, ...]:
    """Makes mistakes on purpose in the JAX side, one at a time, and sees which are noticed.

    One that is not noticed tells what these inputs cannot show, such as a bias that is zero. A
    change that makes no difference on numbers drawn at random either is no mistake, and left out.
    So is one that shows in nothing but what fails without it: it says nothing of the inputs.

    Args:
        case: The case.
        arguments: What its JAX function gets, as concrete arrays.
        retry: Runs and judges a case whose JAX function is another one; also called once with
            ``case`` itself, for what its leaves count as without a defect.
        limit: How many defects are planted at most.

    Returns:
        The defects, in order of the kinds of mistakes.
    """
    found = find_defects(
        case.jax, arguments, differentiated=set(case.orders) != {"value"}, limit=2 * limit
    )
    before = {(leaf.quantity, leaf.path): leaf for leaf in retry(case)}
    if all(leaf.verdict.outcome == "fail" for leaf in before.values()):
        return ()  # it has noticed something already, and cannot come out worse
    numbers, expected = _draw_numbers(case, arguments)
    planted: list[PlantedDefect] = []
    for defect in found:
        if len(planted) == limit:
            break
        changed = dataclasses.replace(case, jax=defect.make(case.jax))
        if expected is not None and not _differ(_compute(changed, numbers), expected):
            continue
        caught = _is_caught(changed, retry, before)
        if caught is not None:
            planted.append(PlantedDefect(defect=defect.kind, where=defect.where, caught=caught))
    return tuple(planted)


def _is_caught(
    case: ParityCase, retry: Retry, before: dict[tuple[str, str], LeafResult]
) -> bool | None:
    """Whether a leaf comes out worse than before; None if only those change that fail already."""
    try:
        after = retry(case)
    except Exception:  # a comparison that raises does not pass
        return True
    pairs = [(before.get((leaf.quantity, leaf.path)), leaf) for leaf in after]
    if any(_rank(new) > (_rank(old) if old else 0) for old, new in pairs):
        return True
    failing = [(old, new) for old, new in pairs if old and old.verdict.outcome == "fail"]
    return None if any(_has_moved(old, new) for old, new in failing) else False


def _rank(leaf: LeafResult) -> int:
    return _RANK[leaf.verdict.outcome]


def _has_moved(old: LeafResult, new: LeafResult) -> bool:
    """Whether a leaf that fails is another one now; also if that cannot be told."""
    gap, moved, noise = old.float64_gap, new.float64_gap, old.float64_noise
    if gap is None or moved is None or noise is None or old.verdict is not new.verdict:
        return True
    return abs(gap - moved) > noise


def _draw_numbers(
    case: ParityCase, arguments: tuple[Any, ...]
) -> tuple[tuple[Any, ...], list[Array] | None]:
    """Other arguments at float64, and what the function makes of them; None if that is not finite.

    First quite different numbers, then such as are near the given ones: a function may want a
    matrix that is positive definite, or numbers below 1.
    """
    numbers = arguments
    for nearness in (0.0, 0.9):
        numbers = _redraw(arguments, nearness)
        expected = _compute(case, numbers)
        if expected and all(np.isfinite(leaf).all() for leaf in expected):
            return numbers, expected
    return numbers, None


def _redraw(arguments: tuple[Any, ...], nearness: float) -> tuple[Any, ...]:
    """Random numbers of the same size and sign: nothing in them is zero, equal or in order."""
    rng = np.random.default_rng(0)

    def draw(leaf: Any) -> Any:
        if not (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)):
            return leaf
        wide = np.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else np.float64
        old = np.asarray(leaf).astype(wide)
        size = float(np.sqrt(np.mean(np.abs(old) ** 2))) if old.size else 0.0
        new = rng.normal(size=old.shape) * (size if 0 < size < np.inf else 1.0)
        if wide is np.complex128:
            new = new * np.exp(1j * rng.uniform(0, 2 * np.pi, size=old.shape))
        elif (old >= 0).all() and old.any():
            new = np.abs(new)
        return np.asarray(nearness * old + (1 - nearness) * new)

    return jax.tree.map(draw, arguments)


def _compute(case: ParityCase, arguments: tuple[Any, ...]) -> list[Array] | None:
    """What the JAX function makes of float64 arguments, with a derivative if one is compared."""
    leaves, tree = jax.tree.flatten(arguments)
    places = [i for i, leaf in enumerate(leaves) if _is_inexact(leaf)]

    def call(floats: list[Any]) -> tuple[list[Any], list[Any]]:
        filled = list(leaves)
        for place, value in zip(places, floats, strict=True):
            filled[place] = value
        outputs = jax.tree.leaves(case.jax(*jax.tree.unflatten(tree, filled)))
        inexact = [jnp.asarray(leaf) for leaf in outputs if _is_inexact(jnp.asarray(leaf))]
        return inexact, [leaf for leaf in outputs if not _is_inexact(jnp.asarray(leaf))]

    def draw(like: Any) -> Any:
        seed = zlib.crc32(repr(np.shape(like)).encode())
        return jnp.asarray(np.random.default_rng(seed).normal(size=np.shape(like)), like.dtype)

    with jax.enable_x64(True):
        floats = [jnp.asarray(leaf) for leaf in select_floats(arguments)]
        derived: Any = []
        try:
            if set(case.orders) <= {"value", "jvp"}:
                values, others = call(floats)
                if "jvp" in case.orders:
                    tangents = [draw(leaf) for leaf in floats]
                    _, derived, _ = jax.jvp(call, (floats,), (tangents,), has_aux=True)
            else:
                values, pullback, others = jax.vjp(call, floats, has_aux=True)
                derived = pullback([draw(value) for value in values])
            return [np.asarray(leaf) for leaf in jax.tree.leaves((values, others, derived))]
        except Exception:  # it is asked about numbers that it was not written for
            return None


def _is_inexact(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _differ(changed: list[Array] | None, expected: list[Array]) -> bool:
    """Whether results differ by more than rounding; not if the changed function raises."""
    if changed is None or len(changed) != len(expected):
        return False
    for ours, theirs in zip(changed, expected, strict=True):
        if ours.shape != theirs.shape or not np.isfinite(ours).all():
            return True
        gap = np.max(np.abs(ours - theirs), initial=0) if _is_inexact(ours) else ours != theirs
        if np.any(gap > EQUIVALENT * np.max(np.abs(theirs), initial=0)):
            return True
    return False
