"""What the reports show of a training run: its summary in words, its differences as pictures."""

import dataclasses
import math
import xml.etree.ElementTree as ET

import pytest

from comparisons._results import CaseResult, StepCurve, Trajectory
from comparisons.report import Report
from comparisons.report._document import build_document
from comparisons.report._html import render_html
from comparisons.report._markdown import render_markdown
from comparisons.report._step_plot import draw_steps
from comparisons.report._steps import build_steps

LOSS = StepCurve(
    label="aux loss",
    steps=(1, 2, 5),
    jax=(3.0, 2.0, 1.5),
    torch=(3.0, 2.0, 1.0),
    gap=(0.0, 1e-7, 0.5),
    float64_gap=(0.0, 1e-16, 1e-9),
    noise=(1e-7, 1e-7, 0.25),
)
STATE = dataclasses.replace(LOSS, label="state", jax=(), torch=())


@pytest.fixture
def make_case(make_leaf):
    def make(mode="free-running", curves=(LOSS, STATE), steps=5):
        trajectory = Trajectory(
            mode=mode, kind="defect", summary="First at step 5.", steps=steps, curves=curves
        )
        return CaseResult(name="a", title="A", leaves=(make_leaf(),), trajectory=trajectory)

    return make


def test_a_figure_says_what_is_seen(make_case):
    loss, state = build_steps(make_case(), "case-a")
    assert loss.description == (
        "aux loss over 5 steps, of which 3 are drawn: PyTorch goes from 3 to 1, JAX from 3 to 1.5. "
        "Farthest apart: 0.5, at step 5; at float64 1e-9. "
        "What rounding does to PyTorch’s run: 0.25."
    )
    assert state.description.startswith("state over 5 steps, of which 3 are drawn. Farthest apart:")


def test_the_summary_is_told_by_every_renderer_even_of_a_case_that_passes(make_case):
    report = Report((make_case(),), {})
    assert "Steps: First at step 5." in str(report)
    document = build_document(report)
    assert "**Steps**: First at step 5." in render_markdown(document)
    assert "Steps: aux loss over 5 steps" in render_markdown(document)
    page = render_html(document)
    assert "<dd>First at step 5.</dd>" in page
    assert page.count('class="plot"') == 2


def test_a_free_run_lays_both_sides_over_each_other_and_a_forced_one_has_none(make_case):
    colors = ("var(--torch)", "var(--jax)")
    for mode, both in (("free-running", True), ("teacher-forced", False)):
        svg = draw_steps(build_steps(make_case(mode), "case-a")[0])
        assert all((color in svg) is both for color in colors)
        texts = "".join(ET.fromstring(svg).itertext())
        assert all(word in texts for word in ("JAX − PyTorch", "float64", "rounding alone"))
        assert "1e-16" in texts  # the differences are decades


def test_the_same_figure_gives_the_same_bytes(make_case):
    first, second = (draw_steps(build_steps(make_case(), "case-a")[0]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf], ids=["zero", "NaN", "infinite"])
@pytest.mark.parametrize("steps", [(1,), (1, 2)], ids=["one step", "two steps"])
def test_there_may_be_nothing_to_draw(make_case, value, steps):
    row = (value,) * len(steps)
    curve = StepCurve(
        label="aux loss", steps=steps, jax=row, torch=row, gap=row, float64_gap=row, noise=row
    )
    (figure,) = build_steps(make_case(curves=(curve,), steps=len(steps)), "case-a")
    assert ET.fromstring(draw_steps(figure)).get("aria-label") == figure.description


@pytest.mark.parametrize("row", ["jax", "gap", "float64_gap", "noise"])
def test_a_curve_with_a_short_row_is_not_drawn(make_case, row):
    broken = dataclasses.replace(LOSS, **{row: (1.0,)})
    assert build_steps(make_case(curves=(broken,)), "case-a") == ()


def test_other_cases_have_none(make_leaf):
    assert build_steps(CaseResult(name="a", title="A", leaves=(make_leaf(),)), "case-a") == ()
