"""The terminal's table: narrow and wide, plain and coloured."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from comparisons._results import CaseResult
from comparisons._verdict import Verdict


def _print(report, width, **options):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, **options)
    console.print(report)
    return console.file.getvalue()


def test_the_table_says_how_each_case_went(make_report, make_leaf):
    leaves = (make_leaf(Verdict.AGREES, max_abs=1.1920929e-07, max_ulp=2.0), make_leaf())
    report = make_report(CaseResult(name="tutorial/worked-case", title="T", leaves=leaves))
    assert str(report).split("\n") == [
        "case                  verdict  leaves  max abs  max ULP",
        "─" * 56,
        "tutorial/worked-case  AGREES        2  1.19e-7        2",
        "",
        "The one case agrees.  (1 case, 2 leaves, 1 pass, 0 warn, 0 fail)",
    ]


def test_failures_and_warnings_are_explained_beneath(sample):
    table, _, beneath = str(sample).partition("\n\n")
    assert len(table.split("\n")) <= 2 + len(sample.cases) * 2
    words = " ".join(beneath.split())
    assert "MISMATCH tutorial/control/no-grad-decorator" in words
    assert "vjp 1/w: The float64 results differ by 0.25" in words
    assert "PyTorch at float64 raised RuntimeError: one of the variables" in words
    assert "PyTorch NaN, JAX -inf." in words
    assert "vjp 1/b" not in words, "a leaf that agrees needs no explanation"
    assert "CONVENTION surface/abs/at-zero vjp 0: They differ only at x = 0" in words
    assert "IDENTICAL" not in beneath.rpartition("\n\n")[0]
    assert words.endswith("4 of 18 cases failed. (18 cases, 27 leaves, 8 pass, 6 warn, 4 fail)")


def test_the_cause_and_its_fix_come_first(sample):
    text = str(sample)
    section = text[text.index("CONVENTION  surface/gelu/tanh") :]
    assert " ".join(section.split()).startswith(
        "CONVENTION surface/gelu/tanh Cause: jax.nn.gelu approximates with tanh unless told not "
        "to; torch's gelu is exact unless told to approximate. Fix: jax.nn.gelu(x, "
        "approximate=False) value (output): The float64 runs differ by 0.000153"
    )


def test_notes_are_beneath_the_reasons(sample):
    words = " ".join(str(sample).split())
    assert "Third vote: vjp 1/w: PyTorch is right. Central differences at float64" in words
    assert "AGREES atlas/attention/softmax-in-float32 Established: The sides were seen" in words
    assert "Cast: JAX casts float64 to float32" in words
    assert "Vacuous: Input 1 is constant." in words
    assert "MISMATCH (accepted) atlas/max-pool/ties Accepted: vjp 0: Ties are" in words
    assert "Power" not in words, "it is in the files"
    table = str(sample).split("\n\n")[0]
    (row,) = (line for line in table.split("\n") if line.startswith("atlas/max-pool/ties"))
    assert "MISMATCH ✓" in row


def test_the_power_is_a_column_where_there_is_room(sample):
    assert "power" not in str(sample).split("\n")[0]
    head, _, row = _print(sample, 100, color_system=None).split("\n")[:3]
    assert head.split()[-1] == "power"
    assert row.split()[-1] == "1e-12"


def test_leaves_that_fail_worse_or_less_than_the_case_say_so(make_report, make_leaf):
    leaves = (make_leaf(Verdict.STRUCTURE, path="a"), make_leaf(Verdict.MISMATCH, path="b"))
    text = str(make_report(CaseResult(name="c", title="", leaves=leaves)))
    assert "STRUCTURE  c\n  value a: Why STRUCTURE.\n  MISMATCH  value b: Why MISMATCH.\n" in text


def test_a_flood_of_failures_is_cut_short(make_report, make_leaf):
    leaves = tuple(make_leaf(Verdict.MISMATCH, path=f"leaf{i}") for i in range(40))
    text = str(make_report(CaseResult(name="c", title="", leaves=leaves)))
    assert "leaf11:" in text
    assert "leaf12:" not in text
    assert "and 28 more leaves" in text
    text = str(make_report(CaseResult(name="c", title="", leaves=leaves[:13])))
    assert "and 1 more leaf\n" in text


def test_nothing_to_compare_is_said(make_report):
    assert str(make_report()) == (
        "Nothing was compared.  (0 cases, 0 leaves, 0 pass, 0 warn, 0 fail)"
    )
    text = str(make_report(CaseResult(name="empty", title="", leaves=())))
    assert "STRUCTURE  empty\n  No leaf was compared, which proves nothing." in text


def test_text_fits_eighty_columns_and_has_no_escape_codes(sample, awkward, monkeypatch):
    plain = str(sample)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert str(sample) == plain
    for report in (sample, awkward):
        text = str(report)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert max(map(cell_len, text.split("\n"))) <= 80
        assert all(line == line.rstrip() for line in text.split("\n"))


def test_long_names_are_folded_not_cut(make_report, make_leaf):
    name = "/".join(f"part{i}" for i in range(30))
    text = str(make_report(CaseResult(name=name, title="", leaves=(make_leaf(),))))
    assert name in "".join(line.split(" ")[0] for line in text.split("\n")[2:])


def test_a_wide_terminal_shows_titles(sample):
    wide = _print(sample, 160, color_system=None)
    assert "Linear regression, fifty epochs, free running" in wide
    assert "tutorial/concepts/requires-grad-default " in wide
    assert "Linear regression" not in _print(sample, 100, color_system=None)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.MISMATCH, "1;31"), (Verdict.NO_SIGNAL, "33"), (Verdict.AGREES, "32")],
)
def test_colours_follow_the_outcome(make_report, verdict, code):
    text = _print(make_report(verdict), 80, color_system="standard", no_color=False)
    assert f"\x1b[{code}m{verdict}" in text.split("\n")[2]


def test_square_brackets_are_not_taken_for_markup(make_report, make_leaf):
    leaf = make_leaf(Verdict.MISMATCH, path="[red]x[/red]", reason="[bold]y[/bold] [/]")
    text = str(make_report(CaseResult(name="[blue]n[/blue]", title="[b]", leaves=(leaf,))))
    for part in ("[blue]n[/blue]", "value [red]x[/red]: [bold]y[/bold] [/]"):
        assert part in text
