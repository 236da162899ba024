"""The HTML report in a browser: what it does, how it looks, and that it stays by itself."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from comparisons.report import Report

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


def _shown(page):
    """Names of the cases that can be seen, as the sections and as the contents have them."""
    # Of what is off the screen, and so perhaps not laid out yet, there is no inner text.
    sections = page.locator("section.case:visible .name code").all_text_contents()
    entries = page.locator("nav li[data-verdict]:visible a").count()
    assert entries == len(sections)
    return sections


def _pressed(page):
    return page.locator("#filter button[aria-pressed=true]").all_inner_texts()


def test_it_opens_with_everything_shown(open_page, report):
    page = open_page(viewport=DESKTOP)
    assert _shown(page) == [case.name for case in report.cases]
    assert page.title() == "4 of 18 cases failed. Parity report: PyTorch and JAX"
    assert page.locator("#shown").inner_text() == "Showing 18 of 18 cases"
    assert _pressed(page) == ["All 18"]
    assert page.locator("html").get_attribute("lang") == "en"
    for landmark in ("banner", "navigation", "main"):
        assert page.get_by_role(landmark).count() == 1


def test_the_filter_shows_what_is_chosen_and_says_how_many(open_page, report):
    page = open_page(viewport=DESKTOP)
    counts = Counter(str(case.verdict) for case in report.cases)
    buttons = page.locator("#filter [data-choice]")
    assert buttons.all_inner_texts() == [f"{v} {counts[v]}" for v in report.summary["verdicts"]]
    status = page.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"

    page.get_by_role("button", name="MISMATCH").click()
    assert _shown(page) == [c.name for c in report.cases if c.verdict == "MISMATCH"]
    assert status.inner_text() == "Showing 2 of 18 cases"
    assert _pressed(page) == ["MISMATCH 2"]
    groups = page.locator("nav .group:visible").all_inner_texts()
    assert groups == ["tutorial/control/", "atlas/max-pool/"]

    page.get_by_role("button", name="IDENTICAL").click()
    wanted = {"MISMATCH", "IDENTICAL"}
    assert _shown(page) == [c.name for c in report.cases if c.verdict in wanted]
    assert status.inner_text() == "Showing 6 of 18 cases"

    page.get_by_role("button", name="MISMATCH").click()
    assert status.inner_text() == "Showing 4 of 18 cases"
    page.get_by_role("button", name="All").click()
    assert len(_shown(page)) == 18
    assert _pressed(page) == ["All 18"]

    page.get_by_role("button", name="AGREES").click()
    page.get_by_role("button", name="AGREES").click()
    assert len(_shown(page)) == 18, "no choice is no filter"


def test_it_works_by_keyboard(open_page, report):
    page = open_page(viewport=DESKTOP)
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the cases"
    assert skip.bounding_box()["y"] >= 0, "it is seen when it has the focus"
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "All 18"
    page.keyboard.press("Tab")
    first = page.locator(":focus").inner_text()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Space")
    assert _pressed(page) == [first]
    assert len(_shown(page)) == 1
    page.keyboard.press("Enter")
    assert len(_shown(page)) == len(report.cases)
    scrollable = page.locator(".scroll, pre")
    tabs = scrollable.evaluate_all("all => all.map(e => [e.tabIndex, e.role, e.ariaLabel])")
    assert tabs
    assert all(index == 0 and role == "region" and label for index, role, label in tabs)


def test_the_whole_page_can_be_walked_by_keyboard(open_page):
    page = open_page(viewport=DESKTOP)
    # In the order of the page, as a keyboard meets it: what can be used, and is not hidden.
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, summary, [tabindex='0']")]
            .filter(e => e.checkVisibility()).map((e, i) => { e.dataset.order = i; return i; })"""
    )
    met = []
    for _ in wanted:
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return [Number(e.dataset.order), s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
        )
        met.append(focus)
    assert [order for order, _, _ in met] == wanted
    assert all(style == "solid" and width >= 2 for _, style, width in met)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_case_can_be_filtered_and_opened_by_keyboard(open_page, report, key):
    page = open_page(viewport=DESKTOP)
    button = page.get_by_role("button", name="AGREES")
    button.focus()
    page.keyboard.press(key)
    assert _shown(page) == [case.name for case in report.cases if case.verdict == "AGREES"]
    case = page.locator("#case-atlas-attention-softmax-in-float32")
    assert not case.locator(".bars").is_visible()
    case.locator("summary", has_text="Distances").focus()
    page.keyboard.press(key)
    assert case.locator(".bars").is_visible()
    page.keyboard.press(key)
    assert not case.locator(".bars").is_visible()


def test_causes_and_distances_are_seen_at_once_where_a_case_does_not_pass(open_page):
    page = open_page(viewport=DESKTOP)
    case = page.locator("#case-atlas-gelu-two-causes")
    case.scroll_into_view_if_needed()
    tops = [
        case.locator(each).first.bounding_box()["y"]
        for each in (".cause dt:has-text('Cause')", ".cause code", ".reason", ".pair", ".bars")
    ]
    assert tops == sorted(tops)
    assert case.locator(".cause").count() == 2
    assert "mono" in case.locator(".cause code").first.evaluate(
        "e => getComputedStyle(e).fontFamily"
    )
    picture = page.get_by_role("img", name="Distances of value (output)").first
    assert picture.is_visible()
    accepted = page.locator("#case-atlas-max-pool-ties header .badge")
    assert accepted.inner_text() == "✓ MISMATCH (accepted)"
    assert "pass" in accepted.get_attribute("class")


