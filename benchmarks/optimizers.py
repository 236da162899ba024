"""Every optimizer of `torch_semantics.optim` against PyTorch's, and its flops against optax's.

    python -m benchmarks.optimizers

Each runs 1,000 steps in float64 with hyperparameters drawn at random, in each of its variants, on
the gradients of PyTorch's run. Printed is the largest relative difference, of the parameters and of
the state, in any step of any run; and the flops of one update, compiled for a layer of 64 by 32, as
a ratio to those of optax's own optimizer of the same kind. Exits 1 if a difference is above 1e-10,
or if there are more flops than optax's, but for a few that are done once for all parameters.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np

from benchmarks import _optimizer_runs as runs
from benchmarks._optimizer_flops import SCALARS, count_flops
from benchmarks._optimizer_rows import ROWS
from benchmarks._timing import print_table

BOUND = 1e-10
DRAWS = 3


def measure_difference(name: str) -> runs.Difference:
    """Compares an optimizer with PyTorch's in all variants, with other numbers each time."""
    row, rng = ROWS[name], np.random.default_rng(0)
    found = [runs.Difference(0.0, 0.0)]
    with runs.double_precision():
        for variant, _ in itertools.product(row.variants, range(DRAWS)):
            numbers = row.draw(float(rng.uniform()) for _ in itertools.count())
            theirs = runs.run_torch(row, {**numbers, **row.variants[variant]})
            ours = runs.run_here(name, row, variant, numbers, theirs.grads)
            found.append(runs.compare(theirs, ours))
    return runs.Difference(*(max(values) for values in zip(*found, strict=True)))


def measure_flops(name: str) -> list[tuple[float, float]]:
    """Counts the flops of an update and of optax's own, for each variant that optax has."""
    row = ROWS[name]
    return [
        (count_flops(maker(**options), row.layer), count_flops(twin(**options), row.layer))
        for variant, twin in row.twin.items()
        for options, maker in [(row.make_options(variant), runs.get_maker(name))]
    ]


def judge(
    differences: dict[str, runs.Difference], flops: dict[str, list[tuple[float, float]]]
) -> list[str]:
    """Says what does not hold."""
    failures = [
        f"{name}: {kind}, {value:.1e} apart"
        for name, difference in differences.items()
        for kind, value in difference._asdict().items()
        if not value <= BOUND
    ]
    failures += [
        f"{name}: {ours:.0f} flops, optax's own does {theirs:.0f}"
        for name, pairs in flops.items()
        for ours, theirs in pairs
        if not ours <= theirs + SCALARS
    ]
    return failures


def main() -> int:
    """Prints the table, and what does not hold."""
    differences = {name: measure_difference(name) for name in ROWS}
    flops = {name: measure_flops(name) for name in ROWS}
    rows = []
    for name, difference in differences.items():
        ratios = [ours / theirs for ours, theirs in flops[name]]
        shown = f"{max(ratios):.2f}" if ratios else "optax has none"
        rows.append([name, f"{difference.params:.1e}", f"{difference.state:.1e}", shown])
    print_table(
        f"Against PyTorch in float64: largest relative difference in {runs.STEPS:,} steps",
        ["", "parameters", "state", "flops, to optax's"],
        rows,
    )
    failures = judge(differences, flops)
    for failure in failures:
        print(f"DOES NOT HOLD: {failure}")
    if not failures:
        print(f"PyTorch's numbers to {BOUND:.0e}, with no more flops than optax's: holds.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
