"""A small version of the benchmark: three kills, and that it would see what is not the same."""

import json

import pytest

pytest.importorskip("typer")
pytest.importorskip("orbax.checkpoint")

from benchmarks.kills import Run, compare, kill_again_and_again
from functional_ad.training import Config

CONFIG = Config(epochs=60, batch_size=6, microbatches=2, optimizer="adamw", seed=3)
USUAL = {"start-up": 1.0, "compiling": 0.2, "training": 0.05, "checkpoint": 0.05}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    unbroken, broken = (Run(folder / name, CONFIG, folder / "cache") for name in ("one", "many"))
    unbroken.finish()
    deaths = kill_again_and_again(broken, 3, 1, USUAL)
    broken.finish()
    return unbroken, broken, deaths


def test_a_run_that_is_killed_thrice_ends_as_the_unbroken_one(runs):
    unbroken, broken, deaths = runs
    end = broken.read_end()

    assert len(deaths) == 3
    assert compare(end, unbroken.read_end()) == []
    assert [line["step"] for line in end.intervals] == list(range(4, 244, 4))
    lines = (broken.folder / "run/metrics.jsonl").read_text().splitlines()
    assert {"start", "resume", "end"} <= {json.loads(line)["event"] for line in lines}


def test_other_bits_and_other_metrics_would_be_seen(runs):
    end = runs[0].read_end()
    name = ".params['a']"
    leaf = end.leaves[name]
    other = {**end.leaves, name: bytes([leaf[0] ^ 1]) + leaf[1:]}
    fewer = {key: leaf for key, leaf in end.leaves.items() if key != name}

    assert compare(end._replace(leaves=other), end) == [f"leaf {name} has other bits"]
    assert compare(end._replace(leaves=fewer), end) == [f"leaf {name} has other bits"]
    for intervals in (end.intervals[1:], [end.intervals[0], *end.intervals]):
        assert compare(end._replace(intervals=intervals), end) == [
            "the metrics are not those of the unbroken run"
        ]
