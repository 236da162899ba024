"""The benchmark of first_nonfinite: how it reads what the other tools say."""

import pytest

from benchmarks import nonfinite
from benchmarks._nonfinite_sources import SOURCES

BY_NAME = {source.name: source for source in SOURCES}


def test_debug_nans_is_given_what_it_gets_right():
    assert nonfinite.ask_debug_nans(BY_NAME["zero_over_zero"]).is_right
    in_a_loop = nonfinite.ask_debug_nans(BY_NAME["in_a_scan"])
    assert in_a_loop.blames
    assert not in_a_loop.is_right


def test_detect_anomaly_is_given_what_it_gets_right():
    pytest.importorskip("torch", reason="needs torch")
    assert nonfinite.ask_detect_anomaly(BY_NAME["sqrt_of_negative"]).is_right
    assert not nonfinite.ask_detect_anomaly(BY_NAME["log_of_zero"]).blames  # inf, and forward
    assert nonfinite.ask_detect_anomaly(BY_NAME["index_out_of_range"]) is None


@pytest.mark.parametrize(
    "answer",
    [
        nonfinite.Answer(False),
        nonfinite.Answer(True, op=False, line=True, phase=True),
        nonfinite.Answer(True, op=True, line=False, phase=True),
        nonfinite.Answer(True, op=True, line=True, iteration=False, phase=True),
        nonfinite.Answer(True, op=True, line=True, iteration=True, phase=False),
    ],
)
def test_an_answer_with_one_wrong_part_is_wrong(answer):
    assert not answer.is_right
    assert nonfinite.Answer(True, True, True, None, True).is_right


def test_it_fails_if_the_library_is_wrong(monkeypatch, capsys):
    source = BY_NAME["log_of_zero"]
    tools = {"first_nonfinite": nonfinite.ask_library}
    monkeypatch.setattr(nonfinite, "TOOLS", tools)
    monkeypatch.setattr(nonfinite, "SOURCES", [source])
    monkeypatch.setattr(nonfinite, "CLEAN", {})
    monkeypatch.setattr(nonfinite, "_print_times", lambda: None)
    assert nonfinite.main() == 0
    monkeypatch.setitem(tools, "first_nonfinite", lambda source: nonfinite.Answer(False))
    assert nonfinite.main() == 1
    assert "DOES NOT HOLD: first_nonfinite is wrong on log_of_zero" in capsys.readouterr().out
