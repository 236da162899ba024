"""Histograms of distances: what is shown, in words and as SVG."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from comparisons._measure import measure
from comparisons._results import CaseResult
from comparisons.report._bars import HEIGHT, WIDTH, draw_histogram
from comparisons.report._histogram import FEWEST, build_histograms, name_way


def _build(*leaves):
    return build_histograms(CaseResult(name="n", title="t", leaves=leaves), "case-n")


@pytest.fixture
def leaf(make_leaf):
    def make(*histogram, dtype="float32", **fields):
        figures = {"max_ulp": 119.0, "p99_ulp": 15.0, "cosine": 1 - 2**-40} | fields
        return make_leaf(dtype=dtype, histogram=histogram, **figures)

    return make


def test_what_is_identical_or_small_has_none(leaf):
    assert _build(leaf(), leaf(1000), leaf(FEWEST - 2, 1)) == {}
    assert list(_build(leaf(1000), leaf(FEWEST - 1, 1), leaf(999, 1))) == [1, 2]


def test_it_is_told_in_words(leaf):
    (found,) = _build(leaf(60, 30, 0, 9, 1)).values()
    assert found.where == "value y"
    assert found.description == (
        "Of 100 elements, by distance in ULP: 60 at 0, 30 at 1, 9 at 4 to 7, 1 at 8 to 15."
    )
    assert found.summary == "99 % within 15 ULP, all within 119; cosine 1 − 9.09e-13"
    assert _build(leaf(60, 30, cosine=None))[0].summary.endswith("; cosine –")
    assert _build(leaf(60, 30, cosine=-0.5))[0].summary.endswith("; cosine -0.5")


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float32", 32), ("bfloat16", 16), ("float64", 64), ("complex64", 32)]
)
def test_nan_on_one_side_stands_apart(leaf, dtype, bits):
    histogram = (60, 30, *[0] * (bits - 1), 7)
    (found,) = _build(leaf(*histogram, dtype=dtype, max_ulp=math.inf)).values()
    assert (found.counts, found.lone, found.has_lone) == ((60, 30), 7, True)
    assert found.summary.startswith("99 % within 15 ULP, 7 NaN on one side; ")
    assert found.description.endswith("7 NaN on one side only.")
    (found,) = _build(leaf(*histogram, dtype=dtype, p99_ulp=math.inf)).values()
    assert found.summary.startswith("7 NaN on one side; ")


def test_it_is_that_of_a_measurement(make_leaf):
    for dtype in (np.float16, np.float32, np.float64, np.complex64):
        a = np.ones(50, dtype)
        b = a * (1 + np.arange(50) * np.finfo(dtype).eps).astype(dtype)
        b[3] = np.nan
        figures = measure(a, b)
        leaf = make_leaf(dtype=np.dtype(dtype).name, histogram=figures.histogram)
        (found,) = _build(leaf).values()
        assert found.lone == 1
        assert found.counts == (1, 1, 1, 4, 8, 16, 18)


def test_leaves_of_a_case_share_an_axis(leaf):
    first, second = _build(leaf(60, 30), leaf(*[5] * 20, path="z")).values()
    assert first.width == second.width == 20
    assert first.anchor != second.anchor


def test_bars_are_named_by_what_they_hold():
    assert [name_way(way) for way in (0, 1, 2, 3, 20)] == [
        "0",
        "1",
        "2 to 3",
        "4 to 7",
        "524288 to 1048575",
    ]
    assert name_way(32) == "2^31 to 2^32"


def _bars(svg):
    """Left edge and height of each bar."""
    bars, rule = ET.fromstring(svg).findall("path")
    assert rule.get("class") == "rule"
    found = re.findall(r"M([\d.]+) \d+v-([\d.]+)h([\d.]+)V\d+z", bars.get("d"))
    assert "".join(f"M{x} {HEIGHT}v-{h}h{w}V{HEIGHT}z" for x, h, w in found) == bars.get("d")
    return [tuple(map(float, each)) for each in found]


def test_the_picture_has_a_bar_per_way_that_holds_something(leaf):
    (found,) = _build(leaf(1000, 0, 30, 1)).values()
    svg = draw_histogram(found)
    pitch = WIDTH / found.width
    xs, heights, widths = zip(*_bars(svg), strict=True)
    assert [round((x - 1) / pitch, 2) for x in xs] == [0, 2, 3]
    assert heights[0] > heights[1] > heights[2] > 4, "a single element is seen too"
    assert max(heights) <= HEIGHT
    assert all(x + w <= WIDTH for x, w in zip(xs, widths, strict=True))


def test_the_axis_is_in_powers_of_two(leaf):
    def read_ticks(*histogram, **fields):
        (found,) = _build(leaf(*histogram, **fields)).values()
        return [text.text for text in ET.fromstring(draw_histogram(found)).findall("text")]

    assert read_ticks(60, 30) == ["0", "1", "2", "4", "8", "16", "32", "64"]
    assert read_ticks(*[5] * 33) == ["0", "8", "128", "2¹¹", "2¹⁵", "2¹⁹", "2²³", "2²⁷", "2³¹"]
    assert read_ticks(60, 30, *[0] * 31, 7)[-1] == "NaN"


def test_it_is_described_for_those_who_do_not_see_it(leaf):
    hostile = "</desc><script>"
    (found,) = _build(leaf(60, 30, path=hostile)).values()
    svg = draw_histogram(found)
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    named = {element.get("id"): element.text for element in root if element.get("id")}
    assert named[root.get("aria-labelledby")] == f"Distances of value {hostile}"
    assert named[root.get("aria-describedby")] == found.description
    assert "<script" not in svg
    assert svg == draw_histogram(found)


@pytest.mark.parametrize("histogram", [(0, 16), (0,) * 64 + (16,), (15,) + (0,) * 64 + (1,)])
def test_any_histogram_can_be_drawn(leaf, histogram):
    (found,) = _build(leaf(*histogram, dtype="float64")).values()
    svg = draw_histogram(found)
    assert "nan" not in svg.replace("NaN", "").lower()
    assert _bars(svg)
