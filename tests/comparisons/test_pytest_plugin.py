"""The plugin, in runs of pytest of its own."""

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from comparisons import Report
from comparisons._ledger import read_ledger
from comparisons._pytest_plugin import SUFFIXES
from comparisons.report._report import RENDERERS

ROOT = Path(__file__).parents[2]
PLUGIN = ["-p", "comparisons._pytest_plugin"]

HEAD = """
import jax.numpy as jnp, numpy as np, os, pytest, torch
x = np.linspace(0.5, 1.0, 5)
small = np.linspace(0.001, 0.002, 50)
"""
TESTS = """
def test_a(parity):
    report = parity(jnp.sin, torch.sin, (x,))
    assert report.ok and report.cases[0].name.endswith("::test_a")
    assert [leaf.quantity for leaf in report.cases[0].leaves] == ["value", "vjp"]

def scaled(y, factor):
    return y * factor

@pytest.mark.parametrize("factor", [2, 3])
def test_b(parity, factor):
    parity(lambda y: scaled(y, factor), lambda y: scaled(y, 2), (x,), orders=("value",))

def test_c(parity):
    parity(jnp.log1p, lambda y: torch.log(1 + y), (small,), orders=("value",), name="log")
    parity(jnp.sin, torch.sin, (x,), orders=("value",))
    parity(jnp.cos, torch.cos, (x,), orders=("value",))

def test_d(parity):
    parity(lambda y: y @ y[:2], torch.sin, (x,))
"""
WARNED = "test_it.py::test_c::log"


@pytest.fixture
def run(tmp_path):
    """Runs pytest in a folder with a file of tests, warnings being errors."""
    hidden = {"PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}

    def run_pytest(*arguments, tests=TESTS, plugin=PLUGIN, path=(), head=HEAD):
        (tmp_path / "test_it.py").write_text(head + textwrap.dedent(tests))
        paths = [*map(str, path), str(ROOT)]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-W", "error", *plugin, *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return run_pytest


def load(path):
    """A report without what differs from run to run."""
    data = json.loads(path.read_text())
    for case in data["cases"]:
        del case["seconds"]
    del data["environment"]["date"]
    return data


def find_summary(done):
    """The lines of the terminal's section of ours."""
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip("= ") == "parity")
    ends = (i for i in range(start + 1, len(lines)) if lines[i].startswith("==="))
    return [line for line in lines[start + 1 : next(ends)] if line]


