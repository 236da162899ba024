"""What the benchmark of the measurement relies on, and that it can fail."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("rich")

from benchmarks import measure


def test_both_read_a_whole_pair_that_differs_and_is_close():
    a, b = measure.make_pair(3000)
    candidates = measure.make_candidates(a, b)
    found = candidates[measure.FIGURES]()
    assert (found.different, found.max_ulp, found.histogram) == (1000, 1.0, (2000, 1000))
    candidates[measure.ASSERT_CLOSE]()
    b[-1] += 1
    with pytest.raises(AssertionError, match="not close"):
        candidates[measure.ASSERT_CLOSE]()


def test_memory_that_is_given_back_is_counted():
    assert measure.measure_memory(lambda: np.zeros(1 << 20, np.uint8).sum()) >= 1 << 20
    assert measure.measure_memory(lambda: None) < 1 << 16


@pytest.mark.parametrize(
    ("seconds", "scratch", "status", "texts"),
    [
        (0.1, 1 << 20, 0, ["time: holds (10.0 times", "memory: holds (1.0"]),
        (0.2, 1 << 20, 1, ["time: DOES NOT HOLD (5.0 times", "memory: holds"]),
        (0.1, 17 << 20, 1, ["time: holds", "memory: DOES NOT HOLD (17.0"]),
    ],
)
def test_the_exit_status_says_whether_the_claims_hold(
    monkeypatch, capsys, seconds, scratch, status, texts
):
    def pretend(candidates, rounds):
        return {name: seconds if name == measure.FIGURES else 1.0 for name in candidates}

    monkeypatch.setattr(measure, "ELEMENTS", 1000)
    monkeypatch.setattr(measure, "time_interleaved", pretend)
    monkeypatch.setattr(measure, "measure", lambda a, b: np.zeros(scratch, np.uint8))

    assert measure.main() == status
    printed = capsys.readouterr().out
    assert all(text in printed for text in texts)
