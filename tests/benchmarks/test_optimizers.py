"""What the benchmark of the optimizers judges, and that it can fail."""

import dataclasses

import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("rich")

from benchmarks import optimizers
from benchmarks._optimizer_flops import SCALARS
from benchmarks._optimizer_runs import Difference

SGD = optimizers.ROWS["sgd"]
ROWS = {"sgd": dataclasses.replace(SGD, variants={"plain": SGD.variants["plain"]}, twin={})}


@pytest.mark.parametrize(
    ("difference", "more", "expected"),
    [
        (Difference(1e-10, 0.0), SCALARS, []),
        (Difference(2e-10, 1e-10), 0.0, ["sgd: params, 2.0e-10 apart"]),
        (Difference(0.0, float("nan")), 0.0, ["sgd: state, nan apart"]),
        (Difference(0.0, 0.0), SCALARS + 1, [f"sgd: {SCALARS + 101} flops, optax's own does 100"]),
    ],
)
def test_what_does_not_hold_is_said(difference, more, expected):
    flops = {"sgd": [(50.0, 100.0), (100.0 + more, 100.0)]}
    assert optimizers.judge({"sgd": difference}, flops) == expected


def test_the_table_of_one_optimizer(monkeypatch, capsys):
    monkeypatch.setattr(optimizers, "ROWS", ROWS)
    monkeypatch.setattr(optimizers, "DRAWS", 1)
    assert optimizers.main() == 0
    printed = capsys.readouterr().out
    assert "sgd" in printed
    assert "holds." in printed

    def measure(name):
        return Difference(1.0, 0.0)

    monkeypatch.setattr(optimizers, "measure_difference", measure)
    assert optimizers.main() == 1
    assert "DOES NOT HOLD: sgd: params, 1.0e+00 apart" in capsys.readouterr().out
