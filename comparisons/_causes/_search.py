"""Names the known causes of a disagreement by undoing them one after another.

Most entries of the catalogue are ruled out without a run, since the function that they replace is
never called, or no constant, shape or ratio is what they look for. What remains is tried: the JAX
side runs with the substitution, at float64. Where that comes close to PyTorch's result, the case is
judged as any case is, and the cause is named for the leaves that then agree. If no single
substitution closes a leaf, pairs of those that came nearer are tried.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from comparisons import _trees
from comparisons._case import ParityCase
from comparisons._causes._known import Attempt, Found, Known, Runs, Scene, find_calls, is_meant
from comparisons._causes._patch import Call, Patched, find_references
from comparisons._causes._rewrite import Step, close_over_statics, read_steps
from comparisons._causes.catalogue import CATALOGUE
from comparisons._inputs import prepare_inputs
from comparisons._results import LeafResult
from comparisons._verdict import Verdict

Key = tuple[str, str]
Retry = Callable[[ParityCase], Sequence[LeafResult]]
Run = Callable[[ParityCase], tuple[Runs, Runs]]

# Bounds on what one search may cost. A trial is one run of each side at float64; a retry is the
# whole comparison.
MOST_TRIALS = 96
MOST_RETRIES = 12
MOST_PAIRED = 6  # entries, the nearest ones, of which all pairs are tried: 15 trials more
# A trial whose gap is this part of the original one is worth a retry: it is the referee's word, not
# this number, that names a cause. A wrong cause that explains 99.9 % of a gap is unusual.
NEAR = 1e-3
# Undoing one of two causes may leave the gap as it is, where the other is the greater one, but does
# not make a much greater one.
FAR = 2.0
# Below this part of the greatest element a gap at float64 is rounding, and what the leaf suffers
# from shows at the working dtype only: few entries can explain that, and whatever changes nothing
# would seem to come near.
ROUNDING = 1e-12

_CLOSED = frozenset({Verdict.IDENTICAL, Verdict.AGREES, Verdict.NO_SIGNAL, Verdict.LESS_ACCURATE})
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
# What catches whatever a user's function raises when something else is put in its way.
_RAISED = (Exception, SystemExit)


def find_causes(
    case: ParityCase, failing: Sequence[LeafResult], retry: Retry, outputs: Run
) -> dict[Key, tuple[Found, ...]]:
    """Known causes that close the gap of failing leaves when they are undone.

    Args:
        case: The case.
        failing: Its leaves that are to be explained.
        retry: Runs a changed case on the same inputs and judges it; what raises is no candidate.
        outputs: Runs a changed case at float64: both sides' results, by order and path.

    Returns:
        The causes by (quantity, path) of the leaf; leaves that nothing closes are left out.
    """
    if not failing:
        return {}
    search = _Search(case, failing, retry, outputs)
    try:
        scene = _look(case, failing, outputs)
    except _RAISED:  # a side that cannot run at float64: there is nothing to go by
        return {}
    search.try_singles(scene)
    search.try_pairs()
    return {key: tuple(search.found[key]) for key in search.before if key in search.found}


class _Search:
    def __init__(
        self, case: ParityCase, failing: Sequence[LeafResult], retry: Retry, outputs: Run
    ) -> None:
        self.found: dict[Key, list[Found]] = defaultdict(list)
        self._case, self._retry, self._outputs = case, retry, outputs
        self.before = {(leaf.quantity, leaf.path): leaf for leaf in failing}
        self._gaps: dict[Key, float] = {}
        self._wide: list[Key] = []  # those with a gap at float64
        self._near: dict[str, tuple[float, Known, Attempt]] = {}  # the nearest one of each entry
        self._trials = self._retries = 0

    def try_singles(self, scene: Scene) -> None:
        self._gaps = _measure_gaps(scene.jax, scene.torch, self.before)
        self._wide = [key for key, gap in self._gaps.items() if gap > ROUNDING]
        for known in CATALOGUE:
            closed: set[Key] = set()
            if not (self._wide or known.narrow):
                continue
            for attempt in _recognise(known, scene):
                if self._trials >= MOST_TRIALS or closed >= set(self.before):
                    break
                newly = self._try((attempt,), known) - closed
                for key in newly:
                    self.found[key].append(known.describe(attempt.details))
                closed |= newly

    def try_pairs(self) -> None:
        open_keys = set(self.before) - set(self.found)
        nearest = sorted(self._near.values(), key=lambda near: near[0])[:MOST_PAIRED]
        for (_, a, first), (_, b, second) in itertools.combinations(nearest, 2):
            if not open_keys:
                return
            newly = self._try((first, second)) & open_keys
            for key in newly:
                self.found[key] += [a.describe(first.details), b.describe(second.details)]
            open_keys -= newly

    def _try(self, attempts: tuple[Attempt, ...], known: Known | None = None) -> set[Key]:
        """The leaves that are closed; remembers a single attempt that may be half of it."""
        self._trials += 1
        case = self._case
        try:
            for attempt in sorted(attempts, key=lambda attempt: attempt.depth):
                case = attempt.change(case)
            narrow = known is not None and known.narrow
            nearness = self._measure_nearness(case, list(self.before) if narrow else self._wide)
        except _RAISED:
            return set()
        if known is not None and nearness < FAR and nearness != 1:
            best = self._near.get(known.name)
            if best is None or nearness < best[0]:
                self._near[known.name] = (nearness, known, attempts[0])
        if nearness > NEAR or self._retries >= MOST_RETRIES:
            return set()
        self._retries += 1
        try:
            leaves = {(leaf.quantity, leaf.path): leaf for leaf in self._retry(case)}
        except _RAISED:
            return set()
        return self._find_closed(leaves)

    def _measure_nearness(self, case: ParityCase, keys: list[Key]) -> float:
        """How much of the gap is left at the leaf that came nearest; values suffice if they fail.

        What does not mend a value does not mend its derivatives, which are what takes long.
        """
        values = [key for key in keys if key[0] == "value"]
        if values:
            nearness = self._compare(dataclasses.replace(case, orders=("value",)), values)
            if nearness != 1:  # else it may be a cause that shows in the derivatives alone
                return nearness
        return self._compare(case, keys)

    def _compare(self, case: ParityCase, keys: list[Key]) -> float:
        gaps = _measure_gaps(*self._outputs(case), keys)
        return min(_compare_gaps(self._gaps[key], gaps[key]) for key in keys)

    def _find_closed(self, leaves: dict[Key, LeafResult]) -> set[Key]:
        """None at all if the change breaks a leaf that was right, or takes a leaf away."""
        if not self.before.keys() <= leaves.keys():
            return set()
        if any(leaf.outcome == "fail" for key, leaf in leaves.items() if key not in self.before):
            return set()
        return {
            key
            for key, before in self.before.items()
            if leaves[key].verdict in _CLOSED and _RANK[leaves[key].verdict] > _RANK[before.verdict]
        }


def _recognise(known: Known, scene: Scene) -> Iterator[Attempt]:
    """The entry's attempts; a signature that stumbles over an unusual scene ends them."""
    attempts = known.how.attempts(known.name, scene)
    while True:
        try:
            attempt = next(attempts, None)
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError):
            return
        if attempt is None:
            return
        yield attempt


