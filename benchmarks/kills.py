"""kill -9 at random moments: does the run end as one that was left alone?

    python -m benchmarks.kills [--kills 50] [--seed 0]

A perceptron is trained once without a break, and once more in a run directory that is killed again
and again: while Python starts, while the program is compiled, while it trains, and while a
checkpoint is being written, in an order and at moments that the seed decides. Each time the same
command is given again. At the end every leaf of the state must be that of the unbroken run, bit for
bit, and the metrics must have each interval once, with the same numbers. Exits 1 if not.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks._timing import print_table
from functional_ad.training import Config
from functional_ad.training._checkpoints import find_checkpoint, restore_checkpoint
from functional_ad.training._data import load_data
from functional_ad.training._manifest import MANIFEST
from functional_ad.training._plan import make_plan
from functional_ad.training._state import init_state
from functional_ad.training._task import build_task

PHASES = ("checkpoint", "training", "compiling", "start-up")

EPOCHS_PER_INTERVAL, UPDATES_PER_EPOCH = 2, 45
CONFIG = Config.for_model(
    "mlp",
    hidden=512,
    dropout=0.1,
    microbatches=2,
    log_every=EPOCHS_PER_INTERVAL * UPDATES_PER_EPOCH,
)
CHECKPOINT_EVERY = 2  # intervals

# At most how many intervals a life lasts before it is killed.
LONGEST = 5

# Longer than a start or a checkpoint takes on a busy machine.
PATIENCE = 300.0


class Death(NamedTuple):
    """How one process ended.

    Attributes:
        phase: In what it was when it was killed; None if it had finished before.
        seconds: How long it lived.
    """

    phase: str | None
    seconds: float


class End(NamedTuple):
    """What a run left.

    Attributes:
        leaves: Each leaf of the state, by its path.
        intervals: The intervals in its metrics, without how long they took.
    """

    leaves: dict[str, bytes]
    intervals: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run in a folder of its own: the command, given once or many times.

    Attributes:
        folder: The folder.
        config: The configuration.
        cache: Where JAX keeps compiled programs, so that starting again is cheap.
    """

    folder: Path
    config: Config
    cache: Path

    @property
    def output(self) -> Path:
        """What it printed to stdout, in its last life."""
        return self.folder / "stdout.txt"

    @property
    def errors(self) -> Path:
        """What it printed to stderr, in its last life."""
        return self.folder / "stderr.txt"

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it, or goes on with it."""
        self.folder.mkdir(exist_ok=True)
        usual = Config.for_model(self.config.model)
        options: list[Any] = ["--model", self.config.model]
        for field in dataclasses.fields(Config):
            value = getattr(self.config, field.name)
            if value != getattr(usual, field.name):
                options += [f"--{field.name.replace('_', '-')}", value]
        options += ["--run-dir", self.folder / "run", "--checkpoint-every", CHECKPOINT_EVERY]
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(self.cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "functional_ad.training", *map(str, options)],
                stdout=output,
                stderr=errors,
                env=environment,
            )

    def finish(self) -> float:
        """Lets it run to its end; returns the seconds that it took."""
        began = time.perf_counter()
        status = self.start().wait()
        if status != 0:
            raise RuntimeError(f"status {status}: {self.errors.read_text()}")
        return time.perf_counter() - began

    def kill(self, phase: str, moments: random.Random, usual: dict[str, float]) -> Death:
        """Starts it and kills it.

        Args:
            phase: When: it is what the kill is aimed at, which another may come before.
            moments: Draws the moment.
            usual: How long start-up, compiling, an interval and a checkpoint take.
        """
        before = set(self._find_unfinished())
        intervals = moments.randint(1, LONGEST)
        reached: dict[str, Callable[[], bool]] = {
            "start-up": lambda: True,
            "compiling": self._is_compiling,
            "training": lambda: self._count_intervals() >= intervals,
            "checkpoint": lambda: bool(set(self._find_unfinished()) - before),
        }
        wait = moments.uniform(0, usual[phase])
        began = time.perf_counter()
        process = self.start()
        while not reached[phase]() and process.poll() is None:
            time.sleep(0.001)
            if time.perf_counter() - began > PATIENCE:
                process.kill()
                raise TimeoutError(f"no {phase} after {PATIENCE:g} s")
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        status = process.wait()
        seconds = time.perf_counter() - began
        if status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"status {status}: {self.errors.read_text()}")
        return Death(None if status == 0 else self._find_phase(before), seconds)

    def measure_phases(self) -> dict[str, float]:
        """How long each phase takes, seen from outside: starts it, and kills it soon."""
        reached: list[Callable[[], bool]] = [
            self._is_compiling,
            lambda: self._count_intervals() >= 1,
            lambda: self._count_intervals() >= 2,
            lambda: bool(self._find_unfinished()),
            lambda: not self._find_unfinished(),
        ]
        began = time.perf_counter()
        process = self.start()
        marks = [0.0]
        for is_reached in reached:
            while not is_reached() and process.poll() is None:
                time.sleep(0.0005)
            marks.append(time.perf_counter() - began)
        process.kill()
        process.wait()
        start_up, compiling, interval, _, checkpoint = np.diff(marks)
        return {
            "start-up": start_up,
            "compiling": compiling,
            "training": interval,
            "checkpoint": checkpoint,
        }

    def _find_phase(self, before: set[Path]) -> str:
        """In what it was, by what it left."""
        if set(self._find_unfinished()) - before:
            return "checkpoint"
        if self._count_intervals():
            return "training"
        return "compiling" if self._is_compiling() else "start-up"

    def _is_compiling(self) -> bool:
        """Whether it has said that it starts anew or goes on: it compiles, or has done so."""
        said = self.errors.read_bytes()
        return b"starting anew" in said or b"going on" in said

    def _count_intervals(self) -> int:
        return self.output.read_bytes().count(b"\n")

    def _find_unfinished(self) -> list[Path]:
        found = (self.folder / "run/checkpoints").glob("*")
        return [path for path in found if not (path / MANIFEST).exists()]

    def read_end(self) -> End:
        """What it left: its last checkpoint, and its metrics."""
        checkpoint, passed_over = find_checkpoint(self.folder / "run/checkpoints")
        assert checkpoint is not None
        assert not passed_over
        examples = len(load_data(self.config.data, self.config.context).train.inputs)
        task = build_task(self.config, make_plan(self.config, examples).updates)
        like = jax.eval_shape(functools.partial(init_state, task))
        state = restore_checkpoint(checkpoint, like)
        raw = state._replace(key=jax.random.key_data(state.key))
        pairs, _ = jax.tree_util.tree_flatten_with_path(raw)
        leaves = {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in pairs}
        lines = (self.folder / "run/metrics.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        for event in events:
            for time_taken in ("seconds", "examples_per_second"):
                event.pop(time_taken, None)
        return End(leaves, [event for event in events if event["event"] == "interval"])


def kill_again_and_again(run: Run, kills: int, seed: int, usual: dict[str, float]) -> list[Death]:
    """Kills a run so many times, at each phase as often as at the others."""
    moments = random.Random(seed)
    targets = [PHASES[i % len(PHASES)] for i in range(kills)]
    moments.shuffle(targets)
    deaths = [run.kill(target, moments, usual) for target in targets]
    return [death for death in deaths if death.phase is not None]


def compare(ours: End, theirs: End) -> list[str]:
    """Says what a run left that an unbroken one did not."""
    names = sorted({*ours.leaves, *theirs.leaves})
    wrong = [name for name in names if ours.leaves.get(name) != theirs.leaves.get(name)]
    failures = [f"leaf {name} has other bits" for name in wrong]
    if ours.intervals != theirs.intervals:
        failures.append("the metrics are not those of the unbroken run")
    return failures


def choose_length(kills: int) -> Config:
    """A configuration that is not finished before so many kills, whatever they hit."""
    intervals = kills * LONGEST * 2
    return dataclasses.replace(CONFIG, epochs=EPOCHS_PER_INTERVAL * intervals)


def main(arguments: list[str] | None = None) -> int:
    """Prints how many kills hit what, and whether the end is the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, cache = choose_length(told.kills), folder / "cache"
        unbroken = Run(folder / "unbroken", config, cache)
        broken = Run(folder / "broken", config, cache)
        unbroken.finish()
        began = time.perf_counter()
        usual = Run(folder / "measured", config, cache).measure_phases()
        deaths = kill_again_and_again(broken, told.kills, told.seed, usual)
        broken.finish()
        seconds = time.perf_counter() - began
        end = unbroken.read_end()
        failures = compare(broken.read_end(), end)
    hit = Counter(death.phase for death in deaths)
    rows = [
        [phase, str(hit[phase]), f"{sum(d.seconds for d in deaths if d.phase == phase):.1f}"]
        for phase in PHASES
    ]
    rows.append(["together", str(len(deaths)), f"{seconds:.1f}"])
    title = f"kill -9, seed {told.seed}: what was hit, of a run of {config.epochs} epochs"
    print_table(title, ["", "kills", "seconds"], rows)
    if len(deaths) < told.kills:
        failures.append(f"the run finished after {len(deaths)} kills")
    for failure in failures:
        print(f"DOES NOT HOLD: {failure}")
    if not failures:
        print(f"All {len(end.leaves)} leaves are bit for bit those of the unbroken run: holds.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
