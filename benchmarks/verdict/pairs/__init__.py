"""The known-good pairs, with the mistakes that are made in them."""

from __future__ import annotations

from benchmarks.verdict.pair import Pair
from benchmarks.verdict.pairs import (
    attention,
    blind,
    complex_numbers,
    elementwise,
    hard,
    layers,
    linear,
    losses,
    optimizers,
    recurrent,
    reductions,
)

PAIRS: tuple[Pair, ...] = (
    *elementwise.PAIRS,
    *reductions.PAIRS,
    *linear.PAIRS,
    *layers.PAIRS,
    *attention.PAIRS,
    *losses.PAIRS,
    *recurrent.PAIRS,
    *optimizers.PAIRS,
    *complex_numbers.PAIRS,
    *hard.PAIRS,
    *blind.PAIRS,
)
