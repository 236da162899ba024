"""The score: how many planted defects are noticed, and how many correct pairs are called wrong."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence

from rich.progress import track

from benchmarks.verdict import other_tools
from benchmarks.verdict.observation import Observation, run_job
from benchmarks.verdict.pair import Pair
from benchmarks.verdict.plan import Job

# What XLA compiled stays in memory: after so many pairs a process has about a gigabyte of it.
JOBS_PER_PROCESS = 25


@dataclasses.dataclass(frozen=True)
class Score:
    """What some comparisons say together. The attributes are the comparisons themselves."""

    good: tuple[Observation, ...]
    defects: tuple[Observation, ...]

    @property
    def false_alarms(self) -> list[Observation]:
        """Correct pairs that failed."""
        return [seen for seen in self.good if seen.answer == "fail"]

    @property
    def missed(self) -> list[Observation]:
        """Defects that passed, and of which the comparison did not say that it cannot see them."""
        return [seen for seen in self.defects if seen.answer == "pass"]

    @property
    def counted(self) -> list[Observation]:
        """Defects that can be seen there, by the comparison's own word: those that count."""
        excused = ("below power", "vacuous", "no effect")
        return [seen for seen in self.defects if seen.answer not in excused]

    @property
    def answers(self) -> Counter[str]:
        """Number of defects by answer."""
        return Counter(seen.answer for seen in self.defects)

    @property
    def warnings(self) -> list[Observation]:
        """Correct pairs of which it warned."""
        return [seen for seen in self.good if seen.answer == "warn"]

    @property
    def powers(self) -> list[float | None]:
        """The stated power of each leaf of the correct pairs, those that are blind left out.

        An instrument that states that it notices nothing would miss nothing.
        """
        return [power for seen in self.good if not seen.blind for power in seen.powers]

    @property
    def called_vacuous(self) -> list[Observation]:
        """Correct pairs whose inputs it called vacuous though they can show what is planted.

        An instrument that says of every comparison that it proves nothing would miss nothing.
        """
        return [seen for seen in self.good if seen.vacuity and not seen.blind]

    def count_objections(self, tool: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Another tool's defects noticed and false alarms, each with the number it was asked.

        Of the same defects and pairs, but for those that it has nothing to say of.
        """
        asked = [
            [seen.others[tool] for seen in observations if tool in seen.others]
            for observations in (self.counted, self.good)
        ]
        return (sum(asked[0]), len(asked[0])), (sum(asked[1]), len(asked[1]))


def take_score(pairs: Sequence[Pair], jobs: Sequence[Job]) -> Score:
    """Runs the jobs in this process."""
    by_name = {pair.name: pair for pair in pairs}
    return gather([seen for job in jobs for seen in run_job(by_name[job.pair], job)])


def take_score_in_parallel(jobs: Sequence[Job], workers: int | None = None) -> Score:
    """Runs the jobs of the kept pairs in processes of their own, one for each core."""
    context = multiprocessing.get_context("spawn")  # a fork would copy XLA's threads half
    # Not concurrent.futures: with a limit of tasks a process, its pool of Python 3.11 may wait for
    # ever (python/cpython#115634).
    with context.Pool(
        workers or os.cpu_count(), _set_up, maxtasksperchild=JOBS_PER_PROCESS
    ) as pool:
        done = track(
            pool.imap(_run_kept, jobs),
            "Comparing",
            total=len(jobs),
            transient=True,
            refresh_per_second=2,
        )
        return gather([seen for observations in done for seen in observations])


def gather(observations: Sequence[Observation]) -> Score:
    """Sorts the comparisons into correct pairs and defects."""
    return Score(
        tuple(seen for seen in observations if seen.defect is None),
        tuple(seen for seen in observations if seen.defect is not None),
    )


def _set_up() -> None:
    import torch

    torch.set_num_threads(1)  # the cores have a process each


def _run_kept(job: Job) -> list[Observation]:
    from benchmarks.verdict.pairs import PAIRS

    [pair] = [pair for pair in PAIRS if pair.name == job.pair]
    try:
        return list(run_job(pair, job))
    except Exception as error:
        error.add_note(f"in the pair {job.pair!r}")
        raise


TOOLS = (other_tools.ASSERT_CLOSE, other_tools.ASSERT_ALLCLOSE, other_tools.CHECK_GRADS)
