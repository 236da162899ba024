"""The score counts what it says: a miss as a miss, an alarm as an alarm, no excuse but stated."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("rich")
pytest.importorskip("torch")

import torch

from benchmarks.verdict import __main__ as command
from benchmarks.verdict import observation, other_tools
from benchmarks.verdict.mutations import GRADIENTS, MUTATIONS, RESULTS, find_defect
from benchmarks.verdict.observation import excuse, find_worse
from benchmarks.verdict.pair import Draw, Pair
from benchmarks.verdict.pairs import PAIRS
from benchmarks.verdict.plan import Job, plan_jobs
from benchmarks.verdict.score import Score, take_score
from comparisons import Verdict, compare
from comparisons._results import CaseResult, LeafResult

DRAW = Draw("float32", 20, 1.0, 0, jitted=False)


def make_vector(rng, size, scale):
    return (scale * rng.normal(size=size),)


TANH = Pair(
    name="tanh",
    jax=jnp.tanh,
    torch=torch.tanh,
    inputs=make_vector,
    defects={"a sine": jnp.sin, "nothing": lambda x: jnp.tanh(x)},
)


def score(pair, *defects):
    return take_score([pair], [Job(pair.name, (DRAW,), tuple((name, DRAW) for name in defects))])


def test_the_plan_is_large_enough_and_covers_every_dtype():
    jobs = plan_jobs(PAIRS, seed=0)
    draws = [draw for job in jobs for draw in job.draws]
    defects = [(name, draw) for job in jobs for name, draw in job.defects]
    assert len(draws) >= 200
    assert len(defects) >= 200
    for made in (draws, [draw for _, draw in defects]):
        assert {draw.dtype for draw in made} == {"float32", "bfloat16", "float16", "complex64"}
        assert {draw.jitted for draw in made} == {True, False}
    assert {name for name, _ in defects} >= set(MUTATIONS)
    assert all(draw in job.draws for job in jobs for _, draw in job.defects)


def test_the_plan_is_the_same_for_the_same_seed_only():
    pairs = PAIRS[:10]
    assert plan_jobs(pairs, seed=1) == plan_jobs(pairs, seed=1) != plan_jobs(pairs, seed=2)


def test_the_names_of_the_pairs_are_unique():
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
    assert not {name for pair in PAIRS for name in pair.defects} & set(MUTATIONS)


@pytest.mark.parametrize("name", ["SGD with momentum", "dropout with a given mask"])
def test_a_slice_of_the_score(name):
    [pair] = [pair for pair in PAIRS if pair.name == name]
    [job] = plan_jobs([pair], seed=0, dtypes=["float32"], mutations=0)
    taken = take_score([pair], [job])
    assert len(taken.good) == 2
    assert len(taken.defects) == len(pair.defects) > 0
    assert taken.false_alarms == taken.missed == taken.called_vacuous == []
    assert taken.answers == {"fail": len(pair.defects)}


def test_a_pair_that_is_not_correct_is_a_false_alarm():
    wrong = dataclasses.replace(TANH, jax=jnp.sin)
    taken = score(wrong)
    assert [seen.pair for seen in taken.false_alarms] == ["tanh"]
    assert command.report_failures(taken) == 1


def test_a_defect_that_passes_is_missed(monkeypatch, capsys):
    """An instrument that compares PyTorch with itself notices nothing."""

    def pass_all(fun, torch_fn, inputs, **options):
        return compare(jnp.tanh, torch_fn, inputs, **options)

    monkeypatch.setattr(observation, "compare", pass_all)
    taken = score(TANH, "a sine")
    (missed,) = taken.missed
    assert (missed.answer, missed.defect) == ("pass", "a sine")
    assert missed.change > 0.01
    assert command.report_failures(taken) == 1
    out = capsys.readouterr().out
    assert "MISSED: tanh; a sine, changes " in out
    assert "DOES NOT HOLD (1 missed, 0 false alarms)." in out


def test_a_defect_that_is_found_and_one_without_effect(capsys):
    taken = score(TANH, "a sine", "nothing")
    assert taken.answers == {"fail": 1, "no effect": 1}
    assert command.report_failures(taken) == 0
    assert capsys.readouterr().out.endswith("holds (0 missed, 0 false alarms).\n")


def test_all_tools_are_counted_on_the_same_defects():
    taken = score(TANH, "a sine", "nothing")
    assert [seen.defect for seen in taken.counted] == ["a sine"]
    assert taken.count_objections(other_tools.ASSERT_CLOSE) == ((1, 1), (0, 1))
    assert taken.count_objections(other_tools.CHECK_GRADS) == ((0, 1), (0, 1))


def test_without_effect_is_no_excuse_where_the_inputs_were_made_to_hide_it():
    blind = dataclasses.replace(
        TANH,
        inputs=lambda rng, size, scale: (np.zeros(size),),
        defects={"twice that": lambda x: 2 * jnp.tanh(x)},
        orders=("value",),
        blind=True,
    )
    (seen,) = score(blind, "twice that").defects
    assert seen.change == 0
    assert seen.answer == ("vacuous" if seen.vacuity else "pass")


def test_comparing_nothing_does_not_hold(capsys):
    assert command.report_failures(Score((), ())) == 1


def test_a_mistake_that_changes_a_shape_is_refused():
    short = dataclasses.replace(TANH, defects={"short": lambda x: jnp.tanh(x)[1:]})
    with pytest.raises(ValueError, match="must keep the shapes and names"):
        score(short, "short")


def make_case(power, vacuity=()):
    leaf = LeafResult(path="", quantity="value", verdict=Verdict.AGREES, reason="", power=power)
    return CaseResult(name="c", title="", leaves=(leaf,), vacuity=vacuity)


ZERO = ("Input 0 is all zeros.",)


@pytest.mark.parametrize(
    ("case", "change", "blind", "answer"),
    [
        (make_case(1e-3), 1e-4, False, "below power"),
        (make_case(1e-3), 1e-3, False, "pass"),
        (make_case(1e-3), 1e-2, False, "pass"),
        (make_case(None), 1.0, False, "below power"),
        (make_case(1e-3, ZERO), 1e-2, False, "pass"),
        (make_case(1e-3), 0.0, True, "pass"),
        (make_case(1e-3, ZERO), 0.0, True, "vacuous"),
        (make_case(1e-3), 1e-15, False, "no effect"),
    ],
    ids=[
        "less",
        "as much",
        "more",
        "no power",
        "not hidden",
        "hidden",
        "said to be hidden",
        "no change",
    ],
)
def test_the_only_excuses_are_those_of_the_report_itself(case, change, blind, answer):
    assert excuse(case, {"value:": change}, blind) == answer


def test_a_leaf_that_would_show_it_is_not_excused_by_one_that_would_not():
    unable, keen = (make_case(power).leaves[0] for power in (None, 1e-9))
    case = dataclasses.replace(
        make_case(None), leaves=(unable, dataclasses.replace(keen, path="b", quantity="vjp"))
    )
    assert excuse(case, {"value:": 1.0, "vjp:b": 1e-3}, False) == "pass"
    assert excuse(case, {"value:": 1.0, "vjp:b": 1e-10}, False) == "below power"


def test_a_warning_that_is_there_without_the_mistake_notices_nothing():
    def make(*verdicts):
        leaves = [
            LeafResult(path=str(i), quantity="value", verdict=verdict, reason="")
            for i, verdict in enumerate(verdicts)
        ]
        return CaseResult(name="c", title="", leaves=tuple(leaves))

    agrees, silent, fails = Verdict.AGREES, Verdict.NO_SIGNAL, Verdict.MISMATCH
    assert find_worse(make(agrees, silent), make(agrees, silent)) is None
    assert find_worse(make(agrees, silent), make(silent, silent)) == "warn"
    assert find_worse(make(agrees, silent), make(silent, fails)) == "fail"
    assert find_worse(make(agrees, fails), make(agrees, fails)) is None


@pytest.mark.parametrize("name", RESULTS)
def test_a_mutation_of_the_results_changes_them(name):
    x = jnp.linspace(0.1, 1, 5)
    fun = find_defect(TANH, name).jax
    assert not np.array_equal(fun(x), jnp.tanh(x)) or name == "result times 1 + 1e-8"
    with jax.enable_x64(True):
        x = np.linspace(0.1, 1, 5)
        assert not np.array_equal(fun(x), jnp.tanh(x))


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_mutation_of_the_gradients_changes_them_in_both_modes_and_no_value(name):
    with jax.enable_x64(True):
        x, ones = jnp.linspace(0.1, 1, 5), jnp.ones(5)
        defect = find_defect(TANH, name)
        assert defect.in_gradient
        np.testing.assert_array_equal(defect.jax(x), jnp.tanh(x))
        _, tangent = jax.jvp(defect.jax, (x,), (ones,))
        (cotangent,) = jax.vjp(defect.jax, x)[1](ones)
        # Both are one product, rounded in another order.
        np.testing.assert_allclose(tangent, cotangent, rtol=1e-15)
        assert not np.array_equal(tangent, 1 - jnp.tanh(x) ** 2)


def test_a_change_is_relative_to_the_leaf_and_infinite_where_a_number_is_lost():
    before = np.array([1.0, -4.0, np.nan])
    assert observation._measure_change(before, before) == 0
    assert observation._measure_change(before, before + np.array([0.4, 0, 0])) == pytest.approx(0.1)
    assert observation._measure_change(before, np.array([np.nan, -4.0, np.nan])) == math.inf
    assert observation._measure_change(np.array([1j]), np.array([-1j])) == 2


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16, np.complex64])
def test_the_other_tools_are_asked_with_their_defaults(dtype):
    a = np.ones(3, dtype)
    b = a * a.dtype.type(1.5)
    for ask in (other_tools.ask_assert_close, other_tools.ask_assert_allclose):
        assert not ask({"": a}, {"": a})
        assert ask({"": b}, {"": a})


def test_check_grads_sees_a_wrong_gradient_and_no_wrong_value():
    inputs = (np.linspace(0.1, 1, 5, dtype=np.float32), np.arange(5))
    sign = find_defect(TANH, "gradient with the wrong sign").jax
    assert not other_tools.ask_check_grads(lambda x, i: jnp.tanh(x) + i, inputs)
    assert other_tools.ask_check_grads(lambda x, i: sign(x) + i, inputs)
    assert not other_tools.ask_check_grads(lambda x, i: jnp.sin(x) + i, inputs)
