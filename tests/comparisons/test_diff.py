"""What a diff of two reports calls worse, better and changed, and what it does not mention."""

import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from comparisons import Report, Verdict
from comparisons._diff import Diff, diff_reports
from comparisons._results import CaseResult, Cause, LeafResult

LEAF = LeafResult(path="", quantity="value", verdict=Verdict.AGREES, reason="", dtype="float32")
CASE = CaseResult(name="net", title="", leaves=(LEAF,))


def change_leaf(**more):
    return dataclasses.replace(LEAF, **more)


def change_case(*leaves, **more):
    return dataclasses.replace(CASE, leaves=leaves or CASE.leaves, **more)


def diff(old, new):
    old, new = (case if isinstance(case, tuple) else (case,) for case in (old, new))
    return diff_reports(Report(old, {}), Report(new, {}))


def tell(found: Diff):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(found, soft_wrap=True)
    return console.file.getvalue().splitlines()


def test_the_same_twice():
    found = diff(CASE, dataclasses.replace(CASE, seconds=9.0))
    assert (found.changes, found.worse) == ((), False)
    assert tell(found) == ["Nothing got worse: no change."]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("AGREES", "IDENTICAL", "changed"),
        ("IDENTICAL", "AGREES", "changed"),
        ("AGREES", "CONVENTION", "worse"),
        ("AGREES", "MISMATCH", "worse"),
        ("CONVENTION", "MISMATCH", "worse"),
        ("CONVENTION", "APPROXIMATION", "better"),
        ("NO_SIGNAL", "LESS_ACCURATE", "worse"),
        ("MISMATCH", "STRUCTURE", "worse"),
        ("MISMATCH", "AGREES", "better"),
        ("NO_SIGNAL", "IDENTICAL", "better"),
    ],
)
def test_verdicts(before, after, kind):
    found = diff(*(change_case(change_leaf(verdict=Verdict(v))) for v in (before, after)))
    (change,) = found.changes
    assert (change.kind, change.what, change.before, change.after) == (
        kind,
        "verdict",
        before,
        after,
    )
    assert found.worse is (kind == "worse")
    assert tell(found) == [
        f"{kind}  net:value: {before} → {after}",
        f"{'Something' if found.worse else 'Nothing'} got worse: 1 {kind}.",
    ]


MISMATCH = {"verdict": Verdict.MISMATCH}
ACCEPTED = {**MISMATCH, "accepted": "why"}


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (MISMATCH, ACCEPTED, "better  net:value: MISMATCH → MISMATCH (accepted)"),
        (ACCEPTED, MISMATCH, "worse  net:value: MISMATCH (accepted) → MISMATCH"),
        (ACCEPTED, {}, "better  net:value: MISMATCH (accepted) → AGREES"),
        ({}, ACCEPTED, "changed  net:value: AGREES → MISMATCH (accepted)"),
        (
            ACCEPTED,
            {**ACCEPTED, "accepted": "other"},
            "changed  net:value: reason why → other",
        ),
    ],
    ids=range(5),
)
def test_what_is_accepted(before, after, line):
    found = diff(*(change_case(change_leaf(**leaf)) for leaf in (before, after)))
    assert tell(found)[:-1] == [line]


def test_cases_and_leaves_that_come_and_go():
    bad = change_leaf(verdict=Verdict.MISMATCH)
    other = change_leaf(path="y")
    assert tell(diff((CASE,), (CASE, change_case(name="b"))))[0] == "changed  b: is new: AGREES"
    assert (
        tell(diff((CASE,), (CASE, change_case(bad, name="b"))))[0] == "worse  b: is new: MISMATCH"
    )
    gone = diff((CASE, change_case(name="b")), (CASE,))
    assert tell(gone)[0] == "worse  b: is not compared any more (was AGREES)"
    assert not diff((CASE, change_case(bad, name="b")), (CASE,)).worse
    assert tell(diff(change_case(LEAF), change_case(LEAF, other)))[:-1] == [
        "changed  net:value/y: is new: AGREES"
    ]
    lost = diff(change_case(LEAF, other), change_case(LEAF))
    assert lost.worse
    assert tell(lost)[0] == "worse  net:value/y: is not compared any more (was AGREES)"


def test_two_cases_of_one_name_are_told_apart_by_order():
    second = change_case(change_leaf(verdict=Verdict.MISMATCH))
    assert diff((CASE, second), (CASE, second)).changes == ()
    assert diff((CASE, CASE), (CASE, second)).worse


