"""The command as a process of its own: terminals, pipes, signals and full disks."""

import contextlib
import dataclasses
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from functional_ad.training import Config

pytest.importorskip("typer")

COMMAND = [sys.executable, "-m", "functional_ad.training"]
NAME = "functional-ad-train"
FULL = Path("/dev/full")
LONG = ("--epochs", "1000000")


def start(*arguments, command=COMMAND, **options):
    return subprocess.Popen(
        [*command, *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def read_metrics(path):
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def run_in_terminal(*arguments):
    """Runs the command with a terminal as its stdin, stdout and stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = []
    with contextlib.suppress(OSError):  # Linux ends a terminal's output with an error
        while part := os.read(ours, 65536):
            parts.append(part)
    os.close(ours)
    return process.wait(timeout=120), b"".join(parts).decode().replace("\r\n", "\n")


def test_a_terminal_gets_the_same_lines_and_a_progress_bar():
    pytest.importorskip("rich")
    status, shown = run_in_terminal("--epochs", "20")
    _, piped, _ = finish(start("--epochs", "20"))

    assert status == 0
    assert "━" in shown
    assert "\x1b[" in shown
    assert "20/20" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for line in piped.splitlines():
        assert line + "\n" in plain
    # The bar is taken away again: what remains is as in a pipe.
    assert plain.endswith(piped.splitlines()[-2] + "\n" + piped.splitlines()[-1] + "\n")


def test_a_pipe_gets_plain_lines_whatever_the_environment_says():
    status, out, err = finish(
        start("--epochs", "3", env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})
    )

    assert status == 0
    assert "\x1b" not in out + err
    assert [line.partition(",")[0] for line in out.splitlines()[:3]] == [
        "epoch: 1",
        "epoch: 2",
        "epoch: 3",
    ]


def test_metrics_hold_configuration_epochs_and_results(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("what was here before\n")
    status, out, _ = finish(start("--epochs", "5", "--seed", "7", "--metrics", str(path)))

    first, *epochs, last = read_metrics(path)
    assert status == 0
    assert first["event"] == "start"
    assert first["config"] == dataclasses.asdict(Config(epochs=5, seed=7)) | {"freeze": []}
    assert {"python", "jax", "jaxlib", "optax", "numpy"} <= {
        name for name, version in first["versions"].items() if version
    }
    assert first["device"]
    printed = [float(line.rpartition(" ")[2]) for line in out.splitlines()[:5]]
    assert [(line["event"], line["epoch"], line["loss"]) for line in epochs] == [
        ("interval", number, loss) for number, loss in enumerate(printed, start=1)
    ]
    assert (last["event"], last["status"], last["epochs"]) == ("end", "finished", 5)
    assert last["loss"] == printed[-1]
    assert out.splitlines()[-2:] == [
        "a.grad: {a}, b.grad: {b}".format(**last["gradients"]),
        "a: {a}, b: {b}".format(**last["parameters"]),
    ]


def test_interrupting_is_one_line_and_status_130_and_keeps_the_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    process = start(
        *LONG, "--metrics", str(path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not path.exists() or path.read_text().count("\n") < 5:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)

    assert status == 130
    assert err.splitlines()[1:] == [f"{NAME}: interrupted"]
    first, *epochs, last = read_metrics(path)
    assert first["event"] == "start"
    assert [line["epoch"] for line in epochs] == list(range(1, len(epochs) + 1))
    assert (last["status"], last["epochs"]) == ("interrupted", len(epochs))


def test_a_reader_that_leaves_ends_the_run_without_a_word(tmp_path):
    path = tmp_path / "metrics.jsonl"
    process = start(*LONG, "--metrics", str(path))
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=120) == 1
    assert len(err.splitlines()) == 1  # the line that says what is trained
    assert read_metrics(path)[-1]["status"] == "failed"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line_and_status_1():
    with FULL.open("w") as full:
        status, _, err = finish(start(stdout=full))

    assert status == 1
    assert err.splitlines()[1:] == [
        f"{NAME}: error: cannot write the output: No space left on device"
    ]


def test_metrics_that_no_longer_fit_end_with_a_whole_line(tmp_path):
    path = tmp_path / "metrics.jsonl"

    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from functional_ad.training.__main__ import main; main()"
    )
    # Without JAX's cache of compiled programs, whose files would be cut off, too.
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-B", "-c", limited]
    process = start("--metrics", str(path), command=command, env=environment)
    status, out, err = finish(process)

    assert status == 1
    assert err.splitlines()[1:] == [
        f"{NAME}: error: --metrics: cannot write to '{path}' (File too large)"
    ]
    lines = read_metrics(path)
    assert lines[0]["event"] == "start"
    assert len(lines) > 5
    # An epoch is in the file before it is printed; the shorter last line may still have fitted.
    epochs = [line for line in lines if line["event"] == "interval"]
    assert len(epochs) == len(out.splitlines())
