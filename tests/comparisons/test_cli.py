"""The command line: what it prints, what it writes, and its exit status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comparisons import ParityCase, Report, TrainingCase, Verdict
from comparisons._cli import CommandError, run_command
from comparisons._discovery import DiscoveryError, find_cases, load_shipped_cases
from comparisons._ledger import read_ledger
from comparisons._results import CaseResult, LeafResult
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


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Loading a file adds its folder, whose names (copy.py) other tests must not see."""
    monkeypatch.setattr(sys, "path", list(sys.path))


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
    assert all(isinstance(case, ParityCase | TrainingCase) for case in found)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing command. (see --help)"),
        (["rnu"], "No such command 'rnu'"),
        (["run", "--job", "2"], "No such option: --job"),
        (["run", "--jobs", "0"], "Invalid value for '--jobs': "),
        (["run", "--dtype", "float64"], "Invalid value for '--dtype': "),
        (["run", CHEAP, "--json", "a.html"], "--json: 'a.html' must end in .json"),
        (["run", CHEAP, "--html", "own.py/a.html"], "--html: cannot write to 'own.py/a.html'"),
        (["run", CHEAP, "--html", "folder.html"], "--html: 'folder.html' is a folder"),
        (["run", CHEAP, "--ledger", "none.toml"], "cannot read the ledger 'none.toml': No such"),
        (["run", CHEAP, "--ledger", "broken.toml"], "broken.toml, line 2: case must be a text"),
        (["run", "folder.html"], "'folder.html' is a folder; name the Python files in it"),
        (["run", ""], "'' is no case; leave it out to run all cases"),
        (["diff", "a.json"], "Missing argument 'B.json'"),
        (["diff", "a.json", "b.json"], "there is no file 'a.json'"),
        (["diff", "good.json", "broken.json"], "broken.json: `Report.from_dict(d)` must be"),
        (["accept", "good.json"], "Missing option '--reason'"),
        (["accept", "good.json", "--reason", " "], "--reason: say why in a few words"),
        (
            ["accept", "good.json", "--reason", "x", "--expires", "2020-01-31"],
            "--expires: 2020-01-31 is over",
        ),
        (
            ["accept", "good.json", "--reason", "x", "--expires", "soon"],
            "--expires: 'soon' is no day such as 2027-06-30",
        ),
        (["accept", "good.json", "--reason", "x"], "the report has no warning to accept"),
        (["accept", "good.json", "nets", "--reason", "x"], "no case 'nets'; the nearest is 'net'"),
        (
            ["accept", "good.json", "net:warn", "--reason", "x", "--ledger", "no/where.toml"],
            "--ledger: cannot write 'no/where.toml': No such file or directory",
        ),
        (
            ["run", "tutorial/zeroing"],
            "no case matches 'tutorial/zeroing'; the nearest is 'tutorial",
        ),
        (["run", "nowhere.py"], "there is no file 'nowhere.py'"),
        (["run", "empty.py"], "'empty.py' holds no ParityCase or TrainingCase"),
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
    Path("broken.toml").write_text("\n[[accepted]]\n")
    Path("folder.html").mkdir()
    leaves = [
        LeafResult(path="", quantity="value", verdict=Verdict.AGREES, reason=""),
        LeafResult(path="", quantity="warn", verdict=Verdict.CONVENTION, reason="", accepted="y"),
    ]
    Report((CaseResult(name="net", title="", leaves=tuple(leaves)),), {}).save("good.json")
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
        "import jax.numpy as jnp\nfrom comparisons import ParityCase, TrainingCase\n"
        "from neighbour_of_cases import fn\n"
        "cases = {'a': ParityCase(name='a', title='', jax=jnp.sin, torch=fn, inputs=(0.5,))}\n"
    )
    assert [case.name for case in find_cases([str(tmp_path / "mine.py")])] == ["a"]


