"""Reports to render: a stored one with every kind of result, and parts to build others from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from comparisons._results import CaseResult, LeafResult
from comparisons._verdict import Verdict
from comparisons.report import Report

SAMPLE = Path(__file__).with_name("sample.json")
SAMPLE_0_1 = Path(__file__).with_name("sample-0.1.json")
HOSTILE = "<script>alert('&amp; \"x\"')</script>"


@pytest.fixture(scope="session")
def sample() -> Report:
    """Seventeen cases with all nine verdicts, and every field of a case and a leaf in use."""
    return Report.load(SAMPLE)


@pytest.fixture(scope="session")
def old_sample() -> Report:
    """Twelve cases with all nine verdicts, as release 0.1 wrote them: they must stay readable."""
    return Report.load(SAMPLE_0_1)


@pytest.fixture(scope="session")
def make_leaf() -> Callable[..., LeafResult]:
    def make(verdict: Verdict = Verdict.IDENTICAL, **fields: object) -> LeafResult:
        defaults: dict = {"path": "y", "quantity": "value", "reason": f"Why {verdict}."}
        return LeafResult(**defaults | {"verdict": verdict} | fields)

    return make


@pytest.fixture(scope="session")
def make_report(make_leaf: Callable[..., LeafResult]) -> Callable[..., Report]:
    """One case per verdict or case given."""

    def make(*cases: Verdict | CaseResult, **environment: object) -> Report:
        made = tuple(
            case
            if isinstance(case, CaseResult)
            else CaseResult(name=f"case/{i}", title=f"Case {i}", leaves=(make_leaf(case),))
            for i, case in enumerate(cases)
        )
        return Report(made, environment)

    return make


@pytest.fixture(scope="session")
def awkward(make_leaf: Callable[..., LeafResult]) -> Report:
    """What breaks renderers: markup, long names, no leaves, odd numbers and characters."""
    odd = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]
    measures = dict.fromkeys(
        ("max_abs", "max_ulp", "rms", "float64_gap", "float64_noise", "jax_error"), math.nan
    )
    measures |= {"torch_error": math.inf, "allowed": -math.inf}
    leaves = (
        make_leaf(Verdict.NONFINITE, path="", jax=odd, torch=odd[::-1], shape=(6,), **measures),
        make_leaf(Verdict.MISMATCH, path=HOSTILE, reason=HOSTILE, jax=True, torch=False),
        make_leaf(Verdict.AGREES, path="long/" * 60, jax=[[1, 2]], torch=[[1], [2]]),
        make_leaf(path="損失/é 😀", jax=[], torch=[], shape=(0,), worst=()),
    )
    markup = {"title": HOSTILE, "jax_source": f"x = {HOSTILE!r}", "torch_source": HOSTILE}
    markup |= {"note": HOSTILE, "citation": f"javascript:{HOSTILE}"}
    cases = (
        CaseResult(name=HOSTILE, leaves=leaves, curves=("", "absent", HOSTILE), **markup),
        CaseResult(name="n" * 300, title="", leaves=()),
        CaseResult(name="a|b`c\\d", title="a|b`c\\d *e* _f_ [g](h)", leaves=leaves[3:]),
        CaseResult(name="raises", title="x" * 300, leaves=(), error=f"{HOSTILE}\n\x1b[31mred\x07"),
        CaseResult(name="a b", title="Same anchor as the next", leaves=leaves[3:]),
        CaseResult(name="a-b", title="``` in its source", leaves=leaves[3:], jax_source="```\n"),
        CaseResult(name="損失", title="\ud800 lone surrogate", leaves=leaves[3:]),
    )
    return Report(cases, {HOSTILE: HOSTILE, "yes": True, "devices": ["cpu:0", "cpu:1"], "n": 2})
