"""Runs that stop and go on, in this process: bit for bit as if they had not stopped."""

import dataclasses
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from functional_ad.training import CheckpointError, Config, ConfigError

pytest.importorskip("orbax.checkpoint")

from functional_ad.training._checkpoints import Checkpoint
from functional_ad.training._data import load_data
from functional_ad.training._interruption import Interrupted, Stop
from functional_ad.training._loop import run_training
from functional_ad.training._manifest import Manifest, hash_data
from functional_ad.training._resumption import MAY_CHANGE, Checkpoints, check_same_run

CONFIG = Config(epochs=6, batch_size=6, microbatches=2, optimizer="adamw", seed=3)
DATA = load_data("tutorial")
VERSIONS = {"jax": "0.10.2", "jaxlib": "0.10.2"}


class Run:
    """A run in a folder, and what it said and was told."""

    def __init__(self, folder, config=CONFIG, *, data=DATA, versions=VERSIONS, **options):
        self.said, self.begun, self.seen = [], [], []
        self.stop = Stop()
        self.config, self.data = config, data
        manifest = Manifest(
            step=0,
            config=dataclasses.asdict(config),
            data=hash_data(data),
            versions=versions,
            layout={"devices": "1 cpu", **options.pop("layout", {})},
            position={},
            leaves={},
            files={},
        )
        self.checkpoints = Checkpoints(
            folder=folder,
            manifest=manifest,
            **{"every": 2, "keep": 2, "fresh": False, "resume": False, **options},
            stop=self.stop,
            say=self.said.append,
            on_begin=self.begun.append,
            get_position=lambda: {"lines": len(self.seen)},
        )

    def __call__(self, on_interval=lambda interval: None):
        def see(interval):
            self.seen.append(interval)
            on_interval(interval)

        return run_training(self.config, self.data, on_interval=see, checkpoints=self.checkpoints)


def fail_after(number):
    def fail(interval):
        if interval.number == number:
            raise RuntimeError("the machine is gone")

    return fail


def bits(result):
    return [np.asarray(x).tobytes() for x in jax.tree.leaves((result.params, result.grads))]


@pytest.fixture(scope="module")
def unbroken():
    return run_training(CONFIG, DATA)


@pytest.fixture
def folder(tmp_path):
    """The checkpoints of a run that broke in its sixth interval of six."""
    folder = tmp_path / "checkpoints"
    with pytest.raises(RuntimeError, match="the machine is gone"):
        Run(folder)(fail_after(6))
    return folder


def test_a_run_that_broke_ends_as_the_unbroken_one(folder, unbroken):
    assert sorted(path.name for path in folder.iterdir()) == ["00000008", "00000016"]

    run = Run(folder)
    result = run()

    assert run.said == [f"going on from {folder}/00000016, after 16 updates"]
    assert run.begun[0]["lines"] == 4
    assert bits(result) == bits(unbroken)
    losses = {interval.number: interval.loss for interval in unbroken.intervals}
    assert [interval.number for interval in run.seen] == [5, 6]
    # The last interval before the break comes with the checkpoint.
    assert [interval.number for interval in result.intervals] == [4, 5, 6]
    assert all(losses[interval.number] == interval.loss for interval in result.intervals)


def test_a_run_that_has_ended_ends_again_at_once_and_can_be_made_longer(folder, unbroken):
    Run(folder)()
    again = Run(folder)
    result = again()

    assert again.said == [f"going on from {folder}/00000024, after 24 updates"]
    assert again.seen == []
    assert bits(result) == bits(unbroken)
    assert result.intervals[-1].loss == unbroken.intervals[-1].loss

    with pytest.raises(ConfigError) as caught:
        Run(folder, dataclasses.replace(CONFIG, epochs=5))()
    assert (caught.value.field, caught.value.got) == ("epochs", "5")
    assert caught.value.expected == "6 or more, the epochs that the checkpoint has had"

    longer = dataclasses.replace(CONFIG, epochs=8)
    result = Run(folder, longer)()
    assert bits(result) == bits(run_training(longer, DATA))


def test_a_run_that_is_asked_to_stop_saves_and_goes_on(tmp_path, unbroken):
    run = Run(tmp_path, every=100)

    def ask(interval):
        run.stop.signal = signal.SIGTERM if interval.number == 3 else None

    with pytest.raises(Interrupted) as caught:
        run(ask)

    assert caught.value.status == 143
    assert [path.name for path in tmp_path.iterdir()] == ["00000012"]
    assert bits(Run(tmp_path, every=100)()) == bits(unbroken)


