"""Two processes over loopback: the same losses as one, and what happens when one of them dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from functional_ad.training import Config, train

pytest.importorskip("typer")
pytest.importorskip("orbax.checkpoint")

NAME = "functional-ad-train"
OPTIONS = {"epochs": 40, "batch_size": 6, "microbatches": 3, "optimizer": "adamw", "seed": 1}
# More than the 30 s of a missing heartbeat, on a machine that is busy.
PATIENCE = 120


def find_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_both(folders, port, *, seeds=(1, 1)):
    """Starts both processes of a run, with one device each."""
    environment = {**os.environ, "XLA_FLAGS": ""}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "functional_ad.training", *options, f"--seed={seed}"),
                *("--run-dir", str(folder), "--coordinator", f"127.0.0.1:{port}"),
                *("--num-processes=2", f"--process-id={number}"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number, (folder, seed) in enumerate(zip(folders, seeds, strict=True))
    ]


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_two_processes_train_as_one_and_a_killed_one_ends_the_other(tmp_path):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    port = find_port()
    first, second = start_both([unbroken] * 2, port)
    status, out, err = finish(first)
    assert status == 0
    assert finish(second) == (0, "", "")
    assert "(mesh: data 2; 2 processes)" in err.splitlines()[0]
    losses = [float(line.rpartition(" ")[2]) for line in out.splitlines()[:40]]
    alone = train(Config(**OPTIONS))
    np.testing.assert_allclose(losses, [each.loss for each in alone.intervals], rtol=1e-5)
    assert (unbroken / "process-1.log").exists()
    end = json.loads((unbroken / "metrics.jsonl").read_text().splitlines()[-1])

    for victim in (1, 0):  # process 0 is the one that the others join
        processes = start_both([broken] * 2, port)
        for _ in range(4):
            processes[0].stdout.readline()
        processes[victim].send_signal(signal.SIGKILL)
        began = time.monotonic()
        status, out, err = finish(processes[1 - victim])
        assert status == 1
        assert time.monotonic() - began < 30
        assert err.splitlines()[-1] == (
            f"{NAME}: error: another process of this run has ended or cannot be reached; to go on "
            "from the last checkpoint, start each of them again with its own command (details are "
            f"in {broken}/process-*.log)"
        )
        finish(processes[victim])

    first, second = start_both([broken] * 2, port)
    status, out, err = finish(first)
    assert (status, finish(second)[0]) == (0, 0)
    assert "going on from" in err
    # Of the linear model the end has all parameters, in all their digits.
    lines = [json.loads(line) for line in (broken / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["event"] == "interval"] == list(range(1, 41))
    assert lines[-1]["parameters"] == end["parameters"]
    assert lines[-1]["gradients"] == end["gradients"]


@pytest.mark.parametrize("differing", ["seed", "folder"])
def test_processes_that_are_told_otherwise_do_not_begin(tmp_path, differing):
    seeds = (1, 2) if differing == "seed" else (1, 1)
    other = tmp_path / "other" if differing == "folder" else tmp_path
    processes = start_both([tmp_path, other], find_port(), seeds=seeds)
    (status, out, err), (other_status, other_out, _) = (finish(process) for process in processes)

    assert (status, out, other_out) == (2, "", "")
    assert err.splitlines()[-1] == (
        f"{NAME}: error: process 1 has another configuration, data, versions or run directory "
        "than process 0"
    )
    # It says the same, unless the end of process 0 comes before.
    assert other_status in (1, 2)
