"""The Markdown report, read by a Markdown parser."""

from __future__ import annotations

import itertools
import re

import pytest
from markdown_it import MarkdownIt

from comparisons._results import CaseResult
from comparisons.report._document import build_document
from comparisons.report._markdown import render_markdown


def _parse(report):
    text = render_markdown(build_document(report))
    return text, MarkdownIt("gfm-like", {"linkify": False}).parse(text)


def _inline(tokens):
    return [child for token in tokens for child in token.children or ()]


def _tables(tokens):
    """Rows of cell texts, a list per table."""
    tables: list[list[list[str]]] = []
    for before, token in itertools.pairwise(tokens):
        if before.type == "table_open":
            tables.append([])
        elif before.type == "tr_open":
            tables[-1].append([])
        if before.type in ("th_open", "td_open"):
            tables[-1][-1].append("".join(c.content for c in token.children))
    return tables


def test_the_table_links_to_the_cases(sample):
    text, tokens = _parse(sample)
    overview, *leaves = _tables(tokens)
    assert overview[0] == ["case", "verdict", "leaves", "max abs", "max ULP", "power"]
    assert [row[0] for row in overview[1:]] == [case.name for case in sample.cases]
    verdicts = [row[1].removesuffix(" (accepted)") for row in overview[1:]]
    assert verdicts == [str(case.verdict) for case in sample.cases]
    assert sum(row[1].endswith(" (accepted)") for row in overview) == 1
    assert len(leaves) == sum(bool(case.leaves) for case in sample.cases)
    links = [t.attrs["href"] for t in _inline(tokens) if t.type == "link_open"]
    anchors = [link for link in links if link.startswith("#")]
    assert len(anchors) == len(sample.cases)
    assert all(f'<a id="{link[1:]}"></a>' in text for link in anchors)


def test_both_sources_are_whole(sample):
    fences = [t.content.strip("\n") for t in _parse(sample)[1] if t.type == "fence"]
    for case in sample.cases:
        assert case.torch_source.strip("\n") in fences
        assert case.jax_source.strip("\n") in fences


def test_reasons_and_errors_are_there(sample):
    text, _ = _parse(sample)
    assert "**MISMATCH**: The float64 results differ by 0.25" in text
    assert "PyTorch at float64 raised RuntimeError:\n  one of the variables" in text
    assert "loss over 50 steps: PyTorch goes from 5.75 to 1.06171" in text
    assert "## Environment" in text


def test_causes_notes_and_distances_are_there(sample):
    text, tokens = _parse(sample)
    section = text[text.index("### gelu: erf against tanh") :]
    places = [section.index(p) for p in ("**Cause**: jax.nn.gelu", "**Fix**:", "The float64 runs")]
    assert places == sorted(places)
    fences = [t.content for t in tokens if t.type == "fence"]
    assert "jax.nn.gelu(x, approximate=False)\n" in fences
    assert "Source: <https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html>" in text
    assert "Source: the original paper, section 2" in text
    assert "- **Third vote**: vjp 1/w: PyTorch is right." in text
    assert (
        "- **Power**: Would notice a relative error of 1e-12. Planted defects caught: 4 of 6"
        in text
    )
    assert "- value (output): 99 % within 15 ULP, all within 119; cosine 1. Of 998000 " in text


def test_nothing_of_a_report_becomes_markup(awkward):
    text, tokens = _parse(awkward)
    html = [t.content for t in [*tokens, *_inline(tokens)] if t.type.startswith("html")]
    assert html
    assert all(re.fullmatch(r'<a id="case[-a-z0-9]*">|</a>', each) for each in html)
    assert not [t for t in _inline(tokens) if t.type == "em_open"]
    links = [t.attrs["href"] for t in _inline(tokens) if t.type == "link_open"]
    assert all(link.startswith("#case") for link in links)
    assert "\x1b" not in text
    overview, *leaves = _tables(tokens)
    assert {len(row) for row in overview} == {5}
    assert {len(row) for table in leaves for row in table} == {15}
    assert overview[3][0] == "a|b`c\\d"
    fences = [t.content for t in tokens if t.type == "fence"]
    assert "```\n" in fences, "a fence in a source does not end its block"


@pytest.mark.parametrize(
    "text", ["1. one", "12) x", "- x", "+ x", "# x", "> x", "---", "===", "* x", "~~~", "_x_ __y__"]
)
def test_a_note_stays_a_paragraph(make_report, make_leaf, text):
    report = make_report(CaseResult(name="n", title="t", leaves=(make_leaf(),), note=text))
    _, tokens = _parse(report)
    contents = ["".join(c.content for c in t.children) for t in tokens if t.type == "inline"]
    assert text in contents
    blocks = {"bullet_list_open", "ordered_list_open", "blockquote_open", "hr", "fence"}
    assert not blocks & {t.type for t in tokens}


def test_names_stay_readable_as_plain_text(make_report, make_leaf):
    note = "requires_grad is 1.5, a-b"
    report = make_report(CaseResult(name="n", title="t", leaves=(make_leaf(),), note=note))
    assert f"\n{note}\n" in _parse(report)[0]
