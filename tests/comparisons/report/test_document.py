"""The document tree: what is said of a report, before any renderer sees it."""

from __future__ import annotations

import math

import pytest

from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Verdict
from comparisons.report import Report
from comparisons.report._document import Mark, build_document
from comparisons.report._format import escape_controls, format_measure, format_value
from comparisons.report._legend import LEAF_COLUMNS, MEANINGS


def _section(*leaves: LeafResult, **fields: object):
    case = CaseResult(**{"name": "n", "title": "t", "leaves": leaves} | fields)
    return build_document(Report((case,), {})).sections[0]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3, "3"),
        (1.1920928955078125e-07, "1.19e-7"),
        (complex(1.5, -2e-7), "1.5-2e-7j"),
        (complex(0, math.nan), "0+NaNj"),
        (0.00012345, "0.000123"),
        (999.6, "1e3"),
        (123456.0, "1.23e5"),
        (-2.5, "-2.5"),
        (5e-324, "4.94e-324"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (None, "–"),
    ],
)
def test_measures_have_three_digits(number, text):
    assert format_measure(number) == text


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.061705470085144, "float32", "1.0617055"),
        (0.10000000149011612, "float32", "0.1"),
        (0.1, "float64", "0.1"),
        (0.1, "float32", "0.1"),  # no float32, so as Python writes it
        (1e300, "float32", "1e+300"),
        (0.1, "-", "0.1"),
        (0.5, "bfloat16", "0.5"),
        (-0.0, "float32", "-0.0"),
        (7, "int32", "7"),
        (True, "bool", "True"),
        (complex(0.10000000149011612, -0.0), "complex64", "0.1-0.0j"),
        (complex(0.1, math.inf), "complex128", "0.1+infj"),
        (math.nan, "float32", "NaN"),
    ],
)
def test_values_read_back_as_the_same_number(value, dtype, text):
    assert format_value(value, dtype) == text


def test_control_characters_are_made_visible():
    assert escape_controls("\x1b[31m\x00 é損😀\u200d\u202e\n\tx\r\n") == (
        "\\x1b[31m\\x00 é損😀\u200d\\u202e\n\tx\n"
    )


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ([], "Nothing was compared."),
        ([Verdict.AGREES], "The one case agrees."),
        ([Verdict.AGREES, Verdict.IDENTICAL], "All 2 cases agree."),
        ([Verdict.MISMATCH], "The one case failed."),
        ([Verdict.MISMATCH, Verdict.AGREES], "1 of 2 cases failed."),
        ([Verdict.MISMATCH, Verdict.STRUCTURE, Verdict.NO_SIGNAL], "2 of 3 cases failed."),
        ([Verdict.NO_SIGNAL, Verdict.AGREES], "No case failed; 1 of 2 needs a look."),
        ([Verdict.NO_SIGNAL, Verdict.CONVENTION], "No case failed; 2 of 2 need a look."),
    ],
)
def test_the_headline_says_how_it_went(make_report, verdicts, headline):
    assert build_document(make_report(*verdicts)).headline == headline


def test_the_overview_has_the_greatest_differences(make_report, make_leaf):
    leaves = (make_leaf(max_abs=1e-7, max_ulp=3.0), make_leaf(max_abs=2e-7), make_leaf())
    row = build_document(make_report(CaseResult(name="a", title="A", leaves=leaves))).overview.rows
    assert row == (("a", Mark(Verdict.IDENTICAL, "pass"), "3", "2e-7", "3"),)
    leaves += (make_leaf(Verdict.NONFINITE, max_abs=math.nan),)
    row = build_document(make_report(CaseResult(name="a", title="A", leaves=leaves))).overview.rows
    assert row == (("a", Mark(Verdict.NONFINITE, "fail"), "4", "NaN", "3"),)


