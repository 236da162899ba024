"""Histograms drawn as small SVG pictures, without Matplotlib: a report may have hundreds."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from comparisons.report._histogram import Histogram

WIDTH, HEIGHT, AXIS = 300, 60, 16  # of the whole, of the greatest bar, of the ticks beneath it
LABEL = 34  # a label of the axis takes this much of the width
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_histogram(histogram: Histogram) -> str:
    """An ``<svg>`` element; heights are by the logarithm of the count, so that one element shows.

    Its colours come from the page (classes ``bars``, ``rule``), its title and description from the
    histogram. The same histogram gives the same text.
    """
    pitch = WIDTH / (histogram.width + 2 * histogram.has_lone)
    names = [f"{histogram.anchor}-{part}" for part in ("title", "description")]
    root = ET.Element(
        "svg",
        {
            "class": "bars",
            "viewBox": f"0 0 {WIDTH} {HEIGHT + AXIS}",
            "role": "img",
            "aria-labelledby": names[0],
            "aria-describedby": names[1],
        },
    )
    ET.SubElement(root, "title", {"id": names[0]}).text = f"Distances of {histogram.where}"
    ET.SubElement(root, "desc", {"id": names[1]}).text = histogram.description
    counts = dict(enumerate(histogram.counts)) | {histogram.width + 1: histogram.lone}
    total = sum(counts.values())
    bars = [
        f"M{place * pitch + 1:.4g} {HEIGHT}"
        f"v-{_find_height(count, total):.3g}h{pitch - 2:.4g}V{HEIGHT}z"
        for place, count in counts.items()
        if count
    ]
    ET.SubElement(root, "path", {"d": "".join(bars)})
    ET.SubElement(root, "path", {"class": "rule", "d": f"M0 {HEIGHT + 0.5}H{WIDTH}"})
    stride = math.ceil(LABEL / pitch)
    labels = {way: _name_tick(way) for way in range(0, histogram.width, stride)}
    if histogram.has_lone:
        labels[histogram.width + 1] = "NaN"
        labels.pop(histogram.width - 1, None)  # would run into it
    for place, label in labels.items():
        # A label in the middle of a narrow first bar would be cut off at the picture's edge.
        x = max(place * pitch + pitch / 2, 4)
        ET.SubElement(root, "text", {"x": f"{x:.4g}", "y": f"{HEIGHT + 13}"}).text = label
    return ET.tostring(root, encoding="unicode")


def _find_height(count: int, total: int) -> float:
    share = math.log(count) / math.log(total) if total > 1 else 1.0
    return HEIGHT * (0.1 + 0.9 * share)


def _name_tick(way: int) -> str:
    """Where a bar begins: 0, 1, 2, 4, ... and from 1024 as a power."""
    if way < 11:
        return str(2 ** (way - 1)) if way else "0"
    return f"2{str(way - 1).translate(SUPERSCRIPTS)}"
