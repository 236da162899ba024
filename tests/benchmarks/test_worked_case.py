"""What the benchmark of the worked case relies on: all its programs compute the same."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("rich")

from benchmarks import worked_case


def test_all_programs_compute_the_tutorials_numbers():
    programs = worked_case.build_programs()
    worked_case.check_programs(programs)

    for name in (worked_case.SCAN, worked_case.EAGER):
        losses, final = programs[name]()
        assert len(losses) == 50
        # float32 sums in another order; the gradients are small differences of larger numbers.
        assert float(losses[-1]) == pytest.approx(1.0617053508758545, rel=1e-6)
        assert [float(number) for number in final[:2]] == [
            pytest.approx(0.18316879868507385, rel=1e-6),
            pytest.approx(1.8134957551956177, rel=1e-6),
        ]
        assert [float(number) for number in final[2:]] == [
            pytest.approx(0.07917773723602295, rel=1e-5),
            pytest.approx(-0.18569190800189972, rel=1e-5),
        ]


def test_a_program_that_computes_something_else_is_refused():
    programs = worked_case.build_programs()
    honest = programs[worked_case.SCAN]

    def idle():
        outcome = honest()
        return outcome._replace(losses=outcome.losses.at[-1].add(0.001))

    with pytest.raises(AssertionError, match=f"{worked_case.SCAN}: losses"):
        worked_case.check_programs({**programs, worked_case.SCAN: idle})


@pytest.mark.parametrize(
    ("scan_seconds", "status", "text"),
    [
        (0.001, 0, "At least 200 times faster: holds (500 times)."),
        (0.01, 1, "At least 200 times faster: DOES NOT HOLD (50 times)."),
    ],
)
def test_the_exit_status_says_whether_the_claim_holds(
    monkeypatch, capsys, scan_seconds, status, text
):
    def pretend(programs, rounds):
        return {name: 0.5 if name == worked_case.EAGER else scan_seconds for name in programs}

    monkeypatch.setattr(worked_case, "time_interleaved", pretend)

    assert worked_case.main() == status
    assert text in capsys.readouterr().out
