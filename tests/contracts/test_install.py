"""`make` on machines that lack something: one line says what, and nothing is left behind."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ["sh", "make", "cat", "cp", "cksum", "dirname", "rm", "mkdir", "tail", "sed"]

FAKE_PIP = """\
#!/bin/sh
# A Python that answers questions as the real one does, but whose pip only writes down the call.
case "$*" in
*"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"-m pip install"*) echo "$@" >>calls; [ ! -e broken ] || { echo "no network"; exit 1; } ;;
*version*functional-ad*) [ -e calls ] ;;
*"import sys, pip"*) ;;
*"-m comparisons"*) echo "a report" ;;
*) exec REAL "$@" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A clone at an awkward path, and a PATH with make's tools but no Python."""
    folder = tmp_path / 'it\'s a "clone" of ü'
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return folder


@pytest.fixture
def make(clone, tmp_path):
    def run(*arguments, **environment):
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            env={"PATH": str(tmp_path / "bin"), "LC_ALL": "C.UTF-8"} | environment,
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def add_python(tmp_path):
    def add(name, text):
        path = tmp_path / "bin" / name
        path.write_text(text.replace("REAL", f"'{sys.executable}'"), encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return add


def check_refusal(done, line, clone):
    """One line of ours and make's own, nothing on standard output, no folder."""
    ours, makes = done.stderr.splitlines()
    assert ours == line
    assert makes.startswith("make: ***")
    assert done.stdout == ""
    assert done.returncode == 2
    assert not (clone / ".venv").exists()


INSTALL_ONE = "Install one, or name it: make report PYTHON=/path/to/python3"


def test_without_python(make, clone):
    line = f"Python 3.11 or newer is missing; found none. {INSTALL_ONE}"
    check_refusal(make("report"), line, clone)


def test_with_old_pythons_only(make, clone, add_python):
    add_python("python3", "#!/bin/sh\necho 3.9.18 old\n")
    add_python("python", "#!/bin/sh\necho 2.7.18 old\n")
    found = "python3 3.9.18, python 2.7.18"
    line = f"Python 3.11 or newer is missing; found {found}. {INSTALL_ONE}"
    check_refusal(make("test"), line, clone)


def test_with_a_named_python_that_is_not_there(make, clone):
    line = f"Python 3.11 or newer is missing; found none (PYTHON=no such). {INSTALL_ONE}"
    check_refusal(make("report", "PYTHON=no such"), line, clone)


def test_without_the_venv_module(make, clone, add_python):
    add_python("python3.12", "#!/bin/sh\necho 3.12.1 bare\n")
    line = (
        "The venv module of python3.12 3.12.1 is missing: install it (Debian, Ubuntu: apt install "
        "python3-venv), or name another Python: make report PYTHON=/path/to/python3"
    )
    check_refusal(make("report"), line, clone)


def read_calls(clone):
    return (clone / "calls").read_text(encoding="utf-8").splitlines()


def test_installs_once_and_again_when_the_pins_change(make, clone, add_python):
    add_python("python3", FAKE_PIP)
    done = make("report")
    assert done.stdout == "Installing into .venv (once, some minutes) ...\na report\n"
    assert done.stderr == ""
    backend, project = read_calls(clone)
    assert backend.endswith("--constraint constraints.txt hatchling")
    assert project.endswith("--editable .[graph,compare,training,test]")

    assert make("report").stdout == "a report\n"
    assert len(read_calls(clone)) == 2

    with (clone / "constraints.txt").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert make("report").stdout == "Bringing .venv up to date ...\na report\n"
    assert len(read_calls(clone)) == 4


def test_moved_clones_are_installed_again(make, clone, add_python, tmp_path):
    add_python("python3", FAKE_PIP)
    make("report")
    clone.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(clone.with_name("elsewhere"))
    clone.symlink_to(clone.with_name("elsewhere"))
    assert make("report").stdout.startswith("Bringing .venv up to date")


def test_a_failed_install_shows_pips_words_and_starts_afresh(make, clone, add_python):
    add_python("python3", FAKE_PIP)
    (clone / "broken").touch()
    done = make("report")
    assert done.returncode == 2
    first, second, makes = done.stderr.splitlines()
    assert first == "no network"
    assert second == (
        "The install failed (above: the end of .venv/install.log). "
        "Run the same command again to retry."
    )
    assert makes.startswith("make: ***")
    (clone / ".venv/half-copied").touch()
    (clone / "broken").unlink()
    assert make("report").stdout.endswith("a report\n")
    assert not (clone / ".venv/half-copied").exists()


def test_a_half_made_venv_is_made_again(make, clone, add_python):
    add_python("python3", FAKE_PIP)
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(os.devnull)
    assert make("report").stdout.endswith("a report\n")


def test_linters_are_installed_for_check_alone(make, clone, add_python):
    add_python("python3", FAKE_PIP)
    make("-j", "report", "install-dev")
    assert [call.rpartition(" ")[2] for call in read_calls(clone)] == [
        "hatchling",
        ".[graph,compare,training,test]",
        "hatchling",
        ".[graph,compare,training,test,dev]",
    ]


def test_help_lists_every_command(make, clone):
    listed = {line.split()[1] for line in make().stdout.splitlines()}
    makefile = (clone / "Makefile").read_text(encoding="utf-8")
    (phony,) = [line for line in makefile.splitlines() if line.startswith(".PHONY:")]
    assert listed == set(phony.split()[1:]) - {"install", "install-dev"}


def test_one_version_is_pinned_of_everything(clone):
    lines = (clone / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(version and "+" not in version for _, _, version in pins)
    assert "torch==2.13.0" in lines
    names = [name for name, _, _ in pins]
    assert names == sorted(set(names))
