"""What is compared in one run of the score: drawn by hypothesis, the same for the same seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from benchmarks.verdict.mutations import MUTATIONS, ROUNDED, can_mutate
from benchmarks.verdict.pair import Draw, Pair, draw_examples
from comparisons._case import DTYPES

# Each pair is drawn so often at float32, the dtype that most are compared at, and once at each of
# its others.
DRAWS_AT_FLOAT32 = 2
# So often is each mistake made that can be made in any function, each time in another pair. What
# fails is looked into, which takes seconds; the pairs name more than 200 mistakes of their own.
DRAWS_OF_MUTATION = 1


@dataclasses.dataclass(frozen=True)
class Job:
    """All comparisons of one pair, so that they share what XLA compiles.

    Attributes:
        pair: Name of the pair.
        draws: Inputs on which it is compared as it is.
        defects: Names of mistakes, and on which of the draws each is made.
    """

    pair: str
    draws: tuple[Draw, ...]
    defects: tuple[tuple[str, Draw], ...]


def plan_jobs(
    pairs: Sequence[Pair],
    seed: int,
    dtypes: Iterable[str] = DTYPES,
    mutations: int = DRAWS_OF_MUTATION,
) -> list[Job]:
    """Draws the inputs of every pair, and the mistakes.

    A mistake is made on inputs on which the pair is also compared without it.

    Args:
        pairs: The pairs.
        seed: Another one draws other inputs, and makes the general mistakes in other pairs.
        dtypes: The working dtypes to draw from.
        mutations: How often each of MUTATIONS is made, each time in another pair.

    Returns:
        A job for each pair that has one of the dtypes.
    """
    draws = {pair.name: _draw_inputs(pair, seed, set(dtypes)) for pair in pairs}
    defects = {pair.name: list(pair.defects) for pair in pairs}
    for name in MUTATIONS:
        hosts = [pair.name for pair in pairs if draws[pair.name] and can_mutate(pair, name)]
        for host in _choose(hosts, min(mutations, len(hosts)), f"{seed} {name}"):
            defects[host].append(name)
    return [
        Job(
            name,
            tuple(inputs),
            tuple(
                (defect, inputs[0 if defect == ROUNDED else i % len(inputs)])
                for i, defect in enumerate(defects[name])
            ),
        )
        for name, inputs in draws.items()
        if inputs
    ]


def _draw_inputs(pair: Pair, seed: int, dtypes: set[str]) -> list[Draw]:
    return [
        draw
        for dtype in pair.dtypes
        if dtype in dtypes
        for draw in draw_examples(
            pair.plan_draws(dtype),
            DRAWS_AT_FLOAT32 if dtype == "float32" else 1,
            f"{seed} {pair.name} {dtype}",
        )
    ]


def _choose(names: list[str], count: int, seed: str) -> list[str]:
    (number,) = draw_examples(st.integers(0, 2**32 - 1), 1, seed)
    return random.Random(number).sample(names, count)
