"""Report as data: what it says of itself, its JSON, and its files."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons._case import ORDERS
from comparisons._results import (
    CaseResult,
    Cause,
    LeafResult,
    PlantedDefect,
    StepCurve,
    Trajectory,
)
from comparisons._verdict import Verdict
from comparisons.report import SCHEMA, Report


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_report_is_as_bad_as_its_worst_case(make_report, verdict):
    report = make_report(Verdict.IDENTICAL, verdict, Verdict.IDENTICAL)
    assert report.verdict is verdict
    assert report.ok is (verdict.outcome != "fail")
    assert report.summary["cases"] == 3
    assert report.summary["verdict"] == verdict


def test_comparing_nothing_is_not_ok(make_report):
    assert not Report((), {}).ok
    assert Report((), {}).verdict is Verdict.STRUCTURE
    assert not make_report(CaseResult(name="a", title="A", leaves=())).ok


def test_the_json_holds_all_that_was_found(sample):
    assert {case.verdict for case in sample.cases} == set(Verdict)
    again = Report.from_dict(json.loads(sample.to_json()))
    assert again == sample
    assert again.cases[-1].leaves == sample.cases[-1].leaves
    assert again.environment == sample.environment


def test_files_of_release_0_1_are_read(old_sample, sample):
    assert {case.verdict for case in old_sample.cases} == set(Verdict)
    leaf = old_sample.cases[0].leaves[0]
    assert (leaf.histogram, leaf.causes, leaf.power, leaf.accepted) == ((), (), None, None)
    assert (old_sample.cases[0].planted, old_sample.cases[0].power) == ((), None)
    assert old_sample.summary["fail"] == 3
    assert [case.name for case in sample.cases][:12] == [case.name for case in old_sample.cases]


def test_the_power_of_a_case_is_written(make_report, make_leaf):
    def write(*powers):
        leaves = tuple(make_leaf(power=power) for power in powers)
        return make_report(CaseResult(name="a", title="A", leaves=leaves)).to_dict()["cases"][0]

    assert write(1e-12, 1e-3)["power"] == 1e-3
    assert write(1e-12, None)["power"] is None
    data = make_report(CaseResult(name="a", title="A", leaves=(make_leaf(power=0.1),))).to_dict()
    data["cases"][0]["power"] = 1e-9
    assert Report.from_dict(data).cases[0].power == 0.1, "it is worked out anew"


def test_an_accepted_deviation_passes_and_keeps_its_verdict(make_report, make_leaf):
    accepted = make_leaf(Verdict.MISMATCH, accepted="Agreed.")
    report = make_report(CaseResult(name="a", title="A", leaves=(accepted, make_leaf())))
    assert report.ok
    assert report.verdict is Verdict.MISMATCH
    assert report.summary["pass"] == 1
    worse = (accepted, make_leaf(Verdict.NO_SIGNAL))
    assert make_report(CaseResult(name="a", title="A", leaves=worse)).summary["warn"] == 1


def test_equality_sees_every_part(make_report, make_leaf):
    report = make_report(Verdict.AGREES, jax="1")
    assert report == make_report(Verdict.AGREES, jax="1")
    assert report != make_report(Verdict.AGREES, jax="2")
    leaves = (make_leaf(Verdict.AGREES, max_abs=1e-7),)
    assert report != make_report(CaseResult(name="case/0", title="Case 0", leaves=leaves), jax="1")
    assert report != report.to_dict()


def test_numbers_that_json_has_not_are_strings(make_report, make_leaf):
    values = [math.nan, [math.inf, -math.inf], 0.5]
    leaf = make_leaf(jax=values, max_abs=math.inf)
    report = make_report(CaseResult(name="a", title="A", leaves=(leaf,), seconds=math.nan))
    written = report.to_dict()["cases"][0]
    assert written["leaves"][0]["jax"] == ["NaN", ["Infinity", "-Infinity"], 0.5]
    assert written["leaves"][0]["max_abs"] == "Infinity"
    read = Report.from_dict(json.loads(report.to_json()))
    assert math.isnan(read.cases[0].seconds)
    assert math.isnan(read.cases[0].leaves[0].jax[0])
    assert read.cases[0].leaves[0].jax[1:] == [[math.inf, -math.inf], 0.5]
    assert read == report


_text = st.text(st.characters(codec="utf-8"), max_size=12)
_number = st.floats() | st.integers(-9, 9)
_complex = st.builds(complex, st.floats(), st.floats())
_index = st.lists(st.integers(0, 3), max_size=2).map(tuple)
_values = st.recursive(
    _number | _complex | st.booleans(), lambda v: st.lists(v, max_size=3), max_leaves=6
)
_leaves = st.builds(
    LeafResult,
    path=_text,
    quantity=st.sampled_from(ORDERS),
    verdict=st.sampled_from(Verdict),
    reason=_text,
    shape=_index,
    worst=st.none() | _index,
    different=st.none() | st.integers(0, 9),
    jax=st.none() | _values,
    torch=st.none() | _values,
    histogram=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    causes=st.lists(
        st.builds(Cause, name=_text, title=_text, fix=_text, source=_text), max_size=2
    ).map(tuple),
    right=st.sampled_from([None, "JAX", "PyTorch", "both", "neither"]),
    vote=_text,
    **dict.fromkeys(("max_abs", "max_ulp", "rms", "allowed", "power"), st.none() | _number),
    **dict.fromkeys(("p99_ulp", "cosine"), st.none() | _number),
    **dict.fromkeys(("established", "accepted"), st.none() | _text),
)
_numbers = st.lists(_number, max_size=3).map(tuple)
_step_curves = st.builds(
    StepCurve,
    label=_text,
    steps=_index,
    **dict.fromkeys(("jax", "torch", "gap", "float64_gap", "noise"), _numbers),
)
_trajectories = st.builds(
    Trajectory,
    mode=st.sampled_from(["teacher-forced", "free-running"]),
    kind=_text,
    summary=_text,
    steps=st.integers(1, 9),
    first_step=st.none() | st.integers(1, 9),
    first_leaf=st.none() | _text,
    curves=st.lists(_step_curves, max_size=2).map(tuple),
)
_cases = st.builds(
    CaseResult,
    name=_text,
    title=_text,
    leaves=st.lists(_leaves, max_size=2).map(tuple),
    error=st.none() | _text,
    jax_source=_text,
    torch_source=_text,
    note=_text,
    citation=_text,
    seconds=_number,
    vacuity=st.lists(_text, max_size=2).map(tuple),
    casts=st.lists(_text, max_size=2).map(tuple),
    trajectory=st.none() | _trajectories,
    planted=st.lists(
        st.builds(PlantedDefect, defect=_text, where=_text, caught=st.booleans()), max_size=2
    ).map(tuple),
)
_reports = st.builds(
    Report,
    st.lists(_cases, max_size=3).map(tuple),
    st.dictionaries(_text, _text | st.integers() | st.booleans() | st.lists(_text), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(_reports)
def test_any_report_comes_back_from_json_and_renders_the_same(report):
    again = Report.from_dict(json.loads(report.to_json()))
    assert again == report
    assert again.to_json() == report.to_json()
    assert str(again) == str(report)


def test_the_stored_json_renders_the_same_page(sample, awkward, tmp_path):
    for name, report in (("sample", sample), ("awkward", awkward)):
        report.save(tmp_path / f"{name}.json")
        again = Report.load(tmp_path / f"{name}.json")
        assert again == report
        for suffix in (".html", ".md", ".txt"):
            report.save(tmp_path / f"first{suffix}")
            again.save(tmp_path / f"second{suffix}")
            first, second = ((tmp_path / f"{n}{suffix}").read_bytes() for n in ("first", "second"))
            assert first == second
            assert len(first) > 1000


def test_fields_of_later_releases_are_ignored(sample):
    data = sample.to_dict()
    data["later"] = data["cases"][0]["later"] = 1
    data["cases"][0]["leaves"][0]["later"] = 1
    assert Report.from_dict(data) == sample


def test_what_follows_from_the_leaves_is_worked_out_anew(sample):
    data = sample.to_dict()
    data["summary"]["ok"] = True
    for case in data["cases"]:
        case["verdict"] = "IDENTICAL"
    assert Report.from_dict(data) == sample


def test_reading_shares_nothing(sample):
    data = sample.to_dict()
    report = Report.from_dict(data)
    data["environment"]["jax_devices"].append("another")
    data["cases"][11]["leaves"][0]["jax"][0] = 7
    assert report == sample
    report.to_dict()["environment"]["jax_devices"].clear()
    assert report == sample


PLANTED = {"defect": "a", "where": "b", "caught": 1}


def _change(data, place, value):
    *outer, last = place
    for key in outer:
        data = data[key]
    if value is KeyError:
        del data[last]
    else:
        data[last] = value


LEAF = ("cases", 0, "leaves", 0)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("schema",), KeyError, r'expected: an object with "schema": "functional-ad/report/1"'),
        (("schema",), "functional-ad/report/2", r'got:      "schema": "functional-ad/report/2"'),
        (("schema",), "functional-ad/report/2", r"Read it with the version that wrote it"),
        (("cases",), KeyError, r"cases: expected a list; got None"),
        (("cases", 0), 3, r"cases\[0\]: expected an object; got 3"),
        (("cases", 0, "name"), KeyError, r"cases\[0\]: the field 'name' is missing"),
        (("cases", 0, "title"), 1, r"cases\[0\]\.title: expected text; got 1"),
        (("cases", 0, "seconds"), True, r"cases\[0\]\.seconds: expected a number, .* got True"),
        ((*LEAF, "verdict"), "FINE", r"leaves\[0\]\.verdict: expected one of STRUCTURE, .*'FINE'"),
        ((*LEAF, "verdict"), [], r"leaves\[0\]\.verdict: expected one of STRUCTURE, .*got \[\]"),
        ((*LEAF, "max_abs"), "big", r"leaves\[0\]\.max_abs: expected a number, .* got 'big'"),
        ((*LEAF, "shape"), [1.5], r"leaves\[0\]\.shape\[0\]: expected an integer; got 1\.5"),
        ((*LEAF, "accepted"), 1, r"leaves\[0\]\.accepted: expected text; got 1"),
        ((*LEAF, "causes"), [{}], r"causes\[0\]: the field 'name' is missing"),
        ((*LEAF, "jax"), {"real": 1, "imag": "x"}, r"jax\.imag: expected a number, .* got 'x'"),
        (("cases", 0, "planted"), [PLANTED], r"planted\[0\]\.caught: expected true .* got 1"),
        ((*LEAF, "jax"), [[1], {}], r"leaves\[0\]\.jax\[1\]: expected a number, .* got \{\}"),
        (("environment",), [], r"expected: environment: an object\n  got:      \[\]"),
    ],
)
def test_what_is_no_report_is_refused(sample, tmp_path, place, value, message):
    data = sample.to_dict()
    _change(data, place, value)
    with pytest.raises(ValueError, match=message):
        Report.from_dict(data)
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(
        ValueError, match=rf"r\.json: `Report\.from_dict\(d\)` must(?s:.)*{message}"
    ):
        Report.load(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected: strict JSON"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b"\xff\xfe", "expected: strict JSON"),
        (b"[]", "got:      list"),
        (b'{"a": 1}', r"got:      keys \['a'\]"),
    ],
)
def test_files_that_are_no_report_are_refused(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Report.load(path)
    with pytest.raises(FileNotFoundError):
        Report.load(tmp_path / "absent.json")


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.html.gz", ".html"])
def test_unknown_suffixes_are_refused(sample, tmp_path, name):
    with pytest.raises(ValueError, match=r"expected: \.html, \.json, \.md, \.txt\n  got:"):
        sample.save(tmp_path / "made" / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "beginning"),
    [(".html", "<!doctype html>"), (".JSON", "{\n"), (".md", "# Parity"), (".txt", "case ")],
)
def test_the_suffix_names_the_format(sample, tmp_path, suffix, beginning):
    path = tmp_path / "new" / "directory é" / f"report{suffix}"
    sample.save(str(path))
    assert path.read_text(encoding="utf-8").startswith(beginning)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    sample.save(path)  # replaces what is there


def test_a_file_is_readable_by_whom_the_umask_allows(sample, tmp_path):
    before = os.umask(0o022)
    try:
        sample.save(tmp_path / "r.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "r.json").stat().st_mode) == 0o644


def test_a_failed_save_leaves_the_old_file_alone(sample, make_report, tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    sample.save(path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        make_report(Verdict.AGREES, device=object()).save(path)

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_report(Verdict.AGREES).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_text_that_utf8_cannot_hold_is_kept(make_report, tmp_path):
    report = make_report(CaseResult(name="a", title="\udc80", leaves=(), error="\ud800x"))
    report.save(tmp_path / "r.json")
    assert Report.load(tmp_path / "r.json") == report


def test_importing_reports_is_cheap():
    program = (
        "import sys, comparisons.report\n"
        "heavy = {'rich', 'jinja2', 'matplotlib', 'pygments', 'torch', 'jax', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_schema_version_is_written(sample):
    assert json.loads(sample.to_json())["schema"] == SCHEMA == "functional-ad/report/1"
