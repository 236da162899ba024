"""Run directories, as the command keeps them: in this process where it can be, else in others."""

import json
import os
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("typer")
pytest.importorskip("orbax.checkpoint")

from functional_ad.training.__main__ import main
from functional_ad.training._checkpoints import find_checkpoint

NAME = "functional-ad-train"
COMMAND = [sys.executable, "-m", "functional_ad.training"]
LONG = ("--epochs", "1000000", "--batch-size", "10")


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command with arguments; returns exit status, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [NAME, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def read_metrics(folder):
    text = (folder / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def read_steps(folder):
    return [line["step"] for line in read_metrics(folder) if line["event"] == "interval"]


def start(*arguments, command=COMMAND, **environment):
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_a_run_goes_on_until_it_is_told_otherwise(command, tmp_path):
    folder = tmp_path / "a" / "run"
    status, out, err = command("--epochs", 2, "--run-dir", folder)
    assert (status, len(out.splitlines())) == (0, 4)
    assert err.splitlines()[1:] == [f"{NAME}: starting anew: there is no checkpoint to go on from"]

    status, out, err = command("--epochs", 3, "--run-dir", folder, "--resume")
    assert status == 0
    assert [line.partition(",")[0] for line in out.splitlines()[:1]] == ["epoch: 3"]
    assert err.splitlines()[1:] == [
        f"{NAME}: going on from {folder}/checkpoints/00000002, after 2 updates"
    ]
    assert read_steps(folder) == [1, 2, 3]
    events = [(line["event"], line.get("step")) for line in read_metrics(folder)]
    assert events == [
        ("start", None),
        ("interval", 1),
        ("interval", 2),
        ("resume", 2),
        ("interval", 3),
        ("end", 3),
    ]
    whole = {key: value for key, value in read_metrics(folder)[-1].items() if key != "seconds"}

    status, out, err = command("--epochs", 3, "--run-dir", folder)
    assert (status, len(out.splitlines())) == (0, 2)
    last = read_metrics(folder)[-1]
    assert {key: value for key, value in last.items() if key != "seconds"} == whole

    status, out, err = command("--epochs", 3, "--run-dir", folder, "--seed", 5)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"{NAME}: error: {folder}/checkpoints/00000003 is of another run: seed: expected 0, got 5. "
        "Run it as expected, or take another --run-dir, or --fresh to start anew in this one"
    )
    assert read_metrics(folder)[-1] == last

    status, out, err = command("--epochs", 1, "--run-dir", folder, "--seed", 5, "--fresh")
    assert (status, read_steps(folder)) == (0, [1])
    assert err.splitlines()[-1] == f"{NAME}: starting anew, as asked"


def test_there_must_be_a_checkpoint_to_resume(command, tmp_path):
    assert command("--run-dir", tmp_path, "--resume")[::2] == (
        1,
        f"{NAME}: linear on tutorial, 50 epochs, sgd with learning rate 0.01, batches of 20, seed "
        f"0, on cpu\n{NAME}: error: there is no checkpoint in {tmp_path}/checkpoints to go on "
        "from\n",
    )


def test_metrics_that_are_shorter_than_they_were_are_a_warning(command, tmp_path):
    command("--epochs", 2, "--run-dir", tmp_path)
    (tmp_path / "metrics.jsonl").unlink()

    status, _, err = command("--epochs", 3, "--run-dir", tmp_path)

    assert status == 0
    assert err.splitlines()[-1] == (
        f"{NAME}: warning: the metrics are shorter than at the checkpoint: lines are missing"
    )
    assert read_steps(tmp_path) == [3]


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(command, tmp_path):
    options = ("--run-dir", tmp_path, "--metrics", os.devnull)
    command("--epochs", 2, *options)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    # Without JAX's cache of compiled programs, whose files would be cut off, too: all is compiled.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # the manifest has 3,000
    try:
        status, out, err = command("--epochs", 3, *options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    assert (status, len(out.splitlines())) == (1, 1), err
    assert err.splitlines()[2:] == [
        f"{NAME}: error: cannot save {tmp_path}/checkpoints/00000003 (File too large)"
    ]
    assert find_checkpoint(tmp_path / "checkpoints")[0].manifest.step == 2
    assert command("--epochs", 3, *options)[0] == 0
    assert find_checkpoint(tmp_path / "checkpoints")[0].manifest.step == 3


def test_signals_save_and_say_how_to_go_on_and_nobody_else_gets_in(tmp_path):
    folder = tmp_path / "a run"
    first = start(*LONG, "--run-dir", folder, "--fresh")
    for _ in range(3):
        first.stdout.readline()
    status, out, err = finish(start("--run-dir", folder))
    assert (status, out) == (1, "")
    assert err == (
        f"{NAME}: error: --run-dir: '{folder}' is in use by process {first.pid} on "
        f"{socket.gethostname()}\n"
    )

    first.send_signal(signal.SIGINT)
    status, out, err = finish(first)
    assert status == 130
    stopping, saved = err.splitlines()[-2:]
    assert stopping == f"{NAME}: stopping after this interval; once more to stop at once"
    found = re.fullmatch(rf"{NAME}: interrupted; saved after (\d+) updates\. To go on: (.*)", saved)
    arguments = [*LONG, "--run-dir", str(folder)]
    assert shlex.split(found[2]) == [*COMMAND, *arguments]
    assert read_steps(folder) == list(range(2, int(found[1]) + 1, 2))

    again = start(command=shlex.split(found[2]))
    for _ in range(2):
        again.stdout.readline()
    again.send_signal(signal.SIGTERM)
    status, out, err = finish(again)
    assert status == 143
    more = re.search(r"saved after (\d+) updates", err)
    assert int(more[1]) > int(found[1])
    assert f"going on from {folder}/checkpoints/{int(found[1]):08d}, after" in err
    assert read_steps(folder) == list(range(2, int(more[1]) + 1, 2))
    assert read_metrics(folder)[-1]["status"] == "interrupted"