def test_a_session_with_and_without_xdist(run, tmp_path):
    """The failure's text, the summary, every format; and the same report from two workers."""
    reports = [f"--parity-report=out/r{suffix}" for suffix in SUFFIXES]
    done = run(*reports, "--junit-xml=junit.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert "2 failed" in done.stdout
    summary = find_summary(done)
    assert summary[0] == "7 compared: 4 pass, 1 warn, 2 fail"
    warning = f"LESS_ACCURATE  {WARNED} (value (output)): The float64 runs agree, but PyTorch's"
    assert summary[1].startswith(warning)
    assert summary[2:] == [f"wrote {tmp_path}/out/r{suffix}" for suffix in SUFFIXES]
    report = Report.load(tmp_path / "out/r.json")
    assert [
        (case.name.removeprefix("test_it.py::"), str(case.verdict)) for case in report.cases
    ] == [
        ("test_a", str(report.cases[0].verdict)),
        ("test_b[2]", "IDENTICAL"),
        ("test_b[3]", "MISMATCH"),
        ("test_c::log", "LESS_ACCURATE"),
        ("test_c", str(report.cases[4].verdict)),
        ("test_c#2", str(report.cases[5].verdict)),
        ("test_d", "STRUCTURE"),
    ]
    error = report.cases[6].error
    assert error.startswith(f"JAX side, at float32: {tmp_path}/test_it.py, line ")
    assert "in <lambda>\nTypeError: " in error
    # The line is told among pytest's frames, which are many.
    assert re.search(r"^E +JAX side, at float32: .*/test_it.py, line", done.stdout, re.MULTILINE)
    for suffix, render in RENDERERS.items():
        assert (tmp_path / f"out/r{suffix}").read_text() == render(report)

    failure = ET.parse(tmp_path / "junit.xml").find(".//testcase[@name='test_b[3]']/failure").text
    assert failure in done.stdout, "as it is, without the prefixes of a traceback"
    first, *_ = failure.splitlines()
    assert first == "parity: MISMATCH of value"
    assert "test_it.py::test_b[3]  MISMATCH       1" in failure
    assert (
        "value: Smallest tolerance that would pass at float32: rtol=0.5, atol=0; or rtol=0, atol=1."
    ) in failure

    # The snippet, as a reader would copy it.
    _, _, snippet = failure.partition("To see it again, run:\n\n")
    again = subprocess.run(
        [sys.executable, "-P", "-c", snippet],
        cwd=tmp_path.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert again.returncode == 0, again.stderr
    reason = report.cases[2].leaves[0].reason
    assert "MISMATCH" in again.stdout
    assert reason in " ".join(again.stdout.split())

    spread = run("--parity-report=spread.json", "-n", "2")
    assert spread.returncode == 1, spread.stdout + spread.stderr
    assert find_summary(spread)[:2] == summary[:2]
    serial, spread = load(tmp_path / "out/r.json"), load(tmp_path / "spread.json")
    assert serial == spread


def test_a_worker_that_crashes_takes_only_its_own_test_with_it(run, tmp_path):
    tests = """
    @pytest.mark.parametrize("n", range(4))
    def test_a(parity, n):
        if n == 2:
            os._exit(3)
        parity(jnp.sin, torch.sin, (x,), orders=("value",))
    """
    done = run("-n", "1", "--parity-report=r.json", tests=tests)
    assert done.returncode == 1
    assert "crashed while running" in done.stdout
    names = [case.name[-2] for case in Report.load(tmp_path / "r.json").cases]
    assert names == ["0", "1", "3"]


MARKED = """
pytestmark = pytest.mark.parity(orders=("value",), dtype="float32")

@pytest.mark.parity(strict=True)
def test_strict(parity):
    parity(jnp.log1p, lambda y: torch.log(1 + y), (small,))

@pytest.mark.parity(orders=("vjp",))
def test_near(parity):
    assert parity(jnp.sin, torch.sin, (x,)).cases[0].leaves[0].quantity == "vjp"
    report = parity(jnp.sin, torch.sin, (x,), orders=("value", "vjp"))
    assert len(report.cases[0].leaves) == 2

def test_far(parity):
    report = parity(jnp.log1p, lambda y: torch.log(1 + y), (small,))
    assert [leaf.quantity for leaf in report.cases[0].leaves] == ["value"]

@pytest.mark.parity(dtpye="float32")
def test_misspelt(parity):
    pass

def test_orders(parity):
    parity(jnp.sin, torch.sin, (x,), orders=("values",))
"""


def test_markers_give_defaults_and_a_ledger_accepts(run, tmp_path):
    done = run(tests=MARKED)
    assert done.returncode == 1
    assert "2 failed, 2 passed, 1 error" in done.stdout
    assert "parity: LESS_ACCURATE of value" in done.stdout
    assert "`pytest.mark.parity` must have arguments that it knows." in done.stdout
    assert "got:      dtpye" in done.stdout
    assert "`parity(orders=...)` must name at least one quantity" in done.stdout
    assert find_summary(done)[0] == "4 compared: 2 pass, 2 warn, 0 fail"

    chosen = ["-k", "strict or far", "--parity-strict", "--parity-report=r.json"]
    done = run(*chosen, tests=MARKED)
    assert "2 failed" in done.stdout
    assert not any("accepted" in line for line in find_summary(done))
    accept = [sys.executable, "-m", "comparisons", "accept", "r.json", "--reason", "known"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(accept, cwd=tmp_path, env=environment, check=True, capture_output=True)
    ledger = tmp_path / "parity-ledger.toml"
    assert [entry.case for entry in read_ledger(ledger).entries] == [
        "test_it.py::test_strict",
        "test_it.py::test_far",
    ]
    chosen.append(f"--parity-ledger={ledger.name}")
    done = run(*chosen, tests=MARKED)
    assert done.returncode == 0, done.stdout
    assert find_summary(done) == [
        "2 compared: 2 pass, 0 warn, 0 fail; 2 accepted",
        f"wrote {tmp_path}/r.json",
    ]
    assert {
        leaf.accepted for case in Report.load(tmp_path / "r.json").cases for leaf in case.leaves
    } == {"known"}

    mended = MARKED.replace("torch.log(1 + y)", "torch.log1p(y)")
    done = run(*chosen, "-n", "1", tests=mended)
    assert "2 passed" in done.stdout
    assert done.returncode == 1, "entries without use, with --parity-strict"
    assert find_summary(done)[1].startswith(
        "ledger: parity-ledger.toml, line 3: test_it.py::test_strict:value is not used: the leaf is"
    )
    chosen.remove("--parity-strict")
    assert run(*chosen, tests=mended).returncode == 0


QUIET = """
def test_nothing():
    assert 1

def test_what_is_loaded():
    import json, sys
    print("loaded", json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def installed(tmp_path):
    """A folder with the metadata of an installed project: how pytest finds the plugin."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = tmp_path / "site" / "functional_ad-0.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: functional-ad\nVersion: 0.0\n")
    entries = "".join(
        f"{name} = {place}\n" for name, place in project["entry-points"]["pytest11"].items()
    )
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{entries}")
    return tmp_path / "site"


@pytest.mark.parametrize("plugin", [[], PLUGIN], ids=["entry point", "and named"])
def test_a_session_without_comparisons_costs_and_prints_nothing(run, installed, plugin):
    def find_loaded(*arguments, plugin):
        done = run("-s", *arguments, tests=QUIET, head="", plugin=plugin, path=[installed])
        assert done.returncode == 0, done.stdout + done.stderr
        return set(json.loads(re.search(r"loaded (.*)", done.stdout)[1])), done

    # Other plugins import what they like, so theirs are no loss.
    others, _ = find_loaded("-p", "no:comparisons._pytest_plugin", plugin=[])
    # Were the plugin not found by its entry point, the option would be unknown.
    found, done = find_loaded("--parity-strict", plugin=plugin)
    ours = {
        name for name in found - others if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert ours == {"comparisons", "comparisons._pytest_plugin"}
    assert "== parity ==" not in done.stdout


def test_a_report_of_nothing_says_so(run, tmp_path):
    done = run("--parity-report=r.md", tests=QUIET, head="")
    assert done.returncode == 0
    assert find_summary(done) == ["nothing was compared", f"wrote {tmp_path}/r.md"]
    assert "Nothing was compared." in (tmp_path / "r.md").read_text()
    (tmp_path / "r.md").unlink()
    run("--parity-report=r.md", "--collect-only", tests=QUIET, head="")
    assert not (tmp_path / "r.md").exists()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--parity-report=r.pdf", "--parity-report: 'r.pdf' must end in .html, .json, .md, .txt"),
        ("--parity-report=d.md", "--parity-report: 'd.md' is a folder"),
        ("--parity-ledger=l.toml", "--parity-ledger: l.toml, line 1: case must be a text that is"),
        ("--parity-ledger=no.toml", "--parity-ledger: cannot read the ledger 'no.toml': No such"),
    ],
)
def test_bad_options_are_one_line(option, text, run, tmp_path):
    (tmp_path / "d.md").mkdir()
    (tmp_path / "l.toml").write_text("[[accepted]]\n")
    done = run(option, tests=QUIET, head="")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"ERROR: {text}")


def test_a_report_that_cannot_be_written_is_a_failure(run, tmp_path):
    (tmp_path / "file").touch()
    done = run("--parity-report=file/r.md", tests=QUIET, head="")
    assert done.returncode == 1
    assert find_summary(done)[1].startswith(f"cannot write {tmp_path}/file/r.md: ")


def test_the_formats_are_those_of_reports():
    assert set(SUFFIXES) == set(RENDERERS)


def test_the_example_in_the_documentation(run):
    text = (ROOT / "docs/pytest.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = run(tests=example, head="")
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "Write jnp.std(x, ddof=1) for jnp.std(x)." in done.stdout