def test_a_case_that_raises():
    raised = dataclasses.replace(CASE, error="JAX side:\n  KeyError", leaves=())
    assert tell(diff(CASE, raised))[0] == "worse  net: error AGREES → JAX side: KeyError"
    assert tell(diff(raised, CASE))[0] == "better  net: error JAX side: KeyError → AGREES"
    assert diff(raised, raised).changes == ()
    assert diff(raised, dataclasses.replace(raised, error="x")).changes[0].kind == "changed"


def figures(max_abs, max_ulp):
    return change_case(change_leaf(max_abs=max_abs, max_ulp=max_ulp))


@pytest.mark.parametrize(
    ("before", "after", "mentioned"),
    [
        ((1e-7, 1), (8e-7, 8), False),  # a rounding or two
        ((1e-8, 1), (8e-7, 9), True),
        ((1e-6, 100), (9e-6, 900), False),  # less than ten times
        ((1e-6, 100), (1.1e-5, 1100), True),
        ((1.1e-5, 1100), (1e-6, 100), True),
        ((0.0, 0), (1e-5, 99), True),
        ((None, None), (1e-5, 99), False),
        ((1e-5, 99), (math.nan, 99), True),
        ((math.nan, 99), (math.nan, 99), False),
        ((math.inf, 1e30), (math.inf, 1e30), False),
    ],
    ids=str,
)
def test_figures_are_mentioned_if_they_moved_by_much(before, after, mentioned):
    found = diff(figures(*before), figures(*after))
    assert bool(found.changes) is mentioned
    assert not found.worse
    if mentioned:
        assert tell(found)[0] == f"changed  net:value: max abs {before[0]:.3g} → {after[0]:.3g}"


def test_dtypes_shapes_causes_power_and_vacuity():
    cause = Cause(name="ddof", title="", fix="")
    before = change_case(change_leaf(power=1e-6, shape=(3,)), dtype="float32")
    after = change_case(
        change_leaf(power=1e-3, shape=(4,), causes=(cause,)),
        dtype="bfloat16",
        vacuity=("The input is constant.",),
    )
    found = diff(before, after)
    assert not found.worse
    assert tell(found)[:-1] == [
        "changed  net:value: shape float32[3] → float32[4]",
        "changed  net:value: cause: ddof",
        "changed  net:value: power 1e-06 → 1e-03",
        "changed  net: dtype float32 → bfloat16",
        "changed  net: vacuity: The input is constant.",
    ]
    nearby = change_case(change_leaf(power=1e-5, shape=(3,)))
    assert diff(change_case(change_leaf(power=1e-6, shape=(3,))), nearby).changes == ()


def test_sources_are_mentioned_only_beside_something_else():
    new = change_case(jax_source="new")
    assert diff(CASE, new).changes == ()
    found = diff(CASE, change_case(change_leaf(verdict=Verdict.MISMATCH), jax_source="new"))
    assert tell(found)[:-1] == [
        "worse  net:value: AGREES → MISMATCH",
        "changed  net: JAX source: changed",
    ]


def test_the_environment_but_not_the_date():
    old = Report((CASE,), {"date": "1", "jax": "0.10.2", "jax devices": ["cpu"], "x": True})
    new = Report((CASE,), {"date": "2", "jax": "0.12.0", "jax devices": ["cpu"], "new": 3})
    found = diff_reports(old, new)
    assert tell(found)[:-1] == [
        "jax: 0.10.2 → 0.12.0",
        "x: True → not told",
        "new: not told → 3",
    ]
    assert not found.worse


def test_worse_comes_first_and_long_lists_end():
    bad = change_leaf(verdict=Verdict.MISMATCH)
    names = [f"case{i:02}" for i in range(50)]
    old = tuple(change_case(name=name) for name in names)
    new = tuple(change_case(bad, name=name) for name in names[1:])
    lines = tell(diff((change_case(bad, name="a"), *old), (change_case(name="a"), *new)))
    assert [line.split()[0] for line in lines[:40]] == ["worse"] * 40
    assert lines[40:] == [
        "and 10 more worse",
        "better  a:value: MISMATCH → AGREES",
        "Something got worse: 50 worse, 1 better.",
    ]


def test_as_json():
    found = diff(CASE, change_case(change_leaf(verdict=Verdict.MISMATCH)))
    assert json.loads(json.dumps(found.to_dict())) == {
        "schema": "functional-ad/diff/1",
        "worse": True,
        "environment": [],
        "changes": [
            {
                "kind": "worse",
                "case": "net",
                "leaf": "value",
                "what": "verdict",
                "before": "AGREES",
                "after": "MISMATCH",
            }
        ],
    }


def test_a_name_cannot_write_to_the_terminal():
    found = diff(CASE, (CASE, change_case(name="a\x1b[31mb")))
    assert "\x1b" not in "\n".join(tell(found))
