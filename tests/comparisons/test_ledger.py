"""The ledger: what it accepts, what it says of entries without use, and how it is written."""

import datetime
import os
import stat
from pathlib import Path

import pytest

from comparisons import Verdict
from comparisons._ledger import (
    Entry,
    Ledger,
    LedgerError,
    apply_ledger,
    name_leaf,
    read_ledger,
    write_ledger,
)
from comparisons._results import CaseResult, LeafResult

TODAY = datetime.date(2026, 11, 23)


def make_leaf(verdict, quantity="value", path=""):
    return LeafResult(path=path, quantity=quantity, verdict=Verdict(verdict), reason="because")


def make_case(*leaves, name="net", error=None):
    return CaseResult(name=name, title="", leaves=leaves, error=error)


def make_entry(case="net", leaf="value", verdict="CONVENTION", reason="known", **more):
    return Entry(case=case, leaf=leaf, verdict=Verdict(verdict), reason=reason, **more)


def apply(cases, *entries):
    return apply_ledger(cases, Ledger(Path("l.toml"), entries), TODAY)


@pytest.mark.parametrize(
    ("verdict", "accepted"),
    [
        *[(v, None) for v in ("STRUCTURE", "NONFINITE", "MISMATCH")],
        *[(v, "known") for v in ("CONVENTION", "APPROXIMATION", "LESS_ACCURATE", "NO_SIGNAL")],
        *[(v, None) for v in ("AGREES", "IDENTICAL")],
    ],
)
def test_an_entry_accepts_its_verdict_and_better_ones(verdict, accepted):
    (case,), problems = apply([make_case(make_leaf(verdict))], make_entry(verdict="CONVENTION"))
    assert case.leaves[0].accepted == accepted
    assert case.outcome == ("pass" if accepted else Verdict(verdict).outcome)
    assert bool(problems) == (accepted is None)


def test_an_entry_is_for_one_leaf_of_one_quantity_of_one_case():
    leaves = [make_leaf("CONVENTION", "vjp", path) for path in ("0", "0/w", "1")]
    cases = [
        make_case(make_leaf("CONVENTION"), *leaves),
        make_case(make_leaf("CONVENTION", "vjp", "0/w"), name="net2"),
    ]
    marked, problems = apply(cases, make_entry(leaf="vjp/0/w"))
    assert [
        (case.name, name_leaf(leaf))
        for case in marked
        for leaf in case.leaves
        if leaf.accepted is not None
    ] == [("net", "vjp/0/w")]
    assert problems == ()
    assert marked[0].outcome == "warn", "its other leaves are not accepted"
    assert cases[0].leaves[2].accepted is None, "what was given is not changed"


@pytest.mark.parametrize(
    ("expires", "accepted"),
    [(TODAY, True), (TODAY - datetime.timedelta(days=1), False), (None, True)],
    ids=["today", "yesterday", "never"],
)
def test_the_last_day_counts(expires, accepted):
    (case,), problems = apply([make_case(make_leaf("CONVENTION"))], make_entry(expires=expires))
    assert (case.leaves[0].accepted == "known") is accepted
    assert problems == (
        () if accepted else ("l.toml, : net:value has expired: its last day was 2026-11-22",)
    )


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        (make_leaf("AGREES"), "is not used: the leaf is AGREES now"),
        (make_leaf("MISMATCH"), "accepts CONVENTION, but the leaf is MISMATCH now"),
        (make_leaf("CONVENTION", "vjp", "0"), "is not used: the case has no such leaf"),
    ],
    ids=["better", "worse", "gone"],
)
def test_entries_that_accept_nothing_are_named(leaf, text):
    entry = make_entry(place="line 7")
    assert apply([make_case(leaf)], entry)[1] == (f"l.toml, line 7: net:value {text}",)


def test_entries_of_cases_that_did_not_run_are_not_named():
    assert apply([make_case(make_leaf("AGREES"))], make_entry(case="other"))[1] == ()
    assert apply([make_case(error="raised")], make_entry())[1] == ()


def test_applying_twice_is_applying_once():
    entry = make_entry()
    marked, _ = apply([make_case(make_leaf("CONVENTION"))], entry)
    assert apply(marked, entry) == (marked, ())


BY_HAND = """\
# Ours, by hand.

[[accepted]] # first
case = 'net'   # odd spaces
leaf='value'
verdict='MISMATCH'
reason='''
two
lines'''
expires=2020-01-01 # soon

# about the second
[[accepted]]
case='other'
leaf='value'
verdict='CONVENTION'
reason='r'
# the end
"""


