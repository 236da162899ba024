"""Curves drawn as SVG inside a page: the colours follow the page's, the ids are its own."""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from comparisons.report._curves import Curves
from comparisons.report._format import format_measure

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

# Matplotlib cannot write CSS variables, so it draws in colours that stand for them.
PALETTE = {
    "#010101": "currentColor",
    "#020202": "var(--rule)",
    "#030303": "var(--torch)",
    "#040404": "var(--jax)",
    "#050505": "var(--muted)",
}
TEXT, RULE, TORCH, JAX, MUTED = PALETTE


def draw_curves(curves: Curves) -> str:
    """An ``<svg>`` element: both curves, and beneath them their difference per step.

    The same curves give the same bytes. The element is labelled with the curves' description.
    """

    def draw(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_both(top, curves)
        _draw_difference(bottom, curves)

    return make_svg(draw, curves.anchor, curves.description, 3.6)


def make_svg(draw: Callable[[Figure], None], anchor: str, description: str, height: float) -> str:
    """What is drawn on a figure as an ``<svg>`` element, in the page's font and colours.

    Args:
        draw: Draws on the empty figure.
        anchor: Makes the ids in it its own.
        description: Its label.
        height: In inches, of a width of 5.6.
    """
    figure_style = {
        "svg.fonttype": "none",  # text stays text, in the page's font
        "svg.hashsalt": anchor,
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.titlecolor": MUTED,
        "text.color": TEXT,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "grid.color": RULE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.formatter.use_mathtext": False,
    }
    file = io.StringIO()
    with matplotlib.style.context(["default", figure_style]):
        figure = Figure(figsize=(5.6, height), layout="constrained")
        draw(figure)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    return _make_inline(file.getvalue(), anchor, description)


def as_drawable(values: Sequence[float]) -> np.ndarray:
    """The values with gaps where there is nothing to draw, in range for Matplotlib's arithmetic."""
    array = np.asarray(values, np.float64)
    return np.where(np.abs(array) < 1e300, array, math.nan)


def _draw_both(axes: Axes, curves: Curves) -> None:
    # JAX is drawn thin over a broad PyTorch, so that both are seen where they are the same.
    for values, color, width, alpha in ((curves.torch, TORCH, 5, 0.5), (curves.jax, JAX, 1.4, 1)):
        marker = "o" if len(values) == 1 else ""
        steps = np.arange(1, len(values) + 1)
        axes.plot(
            steps, as_drawable(values), color=color, linewidth=width, alpha=alpha, marker=marker
        )
    axes.margins(x=0.01)


def _draw_difference(axes: Axes, curves: Curves) -> None:
    count = min(len(curves.torch), len(curves.jax))
    difference = as_drawable(curves.jax)[:count] - as_drawable(curves.torch)[:count]
    steps = np.arange(1, count + 1)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(steps, difference, color=TEXT, linewidth=0.9, marker=".", markersize=3)
    reach = np.max(np.abs(difference), initial=0, where=np.isfinite(difference))
    ticks = [-reach, 0, reach] if reach > 0 else [0]
    axes.set_yticks(ticks, [format_measure(tick) for tick in ticks])
    axes.set_ylim(-1.25 * (reach or 1), 1.25 * (reach or 1))
    axes.set_title("JAX − PyTorch", loc="left")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))


def _make_inline(document: str, anchor: str, description: str) -> str:
    """Makes a stand-alone SVG file part of a page that may hold several."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(document[document.index("<svg") :])
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)  # its style would apply to the whole page
    for element in root.iter():
        for name, value in list(element.items()):
            if name == "id":
                value = f"{anchor}-{value}"
            value = value.replace("url(#", f"url(#{anchor}-")
            if name == f"{{{XLINK}}}href":
                value = value.replace("#", f"#{anchor}-", 1)
            for stand_in, color in PALETTE.items():
                value = value.replace(stand_in, color)
            element.set(name, value)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "aria-label": description, "class": "plot"})
    return ET.tostring(root, encoding="unicode")
