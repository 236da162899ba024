import dataclasses
import json
import struct
import sys

import pytest

pytest.importorskip("tensorboardX")

from functional_ad.training import Config, MissingExtraError
from functional_ad.training._execution import Execution
from functional_ad.training._loop import Interval
from functional_ad.training._manifest import Manifest
from functional_ad.training._records import Records
from functional_ad.training._tensorboard import Board

RUN = Manifest(
    step=0,
    config={},
    data="abc",
    versions={"jax": "1"},
    layout={"processes": 1},
    position={},
    leaves={},
    files={},
)


def make_interval(step, **fields):
    figures = {"loss": 0.5, "test_loss": None, "test_accuracy": 0.75, "learning_rate": 0.125}
    more = {"grad_norm": 2.0, "loss_scale": None, "intermediates": {"layers/0": 3.0}}
    count = {"number": step, "step": step, "epoch": float(step), "examples": 8, "seconds": 2.0}
    return Interval(**{**figures, **more, **count, **fields})


def read_events(folder):
    """The events of all files in a folder, in order; each is framed by its length and sums."""
    from tensorboardX.proto import event_pb2

    events = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return events


def read_scalars(event):
    return {value.tag: value.simple_value for value in event.summary.value}


def test_tensorboard_gets_every_figure_that_there_is_when_it_is_there(tmp_path):
    with Board(tmp_path) as board:
        board.write_interval(make_interval(3))
        version, event = read_events(tmp_path)

        assert version.file_version
        assert event.step == 3
        assert read_scalars(event) == {
            "loss/training": 0.5,
            "accuracy/test": 0.75,
            "learning_rate": 0.125,
            "grad_norm": 2.0,
            "examples_per_second": 4.0,
            "intermediates/layers/0": 3.0,
        }


def test_without_tensorboardx_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)

    with pytest.raises(MissingExtraError, match=r"^tensorboardX is not installed: pip install"):
        Board(tmp_path)


def open_records(folder, **fields):
    execution = Execution(run_dir=str(folder))
    config = Config(**fields)
    return Records(config, execution, RUN, device="cpu", command="train --run-dir x")


def test_a_folder_says_what_its_run_is(tmp_path):
    with open_records(tmp_path, epochs=7) as records:
        assert records.begin(None)

    assert "epochs = 7\n" in (tmp_path / "config.toml").read_text()
    told = json.loads((tmp_path / "run.json").read_text())
    assert told == {
        "command": "train --run-dir x",
        "data": {"name": "tutorial", "sha256": "abc"},
        "versions": {"jax": "1"},
        "device": "cpu",
        "layout": {"processes": 1},
    }
    (start,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert (start["event"], start["data"]) == ("start", "abc")
    assert not list(tmp_path.glob("*.new"))


def test_a_run_that_goes_on_takes_back_what_came_after(tmp_path):
    with open_records(tmp_path) as records:
        records.begin(None)
        records.write_interval(make_interval(1))
        position = {**records.position, "intervals": [dataclasses.asdict(make_interval(1))]}
        records.write_interval(make_interval(2))
    with open_records(tmp_path, epochs=9) as records:
        assert records.begin(position)
        records.write_interval(make_interval(2, loss=0.25))

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["event"], line.get("loss")) for line in lines] == [
        ("start", None),
        ("interval", 0.5),
        ("resume", None),
        ("interval", 0.25),
    ]
    assert "epochs = 9\n" in (tmp_path / "config.toml").read_text()
    _, first, second, _, start, last = read_events(tmp_path / "tensorboard")
    assert (first.step, second.step) == (1, 2)
    # TensorBoard leaves out what was written before of this update and of all after it.
    assert (start.step, start.session_log.status) == (2, start.session_log.START)
    assert read_scalars(last)["loss/training"] == 0.25
