"""The commands: what they print, what they write, and their exit status."""

import json
import sys

import pytest

from comparisons._atlas._command import find_ops
from comparisons._cli import CommandError, run_command
from comparisons._discovery import DiscoveryError
from comparisons.cases.atlas import OPS

OWN = """
import jax.numpy as jnp
import numpy as np
inputs = (np.array([1.0, 2.0], np.float32),)
far = lambda: (np.array([0.25, 2.0], np.float32),)
wrong = 3
fn = lambda x: jnp.clip(x, -1, 1)
"""


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Loading a file adds its folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(cache, *arguments):
    return run_command(
        [
            *("atlas", "abs", "--dtype", "float64", "--order", "vjp", "--jobs", "1"),
            *("--cache", str(cache), *map(str, arguments)),
        ]
    )


def test_one_operation_is_printed_written_kept_and_compared(cache, tmp_path, capsys):
    page, data, kept = (tmp_path / name for name in ("page.html", "rows.json", "kept.json"))
    assert run(cache, "--html", page, "--json", data, "--store", kept) == 0
    printed = capsys.readouterr().out
    assert "torch.abs(x)" in printed
    assert "CONVENTION" in printed
    assert "1 operation, 1 quantity: 1 CONVENTION" in printed
    assert "\x1b" not in printed
    assert "jnp.abs(x)" in page.read_text()
    (row,) = json.loads(data.read_text())["rows"]
    assert row["name"] == "abs"

    # Nothing is run again from here on: the row is in the cache.
    assert run(cache, "--against", kept) == 0
    assert "Nothing became another than it was stored (jax 0." in capsys.readouterr().out
    stored = json.loads(kept.read_text())
    stored["ops"]["abs"]["float64 vjp edges"][0] = "AGREES"
    kept.write_text(json.dumps(stored))
    assert run(cache, "--against", kept) == 1
    printed = capsys.readouterr().out
    assert "1 change since it was stored (jax 0." in printed
    assert "worse  abs, float64 vjp edges: AGREES" in printed
    assert run(cache, "--diff") == 0, "as it came with the package"
    assert run(cache, "--unexplained") == 0
    assert "There is a remark on every difference." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["atlas", "clmap"], "the atlas has no operation 'clmap'; the nearest is 'clamp"),
        (["atlas", "abs", "--dtype", "float8"], "--dtype: 'float8' is none of float64, float32"),
        (["atlas", "abs", "--order", "grad"], "--order: 'grad' is none of value, vjp"),
        (["atlas", "argmax", "--order", "vjp"], "--order: none of these operations has vjp"),
        (["atlas", "abs", "--against", "none.json"], "--against: none.json: No such file"),
        (["explain", "clamp", "--at", "one"], "--at: 'one' is no number"),
        (["explain", "maximum", "--at", "1,2,3"], "--at: 'maximum' takes 2 numbers"),
        (["explain", "softmax", "--at", "1"], "it is an operation on whole arrays"),
        (["check-function", "own.py"], "'own.py' must be a file and a function"),
    ],
)
def test_errors(arguments, expected):
    with pytest.raises((CommandError, DiscoveryError)) as caught:
        run_command(arguments)
    assert expected in str(caught.value)


def test_operations_are_found_by_name_family_glob_and_part():
    assert [op.name for op in find_ops(["abs"])] == ["abs"]
    assert {op.name.partition("(")[0].partition(",")[0] for op in find_ops(["clamp"])} == {"clamp"}
    assert {op.family for op in find_ops(["reductions"])} == {"Reductions"}
    assert len(find_ops(["fft.*"])) > 3
    assert len(find_ops([])) == len(OPS)
    assert len(find_ops(["abs", "abs"])) == 1


def test_explain_at_a_point_shows_both_numbers_and_the_snippet(capsys):
    assert run_command(["explain", "clamp(-1, 1)", "--at", "1.0"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["VJP", "x", "1", "0.5", "1"] in lines
    assert any(line[:2] == ["like", "PyTorch:"] for line in lines)


def test_check_function_prints_the_line_and_its_status_says_it(tmp_path, capsys):
    file = tmp_path / "own_of_atlas.py"
    file.write_text(OWN)
    assert run_command(["check-function", f"{file}:fn"]) == 1
    printed = capsys.readouterr().out
    assert "own_of_atlas.py:7: clamp(-1, 1), 1 of 2 elements are at an edge" in printed
    assert run_command(["check-function", f"{file}:fn", "--inputs", "far"]) == 0
    for target, option, expected in (
        ("gone", "inputs", "has no 'gone'"),
        ("fn", "gone", "has no 'gone'"),
        ("wrong", "inputs", "is no function"),
        ("fn", "wrong", "must be a tuple"),
    ):
        with pytest.raises((CommandError, DiscoveryError), match=expected):
            run_command(["check-function", f"{file}:{target}", "--inputs", option])
