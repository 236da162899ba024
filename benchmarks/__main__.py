"""Runs every benchmark; the exit status is 1 if a claim does not hold."""

import sys

from benchmarks import accumulation, measure, worked_case

if __name__ == "__main__":
    sys.exit(max([worked_case.main(), accumulation.main(), measure.main()]))
