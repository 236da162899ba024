"""Cases of both kinds in one run: training cases beside parity cases, here and in workers."""

import json

import pytest

from comparisons._cli import run_command
from comparisons._discovery import find_cases
from comparisons._suite import run_cases
from comparisons._workers import run_in_workers

OWN = """
import jax, jax.numpy as jnp, numpy as np, torch
from comparisons import ParityCase, TrainingCase

RATE = 0.1

def jax_step(state, batch):
    loss, grad = jax.value_and_grad(lambda w: jnp.mean((batch @ w - 1) ** 2))(state["w"])
    return {"w": state["w"] - RATE * grad}, {"loss": loss}

def torch_step(state, batch):
    w = state["w"].requires_grad_()
    loss = (batch @ w - 1).square().mean()
    (grad,) = torch.autograd.grad(loss, w)
    return {"w": (w - RATE * grad).detach()}, {"loss": loss.detach()}

def wrong_step(state, batch):
    state, aux = torch_step(state, batch)
    return {"w": state["w"] * 0.99}, aux

def failing_step(state, batch):
    raise RuntimeError("no such step")

def make(torch_side):
    rng = np.random.default_rng(0)
    return jax_step, torch_side, {"w": np.ones(3)}, [rng.normal(size=(8, 3)) for _ in range(5)]

cases = [
    TrainingCase(
        name=f"own/{name}", title=name, make=lambda side=side: make(side), jax=jax_step, torch=side,
        note="what changes",
    )
    for name, side in dict(right=torch_step, wrong=wrong_step, failing=failing_step).items()
] + [ParityCase(name="own/sine", title="sine", jax=jnp.sin, torch=torch.sin, inputs=(0.5,))]
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "own_of_suite.py"
    path.write_text(OWN)
    return path


def test_a_training_case_is_two_cases_of_a_report_with_its_sources(own_file):
    seen = []
    report = run_cases(find_cases([str(own_file)]), on_result=lambda case: seen.append(case.name))
    assert seen == [case.name for case in report.cases]
    verdicts = {case.name: case.verdict.outcome for case in report.cases}
    assert verdicts["own/right/teacher-forced"] == verdicts["own/right/free-running"] == "pass"
    assert verdicts["own/wrong/teacher-forced"] == "fail"
    assert verdicts["own/sine"] == "pass"
    right = report.cases[0]
    assert right.title == "right, teacher-forced"
    assert right.jax_source.startswith("def jax_step")
    assert right.torch_source.startswith("def torch_step")
    assert right.note == "what changes"
    assert right.trajectory.steps == 5


def test_a_step_that_raises_is_one_failed_case_that_names_the_line(own_file):
    (failed,) = run_cases(find_cases([str(own_file)])[2:3]).cases
    assert failed.name == "own/failing"
    assert failed.verdict.outcome == "fail"
    assert "RuntimeError: no such step" in failed.error
    assert "own_of_suite.py" in failed.error
    assert "PyTorch side" in failed.error


def test_workers_and_the_command_line_run_training_cases_too(own_file, capsys):
    out = own_file.parent / "report.json"
    assert run_command(["run", str(own_file), "--jobs", "2", "--json", str(out)]) == 1
    names = [case["name"] for case in json.loads(out.read_text())["cases"]]
    assert names == [
        "own/right/teacher-forced",
        "own/right/free-running",
        "own/wrong/teacher-forced",
        "own/wrong/free-running",
        "own/failing",
        "own/sine",
    ]
    assert "own/right/teacher-forced" in capsys.readouterr().out
    assert run_command(["show", str(own_file)]) == 0
    assert "def torch_step" in capsys.readouterr().out


def test_a_dtype_holds_for_training_cases(own_file):
    results = run_in_workers([str(own_file)], find_cases([str(own_file)])[:1], 1, dtype="float16")
    assert {case.dtype for case in results} == {"float16"}
