"""Runs every benchmark; the exit status is 1 if a claim does not hold."""

import sys

from benchmarks import (
    accumulation,
    measure,
    nonfinite,
    optimizers,
    second_order,
    training,
    worked_case,
)
from benchmarks.verdict.__main__ import main as score_verdict

if __name__ == "__main__":
    mains = [
        *(worked_case.main, accumulation.main, second_order.main, measure.main, nonfinite.main),
        *(training.main, optimizers.main, score_verdict),
    ]
    sys.exit(max([main() for main in mains]))
