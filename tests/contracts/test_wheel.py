"""The wheel: both packages whole, nothing else, and it works without the source tree."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PACKAGES = ["functional_ad", "comparisons"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        yield archive


def find_source_files():
    files = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
    ]
    # Caches are not source.
    return {
        file.as_posix()
        for file in files
        if not any(part == "__pycache__" or part.startswith(".") for part in file.parts)
    }


def test_holds_both_packages_whole_and_nothing_else(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files == find_source_files()
    assert {f"{package}/py.typed" for package in PACKAGES} <= files
    suffixes = {Path(name).suffix for name in files}
    assert {".jinja", ".css", ".js", ".json"} <= suffixes, "what the report is rendered with"
    assert not [name for name in files if Path(name).name.startswith(("test_", "conftest"))]


def test_describes_the_project(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Name"] == "functional-ad"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    bare = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(bare) == len(project["dependencies"])
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])


def test_works_without_the_source_tree(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = """
import importlib, importlib.metadata, importlib.resources, sys
import comparisons, functional_ad
print(functional_ad.__file__, comparisons.__file__, sep="\\n")
print(*(p.name for p in importlib.resources.files("comparisons").joinpath("report").iterdir()))
for script in importlib.metadata.distribution("functional-ad").entry_points:
    print(script.name, importlib.util.find_spec(script.module) is not None)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs, files, *scripts = done.stdout.splitlines()
    assert Path(ours).is_relative_to(tmp_path)
    assert Path(theirs).is_relative_to(tmp_path)
    assert {"schema.json", "template.html.jinja"} <= set(files.split())
    assert sorted(scripts) == [
        "comparisons True",
        "comparisons._pytest_plugin True",
        "functional-ad-train True",
    ]