def test_what_is_not_whole_is_passed_over_and_made_again(folder, unbroken):
    (folder / "00000016/state/_METADATA").unlink()
    run = Run(folder)

    assert bits(run()) == bits(unbroken)
    assert run.said == [
        f"warning: passed over {folder}/00000016: state/_METADATA is missing",
        f"going on from {folder}/00000008, after 8 updates",
    ]
    assert (folder / "00000016.damaged").is_dir()


def test_a_run_begins_anew_where_nothing_was_finished_or_where_it_is_asked_to(folder, unbroken):
    for path in folder.iterdir():
        (path / "checkpoint.json").unlink()
    run = Run(folder)

    assert bits(run()) == bits(unbroken)
    assert run.said == [
        *(
            f"warning: passed over {folder}/{name}: checkpoint.json is missing: the checkpoint was "
            "not finished"
            for name in ("00000016", "00000008")
        ),
        "starting anew: there is no checkpoint to go on from",
    ]
    assert run.begun == [None]

    fresh = Run(folder, fresh=True, every=100)
    fresh()
    assert fresh.said == ["starting anew, as asked"]
    assert len(fresh.seen) == 6
    assert [path.name for path in folder.iterdir()] == ["00000024"]


def test_nothing_but_damaged_checkpoints_is_an_error(folder):
    for path in folder.iterdir():
        (path / "state/_METADATA").write_text("?")

    text = rf"^no checkpoint in {folder} is whole; --fresh starts anew without them$"
    with pytest.raises(CheckpointError, match=text):
        Run(folder)()
    assert sorted(path.name for path in folder.iterdir()) == ["00000008", "00000016"]


def test_another_run_is_refused_with_what_differs(folder):
    other = dataclasses.replace(CONFIG, seed=4, learning_rate=0.5)
    data = DATA._replace(train=DATA.train._replace(inputs=DATA.train.inputs + 1))
    then, now = hash_data(DATA)[:12], hash_data(data)[:12]

    with pytest.raises(CheckpointError) as caught:
        Run(folder, other, data=data)()

    assert str(caught.value) == (
        f"{folder}/00000016 is of another run: learning_rate: expected 0.01, got 0.5; "
        f"seed: expected 3, got 4; the data: expected SHA-256 {then}..., got {now}.... "
        "Run it as expected, or take another --run-dir, or --fresh to start anew in this one"
    )


@pytest.mark.parametrize(
    ("schedule", "options", "refused"),
    [
        ("constant", {}, set()),
        ("cosine_annealing_lr", {}, {"epochs"}),
        ("cosine_annealing_lr", {"T_max": 50}, set()),
        ("reduce_lr_on_plateau", {}, {"log_every"}),
    ],
)
def test_what_the_schedule_depends_on_may_not_change(schedule, options, refused):
    then = dataclasses.replace(CONFIG, schedule=schedule, schedule_options=options)
    manifest = Run(None, then).checkpoints.manifest
    checkpoint = Checkpoint(Path("00000016"), manifest._replace(step=16))
    for change in ({"epochs": 9}, {"log_every": 2}, {"mesh": "data=2"}, {"evaluate_every": 3}):
        now = Run(None, dataclasses.replace(then, **change)).checkpoints.manifest
        (name,) = change
        if name in refused:
            with pytest.raises(CheckpointError, match=f"is of another run: {name}: expected"):
                check_same_run(checkpoint, now, pytest.fail)
        else:
            check_same_run(checkpoint, now, pytest.fail)


def test_what_may_change_are_fields_and_other_versions_are_a_warning(folder, unbroken):
    assert set(MAY_CHANGE) <= {field.name for field in dataclasses.fields(Config)}
    changed = dataclasses.replace(CONFIG, log_every=3)
    run = Run(folder, changed, versions={"jax": "0.11.0"}, layout={"mesh": "data=1"})

    result = run()

    assert run.said[0] == (
        "warning: numbers may differ in rounding from here on: jax '0.10.2', now '0.11.0'; "
        "jaxlib '0.10.2', now nothing; layout devices 1 cpu, now devices 1 cpu, mesh data=1"
    )
    for a, b in zip(result.params.values(), unbroken.params.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
