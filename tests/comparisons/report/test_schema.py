"""schema.json describes what is written, and docs/report.md what schema.json says."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from comparisons._results import CaseResult, LeafResult, summarize
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


def test_what_is_written_is_valid(validator, sample, awkward):
    for report in (sample, awkward, Report((), {})):
        validator.validate(json.loads(report.to_json()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema", "functional-ad/report/2"),
        ("verdict", "FINE"),
        ("max_abs", "big"),
        ("shape", [-1]),
        ("jax", {}),
        ("reason", None),
    ],
)
def test_what_is_wrong_is_not_valid(validator, sample, place, value):
    data = sample.to_dict()
    (data if place == "schema" else data["cases"][0]["leaves"][0])[place] = value
    assert not validator.is_valid(data)


def test_the_schema_has_exactly_the_fields_that_are_written(schema, sample):
    data = sample.to_dict()
    kinds = [
        (schema, data),
        (schema["$defs"]["case"], data["cases"][0]),
        (schema["$defs"]["leaf"], data["cases"][0]["leaves"][0]),
        (schema["$defs"]["summary"], summarize(sample.cases)),
    ]
    for described, written in kinds:
        assert set(described["properties"]) == set(described["required"]) == set(written)
        assert all(field["description"] for field in described["properties"].values())
    assert set(schema["$defs"]["verdict"]["enum"]) == set(Verdict)
    assert schema["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("kind", [CaseResult, LeafResult])
def test_every_field_can_be_read_back(kind):
    assert {str(field.type) for field in dataclasses.fields(kind)} <= set(DECODERS)


def test_the_page_describes_every_field_as_the_schema_does(schema):
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    definitions = schema["$defs"]
    for heading, described in {
        "The report": schema,
        "A case": definitions["case"],
        "A leaf": definitions["leaf"],
        "The summary": definitions["summary"],
    }.items():
        part = page.split(f"### {heading}\n")[1].split("\n### ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", part, re.MULTILINE))
        assert rows == {k: v["description"] for k, v in described["properties"].items()}
    types = page.split("### The types\n")[1]
    for name in ("verdict", "number", "index", "values"):
        assert f"| {name} | {definitions[name]['description']} |" in types
    assert all(f"`{verdict}`" in page for verdict in Verdict)
