"""Rows as data, runs in processes, and what is kept of them."""

import dataclasses
import functools
import json
import math

import pytest

from comparisons._atlas._row import Cell, Curve, Edge, Error, Row, read_row, worst
from comparisons._atlas._run import _describe_end, run_atlas
from comparisons._atlas._stored import (
    StoredError,
    condense,
    find_changes,
    read_stored,
    write_stored,
)
from comparisons._processes import End, Service, run_tasks
from comparisons.cases.atlas import OPS

ABS = next(op for op in OPS if op.name == "abs")
CELL = Cell(
    dtype="float32",
    quantity="vjp",
    axis="ordinary",
    verdict="AGREES",
    count=3,
    gap=math.inf,
    torch=Error(2.0, 1.0, (0.5,)),
    jax=Error(math.inf, 1.0, (-math.inf,)),
    text="NaN",
)
ROW = Row(
    name="Infinity",
    family="NaN",
    cells=(CELL, dataclasses.replace(CELL, axis="jit", torch=None, jax=None)),
    edges=(
        Edge((math.nan,), "nonfinite", "vjp", "x", math.nan, -math.inf, below=math.inf),
        Edge("edges: ties", "edges", "value", "x[0]", 1.0, None),
    ),
    tried=3,
    curves=(Curve("float32", "value", (1.0, 2.0), (0.0, math.inf), (0.5, 1.0)),),
    referee="formula",
)


def test_a_row_is_the_same_as_json():
    text = json.dumps(ROW.to_data(), allow_nan=False)
    assert repr(read_row(json.loads(text))) == repr(ROW)


def test_the_worst_verdict():
    assert worst(["AGREES", "MISMATCH", "IDENTICAL"]) == "MISMATCH"
    assert worst([]) == "CRASHED"
    assert Row("n", "f", trouble="HUNG: it had not returned").verdict == "HUNG"


def test_a_task_that_never_returns_costs_one_answer():
    ends = []
    service = Service(
        load=functools.partial,
        arguments=(eval,),
        replace=lambda place, end: ends.append((place, end.late)),
        limit=1.0,
    )
    found = run_tasks(service, ["1 + 1", "__import__('time').sleep(600)", "2 + 2"], 1)
    assert found == [2, None, 4]
    assert ends == [(1, True)]


def test_the_row_of_what_hung_or_died():
    hung = _describe_end(ABS, End(-15, "said", late=True), 9.0)
    assert (hung.verdict, hung.trouble) == ("HUNG", "HUNG: it had not returned after 9 s")
    died = _describe_end(ABS, End(-11, "one\ntwo"), 9.0)
    assert died.trouble == "CRASHED: its process was ended by SIGSEGV: two"


def test_an_operation_that_takes_longer_than_it_may_is_a_row_and_not_kept(tmp_path):
    (row,) = run_atlas([ABS], 1, dtypes=("float64",), cache=tmp_path, limit=0.001)
    assert row.verdict == "HUNG"
    assert not list(tmp_path.glob("rows/*.json"))


def change(before, after, **options):
    stored = condense([before] if before else [], {})
    return [
        (c.what, c.before, c.after, c.worse)
        for c in find_changes(stored, [after] if after else [], **options)
    ]


def with_cell(**fields):
    return dataclasses.replace(ROW, cells=(dataclasses.replace(CELL, **fields), *ROW.cells[1:]))


def test_what_stayed_is_no_change():
    assert change(ROW, ROW) == []
    assert change(ROW, with_cell(torch=Error(30.0, 1.0, (0.5,)))) == []


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(
    ("row", "what", "before", "after"),
    [
        (
            with_cell(verdict="MISMATCH", wrong="JAX"),
            "float32 vjp ordinary",
            "AGREES",
            "MISMATCH JAX",
        ),
        (
            with_cell(torch=Error(900.0, 1.0, (0.5,))),
            "float32 vjp ordinary",
            "PyTorch 2.0 ULP",
            "PyTorch 900.0 ULP",
        ),
        (Row("Infinity", "NaN", trouble="HUNG: so"), "operation", "examined", "HUNG"),
        (
            dataclasses.replace(ROW, cells=ROW.cells[:1]),
            "float32 vjp jit",
            "AGREES",
            "not there",
        ),
    ],
)
def test_a_change_is_found_in_either_direction(row, what, before, after, back):
    if back:
        ((found, was, now, worse),) = change(row, ROW)
        assert (found, was.strip(), now.strip(), worse) == (what, after, before, False)
    else:
        ((found, was, now, worse),) = change(ROW, row)
        assert (found, was.strip(), now.strip(), worse) == (what, before, after, True)


def test_a_verdict_on_rounding_changes_with_its_error_only():
    """Another processor has other last bits: 60 units are few, 70 are many, and neither is news."""
    near, far = Error(60.0, 1.0, (0.5,)), Error(70.0, 1.0, (0.5,))
    before, after = (
        with_cell(torch=near),
        with_cell(torch=far, verdict="LESS_ACCURATE", wrong="JAX"),
    )
    assert change(before, after) == []
    assert change(with_cell(verdict="IDENTICAL"), with_cell(verdict="AGREES")) == []
    ((_, was, now, worse),) = change(ROW, after)
    assert (was, now, worse) == ("PyTorch 2.0 ULP", "PyTorch 70.0 ULP", True)
    edge = {"torch": None, "jax": None, "axis": "denormal"}
    flushed = with_cell(**edge, verdict="LESS_ACCURATE")
    ((_, was, now, _),) = change(with_cell(**edge), flushed)
    assert (was.strip(), now) == ("AGREES", "LESS_ACCURATE ")


def test_operations_come_and_go():
    assert change(ROW, None) == [("operation", "stored", "gone", True)]
    assert change(ROW, None, whole=False) == []
    assert change(None, ROW) == [("operation", "not stored", "new", False)]
    part = dataclasses.replace(ROW, cells=ROW.cells[:1])
    assert change(ROW, part, whole=False) == [], "what nobody asked for is not gone"


def test_what_is_kept_is_a_line_for_each_operation(tmp_path):
    path = tmp_path / "stored.json"
    write_stored(path, [ROW, dataclasses.replace(ROW, name="other")], {"jax": "1"})
    assert list(read_stored(path)["ops"]) == ["Infinity", "other"]
    (line,) = [line for line in path.read_text().splitlines() if line.startswith('  "other"')]
    assert json.loads(f"{{{line}}}") == {"other": condense([ROW], {})["ops"]["Infinity"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "No such file or directory"),
        ("{", "holds no JSON"),
        ("[]", "is no stored atlas of format 2"),
        ('{"format": 1, "ops": {}}', "is no stored atlas of format 2"),
    ],
)
def test_what_is_no_stored_atlas(tmp_path, text, expected):
    path = tmp_path / "stored.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoredError, match=expected):
        read_stored(path)
