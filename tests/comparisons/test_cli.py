"""The command line: what it prints, what it writes, and its exit status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comparisons import ParityCase
from comparisons._cli import CommandError, run_command
from comparisons._discovery import DiscoveryError, find_cases, load_shipped_cases
from comparisons.cases.tutorial import gradients

CHEAP = "tutorial/gradients/with_cotangent"

OWN_CASES = """
import torch, jax.numpy as jnp
from comparisons import ParityCase
pair = [
    ParityCase(name=f"own/{name}", title="t", jax=jnp.sin, torch=fn, inputs=(0.5,))
    for name, fn in (("good", torch.sin), ("bad", torch.cos))
]
"""


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN_CASES)
    return path


def test_run_prints_the_table_and_writes_three_files(tmp_path, capsys):
    out = tmp_path / "a folder" / "report"
    assert run_command(["run", CHEAP, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "tutorial/gradients/with_cotangent  IDENTICAL" in " ".join(printed.out.split("\n"))
    assert "\x1b" not in printed.out + printed.err, "no control codes in a pipe"
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json", "report.md"]
    report = json.loads((out / "report.json").read_text())
    assert report["schema"] == "functional-ad/report/1"
    assert [case["name"] for case in report["cases"]] == [CHEAP]
    assert report["environment"]["torch threads"] >= 1


def test_the_exit_status_is_1_if_a_case_failed(own_file, capsys):
    assert run_command(["run", str(own_file)]) == 1
    printed = capsys.readouterr().out
    assert "own/good  IDENTICAL" in printed
    assert "own/bad   MISMATCH" in printed
    assert "The float64 runs differ by 0.398" in printed


def test_one_sign_changed_in_a_copy_of_a_case_file(tmp_path, capsys):
    """What a user would try first: the copy's case is a MISMATCH, the others pass."""
    source = Path(gradients.__file__).read_text()
    changed = source.replace("jnp.tanh(w * x + b)", "jnp.tanh(w * x - b)")
    assert changed != source
    copy = tmp_path / "gradients_copy.py"
    copy.write_text(changed)
    assert run_command(["run", str(copy), "--out", str(tmp_path / "out")]) == 1
    report = json.loads((tmp_path / "out/report.json").read_text())
    verdicts = {case["name"]: case["verdict"] for case in report["cases"]}
    assert verdicts.pop("tutorial/gradients/scalar") == "MISMATCH"
    assert set(verdicts.values()) <= {"AGREES", "IDENTICAL"}
    assert len(verdicts) >= 5


def test_list_names_every_case(capsys):
    assert run_command(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [case.name for case in load_shipped_cases()]
    assert all(len(line.split()) > 2 for line in lines)


def test_show_prints_both_sources_and_the_note(capsys):
    assert run_command(["show", CHEAP]) == 0
    printed = capsys.readouterr().out
    for text in ("PyTorch", "JAX", "def cotangent_torch", "def cotangent_jax", "vector-Jacobian"):
        assert text in printed


def test_show_prints_a_stored_report_again(own_file, tmp_path, capsys):
    run_command(["run", str(own_file), "--out", str(tmp_path)])
    before = capsys.readouterr().out.rpartition("wrote ")[0]
    assert run_command(["show", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out == before


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        ([], len(load_shipped_cases())),
        (["tutorial/gradients"], 6),
        (["tutorial/gradients/"], 6),
        (["tutorial/*/scalar*"], 2),
        ([CHEAP, CHEAP, "tutorial/gradients"], 6),
    ],
    ids=str,
)
def test_targets(targets, count):
    found = find_cases(targets)
    assert len(found) == count
    assert all(isinstance(case, ParityCase) for case in found)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing command. (see --help)"),
        (["rnu"], "No such command 'rnu'"),
        (["run", "--jobs", "2"], "No such option: --jobs"),
        (
            ["run", "tutorial/zeroing"],
            "no case matches 'tutorial/zeroing'; the nearest is 'tutorial",
        ),
        (["run", "nowhere.py"], "there is no file 'nowhere.py'"),
        (["run", "empty.py"], "'empty.py' holds no ParityCase"),
        (["run", "broken.py"], "cannot load 'broken.py': line 2: ZeroDivisionError: division by"),
        (["run", "syntax.py"], "cannot load 'syntax.py': line 1: SyntaxError"),
        (["run", "leaves.py"], "cannot load 'leaves.py': line 1: SystemExit: 5"),
        (["run", "wrong.py"], "cannot load 'wrong.py': line 2: ValueError: `ParityCase(name=...)`"),
        (["run", "own.py", "copy.py"], "two cases have the name 'own/good'"),
        (["run", CHEAP, "--out", "own.py"], "--out: cannot write to 'own.py'"),
        (["show", "report.json"], "there is no file 'report.json'"),
        (["show", "broken.json"], "broken.json: `Report.from_dict(d)` must be a report"),
        (["show"], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_are_one_line(arguments, text, own_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(own_file, "copy.py")
    Path("empty.py").write_text("x = 1\n")
    Path("broken.py").write_text("x = 1\nx / 0\n")
    Path("syntax.py").write_text("x = (\n")
    Path("broken.json").write_text("[]")
    Path("leaves.py").write_text("raise SystemExit(5)\n")
    Path("wrong.py").write_text(
        "import comparisons\ncomparisons.ParityCase(name='/', title='', jax=len, torch=len)\n"
    )
    with pytest.raises(CommandError) as caught:
        run_command(arguments)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_may_import_its_neighbours_and_hold_cases_in_a_dict(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "neighbour_of_cases.py").write_text("import torch\nfn = torch.sin\n")
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\nfrom comparisons import ParityCase\n"
        "from neighbour_of_cases import fn\n"
        "cases = {'a': ParityCase(name='a', title='', jax=jnp.sin, torch=fn, inputs=(0.5,))}\n"
    )
    assert [case.name for case in find_cases([str(tmp_path / "mine.py")])] == ["a"]


def test_nothing_is_written_where_the_arguments_are_bad(tmp_path):
    with pytest.raises(CommandError):
        run_command(["run", "nothing-like-it", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_two_different_cases_of_one_name_are_refused(own_file, tmp_path):
    copy = shutil.copy(own_file, tmp_path / "copy.py")
    with pytest.raises(DiscoveryError, match="give one of them another name"):
        find_cases([str(own_file), str(copy)])


def run_module(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "comparisons", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_as_a_program():
    """One process each for the way in, the help, and an error."""
    done = run_module("show", CHEAP)
    assert (done.returncode, done.stderr) == (0, "")
    done = run_module("run", "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("CASE|FILE", "--out DIR", "report.json", "default"))
    done = run_module("run", "nothing-like-it")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("comparisons: error: no case matches 'nothing-like-it'; ")
    assert done.stderr.count("\n") == 1


def test_a_missing_package_is_one_line():
    """Blocked at import, as if the extra `compare` had not been installed."""
    script = (
        "import sys; sys.modules['typer'] = None\n"
        "from comparisons.__main__ import main; sys.argv = ['comparisons', 'list']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "comparisons: error: typer is not installed: pip install 'functional-ad[compare]'\n"
    )
