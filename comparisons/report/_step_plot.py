"""A training run drawn over its steps: both losses, and beneath them their differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from comparisons.report._plot import JAX, MUTED, TEXT, TORCH, as_drawable, make_svg
from comparisons.report._steps import StepFigure

HALF_DECADE = 10**0.5
KEY: dict[str, Any] = {"ncols": 3, "frameon": False, "fontsize": 10, "borderaxespad": 0.2}


def draw_steps(figure: StepFigure) -> str:
    """An ``<svg>`` element, labelled with the figure's description.

    Differences are drawn on a logarithmic axis; one that is 0 is a gap in its line.
    """

    def draw(canvas: Figure) -> None:
        if not figure.curve.jax:
            axes = canvas.subplots()
        else:
            top, axes = canvas.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            _draw_sides(top, figure)
        _draw_differences(axes, figure)
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside lower left", **KEY)

    height = 4.6 if figure.curve.jax else 2.7
    return make_svg(draw, figure.anchor, figure.description, height)


def _draw_sides(axes: Axes, figure: StepFigure) -> None:
    # JAX is drawn thin over a broad PyTorch, so that both are seen where they are the same.
    curve = figure.curve
    marker = "o" if len(curve.steps) == 1 else ""
    for values, color, width, alpha in ((curve.torch, TORCH, 5, 0.5), (curve.jax, JAX, 1.4, 1)):
        axes.plot(
            curve.steps,
            as_drawable(values),
            color=color,
            linewidth=width,
            alpha=alpha,
            marker=marker,
        )
    axes.set_title(curve.label, loc="left")
    axes.margins(x=0.01)


def _draw_differences(axes: Axes, figure: StepFigure) -> None:
    curve = figure.curve
    lines: tuple[tuple[Sequence[float], str, str, str], ...] = (
        (curve.noise, "rounding alone", MUTED, ":"),
        (curve.float64_gap, "float64", TEXT, "--"),
        (curve.gap, "JAX − PyTorch", TEXT, "-"),
    )
    drawn: list[float] = []
    for values, label, color, style in lines:
        heights = as_drawable([value if value > 0 else math.nan for value in values])
        drawn += heights[np.isfinite(heights)].tolist()
        axes.plot(
            curve.steps,
            heights,
            color=color,
            linestyle=style,
            linewidth=1.2,
            marker=".",
            markersize=3 if len(curve.steps) <= 60 else 1.2,
            label=label,
        )
    if drawn:
        axes.set_yscale("log")
        axes.set_ylim(min(drawn) / HALF_DECADE, max(drawn) * HALF_DECADE)
        low, high = (round(math.log10(end)) for end in (min(drawn), max(drawn)))
        decades = range(low, high + 1, max(1, math.ceil((high - low) / 4)))
        axes.set_yticks([10.0**n for n in decades], [f"1e{n}" for n in decades])
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_yticks([0], ["0"])
    title = "difference" if curve.jax else f"difference of {curve.label}"
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))
