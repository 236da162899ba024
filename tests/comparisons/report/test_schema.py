"""schema.json describes what is written, and docs/report.md what schema.json says."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from comparisons._results import (
    CaseResult,
    Cause,
    LeafResult,
    PlantedDefect,
    StepCurve,
    Trajectory,
    summarize,
)
from comparisons._verdict import Verdict
from comparisons.report import SCHEMA, Report
from comparisons.report._json import DECODERS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema():
    text = resources.files("comparisons.report").joinpath("schema.json").read_text("utf-8")
    return json.loads(text)


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_what_is_written_is_valid(validator, sample, old_sample, awkward):
    for report in (sample, old_sample, awkward, Report((), {})):
        validator.validate(json.loads(report.to_json()))


@pytest.mark.parametrize("name", ["sample.json", "sample-0.1.json"])
def test_what_was_written_is_valid(validator, name):
    """As it is in the file: what the readers fill in is not there."""
    validator.validate(json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema", "functional-ad/report/2"),
        ("verdict", "FINE"),
        ("max_abs", "big"),
        ("shape", [-1]),
        ("jax", {}),
        ("jax", {"real": 1.0}),
        ("jax", [{"real": 1.0, "imag": "big"}]),
        ("reason", None),
        ("histogram", [-1]),
        ("right", "Keras"),
        ("causes", [{"name": "a", "title": "b", "source": ""}]),
    ],
)
def test_what_is_wrong_is_not_valid(validator, sample, place, value):
    data = sample.to_dict()
    assert validator.is_valid(data)
    (data if place == "schema" else data["cases"][0]["leaves"][0])[place] = value
    assert not validator.is_valid(data)


def _find_records(data, name):
    """The records of every list under a name, however deep."""
    if isinstance(data, list):
        return [found for item in data for found in _find_records(item, name)]
    if not isinstance(data, dict):
        return []
    own = data[name] if isinstance(data.get(name), list) else []
    return own + [found for item in data.values() for found in _find_records(item, name)]


def test_the_schema_has_exactly_the_fields_that_are_written(schema, sample):
    data = sample.to_dict()
    trajectory = next(case["trajectory"] for case in data["cases"] if case["trajectory"])
    kinds = [
        (schema, data),
        (schema["$defs"]["case"], data["cases"][0]),
        (schema["$defs"]["leaf"], data["cases"][0]["leaves"][0]),
        (schema["$defs"]["cause"], _find_records(data, "causes")[0]),
        (schema["$defs"]["defect"], _find_records(data, "planted")[0]),
        (schema["$defs"]["trajectory"], trajectory),
        (schema["$defs"]["step_curve"], trajectory["curves"][0]),
        (schema["$defs"]["summary"], summarize(sample.cases)),
    ]
    for described, written in kinds:
        assert set(described["properties"]) == set(written)
        assert all(field["description"] for field in described["properties"].values())
    assert set(schema["$defs"]["verdict"]["enum"]) == set(Verdict)
    assert schema["properties"]["schema"]["const"] == SCHEMA


def test_the_schema_requires_what_release_0_1_wrote(schema):
    old = json.loads(Path(__file__).with_name("sample-0.1.json").read_text(encoding="utf-8"))
    case = old["cases"][0]
    for kind, written in (("case", case), ("leaf", case["leaves"][0]), ("summary", old["summary"])):
        described = schema["$defs"][kind]
        assert set(described["required"]) == set(written)
    for kind in (
        "cause",
        "defect",
        "trajectory",
        "step_curve",
    ):  # they are new, so nothing lacks a part of them
        described = schema["$defs"][kind]
        assert set(described["required"]) == set(described["properties"])


def test_the_sample_uses_every_field(sample):
    data = json.loads(sample.to_json())
    for kind, list_name in ((CaseResult, "cases"), (LeafResult, "leaves"), (Cause, "causes")):
        records = _find_records(data, list_name)
        for field in dataclasses.fields(kind):
            used = [r[field.name] for r in records if r[field.name] not in (None, "", [])]
            assert used, f"{kind.__name__}.{field.name}"
    assert {defect["caught"] for defect in _find_records(data, "planted")} == {True, False}


@pytest.mark.parametrize(
    "kind", [CaseResult, LeafResult, Cause, PlantedDefect, Trajectory, StepCurve]
)
def test_every_field_can_be_read_back(kind):
    assert {str(field.type) for field in dataclasses.fields(kind)} <= set(DECODERS)


def test_the_page_describes_every_field_as_the_schema_does(schema):
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    definitions = schema["$defs"]
    for heading, described in {
        "The report": schema,
        "A case": definitions["case"],
        "A leaf": definitions["leaf"],
        "A cause": definitions["cause"],
        "A planted defect": definitions["defect"],
        "A trajectory": definitions["trajectory"],
        "A curve over steps": definitions["step_curve"],
        "The summary": definitions["summary"],
    }.items():
        part = page.split(f"### {heading}\n")[1].split("\n### ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", part, re.MULTILINE))
        assert rows == {k: v["description"] for k, v in described["properties"].items()}
    types = page.split("### The types\n")[1]
    for name in ("verdict", "number", "index", "values"):
        assert f"| {name} | {definitions[name]['description']} |" in types
    assert all(f"`{verdict}`" in page for verdict in Verdict)