def test_the_reason_is_that_of_the_worst_leaves(make_leaf):
    good = make_leaf(Verdict.AGREES, reason="Rounding.")
    bad = make_leaf(Verdict.MISMATCH, path="0/w", quantity="vjp", reason="Off by 2.")
    worse = make_leaf(Verdict.MISMATCH, path="0/b", quantity="vjp", reason="Off by 3.")
    assert _section(good).reason == "Rounding."
    assert _section(good, good).reason == "Rounding."
    assert _section(good, bad).reason == "1 of 2 leaves: Off by 2."
    assert _section(good, bad, bad).reason == "2 of 3 leaves: Off by 2."
    assert _section(bad, worse, good).reason == (
        "vjp 0/w: Off by 2. (1 more of 3 leaves: see their reasons.)"
    )
    assert _section().reason == "No leaf was compared, which proves nothing."
    assert "raised an error" in _section(error="boom").reason


def test_an_accepted_leaf_counts_as_a_pass_and_says_so(make_report, make_leaf):
    accepted = make_leaf(Verdict.MISMATCH, reason="Off by 2.", accepted="Agreed.")
    good = make_leaf(Verdict.AGREES, path="z")
    section = _section(accepted, good)
    assert section.mark == Mark(Verdict.MISMATCH, "pass")
    assert str(section.mark) == "MISMATCH (accepted)"
    assert section.reason == "1 of 2 leaves: Off by 2."
    assert [str(finding.mark) for finding in section.findings] == ["MISMATCH (accepted)", "AGREES"]
    assert [(n.label, n.text) for n in section.notes] == [("Accepted", "value y: Agreed.")]

    other = make_leaf(Verdict.NO_SIGNAL, reason="Too small.")
    section = _section(accepted, good, other)
    assert section.mark == Mark(Verdict.MISMATCH, "warn")
    assert section.reason == "1 of 3 leaves: Too small."

    def build(*leaves):
        cases = tuple(CaseResult(name="a", title="A", leaves=(leaf,)) for leaf in leaves)
        document = build_document(Report(cases, {}))
        return document.outcome, document.headline

    assert build(accepted) == ("pass", "The one case is accepted.")
    assert build(accepted, good) == ("pass", "All 2 agree or are accepted.")
    assert build(accepted, other) == ("warn", "No case failed; 1 of 2 needs a look.")


def test_the_overview_has_the_power_where_it_was_measured(make_report, make_leaf):
    case = CaseResult(name="a", title="A", leaves=(make_leaf(power=1e-12), make_leaf(power=1e-3)))
    table = build_document(make_report(case, Verdict.AGREES)).overview
    assert [column.label for column in table.columns][-1] == "power"
    assert [row[-1] for row in table.rows] == ["0.001", "–"]
    table = build_document(make_report(Verdict.AGREES)).overview
    assert [column.label for column in table.columns][-1] == "max ULP"


def test_anchors_are_unique_and_plain(awkward, sample):
    for report in (awkward, sample):
        anchors = [section.anchor for section in build_document(report).sections]
        assert len(set(anchors)) == len(report.cases)
        assert all(a.isascii() and a.replace("-", "").isalnum() for a in anchors)
    names = ["a b", "a-b", "a/b-2", "A_B"]
    cases = tuple(CaseResult(name=name, title="", leaves=()) for name in names)
    anchors = [section.anchor for section in build_document(Report(cases, {})).sections]
    assert anchors == ["case-a-b", "case-a-b-2", "case-a-b-2-2", "case-a-b-3"]


@pytest.mark.parametrize(
    ("citation", "link"),
    [
        ("https://docs.pytorch.org/x?a=1#b", "https://docs.pytorch.org/x?a=1#b"),
        ("http://a.example", "http://a.example"),
        ("javascript:alert(1)", ""),
        (" https://a.example", ""),
        ("https://a.example b", ""),
        ("torch docs", ""),
        ("", ""),
    ],
)
def test_only_web_addresses_become_links(make_leaf, citation, link):
    section = _section(make_leaf(), citation=citation)
    assert (section.citation, section.link) == (citation, link)


