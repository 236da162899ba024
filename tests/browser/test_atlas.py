"""The atlas's page in a browser: all operations, searched, filtered, sorted, opened and drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from comparisons._atlas import _view
from comparisons._atlas._page import render_page
from comparisons._atlas._row import Cell, Curve, Edge, Error, Row
from comparisons.cases.atlas import OPS

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
X = tuple(float(i) for i in range(40))


def make_row(op, place):
    """A row as a run makes them; every tenth differs at an edge, every eighth loses digits."""
    errors = Error(2.0**place if place % 8 == 1 else 1.0, 1.0, (0.5,)), Error(0.5, 0.5, (0.25,))
    cells = [
        Cell(dtype, quantity, "ordinary", "AGREES", "", 160, 1.0, *errors)
        for dtype in ("float64", "float32", "bfloat16")
        for quantity in op.orders
    ]
    if place % 8 == 1:
        cells[0] = Cell(
            "float64", "value", "ordinary", "LESS_ACCURATE", "PyTorch", 160, 9.0, *errors
        )
    edges = ()
    if place % 10 == 0:
        cells.append(Cell("float64", "value", "edges", "MISMATCH", "JAX", 9))
        edges = (
            Edge((0.0,), "edges", "value", "", 0.0, 1.0, 0.0, verdict="MISMATCH", wrong="JAX"),
        )
    cells.append(Cell("float64", "value", "denormal", "LESS_ACCURATE", "JAX", 2))
    curves = (Curve("float32", "value", X, X, X[::-1]),) if op.arity == 1 else ()
    return Row(op.name, op.family, tuple(cells), edges, 40, curves, "formula", 1.0)


@pytest.fixture(scope="module")
def rows():
    made = [make_row(op, place) for place, op in enumerate(OPS)]
    made[5] = Row(OPS[5].name, OPS[5].family, trouble="HUNG: it had not returned after 90 s")
    return made


@pytest.fixture(scope="module")
def address(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(render_page(rows, {"jax": "0.0"}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def open_atlas(browser, address):
    """Opens the page with the given options; what it logs or asks the network for is a fault."""
    pages, faults = [], []

    def open_one(**options):
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if r.url == address else faults.append(r.url))
        page.goto(address)
        return page

    yield open_one
    for page in pages:
        page.close()
    assert [fault for fault in faults if not fault.startswith("data:")] == []


def count(page):
    return page.locator(".op:not([hidden])").count()


def first_name(page):
    return page.locator(".op:not([hidden]) .op-name").first.evaluate(
        "e => e.firstChild.textContent"
    )


def test_it_shows_what_the_rows_say(open_atlas, rows):
    page = open_atlas(viewport=DESKTOP)
    assert count(page) == len(OPS)
    summaries = page.locator(".op > summary").evaluate_all(
        "all => all.map(s => [...s.querySelectorAll('.badge')].map(b => b.textContent))"
    )
    assert summaries == [list(_view.summarise_row(row).verdicts.values()) for row in rows]


@pytest.mark.parametrize("dtype", ["", "float64", "bfloat16"])
@pytest.mark.parametrize("axis", ["", "edges", "denormal"])
def test_a_choice_of_dtype_and_axis_is_summarised_as_in_python(open_atlas, rows, dtype, axis):
    page = open_atlas(viewport=DESKTOP)
    page.select_option("#dtype", dtype)
    page.select_option("#axis", axis)
    found = page.locator(".op > summary").evaluate_all(
        "all => all.map(s => [...s.querySelectorAll('.badge, .units')].map(b => b.textContent))"
    )
    wanted = []
    for row in rows:
        summary = _view.summarise_row(row, dtype or None, axis or None)
        units = [_view.write_units(error) for error in (summary.torch, summary.jax)]
        wanted.append([*summary.verdicts.values(), *units])
    assert [row[:4] for row in found] == [row[:4] for row in wanted]
    for got, expected in zip(found, wanted, strict=True):
        for a, b in zip(got[4:], expected[4:], strict=True):
            # Two digits of a number, which the two languages write otherwise: 1.0 and 1.
            assert a == b or float(a) == pytest.approx(float(b), rel=0.05)


def test_search_filter_and_sort(open_atlas, rows):
    page = open_atlas(viewport=DESKTOP)
    page.fill("#search", "jnp.abs")
    assert 0 < count(page) < 20
    assert first_name(page) == "abs"
    assert page.get_by_role("status").inner_text() == f"{count(page)} operations"
    page.fill("#search", "digamma")
    assert page.get_by_role("status").inner_text() == "1 operation"
    page.fill("#search", "")
    page.select_option("#verdict", "MISMATCH")
    assert count(page) == sum(_view.judge_row(row) == "MISMATCH" for row in rows)
    page.select_option("#axis", "ordinary")
    assert count(page) == 0, "there they agree"
    page.select_option("#axis", "")
    page.select_option("#verdict", "")
    page.select_option("#family", "Reductions")
    assert count(page) == sum(op.family == "Reductions" for op in OPS)
    page.select_option("#family", "")
    page.get_by_role("button", name="PyTorch, ULP").click()
    worst = max(rows, key=lambda row: _view.summarise_row(row).torch or 0.0)
    assert first_name(page) == worst.name
    page.get_by_role("button", name="value", exact=True).click()
    assert first_name(page) == OPS[5].name, "what hung comes first"


def test_an_operation_opens_to_its_plot_and_its_edges(open_atlas):
    page = open_atlas(viewport=DESKTOP)
    op = page.locator(".op").first
    op.locator("summary").click()
    picture = op.get_by_role("img", name=f"Errors of {OPS[0].name} in units in the last place")
    assert picture.is_visible()
    assert picture.locator("path").count() == 2
    table = op.get_by_role("table", name=f"Edges of {OPS[0].name}")
    assert "MISMATCH" in table.inner_text()
    page.evaluate("location.hash = 'op-20'")
    page.wait_for_function("document.getElementById('op-20').open")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_fits_the_screen_and_its_colours_can_be_read(open_atlas, viewport):
    for scheme in ("light", "dark"):
        page = open_atlas(viewport=viewport, color_scheme=scheme)
        page.locator(".op summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.evaluate(CONTRAST)["low"] == []


def test_what_is_off_the_screen_is_laid_out_as_it_is_needed(open_atlas):
    """So that the page opens at once, however many operations there are."""
    page = open_atlas(viewport=DESKTOP)
    last = page.locator(".op .op-name").last
    seen = "e => e.checkVisibility({contentVisibilityAuto: true})"
    assert not last.evaluate(seen)
    last.scroll_into_view_if_needed()
    # By turns of the page itself: its policy lets nobody evaluate text in it.
    page.wait_for_function(
        """() => [...document.querySelectorAll('.op .op-name')].pop()
            .checkVisibility({contentVisibilityAuto: true})"""
    )
