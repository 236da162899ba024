"""The atlas and the catalogue are one: what a row says, its cause says, and no other cause."""

import dataclasses
import subprocess
import sys
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import ParityCase
from comparisons._causes import CATALOGUE
from comparisons._causes._atlas import list_choices, make_choice, say_as_atlas
from comparisons._causes._known import find_calls
from comparisons.cases.atlas import OPS, Op, Remark

ROWS = {op.name: op for op in OPS}
FED = [known for known in CATALOGUE if known.rows]
# They replace a function that a row is about, and undo something else: another function of
# PyTorch's (relu and clamp for a maximum), or a mistake of the port's in how it is called.
OTHERS = {"relu-by-maximum", "clamp-by-maximum"}


@pytest.mark.parametrize("known", FED, ids=lambda known: known.name)
def test_a_cause_says_what_its_row_says(known):
    op = ROWS[known.rows[0]]
    assert known.title in {remark.text.rstrip(".") + "." for remark in op.remarks}
    assert op.torch_like.partition("(")[0].rpartition(".")[2] in known.fix
    assert known.source in {op.torch_docs, *(remark.link for remark in op.remarks)}


def test_each_row_has_one_cause_at_most():
    assert set(Counter(row for known in FED for row in known.rows).values()) == {1}
    assert {row for known in FED for row in known.rows} <= set(ROWS)


def test_no_other_cause_states_what_a_row_states():
    """A new one would replace a function that a fed one replaces, and be a convention."""
    fed = {target for known in FED for how in find_calls(known.how) for target in how.targets}
    stated = {
        known.name
        for known in CATALOGUE
        for how in find_calls(known.how)
        if known.kind == "convention" and not known.rows and fed & set(how.targets)
    }
    assert stated == OTHERS


TEXT = "At 0 this operation's gradient is {0}, by choice"
NEW = Op(
    "new",
    "torch.abs(x)",
    "jnp.abs(x)",
    torch_like="x * lax.stop_gradient(jnp.sign(x))",
    remarks=(
        Remark(text="Of infinity.", axes=("nonfinite",)),
        Remark(text=TEXT, axes=("edges",), link="https://example.org/choice"),
    ),
)


def test_a_new_row_is_a_new_cause():
    known = make_choice(NEW)
    cause = known.describe({"site": "user.py:3"}).cause
    assert known.rows == ("new",)
    assert (cause.name, cause.title, cause.source) == ("atlas-new", f"{TEXT}.", NEW.remarks[1].link)
    assert cause.fix == ("Write x * jax.lax.stop_gradient(jnp.sign(x)) for jnp.abs(x). (user.py:3)")
    (calls,) = find_calls(known.how)
    assert calls.targets == ("jax.numpy.abs",)


@pytest.mark.parametrize(
    ("wrong", "text", "kind"),
    [
        (None, "Said first.", "convention"),
        ("JAX", "Said first.", "mistake"),  # so that the leaf is a mismatch as before
        ("PyTorch", f"{TEXT}.", "convention"),
    ],
)
def test_a_bug_is_no_convention_and_pytorchs_is_not_what_jax_is_to_do(wrong, text, kind):
    first = Remark(text="Said first.", axes=("edges",), wrong=wrong)
    known = make_choice(dataclasses.replace(NEW, remarks=(first, *NEW.remarks)))
    cause = known.describe({}).cause
    assert (cause.title, known.kind) == (text, kind)


@pytest.mark.parametrize(
    "changed",
    [
        {"torch_like": ""},
        {"remarks": ()},
        {"jax": "jnp.abs(x) * 1"},
        {"jax": "jnp.clip(x, -1, 1)"},
        {"jax": "jnp.std(x, ddof=1)"},
        {"jax": "x.sum()"},
    ],
)
def test_a_row_that_is_not_one_call_or_says_nothing_is_no_cause(changed):
    assert make_choice(dataclasses.replace(NEW, **changed)) is None


def test_a_row_that_an_entry_is_for_is_not_listed_again():
    assert "atlas-abs" in {known.name for known in list_choices(())}
    assert "atlas-abs" not in {known.name for known in list_choices({"abs"})}


TIED = (np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.5]))
WITH_NAN = (np.array([1.0, np.nan, -2.0]),)
EVEN = (np.array([3.0, np.nan, 1.0, 2.0, 5.0]),)


@pytest.mark.parametrize(
    ("row", "ours", "theirs", "inputs", "order"),
    [
        ("fmax", lambda x, y: jnp.fmax(x, y) * 2, lambda x, y: torch.fmax(x, y) * 2, TIED, "vjp"),
        ("sign", lambda x: jnp.sign(x) + 1, lambda x: torch.sign(x) + 1, WITH_NAN, "value"),
        ("nanmedian", lambda x: jnp.nanmedian(x), torch.nanmedian, EVEN, "value"),
        (
            "abs",
            lambda x: jnp.abs(x) + x,
            lambda x: x.abs() + x,
            (np.array([0.0, -1.0, 2.0]),),
            "vjp",
        ),
        ("pow", lambda x: 3 * x**0.0 + x, lambda x: 3 * x**0.0 + x, (np.array([0.0, 2.0]),), "vjp"),
    ],
)
def test_a_mismatch_is_named_with_the_words_of_the_row(row, ours, theirs, inputs, order, explain):
    case = ParityCase(
        name="pair", title="pair", jax=ours, torch=theirs, inputs=inputs, orders=(order,)
    )
    for causes in explain(case).values():
        (cause,) = [cause for cause in causes if cause.name != "inputs-swapped"]  # mends a tie, too
        words = say_as_atlas(row, "edges" if order == "vjp" else "nonfinite")
        assert (cause.title, cause.source) == (words["title"], words["source"])
        assert cause.fix.startswith(words["fix"])


def test_the_catalogue_costs_no_import_of_what_examines_the_atlas():
    code = """if True:
        import sys
        import comparisons
        assert "comparisons.cases" not in sys.modules
        import comparisons._causes
        print([name for name in ("sympy", "torch", "comparisons._atlas") if name in sys.modules])
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
