"""The results that come with the package: of all operations, and what the README says of them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from comparisons._atlas._row import WORST_FIRST, worst
from comparisons._atlas._stored import STORED, read_stored
from comparisons._atlas._view import AXES
from comparisons.cases.atlas import OPS

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module")
def stored():
    return read_stored(STORED)["ops"]


def count(stored):
    """How many quantities have which verdict, by axis: the worst of all dtypes."""
    found = {}
    for name, cells in stored.items():
        for what, (verdict, *_) in cells.items():
            _, quantity, axis = what.split()
            found.setdefault((name, quantity, axis), []).append(verdict)
    counts = {axis: Counter() for axis in AXES}
    for (_, _, axis), verdicts in found.items():
        counts[axis][worst(verdicts)] += 1
    return counts


def test_every_operation_is_stored_and_no_other(stored):
    assert set(stored) == {op.name for op in OPS}
    assert [name for name, cells in stored.items() if "trouble" in cells] == []


def test_the_readme_has_their_counts(stored):
    text = README.read_text(encoding="utf-8")
    counts = count(stored)
    (head,) = re.findall(r"^\| quantities \|(.*)\|$", text, re.M)
    verdicts = [word.strip() for word in head.split("|")]
    assert set(verdicts) == {v for counter in counts.values() for v in counter}
    assert verdicts == sorted(verdicts, key=WORST_FIRST.index)
    for axis, title in AXES.items():
        (row,) = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", text, re.M)
        numbers = [int(word.strip() or 0) for word in row.split("|")]
        assert numbers == [counts[axis][verdict] for verdict in verdicts], title
    assert f"`comparisons atlas [OP...]` examines {len(stored)} operations" in text
