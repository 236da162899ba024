"""Where a run is kept and which processes it has: what does not change its numbers."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from functional_ad.training._errors import ConfigError
from functional_ad.training._kinds import Flag, Integer, Switch, Word
from functional_ad.training._options import check_options, option

AUTO: Final = "auto"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a run is executed.

    Raises:
        ConfigError: A field is out of its range, or two do not go together.
    """

    run_dir: str | None = option(
        Word("FOLDER"),
        "Keep the run in this folder: checkpoints, metrics. A run that is there already goes on "
        "from its last checkpoint: give the same command again.",
        optional=True,
    )
    fresh: bool = option(
        Switch(), "Remove the checkpoints that are in the run directory, and start anew.", False
    )
    resume: bool = option(
        Switch(), "Do not start anew: there must be a checkpoint to go on from.", False
    )
    checkpoint_every: int = option(
        Integer(1),
        "After how many logging intervals to save a checkpoint; there is always one at the end.",
        1,
    )
    keep: int = option(Integer(1), "How many checkpoints to keep, the newest.", 3)
    metrics: str | None = option(
        Word("FILE"),
        "Write metrics to this file, replacing it, as JSON lines: the configuration and versions, "
        "each logging interval, the final results. With --run-dir: metrics.jsonl in it.",
        optional=True,
    )
    tensorboard: str | None = option(
        Word("FOLDER"),
        "Write the metrics for TensorBoard into this folder. With --run-dir: tensorboard in it.",
        optional=True,
    )
    profile: str | None = option(
        Word("FOLDER"),
        "Write a trace of the second logging interval into this folder, for Perfetto or XProf.",
        optional=True,
    )
    find_nonfinite: bool = option(
        Flag(),
        "Whether to keep the state before each interval, in as much memory again, so that a run "
        "that diverges ends with the operation in which NaN or infinity begins.",
        True,
    )
    coordinator: str | None = option(
        Word("HOST:PORT|auto"),
        "Train in several processes, on one host or on many: where process 0 listens to the "
        "others. auto: what Slurm, Open MPI, Kubernetes or a TPU's host says. Each process is "
        "started with the same command, but for its number; all need the same run directory.",
        optional=True,
    )
    num_processes: int | None = option(Integer(1), "How many processes there are.", optional=True)
    process_id: int | None = option(
        Integer(0), "The number of this process, from 0.", optional=True
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.run_dir is None:
            for name in ("fresh", "resume"):
                _check_absent(name, getattr(self, name) or None, "without --run-dir")
        if self.fresh:
            _check_absent("resume", self.resume or None, "with --fresh")
        self._check_processes()

    def _check_processes(self) -> None:
        if self.coordinator is None or self.coordinator == AUTO:
            for name in ("num_processes", "process_id"):
                _check_absent(name, getattr(self, name), "without --coordinator HOST:PORT")
            return
        if not re.fullmatch(r"\S+:\d{1,5}", self.coordinator):
            expected = "HOST:PORT of process 0, or auto"
            raise ConfigError("coordinator", expected=expected, got=repr(self.coordinator))
        count = Integer(1).check("num_processes", self.num_processes)
        Integer(0, count - 1).check("process_id", self.process_id)


def _check_absent(field: str, value: object, where: str) -> None:
    if value is not None:
        raise ConfigError(field, expected=f"nothing {where}", got=repr(value))
