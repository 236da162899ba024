"""The HTML report as text: complete, escaped, well-formed. What it does is in tests/browser."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from comparisons._results import CaseResult, Cause
from comparisons._verdict import Verdict
from comparisons.report import Report
from comparisons.report._document import build_document
from comparisons.report._html import render_html
from comparisons.report._legend import LEAF_COLUMNS, MEANINGS, REMARKS

HOSTILE = "<script>alert('&amp; \"x\"')</script>"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags, ids, texts and addresses of a page; raises if a tag is closed that is not open."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(sample):
    return Page(render_html(build_document(sample)))


def test_the_page_holds_what_the_report_holds(page, sample):
    for case in sample.cases:
        for text in (case.title, case.name, case.note, case.jax_source, case.torch_source):
            assert text.strip() in page.text
        assert (case.error or "") in page.text
        for leaf in case.leaves:
            assert leaf.reason in page.text
    for key in sample.environment:
        assert key in page.text
        for text in (*case.vacuity, *case.casts, *(d.defect for d in case.planted if not d.caught)):
            assert text in page.text
        for leaf in case.leaves:
            for text in (leaf.vote, leaf.accepted or "", *(c.fix for c in leaf.causes)):
                assert text in page.text
    for word, meaning in (MEANINGS | REMARKS).items():
        assert word in page.text
        assert meaning in page.text
    assert all(column.meaning in page.text for column in LEAF_COLUMNS)
    links = [a["href"] for a in page.all("a")]
    assert all(case.citation in links for case in sample.cases if case.citation)


def test_ids_are_unique_and_links_lead_somewhere(page, awkward):
    for each in (page, Page(render_html(build_document(awkward)))):
        ids = [attrs["id"] for _, attrs in each.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        links = [value for _, a in each.tags for k, value in a.items() if k.endswith("href")]
        assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
        names = ("aria-labelledby", "aria-describedby")
        used = [a[name] for _, a in each.tags for name in names if name in a]
        assert set(used) <= set(ids)


def test_nothing_is_fetched(page):
    assert not [attrs for _, attrs in page.tags if "src" in attrs]
    assert [attrs["href"] for attrs in page.all("link")] == ["data:,"]
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:; ")


def test_everything_is_escaped(awkward):
    text = render_html(build_document(awkward))
    page = Page(text)
    assert len(page.all("script")) == 1
    assert text.count("<script") == 1
    hostile = awkward.cases[0].title
    assert page.text.count(hostile) >= 6, "in title, name, sources, note, reason, environment"
    assert not [a for a in page.all("a") if a["href"].startswith("javascript")]
    assert "\x1b" not in text
    assert "\\x1b[31mred\\x07" in page.text


@pytest.mark.parametrize(
    ("note", "html"),
    [
        ("Call `f(<x>)` & `g`.", "<p>Call <code>f(&lt;x&gt;)</code> &amp; <code>g</code>.</p>"),
        ("A ` alone, <b>.", "<p>A ` alone, &lt;b&gt;.</p>"),
        ("`a`", "<p><code>a</code></p>"),
    ],
)
def test_what_a_note_has_in_backticks_is_code(make_report, make_leaf, note, html):
    case = CaseResult(name="n", title="t", leaves=(make_leaf(),), note=note)
    assert html in render_html(build_document(make_report(case)))


def test_a_long_name_may_break_behind_an_underscore_in_the_contents(make_report, make_leaf):
    case = CaseResult(name="a/b_<c>", title="t", leaves=(make_leaf(),))
    html = render_html(build_document(make_report(case)))
    assert '">b_<wbr>&lt;c&gt;</a>' in html


def test_every_table_has_headers_with_a_scope(page):
    headers = page.all("th")
    assert headers
    assert {attrs.get("scope") for attrs in headers} == {"col", "colgroup", "row"}


def test_headings_are_in_order(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_pictures_are_described(page, sample):
    pictures = page.all("svg")
    assert all(svg["role"] == "img" for svg in pictures)
    curves = [svg for svg in pictures if svg["class"] == "plot"]
    runs = [case.trajectory for case in sample.cases if case.trajectory]
    over_steps = sum(len(run.curves) for run in runs)
    assert len(curves) == sum(len(case.curves) for case in sample.cases) + over_steps == 2 + 2
    assert any(svg["aria-label"].startswith("aux loss over 20 steps: ") for svg in curves)
    assert curves[0]["aria-label"].startswith("loss over 50 steps: PyTorch goes from 5.75 to")
    bars = [svg for svg in pictures if svg["class"] == "bars"]
    assert len(bars) == 8
    assert "Of 4096 elements, by distance in ULP: 3276 at 0, " in page.text


def test_the_cause_comes_first(sample, make_report, make_leaf):
    text = render_html(build_document(sample))
    section = text[text.index('id="case-surface-gelu-tanh"') :]
    places = [section.index(part) for part in ("<dt>Cause</dt>", "<dt>Fix</dt>", 'class="reason')]
    assert places == sorted(places)
    links = [a["href"] for a in Page(text).all("a")]
    assert "https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html" in links
    cause = Cause(name="a", title=HOSTILE, fix=HOSTILE, source="javascript:alert(1)")
    leaf = make_leaf(Verdict.CONVENTION, causes=(cause,), vote=HOSTILE, accepted=HOSTILE)
    page = Page(
        render_html(build_document(make_report(CaseResult(name="n", title="", leaves=(leaf,)))))
    )
    assert page.text.count(HOSTILE) == 4
    assert not [a for a in page.all("a") if a["href"].startswith("javascript")]
    assert len(page.all("script")) == 1


def test_reasons_of_failures_are_open(make_report, make_leaf):
    for verdict, is_open in ((Verdict.MISMATCH, True), (Verdict.AGREES, False)):
        case = CaseResult(name="n", title="t", leaves=(make_leaf(verdict), make_leaf()))
        details = Page(render_html(build_document(make_report(case)))).all("details")
        assert ["open" in attrs for attrs in details] == [is_open]


def test_an_empty_report_is_a_page_too():
    page = Page(render_html(build_document(Report((), {}))))
    assert "Nothing was compared" in page.text
    assert not page.all("button")


def test_the_same_report_gives_the_same_bytes(sample):
    assert render_html(build_document(sample)) == render_html(build_document(sample))
