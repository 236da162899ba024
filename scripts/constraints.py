"""Writes constraints.txt: the newest versions that pyproject.toml allows, and all they need.

Run by ``make constraints``. Nothing is installed: pip only resolves.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HELD = {
    # 2.14 and later are untried: every number of the tutorial was measured with 2.13.
    "torch": "2.13.0",
}
PROJECT = "functional-ad"
ROOT = Path(__file__).parent.parent
HEADER = """\
# The exact version of everything that this project installs, with all its extras, whatever those
# need, and the build backend. Resolved on Python {python}; the same install on 3.12 to 3.14.
# To make it again: `make constraints PYTHON=python3.11`. What is held back on purpose, and why, is
# in scripts/constraints.py. The CUDA libraries are what torch needs on Linux from an index that
# serves its CUDA build: with an index that serves the CPU build, nothing asks for them and those
# lines would be lost, so make this file with the former.
"""


def resolve() -> dict[str, str]:
    """Asks pip which versions it would install, as {normalised name: version}."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--dry-run", "--ignore-installed", "--report", str(report)),
                *(f"{name}=={version}" for name, version in HELD.items()),
                "hatchling",
                f"{ROOT}[graph,training,compare,test,dev]",
            ],
            check=True,
        )
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins: dict[str, str] = {}
    for package in found:
        name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
        pins[name] = package["metadata"]["version"].partition("+")[0]  # "+cpu" is one index's only
    return pins


def main() -> None:
    """Resolves, and replaces the file."""
    pins = resolve()
    pins.pop(PROJECT)
    header = HEADER.format(python=".".join(map(str, sys.version_info[:2])))
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    (ROOT / "constraints.txt").write_text(header + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