def _look(case: ParityCase, failing: Sequence[LeafResult], outputs: Run) -> Scene:
    """Runs the case once more while noting which of the replaceable functions it calls, and how."""
    calls = [(known.name, how) for known in CATALOGUE for how in find_calls(known.how)]
    by_target: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for name, how in calls:
        for target in how.targets:
            by_target[target].append((name, how))
    references = find_references(case.jax, by_target)
    sites: dict[str, dict[str, None]] = defaultdict(dict)
    steps: list[Step] = []

    def note(target: str) -> Callable[[Call], Any]:
        def replace(call: Call) -> Any:
            for name, how in by_target[target]:
                if is_meant(how, call):
                    sites[name][call.site] = None
            return call.again()

        return replace

    watched = Patched(case.jax, {target: note(target) for target in by_target}, references)

    def look_once(*inputs: Any) -> Any:
        if not steps and not sites:
            try:  # traced only: nothing is computed
                call, arrays = close_over_statics(watched, inputs)
                with jax.disable_jit():
                    jax.eval_shape(call, *arrays)
                steps.extend(read_steps(case.jax, inputs))
            except _RAISED:  # its control flow depends on values
                steps.clear()
                return watched(*inputs)
        return case.jax(*inputs)

    ours, theirs = outputs(dataclasses.replace(case, jax=look_once))
    return Scene(
        case=case,
        jax=ours,
        torch=theirs,
        failing=tuple((leaf.quantity, leaf.path) for leaf in failing),
        inputs={
            path: np.asarray(leaf)
            for path, leaf in _trees.flatten(prepare_inputs(case.inputs, case.dtype)).items()
            if isinstance(leaf, np.ndarray)
        },
        sites={name: tuple(found) for name, found in sites.items()},
        steps=steps,
        references=references,
    )


def _measure_gaps(ours: Runs, theirs: Runs, keys: Any) -> dict[Key, float]:
    """Greatest difference by leaf, as a part of the greatest element; infinite if unlike."""
    return {
        (order, path): _measure_gap(ours[order].get(path), theirs[order].get(path))
        for order, path in keys
    }


def _measure_gap(ours: Any, theirs: Any) -> float:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return np.inf
    same = (ours == theirs) | ((ours != ours) & (theirs != theirs))
    if not (same | (np.isfinite(ours) & np.isfinite(theirs))).all():
        return np.inf
    with np.errstate(all="ignore"):
        gap = np.max(np.where(same, 0.0, np.abs(ours * 1.0 - theirs)), initial=0.0)
    scale = np.max(np.abs(theirs[np.isfinite(theirs)]), initial=0.0)
    return float(gap / scale) if scale else float(gap)


def _compare_gaps(before: float, after: float) -> float:
    """How much of a gap is left, 1 if all; 0 where there was none to begin with at float64."""
    if before <= ROUNDING:
        return 0.0 if after <= ROUNDING else 1.0
    if before == np.inf:
        return 0.0 if after <= NEAR else 1.0 if after == np.inf else 0.5
    return after / before
