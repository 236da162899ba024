"""Cases in several processes: a process that dies costs one case, and the report stays whole."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from comparisons._cli import run_command
from comparisons._discovery import find_cases
from comparisons._processes import LINES_SHOWN
from comparisons._workers import run_in_workers

OWN = """
import ctypes, os, signal, sys
import jax.numpy as jnp, torch
from comparisons import ParityCase

def leave(x):
    print("about to leave")
    sys.stdout.flush()
    os._exit(3)

def crash(x):
    ctypes.string_at(0)

def kill(x):
    os.kill(os.getpid(), signal.SIGKILL)

def talk(x):
    print("from Python")
    os.system("echo from a shell")
    return torch.sin(x)

cases = [
    ParityCase(name=name, title="t", jax=jnp.sin, torch=fn, inputs=(0.5,))
    for name, fn in dict(
        first=torch.sin, leave=leave, crash=crash, kill=kill, wrong=torch.cos, talk=talk
    ).items()
]
"""


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Loading a file adds its folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own_of_workers.py"
    path.write_text(OWN)
    return path


def test_processes_that_die_cost_one_case_each(own_file, capfd):
    out = own_file.parent / "report.json"
    # Two processes: the third death would stop the others, were the dead not replaced.
    assert run_command(["run", str(own_file), "--jobs", "2", "--json", str(out)]) == 1
    cases = {case["name"]: case for case in json.loads(out.read_text())["cases"]}
    assert list(cases) == ["first", "leave", "crash", "kill", "wrong", "talk"]
    assert {name: case["verdict"] for name, case in cases.items()} == {
        "first": "IDENTICAL",
        "leave": "STRUCTURE",
        "crash": "STRUCTURE",
        "kill": "STRUCTURE",
        "wrong": "MISMATCH",
        "talk": "IDENTICAL",
    }
    assert cases["leave"]["error"] == (
        "The process that ran this case ended with exit status 3.\nIt last wrote:\nabout to leave"
    )
    assert cases["kill"]["error"] == "The process that ran this case was ended by SIGKILL."
    first, _, said, *_, last = cases["crash"]["error"].splitlines()
    assert first == "The process that ran this case was ended by SIGSEGV."
    assert said == "Fatal Python error: Segmentation fault"
    assert last == f'  File "{own_file}", line 12 in crash'
    assert "def crash(x):" in cases["crash"]["torch_source"]

    printed = capfd.readouterr()
    assert "from" not in printed.out, "standard output is the report's"
    assert printed.err.startswith("talk:\nfrom Python\nfrom a shell\n")
    assert "Traceback" not in printed.err


def test_results_are_those_of_one_process(own_file):
    own_file.write_text(OWN.replace("leave=leave, crash=crash, kill=kill, ", ""))
    # Not to be taken for Python's own, which a process needs before it loads any file.
    (own_file.parent / "dataclasses.py").write_text("raise RuntimeError('not Python's')")
    seen, said = [], []
    results = run_in_workers(
        [str(own_file)],
        find_cases([str(own_file)]),
        2,
        dtype="float32",
        on_result=lambda result: seen.append(result.name),
        on_output=lambda name, text: said.append(name),
    )
    assert [case.name for case in results] == ["first", "wrong", "talk"]
    assert sorted(seen) == ["first", "talk", "wrong"]
    assert said == ["talk"]
    assert results[1].leaves[0].reason.startswith("The float64 runs differ by 0.398")


PLAIN = (
    "from comparisons import ParityCase\nx = ParityCase(name={!r}, title='', jax=abs, torch=abs)\n"
)


def test_a_case_that_is_not_found_again(own_file):
    own_file.write_text(PLAIN.format("first"))
    cases = find_cases([str(own_file)])
    own_file.write_text(PLAIN.format("other"))
    (result,) = run_in_workers([str(own_file)], cases, 2)
    assert result.error == (
        "The process that ran this case ended with exit status 1.\nIt last wrote:\n"
        "there was no case 'first' when its file was loaded again"
    )
    own_file.write_text("1 / 0")
    (result,) = run_in_workers([str(own_file)], cases, 2)
    assert result.error.endswith("line 1: ZeroDivisionError: division by zero")
    assert result.error.count("\n") < LINES_SHOWN


def test_ctrl_c_ends_the_workers(tmp_path):
    file = tmp_path / "slow_of_workers.py"
    pids = tmp_path / "pids"
    file.write_text(f"""
import os, pathlib, time
from comparisons import ParityCase
def wait(x):
    with open({str(pids)!r}, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    time.sleep(600)
cases = [ParityCase(name=n, title="", jax=wait, torch=wait, inputs=(1.0,)) for n in "abc"]
""")
    process = subprocess.Popen(
        [sys.executable, "-m", "comparisons", "run", str(file), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not pids.exists() or len(pids.read_text().split()) < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out, err) == (130, "", "comparisons: interrupted\n")
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
