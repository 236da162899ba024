"""How far the verdict can be trusted, counted.

    python -m benchmarks.verdict [--seed N] [--dtype DTYPE ...] [--warnings]

Correct pairs are compared on drawn inputs, and again with a mistake in the JAX side. Exits 1 if a
correct pair fails (a false alarm), or if a mistake passes that is at or above the comparison's own
stated power (a miss); a comparison that says that its inputs prove nothing has no power there.
Beside it, what three other tools say with their defaults: assert_close and assert_allclose of the
very results that were compared, values and gradients; check_grads to the first order, in both
modes, of the JAX side alone, which is all that it sees.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import hypothesis
import jax
import torch

from benchmarks._timing import print_table
from benchmarks.verdict.observation import Observation
from benchmarks.verdict.pairs import PAIRS
from benchmarks.verdict.plan import plan_jobs
from benchmarks.verdict.score import TOOLS, Score, take_score_in_parallel
from comparisons._case import DTYPES


def main(arguments: Sequence[str] = ()) -> int:
    """Takes the score and prints it, with every false alarm and every miss."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdict")
    parser.add_argument("--seed", type=int, default=0, help="draws other inputs and defects")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES, help="draws only at")
    parser.add_argument("--warnings", action="store_true", help="lists the warnings, too")
    options = parser.parse_args(arguments)

    started = time.perf_counter()
    score = take_score_in_parallel(plan_jobs(PAIRS, options.seed, options.dtype))
    _print_score(score, options.seed, time.perf_counter() - started)
    if options.warnings:
        _print_observations("Warning on a correct pair", score.warnings)
        _print_observations("Called vacuous", score.called_vacuous)
    return report_failures(score)


def report_failures(score: Score) -> int:
    """Prints what must not be, and whether the claim holds; 1 if it does not, else 0."""
    _print_observations("FALSE ALARM", score.false_alarms)
    _print_observations("MISSED", score.missed)
    holds = bool(score.good and score.defects) and not score.false_alarms and not score.missed
    verdict = "holds" if holds else "DOES NOT HOLD"
    print(
        f"Every defect at or above the stated power noticed, no false alarm: {verdict} "
        f"({len(score.missed)} missed, {len(score.false_alarms)} false alarms)."
    )
    return 0 if holds else 1


def _print_score(score: Score, seed: int, seconds: float) -> None:
    count = score.answers
    noticed = count["fail"] + count["warn"]
    rows = [
        [
            "comparisons.compare",
            _share(noticed, len(score.counted)),
            _of(score.false_alarms, score.good),
        ],
        *([tool, *(_share(*counts) for counts in score.count_objections(tool))] for tool in TOOLS),
    ]
    print_table(
        f"The verdict's own score: {len(score.defects)} planted defects, {len(score.good)} "
        f"correct pairs, {_count_dtypes(score)} (seed {seed}, {seconds:.0f} s, "
        f"jax {jax.__version__}, torch {torch.__version__}, hypothesis {hypothesis.__version__})",
        ["", "defects noticed", "false alarms"],
        rows,
    )
    print(
        f"Noticed by a failure: {count['fail']}, by a warning: {count['warn']}. Not counted: below "
        f"the power that the comparison states: {count['below power']}, on inputs of which it says "
        f"that they cannot show it: {count['vacuous']}, without effect: {count['no effect']}."
    )
    print(
        f"Correct pairs with a warning: {len(score.warnings)}; called vacuous though not made so: "
        f"{len(score.called_vacuous)}."
    )
    powers = sorted(power for power in score.powers if power is not None)
    if powers:
        print(
            f"Power that it states of their {len(score.powers)} leaves: "
            f"{statistics.median_low(powers):g} in the median, "
            f"{powers[int(0.95 * len(powers))]:g} or less for 95 %, none for "
            f"{len(score.powers) - len(powers)}."
        )
    gradients = [seen for seen in score.defects if seen.in_gradient]
    by_tool = ", ".join(
        f"{tool.rpartition('.')[2]} {sum(seen.others[tool] for seen in gradients)}"
        for tool in TOOLS
    )
    print(f"Of the {len(gradients)} defects in a gradient alone: {by_tool}.")


def _count_dtypes(score: Score) -> str:
    dtypes = [seen.draw.dtype for seen in (*score.good, *score.defects)]
    return ", ".join(f"{dtypes.count(dtype)} at {dtype}" for dtype in DTYPES if dtype in dtypes)


def _of(some: Sequence[Observation], observations: Sequence[Observation]) -> str:
    return _share(len(some), len(observations))


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none asked"


def _print_observations(title: str, observations: Sequence[Observation]) -> None:
    for seen in observations:
        draw = seen.draw
        planted = f"; {seen.defect}, changes {seen.change:.3g}" if seen.defect else ""
        print(
            f"{title}: {seen.pair}{planted} ({draw.dtype}, size {draw.size}, "
            f"scale {draw.scale:g}, seed {draw.seed}{', jitted' * draw.jitted}): {seen.verdict}"
        )
        for line in (*seen.details, *seen.vacuity):
            print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