def test_nothing_is_written_where_the_arguments_are_bad(tmp_path):
    with pytest.raises(CommandError):
        run_command(["run", "nothing-like-it", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


# --- run --strict, --json, --html, --ledger; accept; diff -------------------------------------


def stored(tmp_path, *verdicts, name="report.json", **more):
    """A stored report of one case, a leaf for each verdict."""
    leaves = tuple(
        LeafResult(path=str(i), quantity="vjp", verdict=Verdict(verdict), reason="because")
        for i, verdict in enumerate(verdicts)
    )
    path = tmp_path / name
    Report((CaseResult(name="net: one", title="", leaves=leaves, **more),), {}).save(path)
    return str(path)


def test_a_mismatch_that_is_accepted_passes_until_it_is_over(own_file, tmp_path, capsys):
    """The whole way: run, accept, run again; then the day passes, and the bug is mended."""
    report, page = tmp_path / "sub/report.json", tmp_path / "page.html"
    ledger = tmp_path / "my ledger.toml"
    assert run_command(["run", str(own_file), "--json", str(report), "--html", str(page)]) == 1
    assert capsys.readouterr().out.endswith(f"wrote {report}, {page}\n")
    assert page.read_text().startswith("<!doctype html>")

    given = ["accept", str(report), "own/bad", "--reason", "so it is", "--ledger", str(ledger)]
    with pytest.raises(CommandError, match="own/bad:value is MISMATCH, a failure: mend it, or"):
        run_command(given)
    assert not ledger.exists()
    assert run_command([*given, "--also-failures"]) == 0
    assert capsys.readouterr().out == (
        "accepted  own/bad:value  MISMATCH\n"
        f"wrote {ledger}; give it to 'run' with --ledger '{ledger}'\n"
    )

    again = ["run", str(own_file), "--ledger", str(ledger), "--strict", "--json", str(report)]
    assert run_command(again) == 0
    stored = json.loads(report.read_text())
    assert [leaf["accepted"] for case in stored["cases"] for leaf in case["leaves"]] == [
        None,
        "so it is",
    ]
    assert stored["environment"]["ledger"] == str(ledger)
    assert run_command(["run", str(own_file)]) == 1, "only if the ledger is given"

    ledger.write_text(ledger.read_text() + "expires = 2020-01-31\n")
    capsys.readouterr()
    assert run_command(again) == 1
    line = f"ledger: {ledger}, line 3: own/bad:value has expired: its last day was 2020-01-31\n"
    assert line in capsys.readouterr().out

    own_file.write_text(OWN_CASES.replace("torch.cos", "torch.sin"))
    assert run_command(again) == 1, "an entry without use, with --strict"
    line = f"ledger: {ledger}, line 3: own/bad:value is not used: the leaf is IDENTICAL now\n"
    assert line in capsys.readouterr().out
    again.remove("--strict")
    assert run_command(again) == 0

    own_file.write_text(own_file.read_text().replace('("bad"', '("renamed"'))
    capsys.readouterr()
    assert run_command([*again, "--strict"]) == 0, "part of the cases may be run"
    line = f"ledger: {ledger} has entries of cases that were not run: own/bad\n"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "strict", "status"),
    [
        *[("LESS_ACCURATE", False, 0), ("LESS_ACCURATE", True, 1)],
        *[("AGREES", True, 0), ("MISMATCH", False, 1)],
    ],
)
def test_strict_is_about_warnings(verdict, strict, status, monkeypatch, capsys):
    def run_nothing(targets, cases, **options):
        assert options == {"jobs": 1, "dtype": None, "power": True}
        leaf = LeafResult(path="", quantity="value", verdict=Verdict(verdict), reason="-")
        return Report((CaseResult(name="a", title="", leaves=(leaf,)),), {})

    monkeypatch.setattr("comparisons._cli.run_with_progress", run_nothing)
    assert run_command(["run", CHEAP, *["--strict"] * strict]) == status


def test_what_run_is_told_reaches_the_runner(monkeypatch):
    seen = []

    def run_nothing(targets, cases, **options):
        seen.append((targets, [case.name for case in cases], options))
        return Report((), {})

    monkeypatch.setattr("comparisons._cli.run_with_progress", run_nothing)
    run_command(["run", CHEAP, "--jobs", "3", "--dtype", "bfloat16", "--no-power"])
    assert seen == [([CHEAP], [CHEAP], {"jobs": 3, "dtype": "bfloat16", "power": False})]