def test_bars_take_the_colours_of_the_scheme(open_page):
    found = []
    for scheme in ("light", "dark"):
        page = open_page(viewport=DESKTOP, color_scheme=scheme)
        page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
        bars = page.locator(".bars path:not(.rule)")
        found.append(bars.evaluate_all("all => all.map(p => getComputedStyle(p).fill)"))
    assert [len(fills) for fills in found] == [8, 8]
    assert len(set(found[0])) == len(set(found[1])) == 1
    assert not set(found[0]) & set(found[1])


def test_hundreds_of_cases_are_laid_out_as_they_are_needed(browser, report, tmp_path):
    cases = tuple(
        dataclasses.replace(report.cases[i % 18], name=f"case/{i:03}", curves=())
        for i in range(180)
    )
    Report(cases, {}).save(tmp_path / "r.html")
    page = browser.new_page(viewport=DESKTOP)
    try:
        page.goto((tmp_path / "r.html").as_uri())
        last = page.locator("#case-case-179")
        skipped = "e => !e.querySelector('h3').checkVisibility({contentVisibilityAuto: true})"
        assert last.evaluate(skipped)
        assert len(_shown(page)) == 180
        page.locator("nav a", has_text="179").click()
        page.wait_for_function(
            "document.querySelector('#case-case-179 h3').checkVisibility"
            "({contentVisibilityAuto: true})"
        )
        assert not last.evaluate(skipped)
        assert last.bounding_box()["y"] < DESKTOP["height"]
        page.get_by_role("button", name="NO_SIGNAL").click()
        assert len(_shown(page)) == 10
        assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    finally:
        page.close()


def test_the_skip_link_leads_to_the_cases(open_page):
    page = open_page(viewport=DESKTOP)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "MAIN"


def test_a_link_to_a_hidden_case_shows_it(open_page):
    page = open_page(viewport=DESKTOP)
    page.get_by_role("button", name="MISMATCH").click()
    target = page.locator("#case-tutorial-worked-case")
    assert not target.is_visible()
    page.evaluate("location.hash = 'case-tutorial-worked-case'")
    target.wait_for(state="visible")
    page.wait_for_function(
        "document.querySelector('#case-tutorial-worked-case').getBoundingClientRect().top < 200"
    )
    assert _pressed(page) == ["All 18"]


def test_without_javascript_all_is_shown_and_the_filter_is_not(open_page, report):
    page = open_page(viewport=DESKTOP, java_script_enabled=False)
    assert len(_shown(page)) == len(report.cases)
    assert not page.locator("#filter").is_visible()
    page.locator("details summary", has_text="Values").first.click()
    assert page.locator(".values table").first.is_visible()


def test_values_and_reasons_are_there(open_page):
    page = open_page(viewport=DESKTOP)
    case = page.locator("#case-tutorial-worked-case")
    assert not case.locator(".values").is_visible()
    case.locator("summary", has_text="Values").click()
    rows = case.locator(".values table").first.locator("tbody tr")
    assert rows.count() == 50
    assert rows.first.inner_text().split() == ["(0,)", "5.75", "5.75", "0"]
    assert rows.last.locator("td").first.inner_text().startswith("1.06170")
    assert case.locator("svg").first.get_attribute("aria-label").startswith("loss over 50 steps")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(open_page, width):
    page = open_page(viewport={"width": width, "height": 740})
    page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = [
        box["y"]
        for box in page.locator(".pair").first.evaluate_all(
            "([pair]) => [...pair.children].map(c => ({y: c.getBoundingClientRect().top}))"
        )
    ]
    assert (tops[0] == tops[1]) is (width > 768), "side by side, or stacked where it is narrow"
    first = page.locator(".code-side figcaption").all_inner_texts()[:2]
    assert first == ["PyTorch", "JAX"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_all_text_can_be_read(open_page, scheme, viewport):
    page = open_page(viewport=viewport, color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
    found = page.evaluate(CONTRAST)
    assert found["checked"] > 1000
    assert found["low"] == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, re.findall(r"\d+", background))) / 3
    assert lightness > 200 if scheme == "light" else lightness < 60


def test_the_contrast_check_sees_pale_text(open_page):
    page = open_page(viewport=DESKTOP, color_scheme="light")
    page.add_style_tag(
        content=".reason, .cause dt, .remarks dd { color: #bbb !important }"
        ".plot text, .bars text { fill: #ccc !important }"
    )
    low = page.evaluate(CONTRAST)["low"]
    for part in ("P.reason", "DT.: Cause", "DD.: Would notice", "text.", "text.: 2¹¹"):
        assert any(part in each for each in low), part


def test_curves_take_the_colours_of_the_scheme(open_page):
    colors = []
    for scheme in ("light", "dark"):
        page = open_page(viewport=DESKTOP, color_scheme=scheme)
        paths = page.locator("svg path[style*='--torch'], svg path[style*='--jax']")
        colors.append(paths.evaluate_all("all => all.map(p => getComputedStyle(p).stroke)"))
    light, dark = colors
    assert len(light) == 6  # two cases with curves, and a training run
    assert len(set(light)) == len(set(dark)) == 2
    assert not set(light) & set(dark)


def test_it_prints_light_and_whole(open_page):
    page = open_page(viewport=DESKTOP, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert page.locator("section.case").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 33, 40)"
    assert page.evaluate(CONTRAST)["low"] == []


@pytest.mark.parametrize(
    ("name", "scheme", "viewport"),
    [("light", "light", DESKTOP), ("dark", "dark", DESKTOP), ("phone", "light", PHONE)],
)
def test_screenshots_are_kept(open_page, screenshots, name, scheme, viewport):
    page = open_page(viewport=viewport, color_scheme=scheme)
    picture = page.screenshot(path=screenshots / f"{name}.png", full_page=True)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000
