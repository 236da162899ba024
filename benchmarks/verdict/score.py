"""The score: how many planted defects are noticed, and how many correct pairs are called wrong."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.verdict import other_tools
from benchmarks.verdict.pair import Pair
from benchmarks.verdict.plan import Job
from benchmarks.verdict.trial import Trial, run_job


@dataclasses.dataclass(frozen=True)
class Score:
    """What some comparisons say together. The attributes are the comparisons themselves."""

    good: tuple[Trial, ...]
    defects: tuple[Trial, ...]

    @property
    def false_alarms(self) -> list[Trial]:
        """Correct pairs that failed."""
        return [trial for trial in self.good if trial.answer == "fail"]

    @property
    def missed(self) -> list[Trial]:
        """Defects that passed, and of which the comparison did not say that it cannot see them."""
        return [trial for trial in self.defects if trial.answer == "pass"]

    @property
    def answers(self) -> Counter[str]:
        """Number of defects by answer."""
        return Counter(trial.answer for trial in self.defects)

    @property
    def warnings(self) -> list[Trial]:
        """Correct pairs of which it warned."""
        return [trial for trial in self.good if trial.answer == "warn"]

    @property
    def called_vacuous(self) -> list[Trial]:
        """Correct pairs whose inputs it called vacuous though they can show what is planted.

        An instrument that says of every comparison that it proves nothing would miss nothing.
        """
        return [trial for trial in self.good if trial.vacuity and not trial.blind]

    def count_objections(self, tool: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Another tool's defects noticed and false alarms, each with the number it was asked."""
        asked = [
            [trial.others[tool] for trial in trials if tool in trial.others]
            for trials in (self.defects, self.good)
        ]
        return (sum(asked[0]), len(asked[0])), (sum(asked[1]), len(asked[1]))


def take_score(
    pairs: Sequence[Pair], jobs: Sequence[Job], on_job: Callable[[], None] = lambda: None
) -> Score:
    """Runs the jobs in this process."""
    by_name = {pair.name: pair for pair in pairs}
    trials: list[Trial] = []
    for job in jobs:
        trials += run_job(by_name[job.pair], job)
        on_job()
    return gather(trials)


def take_score_in_parallel(jobs: Sequence[Job], workers: int | None = None) -> Score:
    """Runs the jobs of the kept pairs in processes of their own, one for each core."""
    context = multiprocessing.get_context("spawn")  # a fork would copy XLA's threads half
    with concurrent.futures.ProcessPoolExecutor(
        workers or os.cpu_count(), context, _set_up
    ) as pool:
        return gather([trial for trials in pool.map(_run_kept, jobs) for trial in trials])


def gather(trials: Sequence[Trial]) -> Score:
    """Sorts the comparisons into correct pairs and defects."""
    return Score(
        tuple(trial for trial in trials if trial.defect is None),
        tuple(trial for trial in trials if trial.defect is not None),
    )


def _set_up() -> None:
    import torch

    torch.set_num_threads(1)  # the cores have a process each


def _run_kept(job: Job) -> list[Trial]:
    from benchmarks.verdict.pairs import PAIRS

    return list(run_job(next(pair for pair in PAIRS if pair.name == job.pair), job))


TOOLS = (other_tools.ASSERT_CLOSE, other_tools.ASSERT_ALLCLOSE, other_tools.CHECK_GRADS)