def test_nothing_is_written_unless_asked(own_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_command(["run", str(own_file)])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["own.py"]


def test_standard_output_is_the_reports(tmp_path, capsys):
    file = tmp_path / "loud.py"
    file.write_text(OWN_CASES.replace("torch.cos", "lambda x: print('loud') or torch.sin(x)"))
    assert run_command(["run", str(file)]) == 0
    printed = capsys.readouterr()
    assert "loud" not in printed.out
    assert "loud\n" in printed.err


def read_entries(path):
    return [(e.case, e.leaf, str(e.verdict)) for e in read_ledger(path).entries]


@pytest.mark.parametrize(
    ("targets", "accepted"),
    [
        ([], ["vjp/1 CONVENTION", "vjp/3 NO_SIGNAL"]),
        (["--also-failures"], ["vjp/1 CONVENTION", "vjp/2 MISMATCH", "vjp/3 NO_SIGNAL"]),
        (["net: one:vjp/1"], ["vjp/1 CONVENTION"]),
        (["net: one:vjp 3", "net: one:vjp/1"], ["vjp/3 NO_SIGNAL", "vjp/1 CONVENTION"]),
        (
            ["net: one", "--also-failures"],
            ["vjp/1 CONVENTION", "vjp/2 MISMATCH", "vjp/3 NO_SIGNAL"],
        ),
    ],
    ids=range(5),
)
def test_what_accept_accepts(targets, accepted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = stored(tmp_path, "AGREES", "CONVENTION", "MISMATCH", "NO_SIGNAL")
    assert run_command(["accept", report, *targets, "--reason", "r"]) == 0
    assert read_entries(Path("parity-ledger.toml")) == [
        ("net: one", *text.split()) for text in accepted
    ]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "net: one",
            "net: one:vjp/2 is MISMATCH, a failure: mend it, or accept",
        ),
        ("net: one:vjp/0", "net: one:vjp/0 is AGREES: there is nothing to accept"),
        ("net: one:vjp", "net: one has no leaf 'vjp'; it has vjp/0, vjp/1, vjp/2"),
        ("net", "the report has no case 'net'; the nearest is 'net: one'"),
    ],
)
def test_what_accept_refuses(target, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = stored(tmp_path, "AGREES", "CONVENTION", "MISMATCH")
    with pytest.raises(CommandError) as caught:
        run_command(["accept", report, "net: one:vjp/1", target, "--reason", "r"])
    assert text in str(caught.value)
    assert not Path("parity-ledger.toml").exists(), "nothing of it"


def test_accept_refuses_an_error_and_a_pass_and_says_that_failures_are_left(tmp_path):
    for report, text in (
        (
            stored(tmp_path, name="e.json", error="raised"),
            "net: one raised an error, which cannot be accepted",
        ),
        (stored(tmp_path, "AGREES"), "net: one passes: there is nothing to accept"),
    ):
        with pytest.raises(CommandError, match=text):
            run_command(["accept", report, "net: one", "--reason", "r"])
    with pytest.raises(CommandError, match="no warning to accept; failures need --also-failures"):
        run_command(["accept", stored(tmp_path, "MISMATCH"), "--reason", "r"])


def test_diff_prints_what_changed_and_tells_by_its_status(tmp_path, capsys):
    good = stored(tmp_path, "AGREES", name="good.json")
    bad = stored(tmp_path, "MISMATCH", name="bad.json")
    assert run_command(["diff", good, bad]) == 1
    assert capsys.readouterr().out == (
        "worse  net: one:vjp/0: AGREES → MISMATCH\nSomething got worse: 1 worse.\n"
    )
    assert run_command(["diff", bad, good]) == 0
    assert "better  net: one:vjp/0: MISMATCH → AGREES\n" in capsys.readouterr().out
    assert run_command(["diff", good, bad, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["changes"][0]["kind"] == "worse"


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


def test_names_of_cases_are_no_files_to_the_workers():
    """As a path, a name without a slash would be a file of the folder that holds the package."""
    root = Path(__file__).parents[2]
    done = run_module("run", "tut*scalar*", "--jobs", "2", "--no-power", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "All 2 cases agree." in done.stdout


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
