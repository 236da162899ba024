"""Curves as SVG inside a page."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from comparisons.report._curves import Curves
from comparisons.report._plot import PALETTE, SVG, draw_curves

LOSSES = tuple(5 / step for step in range(1, 21))


def _curves(torch=LOSSES, jax=LOSSES, anchor="case-a-curve-1"):
    return Curves("loss", anchor, tuple(torch), tuple(jax), 'a "loss" < 1')


def _lines(svg):
    """The paths that are drawn in each colour."""
    root = ET.fromstring(svg)
    found: dict[str, list[str]] = {}
    for path in root.iter(f"{{{SVG}}}path"):
        match = re.search(r"stroke: ([^;]+)", path.get("style", ""))
        if match:
            found.setdefault(match[1], []).append(path.get("d", ""))
    return found


def test_both_curves_and_their_difference_are_drawn():
    jax = [loss + 1e-6 * (step % 2) for step, loss in enumerate(LOSSES)]
    svg = draw_curves(_curves(jax=jax))
    lines = _lines(svg)
    for color in ("var(--torch)", "var(--jax)"):
        (path,) = lines[color]
        assert path.count("L") == len(LOSSES) - 1
    assert any(path.count("L") == len(LOSSES) - 1 for path in lines["currentColor"])
    texts = [t.text for t in ET.fromstring(svg).iter(f"{{{SVG}}}text")]
    assert {"step", "JAX − PyTorch", "1e-6", "0", "-1e-6"} <= set(texts)


def test_the_picture_belongs_to_its_page():
    first, second = draw_curves(_curves()), draw_curves(_curves(anchor="case-b-curve-1"))
    assert first == draw_curves(_curves()), "it is deterministic"
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', first)
    assert used
    assert set(used) <= ids[0]
    assert "<style" not in first, "it would apply to the whole page"
    assert "metadata" not in first
    assert not [stand_in for stand_in in PALETTE if stand_in in first]
    assert not re.search(r"#[0-9a-f]{6}", first), "every colour follows the page's"
    assert ET.fromstring(first).get("aria-label") == 'a "loss" < 1'


@pytest.mark.parametrize(
    ("torch", "jax"),
    [
        ([1.0], [1.0]),
        ([1.0], [2.0]),
        ([1, 2, 3], [1, 2]),
        ([math.nan] * 3, [math.nan] * 3),
        ([1, math.inf, 3], [1, 2, -math.inf]),
        ([1e308, -1e308], [-1e308, 1e308]),
        ([1e299, 0.0], [-1e299, 0.0]),
        ([5e-324, 0.0], [0.0, 0.0]),
        ([1e-310, 0.0], [0.0, 0.0]),
        ([0.0] * 5, [0.0] * 5),
        (range(256), range(256)),
    ],
)
def test_any_numbers_can_be_drawn(torch, jax):
    svg = draw_curves(_curves(map(float, torch), map(float, jax)))
    assert "nan" not in svg.lower()
    assert "JAX − PyTorch" in svg


def test_the_users_own_settings_are_neither_used_nor_changed():
    before = draw_curves(_curves())
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.grid": False, "font.size": 30}):
        settings = dict(matplotlib.rcParams)
        assert draw_curves(_curves()) == before
        assert dict(matplotlib.rcParams) == settings


def test_pyplot_and_its_global_state_are_not_imported():
    program = (
        "import sys\n"
        "from comparisons.report._curves import Curves\n"
        "from comparisons.report._plot import draw_curves\n"
        "draw_curves(Curves('loss', 'a', (1.0, 2.0), (1.0, 2.0), 'd'))\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
