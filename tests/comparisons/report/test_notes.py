"""What is said of a case beside its verdict."""

from __future__ import annotations

import pytest

from comparisons._results import CaseResult, Cause, PlantedDefect
from comparisons._verdict import Verdict
from comparisons.report._notes import build_causes, build_notes

GELU = Cause(name="gelu-tanh", title="tanh \x1b[1m", fix="gelu(x)\n", source="https://a.example/b")
EPS = Cause(name="eps", title="eps inside", fix="sqrt(x + eps)", source="the docs")


def _notes(*leaves, **fields):
    case = CaseResult(name="n", title="t", leaves=leaves, **fields)
    return {note.label: (note.text, note.limit) for note in build_notes(case)}


def test_a_case_without_any_has_none(make_leaf):
    assert build_notes(CaseResult(name="n", title="t", leaves=(make_leaf(),))) == ()
    assert build_causes(CaseResult(name="n", title="t", leaves=(make_leaf(),))) == ()


def test_each_cause_is_named_once(make_leaf):
    leaves = (
        make_leaf(Verdict.CONVENTION, causes=(GELU, EPS)),
        make_leaf(Verdict.CONVENTION, path="z", causes=(GELU,)),
        make_leaf(),
    )
    gelu, eps = build_causes(CaseResult(name="n", title="t", leaves=leaves))
    assert (gelu.title, gelu.fix, gelu.link) == ("tanh \\x1b[1m", "gelu(x)", "https://a.example/b")
    assert gelu.where == "", "it explains every leaf that needs it"
    assert (eps.source, eps.link, eps.where) == ("the docs", "", "value y")


def test_long_lists_of_leaves_are_cut_short(make_leaf):
    leaves = [make_leaf(Verdict.CONVENTION, path=f"p{i}", causes=(EPS,)) for i in range(8)]
    leaves.append(make_leaf(Verdict.MISMATCH))
    (eps,) = build_causes(CaseResult(name="n", title="t", leaves=tuple(leaves)))
    assert eps.where == "value p0, value p1, value p2, value p3, value p4 and 3 more"


@pytest.mark.parametrize(
    ("right", "text"),
    [
        ("JAX", "JAX is right. By mpmath."),
        ("PyTorch", "PyTorch is right. By mpmath."),
        ("both", "Both are right. By mpmath."),
        ("neither", "Neither is right. By mpmath."),
        (None, "It cannot tell which side is right. By mpmath."),
    ],
)
def test_the_third_vote(make_leaf, right, text):
    assert _notes(make_leaf(right=right, vote="By mpmath."))["Third vote"] == (text, False)
    assert "Third vote" not in _notes(make_leaf())


def test_the_same_text_of_several_leaves_is_said_once(make_leaf):
    voted = {"right": "JAX", "vote": "V."}
    leaves = (make_leaf(**voted), make_leaf(path="z", **voted), make_leaf(path="w"))
    assert _notes(*leaves)["Third vote"] == ("value y, value z: JAX is right. V.", False)
    assert _notes(*leaves[:2])["Third vote"] == ("JAX is right. V.", False)


def test_limits_are_marked(make_leaf):
    notes = _notes(
        make_leaf(established="float32", accepted="Agreed."),
        casts=("A cast.", "Another."),
        vacuity=("Input 0 is zero.",),
    )
    assert notes == {
        "Accepted": ("Agreed.", True),
        "Established": ("The sides were seen to agree at float32 only.", True),
        "Cast": ("A cast. Another.", True),
        "Vacuous": ("Input 0 is zero.", True),
    }
    assert _notes(make_leaf(established="float64"), make_leaf()) == {}


@pytest.mark.parametrize(
    ("powers", "text"),
    [
        ([1e-12], "Would notice a relative error of 1e-12."),
        ([1e-12, 1e-12], "Would notice a relative error of 1e-12."),
        (
            [1e-12, 0.001],
            "Would notice a relative error of 0.001, and a smaller one in leaves other than "
            "value p1.",
        ),
        (
            [1e-12, None, 0.001],
            "Would notice a relative error of 0.001 in 2 of 3 leaves; of the others it is not "
            "known.",
        ),
    ],
)
def test_the_power(make_leaf, powers, text):
    leaves = [make_leaf(path=f"p{i}", power=power) for i, power in enumerate(powers)]
    assert _notes(*leaves)["Power"] == (text, False)


def test_defects_that_were_not_caught_are_named(make_leaf):
    planted = tuple(
        PlantedDefect(defect=f"defect {i}", where="input 0", caught=i > 1) for i in range(15)
    )
    assert _notes(make_leaf(power=1e-12), planted=planted)["Power"][0] == (
        "Would notice a relative error of 1e-12. Planted defects caught: 13 of 15; not caught: "
        "defect 0 at input 0, defect 1 at input 0."
    )
    assert (
        _notes(make_leaf(), planted=planted[2:])["Power"][0] == "Planted defects caught: 13 of 13."
    )
