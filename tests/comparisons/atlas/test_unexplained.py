"""What is said of no remark: each difference that has none, and no other."""

import dataclasses

import pytest

from comparisons._atlas._row import Cell, Edge, Row
from comparisons._atlas._unexplained import find_unexplained
from comparisons.cases.atlas import Op
from comparisons.cases.atlas._op import Remark

OP = Op("op", "torch.sin(x)", "jnp.sin(x)")
SAID = Remark(text="said", axes=("edges",), quantities=("vjp",), dtypes=("float64",))


def make_cell(verdict="MISMATCH", **fields):
    return Cell(
        **{"dtype": "float64", "quantity": "vjp", "axis": "edges"} | fields, verdict=verdict
    )


def ask(*cells, edges=(), **fields):
    op = dataclasses.replace(OP, **fields)
    return find_unexplained(op, Row("op", "family", cells=cells, edges=edges))


def test_agreement_needs_no_words():
    assert ask(make_cell("AGREES"), make_cell("IDENTICAL"), make_cell("NO_SIGNAL")) == []


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, 0),
        ({"axis": "large"}, 1),
        ({"quantity": "value"}, 1),
        ({"dtype": "float32"}, 1),
        ({"verdict": "LESS_ACCURATE", "axis": "ordinary"}, 1),
    ],
)
def test_a_remark_is_about_what_it_says(fields, lines):
    assert len(ask(make_cell(**fields), remarks=(SAID,))) == lines


def test_a_side_that_is_wrong_needs_a_remark_that_says_so():
    cell = make_cell(wrong="JAX")
    assert ask(cell) == ["float64 vjp edges: MISMATCH JAX has no remark"]
    assert ask(cell, remarks=(SAID,)) == [
        "float64 vjp edges: MISMATCH: no remark says that JAX is wrong"
    ]
    sides = {side: dataclasses.replace(SAID, wrong=side) for side in ("JAX", "PyTorch", "both")}
    for side, lines in (("JAX", 0), ("both", 0), ("PyTorch", 1)):
        assert len(ask(cell, remarks=(sides[side],))) == lines
    cell = make_cell(wrong="both")
    assert len(ask(cell, remarks=(sides["JAX"],))) == 1
    assert ask(cell, remarks=(sides["JAX"], sides["PyTorch"])) == []


def test_a_choice_needs_a_snippet_that_gives_pytorchs_number():
    cell = make_cell("CONVENTION")
    assert ask(cell, remarks=(SAID,)) == ["float64 vjp edges: CONVENTION has no torch_like"]
    assert ask(cell, remarks=(SAID,), torch_like="jnp.cos(x)") == []
    edge = Edge((0.0,), "edges", "vjp", "x", torch=1.0, jax=0.5, verdict="CONVENTION")
    assert ask(edges=(edge,)) == ["vjp x at 0: torch_like does not give PyTorch's 1"]
    assert ask(edges=(dataclasses.replace(edge, closed=True),)) == []


def test_flushed_numbers_are_explained_once_for_all():
    flushed = make_cell("LESS_ACCURATE", axis="denormal", wrong="JAX")
    assert ask(flushed) == []
    assert len(ask(dataclasses.replace(flushed, wrong="PyTorch"))) == 1
    assert len(ask(dataclasses.replace(flushed, verdict="MISMATCH"))) == 1


def test_a_row_without_results_needs_a_remark():
    row = Row("op", "family", trouble="HUNG: it had not returned after 90 s")
    assert find_unexplained(OP, row) == ["HUNG: it had not returned after 90 s: no remark"]
    assert find_unexplained(dataclasses.replace(OP, remarks=(SAID,)), row) == []
