"""The operations: what each says of itself can be used."""

import contextlib
import io
import warnings

import jax
import numpy as np
import pytest

from comparisons._atlas._examination import Examination, Part
from comparisons._atlas._judge import WRONG, find_part
from comparisons._atlas._sides import Missing
from comparisons.cases.atlas import OPS
from comparisons.cases.atlas._expressions import make_jax, make_torch, make_torch_like
from comparisons.cases.atlas._makers import make_sample

AXES = {"ordinary", "edges", "nonfinite", "denormal", "large"}


def test_there_are_at_least_300_and_each_has_a_name_of_its_own():
    names = [op.name for op in OPS]
    assert len(names) >= 300
    assert len(set(names)) == len(names)
    assert all(op.family for op in OPS)


def test_all_expressions_are_python_of_their_arguments():
    for op in OPS:
        for make in (make_torch, make_jax, *([make_torch_like] if op.torch_like else [])):
            assert make(op).__code__.co_argcount == op.arity, op.name


def test_both_documentations_are_named():
    for op in OPS:
        assert op.torch_docs.startswith("https://docs.pytorch.org/docs/stable/"), op.name
        assert op.jax_docs.startswith("https://") or _is_plain_python(op.jax), op.name


def _is_plain_python(expression):
    """An operator or an index of an array has no page of its own."""
    return not any(f"{name}." in expression for name in ("jnp", "lax", "nn", "jsp", "jax", "optax"))


def test_what_is_tried_is_given_for_each_argument():
    for op in OPS:
        assert len(op.domains) == op.arity, op.name
        assert all(low < high for low, high in op.domains), op.name
        for point in (*op.kinks, *op.points, *op.avoid):
            assert len(point if isinstance(point, tuple) else (point,)) == op.arity, op.name


@pytest.mark.parametrize("family", sorted({op.family for op in OPS if op.samples}))
def test_samples_are_made_the_same_every_time(family):
    for op in OPS:
        if op.family != family:
            continue
        for name, text in op.samples.items():
            assert name.partition(":")[0] in AXES, op.name
            arrays, again = (make_sample(f"{op.name}, {name}", text) for _ in range(2))
            assert len(arrays) == op.arity, op.name
            for x, y in zip(arrays, again, strict=True):
                np.testing.assert_array_equal(x, y)


def test_a_remark_that_blames_a_side_shows_it_in_five_lines():
    for op in OPS:
        for remark in op.remarks:
            assert "\n" not in remark.text, op.name
            assert not remark.wrong or 0 < len(remark.repro.splitlines()) <= 5, op.name


REPROS = [
    pytest.param(remark.repro, id=f"{op.name} {i}")
    for op in OPS
    for i, remark in enumerate(op.remarks)
    if remark.repro
]


@pytest.mark.parametrize("repro", REPROS)
def test_what_shows_a_bug_prints_what_it_says(repro):
    """Its last line prints, and a comment there says what: ``print(...)  # 1.0; true: 0.0``."""
    said, told, truth = repro.splitlines()[-1].partition("  # ")[2].partition("; true: ")
    assert told, "the last line says what is printed, and what should be"
    assert said != truth
    printed = io.StringIO()
    x64 = jax.config.jax_enable_x64
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what a framework imports
            exec(repro, {})
    finally:
        jax.config.update("jax_enable_x64", x64)
    assert printed.getvalue().strip() == said


@pytest.mark.parametrize(
    "op", [op for op in OPS if op.torch_like and op.is_pointwise], ids=lambda op: op.name
)
def test_a_snippet_has_pytorchs_gradient_at_ordinary_points_too(op):
    """The engine holds it against PyTorch where JAX's own differs, at edges."""
    examination = Examination(op)
    slopes = [Part("vjp", (k,)) for k in range(op.arity)]
    if isinstance(examination.run("torch", slopes[0], "float64"), Missing):
        slopes = [Part("value", ())]  # PyTorch has no gradient
    for part in slopes:
        torch, like = (
            examination.run(who, part, "float64")[: examination.points.ordinary]
            for who in ("torch", "like")
        )
        assert find_part(np.abs(torch - like), torch) <= WRONG


def test_what_is_looked_for_in_a_jaxpr_comes_with_its_edge():
    for op in OPS:
        assert bool(op.seen_as) == bool(op.trap), op.name
        compile(op.trap or "0", op.name, "eval")