def test_every_measure_of_a_leaf_has_its_column(make_leaf):
    numbers = {
        "max_abs": 0.1,
        "max_ulp": 2.0,
        "rms": 0.3,
        "float64_gap": 0.4,
        "float64_noise": 0.5,
        "jax_error": 0.6,
        "allowed": 0.7,
        "torch_error": 0.8,
    }
    leaf = make_leaf(path="", shape=(2, 3), dtype="float32", different=4, worst=(1, 2), **numbers)
    row = dict(zip((c.label for c in LEAF_COLUMNS), _section(leaf).leaves.rows[0], strict=True))
    assert row == {
        "leaf": "(output)",
        "quantity": "value",
        "verdict": Mark(Verdict.IDENTICAL, "pass"),
        "shape": "(2, 3)",
        "dtype": "float32",
        "differ": "4/6",
        "max abs": "0.1",
        "max ULP": "2",
        "rms": "0.3",
        "worst at": "(1, 2)",
        "float64 gap": "0.4",
        "float64 noise": "0.5",
        "JAX error": "0.6",
        "allowed": "0.7",
        "PyTorch error": "0.8",
    }
    assert all(column.meaning for column in LEAF_COLUMNS)
    assert list(MEANINGS) == list(Verdict)


def test_values_are_set_side_by_side(make_leaf):
    leaf = make_leaf(
        torch=[[1.0, math.nan], [0.0, 2.0]], jax=[[1.5, math.nan], [-0.0, 2.0]], dtype="float32"
    )
    (table,) = _section(leaf).values
    assert table.rows == (
        ("(0, 0)", "1.0", "1.5", "0.5"),
        ("(0, 1)", "NaN", "NaN", "NaN"),
        ("(1, 0)", "0.0", "-0.0", "0"),
        ("(1, 1)", "2.0", "2.0", "0"),
    )
    assert table.marked == {0, 2}
    (table,) = _section(make_leaf(torch=True, jax=False)).values
    assert table.rows == (("()", "True", "False", "-1"),)


def test_complex_values_are_set_side_by_side(make_leaf):
    leaf = make_leaf(torch=[1 + 2j, 1j], jax=[1 + 2.5j, 1j], dtype="complex64")
    (table,) = _section(leaf).values
    assert table.rows == (
        ("(0,)", "1.0+2.0j", "1.0+2.5j", "0+0.5j"),
        ("(1,)", "0.0+1.0j", "0.0+1.0j", "0+0j"),
    )
    assert table.marked == {0}


def test_values_of_different_shapes_are_all_shown(make_leaf):
    (table,) = _section(make_leaf(torch=[1, 2], jax=[[1]])).values
    assert table.rows == (
        ("(0,)", "1", "–", "–"),
        ("(0, 0)", "–", "1", "–"),
        ("(1,)", "2", "–", "–"),
    )
    assert table.marked == {0, 1, 2}
    (table,) = _section(make_leaf(torch=None, jax=[1])).values
    assert table.rows == (("(0,)", "–", "1", "–"),)
    assert _section(make_leaf()).values == ()


def _describe(make_leaf, torch, jax):
    (curves,) = _section(make_leaf(path="loss", torch=torch, jax=jax), curves=("loss",)).curves
    return curves.description


def test_curves_are_described_in_words(make_leaf):
    assert _describe(make_leaf, [5.75, 4.5, 1.0], [5.75, 4.75, 1.0]) == (
        "loss over 3 steps: PyTorch goes from 5.75 to 1, JAX from 5.75 to 1. "
        "Their greatest difference is 0.25, at step 2."
    )
    assert "the same number at every finite step" in _describe(make_leaf, [1, 2], [1, 2])
    text = _describe(make_leaf, [1, math.nan, 2], [1, 3, math.inf])
    assert "2 steps have no finite difference" in text
    assert "PyTorch has 2 steps" in _describe(make_leaf, [1, 2], [1, 2, 3])
    assert "1 step:" in _describe(make_leaf, [1], [1])


def test_curves_that_cannot_be_drawn_are_named(make_leaf):
    leaves = (
        make_leaf(path="deep", jax=[[1]], torch=[[1]]),
        make_leaf(path="long"),
        make_leaf(path="scalar", jax=1, torch=1),
        make_leaf(path="gradient", quantity="vjp", jax=[1], torch=[1]),
        make_leaf(path="empty", jax=[], torch=[]),
    )
    names = ("deep", "long", "scalar", "gradient", "empty", "absent")
    section = _section(*leaves, curves=names)
    assert section.curves == ()
    assert section.missing_curves == (
        "Not drawn: deep, long, scalar, gradient, empty, absent. A curve needs the values of both "
        "sides, which are kept for outputs of one axis and up to 256 elements."
    )