def test_what_others_wrote_is_kept(tmp_path):
    path = tmp_path / "l.toml"
    path.write_text(BY_HAND)
    new = make_entry(case="third", leaf="vjp/0", expires=datetime.date(2027, 1, 2), reason='a "b"')
    write_ledger(path, [make_entry(), new])
    text = path.read_text()
    for kept in ("# Ours, by hand.\n\n", "# odd spaces", "# about the second\n", "# the end\n"):
        assert kept in text
    first, second, third = read_ledger(path).entries
    assert (first.case, first.verdict, first.reason, first.expires) == (
        *("net", "CONVENTION", "known"),
        None,
    )
    assert (second.case, second.reason, second.place) == ("other", "r", "line 10")
    assert (third.leaf, third.reason, third.expires) == ("vjp/0", 'a "b"', new.expires)
    assert text.endswith(
        '\n[[accepted]]\ncase = "third"\nleaf = "vjp/0"\nverdict = "CONVENTION"\n'
        'reason = "a \\"b\\""\nexpires = 2027-01-02\n'
    )


def test_a_new_ledger_says_what_it_is_and_reads_back(tmp_path):
    path = tmp_path / "l.toml"
    write_ledger(path, [make_entry(), make_entry(leaf="value/y")])
    assert path.read_text() == (
        "# What `comparisons run --ledger` accepts although it is no pass, each with its reason.\n"
        '\n[[accepted]]\ncase = "net"\nleaf = "value"\nverdict = "CONVENTION"\nreason = "known"\n'
        '\n[[accepted]]\ncase = "net"\nleaf = "value/y"\nverdict = "CONVENTION"\n'
        'reason = "known"\n'
    )
    assert [entry.place for entry in read_ledger(path).entries] == ["line 3", "line 9"]


def test_line_ends_links_and_modes_stay(tmp_path):
    path, link = tmp_path / "l.toml", tmp_path / "link.toml"
    path.write_bytes(BY_HAND.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    link.symlink_to(path)
    write_ledger(link, [make_entry(case="third")])
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    text = path.read_bytes()
    assert b"third" in text
    assert text.count(b"\n") == text.count(b"\r\n")


def test_the_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "l.toml"
    path.write_text(BY_HAND)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_ledger(path, [make_entry()])
    assert path.read_text() == BY_HAND
    assert os.listdir(tmp_path) == ["l.toml"]  # noqa: PTH208 - what is there, hidden or not


ENTRY = "[[accepted]]\ncase='a'\nleaf='value'\nverdict='MISMATCH'\nreason='r'\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = \n", "l.toml: Invalid value (at line 1, column 5)"),
        ("\udcff", "l.toml: 'utf-8' codec can't decode"),
        ("[[acepted]]\n", "l.toml: there is no key 'acepted'; did you mean 'accepted'?"),
        ("accepted = 3\n", "l.toml: write each entry under a heading [[accepted]]"),
        ("accepted = [3]\n", "l.toml, entry 1: write the entry under a heading [[accepted]]"),
        ("\n[[accepted]]\ncase = 'a'\n", "l.toml, line 2: leaf must be a text that is not empty"),
        (ENTRY.replace("'r'", "' '"), "l.toml, line 1: reason must be a text that is not empty"),
        (
            ENTRY + "expire = 2020-01-01\n",
            "l.toml, line 1: there is no key 'expire'; did you mean 'expires'?",
        ),
        (ENTRY + "zzz = 1\n", "there is no key 'zzz'; there are case, leaf, verdict, reason, exp"),
        (
            ENTRY + "expires = '2020-01-01'\n",
            "l.toml, line 1: expires must be a day such as 2027-06-30, without quotes; got '2020",
        ),
        (ENTRY + "expires = 2020-01-01T10:00:00\n", "expires must be a day such as 2027-06-30"),
        (
            ENTRY.replace("MISMATCH", "AGREES"),
            "verdict must be one of STRUCTURE, NONFINITE, MISMATCH, CONVENTION, APPROXIMATION, "
            "LESS_ACCURATE, NO_SIGNAL; got 'AGREES'",
        ),
        (ENTRY * 2, "l.toml, line 6: a:value is accepted in line 1 too"),
    ],
    ids=range(13),
)
def test_a_broken_ledger_is_one_line_that_says_where(text, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("l.toml")
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LedgerError) as caught:
        read_ledger(path)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(LedgerError):
        write_ledger(path, [make_entry()])
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_entries_in_a_list_can_be_read_but_not_added_to(tmp_path):
    path = tmp_path / "l.toml"
    fields = "case='a', leaf='value', verdict='MISMATCH', reason='r'"
    path.write_text(f"accepted = [{{ {fields} }}]\n")
    assert read_ledger(path).entries[0].place == "entry 1"
    for text in (path.read_text(), "accepted = []\n"):
        path.write_text(text)
        with pytest.raises(LedgerError, match="write each entry under a heading"):
            write_ledger(path, [make_entry()])
        assert path.read_text() == text


def test_a_ledger_that_is_not_there():
    with pytest.raises(LedgerError, match=r"the ledger 'nowhere\.toml': No such file"):
        read_ledger(Path("nowhere.toml"))
