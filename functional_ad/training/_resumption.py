"""Going on from a checkpoint: whether there is one, and whether it is of this run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jax

from functional_ad.training._checkpoints import (
    Checkpoint,
    find_checkpoint,
    open_checkpoint,
    remove_checkpoints,
    restore_checkpoint,
    save_checkpoint,
    set_aside,
)
from functional_ad.training._errors import CheckpointError
from functional_ad.training._interruption import Interrupted, Stop
from functional_ad.training._manifest import DamagedError, Manifest
from functional_ad.training._optimizers import CONSTANT, PLATEAU, has_horizon
from functional_ad.training._processes import share_largest, share_number
from functional_ad.training._state import State

MAY_CHANGE: Final[dict[str, str]] = {
    "epochs": "a run may be made longer, unless its schedule is as long as the run",
    "evaluate_every": "evaluating changes nothing",
    "log_every": "it cuts the updates into programs, unless the schedule looks at each interval",
    "log_grad_norm": "what is logged changes nothing",
    "log_intermediates": "what is logged changes nothing",
    "mesh": "it spreads the updates over devices",
}
"""The fields of `Config` that may be others than those of the checkpoint, and why.

After another ``log_every`` or ``mesh`` numbers are the same up to rounding only."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    """The checkpoints of one run, while it lasts.

    Attributes:
        folder: Where they are.
        manifest: What the run is: its configuration, data, versions and layout.
        every: After how many logging intervals to save.
        keep: How many to keep.
        fresh: Whether to remove those that are there and start anew.
        resume: Whether there must be one to go on from.
        stop: Whether the run is asked to stop.
        say: Called with each line for the user: what was passed over, whether the run goes on.
        on_begin: Called with the position that was saved, None if the run starts anew.
        get_position: Gives what is to be saved as the position, beside what the loop adds.
    """

    folder: Path
    manifest: Manifest
    every: int
    keep: int
    fresh: bool
    resume: bool
    stop: Stop
    say: Callable[[str], None]
    on_begin: Callable[[dict[str, Any] | None], None]
    get_position: Callable[[], dict[str, Any]]

    def begin(self, like: State) -> tuple[State | None, dict[str, Any]]:
        """Goes on from the newest checkpoint that is whole.

        Args:
            like: The shapes, dtypes and shardings of the state.

        Returns:
            The state, None if the run starts anew; and the position that was saved with it.

        Raises:
            CheckpointError: The checkpoint is of another run, or all that there are are damaged.
        """
        checkpoint = self._find()
        if checkpoint is None:
            self.on_begin(None)
            return None, {}
        state, position = restore_checkpoint(checkpoint, like), checkpoint.manifest.position
        self.on_begin(position)
        return state, position

    def after(self, state: State, interval: int, position: dict[str, Any], *, done: bool) -> None:
        """Saves the state if it is time, or if the run is asked to stop.

        Args:
            state: The state.
            interval: How many intervals there have been.
            position: What `begin` is to return.
            done: Whether this is the end of the run.

        Raises:
            CheckpointError: It cannot be written.
            Interrupted: The run was asked to stop, and is saved.
        """
        signal = share_largest(self.stop.signal or 0)
        if done or signal or interval % self.every == 0:
            manifest = self.manifest._replace(position={**self.get_position(), **position})
            save_checkpoint(self.folder, state, manifest, keep=self.keep)
        if signal and not done:
            raise Interrupted(signal, f"interrupted; saved after {int(state.step)} updates")

    def _find(self) -> Checkpoint | None:
        """As `find_checkpoint`, by process 0 for all, which tidies up and says what it found."""
        checkpoint = self._find_and_tidy() if jax.process_index() == 0 else None
        if jax.process_count() == 1:
            return checkpoint
        step = share_number(-1 if checkpoint is None else checkpoint.manifest.step)
        if step < 0:
            return None
        try:
            return open_checkpoint(self.folder, step)
        except DamagedError as error:
            number = jax.process_index()
            raise CheckpointError(f"process {number} cannot read step {step}: {error}") from error

    def _find_and_tidy(self) -> Checkpoint | None:
        if self.fresh:
            remove_checkpoints(self.folder)
            self.say("starting anew, as asked")
            return None
        checkpoint, passed_over = find_checkpoint(self.folder)
        for path, error in passed_over:
            self.say(f"warning: passed over {path}: {error}")
        if checkpoint is None:
            if any(error.finished for _, error in passed_over):
                text = f"no checkpoint in {self.folder} is whole; --fresh starts anew without them"
                raise CheckpointError(text)
            if self.resume:
                raise CheckpointError(f"there is no checkpoint in {self.folder} to go on from")
            self.say("starting anew: there is no checkpoint to go on from")
        else:
            check_same_run(checkpoint, self.manifest, self.say)
            self.say(f"going on from {checkpoint.path}, after {checkpoint.manifest.step} updates")
        set_aside(passed_over)
        return checkpoint


def check_same_run(checkpoint: Checkpoint, run: Manifest, say: Callable[[str], None]) -> None:
    """Checks that a checkpoint is of the run that is to go on from it.

    Args:
        checkpoint: The checkpoint.
        run: What the run is.
        say: Called with what may make the numbers others than those of an unbroken run.

    Raises:
        CheckpointError: The configuration or the data are others.
    """
    then, now = checkpoint.manifest, run
    # As JSON has them: a checkpoint has a list for each tuple.
    fields = [json.loads(json.dumps(each.config)) for each in (then, now)]
    wrong = [
        f"{name}: expected {_show(fields[0], name)}, got {_show(fields[1], name)}"
        for name in sorted({*fields[0], *fields[1]} - _list_free(fields[0]))
        if fields[0].get(name) != fields[1].get(name)
    ]
    if then.data != now.data:
        wrong.append(f"the data: expected SHA-256 {then.data[:12]}..., got {now.data[:12]}...")
    if wrong:
        raise CheckpointError(
            f"{checkpoint.path} is of another run: {'; '.join(wrong)}. Run it as expected, or take "
            "another --run-dir, or --fresh to start anew in this one"
        )
    changed = [
        f"{name} {_show(then.versions, name)}, now {_show(now.versions, name)}"
        for name in sorted({*then.versions, *now.versions})
        if then.versions.get(name) != now.versions.get(name)
    ]
    if then.layout != now.layout:
        changed.append(f"layout {_write(then.layout)}, now {_write(now.layout)}")
    if changed:
        say(f"warning: numbers may differ in rounding from here on: {'; '.join(changed)}")


def _list_free(config: Mapping[str, Any]) -> set[str]:
    """The fields that may change, of a configuration."""
    schedule = config.get("schedule", CONSTANT)
    free = set(MAY_CHANGE)
    if has_horizon(schedule, config.get("schedule_options", {})):
        free.remove("epochs")
    if schedule == PLATEAU:
        free.remove("log_every")
    return free


def _show(fields: Mapping[str, Any], name: str) -> str:
    return repr(fields[name]) if name in fields else "nothing"


def _write(layout: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in layout.items())
