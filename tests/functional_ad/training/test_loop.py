import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_ad.training import Config, DivergedError, train
from functional_ad.training._data import Dataset, Examples, load_data
from functional_ad.training._interval import build_interval
from functional_ad.training._loop import run_training
from functional_ad.training._models import Model
from functional_ad.training._plan import make_plan
from functional_ad.training._state import init_state
from functional_ad.training._task import build_task

# Losses and parameters: ten float32 units in the last place, as XLA may add the twenty errors in
# another order elsewhere. On a CPU with jax 0.10.2 they are equal bit for bit.
RTOL = 1e-6
# The last gradients are small differences of larger numbers; torch's own differ by 4e-6.
GRADIENT_RTOL = 1e-5


def losses_of(result):
    return [interval.loss for interval in result.intervals]


def test_default_run_gives_the_tutorials_numbers():
    result = train()

    assert [interval.epoch for interval in result.intervals] == list(range(1, 51))
    np.testing.assert_allclose(losses_of(result)[:2], [5.75, 4.574588298797607], rtol=RTOL)
    np.testing.assert_allclose(losses_of(result)[-1], 1.0617053508758545, rtol=RTOL)
    np.testing.assert_allclose(result.params["a"], 0.18316879868507385, rtol=RTOL)
    np.testing.assert_allclose(result.params["b"], 1.8134957551956177, rtol=RTOL)
    np.testing.assert_allclose(result.grads["a"], 0.07917773723602295, rtol=GRADIENT_RTOL)
    np.testing.assert_allclose(result.grads["b"], -0.18569190800189972, rtol=GRADIENT_RTOL)


def test_every_epoch_is_that_of_gradients_worked_out_by_hand():
    (x, y, _), _ = load_data("tutorial")
    x, y = x.astype(np.float64), y.astype(np.float64)
    a, b, losses = 1.0, 2.0, []
    for _ in range(50):
        error = a * x + b - y
        losses.append(np.mean(error**2))
        grads = np.mean(2 * error * x), np.mean(2 * error)
        a, b = a - 0.01 * grads[0], b - 0.01 * grads[1]

    result = train()

    np.testing.assert_allclose(losses_of(result), losses, rtol=RTOL)
    np.testing.assert_allclose([result.params["a"], result.params["b"]], [a, b], rtol=RTOL)
    got = [result.grads["a"], result.grads["b"]]
    np.testing.assert_allclose(got, grads, rtol=GRADIENT_RTOL)


def test_with_64_bit_numbers_on_it_trains_in_float32_all_the_same():
    with jax.enable_x64(True):
        result = train(Config(epochs=2, batch_size=6, microbatches=2, optimizer="adamw"))

    assert {leaf.dtype for leaf in jax.tree.leaves((result.params, result.grads))} == {
        jnp.dtype("float32")
    }


@pytest.mark.parametrize("microbatches", [2, 3, 7, 20])
def test_microbatches_give_the_whole_batchs_run(microbatches):
    whole, parts = train(), train(Config(microbatches=microbatches))

    np.testing.assert_allclose(losses_of(parts), losses_of(whole), rtol=RTOL)
    # Fifty epochs hand the rounding of the sums on to the last, small gradients.
    for name in ("a", "b"):
        np.testing.assert_allclose(parts.grads[name], whole.grads[name], rtol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 19])
@pytest.mark.parametrize("microbatches", [1, 3])
def test_epoch_loss_is_the_mean_over_all_examples_whatever_the_batches(batch_size, microbatches):
    # So small a rate leaves the parameters as they are, and with them every example's loss.
    config = Config(
        epochs=1,
        learning_rate=1e-30,
        batch_size=batch_size,
        microbatches=min(microbatches, batch_size),
    )

    np.testing.assert_allclose(losses_of(train(config)), [5.75], rtol=RTOL)


def start(task):
    return jax.jit(functools.partial(init_state, task))()


def put(x, y):
    return Examples(jnp.asarray(x), jnp.asarray(y))


def probe(batch_size, epochs=1):
    """Runs a model w·x whose parameter, updated at rate 1, sums what it sees, and keeps the last.

    Yields the sum and the last gradient of each epoch: with x = 1, 2, 4, ... the sum tells which
    examples were seen, and the gradient which came last.
    """
    x = 2.0 ** np.arange(20, dtype=np.float32)
    model = Model(
        init=lambda key: {"w": jnp.zeros((), jnp.float32)},
        apply=lambda params, x, key: params["w"] * x,
        losses=lambda outputs, y: outputs,
        correct=None,
    )
    config = Config(learning_rate=1.0, batch_size=batch_size, epochs=epochs, seed=3)
    task, plan = build_task(config, 10, model), make_plan(config, 20)
    run_interval, state = build_interval(task), start(task)
    before = 0.0
    for epoch in range(epochs):
        rows = plan.take(epoch * plan.batches, plan.batches)
        state, _ = run_interval(state, rows, put(x, x))
        after = float(state.params["w"])
        yield before - after, float(state.grads["w"])
        before = after


def test_an_epoch_sees_every_example_once_in_a_new_order():
    sums, lasts = zip(*probe(batch_size=1, epochs=8), strict=True)

    assert set(sums) == {2.0**20 - 1}
    assert len(set(lasts)) > 3


def test_runs_are_reproducible_and_the_seed_decides_the_order():
    first, again, other = (
        losses_of(train(Config(epochs=2, batch_size=5, seed=seed))) for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other


def test_the_seed_decides_the_first_parameters_of_the_mlp():
    pytest.importorskip("flax", reason="needs flax")
    first, again, other = (
        start(build_task(Config.for_model("mlp", hidden=8, seed=seed), 10)) for seed in (0, 0, 1)
    )

    weights = [state.params["head"]["kernel"] for state in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.any(weights[0] == weights[2])


@pytest.mark.parametrize("microbatches", [1, 4])
def test_digits_reach_97_percent_on_examples_held_out(microbatches):
    pytest.importorskip("sklearn")
    result = train(Config.for_model("mlp", microbatches=microbatches))

    assert result.intervals[-1].test_accuracy >= 0.97
    assert result.intervals[0].test_accuracy < result.intervals[-1].test_accuracy


def test_digits_with_microbatches_that_do_not_divide_the_batch_agree_with_the_whole_batch():
    pytest.importorskip("sklearn")
    whole, parts = (
        train(
            Config.for_model(
                "mlp", optimizer="sgd", learning_rate=0.1, epochs=1, microbatches=microbatches
            )
        )
        for microbatches in (1, 5)
    )

    # 45 updates hand on the rounding of float32 sums in another order.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        parts.params,
        whole.params,
    )


def build(optimizer="adamw", **fields):
    config = Config(batch_size=6, optimizer=optimizer, **fields)
    task, plan = build_task(config, 10), make_plan(config, 20)
    (x, y, _), _ = load_data("tutorial")
    return build_interval(task), start(task), plan.take(0, plan.batches), put(x, y)


@pytest.mark.parametrize(("optimizer", "microbatches"), [("sgd", 1), ("adam", 1), ("adamw", 2)])
def test_the_whole_state_is_donated_and_the_data_are_not(optimizer, microbatches):
    # A buffer that cannot be donated is a warning, and warnings are errors here.
    run_interval, state, rows, data = build(optimizer, microbatches=microbatches)
    old = jax.tree.leaves(state)

    new, _ = run_interval(state, rows, data)

    assert all(leaf.is_deleted() for leaf in old)
    assert not any(leaf.is_deleted() for leaf in (*data[:2], *jax.tree.leaves(new)))


def test_an_interval_is_one_scan_over_its_updates():
    run_interval, *arguments = build()

    (call,) = jax.make_jaxpr(run_interval)(*arguments).jaxpr.eqns
    scans = [eqn for eqn in call.params["jaxpr"].jaxpr.eqns if eqn.primitive.name == "scan"]

    assert [eqn.params["length"] for eqn in scans] == [4]


def test_gradients_are_carried_only_if_they_are_kept():
    _, state, *_ = build(keep_grads=False)

    assert state.grads is None
    assert train(Config(epochs=1, keep_grads=False)).grads is None


def count_compilations(caplog, config):
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        train(config)
    messages = [record.getMessage() for record in caplog.records]
    return sum("XLA compilation" in text and "run_interval" in text for text in messages)


@pytest.mark.parametrize("microbatches", [1, 2])
def test_all_epochs_share_one_compilation(caplog, microbatches):
    config = Config(epochs=4, batch_size=6, microbatches=microbatches, optimizer="adamw")

    assert count_compilations(caplog, config) == 1


@pytest.mark.parametrize(("log_every", "steps", "programs"), [(2, [2, 4, 6, 8], 1), (5, [5, 8], 2)])
def test_full_intervals_share_one_program_and_the_rest_has_one(caplog, log_every, steps, programs):
    config = Config(epochs=2, batch_size=6, log_every=log_every)

    assert count_compilations(caplog, config) == programs
    assert [interval.step for interval in train(config).intervals] == steps


def test_what_is_logged_how_often_changes_no_update():
    """The loop takes the same examples and the same steps however it is cut into intervals."""
    each, some = (
        train(Config(epochs=3, batch_size=6, optimizer="adam", log_every=every)) for every in (1, 5)
    )

    # Not bit for bit: XLA compiles the body of a loop of one turn into the program around it.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL), each.params, some.params)
    np.testing.assert_allclose(losses_of(some)[0], np.mean(weigh(losses_of(each)[:5])), rtol=RTOL)


def weigh(losses):
    """Of batches of 6, 6, 6 and 2: sums to the mean over their examples."""
    sizes = np.resize([6, 6, 6, 2], len(losses))
    return np.array(losses) * sizes / np.mean(sizes)


def test_a_run_that_diverges_stops_there_and_says_so():
    seen = []

    text = (
        r"^training diverged in epoch 7: the loss was inf, and not all parameters are finite "
        r"after it; try a learning rate below 100\. It begins in update 7, where reduce_sum gives "
        r"inf at _gradients\.py:\d+ \(forward\)$"
    )
    with pytest.raises(DivergedError, match=text) as caught:
        train(Config(learning_rate=100.0), on_interval=seen.append)

    assert (caught.value.epoch, caught.value.loss) == (7, float("inf"))
    assert (caught.value.step, caught.value.found.op) == (7, "reduce_sum")
    assert [interval.number for interval in seen] == list(range(1, 8))


@pytest.mark.parametrize("microbatches", [1, 2])
def test_the_update_of_a_long_interval_in_which_nan_begins_is_found(microbatches):
    x, y = (np.arange(12, dtype=np.float32).reshape(12, 1) for _ in range(2))
    x[7] = 1e30  # its square is infinite, in the update that the order says
    config = Config(batch_size=2, epochs=1, microbatches=microbatches, learning_rate=1e-6)
    plan = make_plan(config, 12)
    (update,) = np.nonzero((plan.take(0, 6).positions == 7).any(axis=1))[0]

    with pytest.raises(DivergedError) as caught:
        run_training(config, Dataset(Examples(x[:, 0], y[:, 0]), None))

    assert caught.value.step == update + 1
    assert caught.value.found.line.startswith("_linear.py:")


def test_an_interval_is_run_again_with_the_rate_that_it_had():
    """A plateau that looked at each update would have lowered the rate, and the run gone well."""
    schedule = {
        "schedule": "reduce_lr_on_plateau",
        "schedule_options": {"patience": 0, "factor": 1e-9, "threshold": 1e9},
    }
    config = Config(epochs=40, log_every=40, learning_rate=100.0, **schedule)

    with pytest.raises(DivergedError) as caught:
        train(config)

    assert caught.value.step == 7


def test_a_step_that_overflows_after_finite_gradients_is_found_in_the_optimizer():
    with pytest.raises(DivergedError) as caught:
        train(Config(epochs=1, learning_rate=1e38))

    assert caught.value.step == 1
    assert caught.value.found.op == "mul"


def test_without_the_state_before_an_interval_nothing_is_searched_for():
    with pytest.raises(DivergedError, match=r"try a learning rate below 100$") as caught:
        run_training(Config(learning_rate=100.0), load_data("tutorial"), find_nonfinite=False)

    assert (caught.value.step, caught.value.found) == (None, None)


def test_examples_held_out_are_evaluated_as_often_as_asked_and_after_the_last_interval():
    rows = load_data("tutorial").train
    data = Dataset(rows, rows)

    def list_losses(every):
        config = Config(epochs=5, evaluate_every=every)
        return [interval.test_loss for interval in run_training(config, data).intervals]

    each, some, last = (list_losses(every) for every in (1, 2, None))

    assert None not in each
    assert some == [None, each[1], None, each[3], each[4]]
    assert last == [None] * 4 + each[4:]
    np.testing.assert_allclose(each[0], losses_of(train(Config(epochs=2)))[1], rtol=RTOL)


def test_a_parameter_that_is_not_finite_is_seen_though_the_loss_is():
    model = Model(
        init=lambda key: {"w": jnp.zeros(())},
        # Its slope at 0 is infinite.
        apply=lambda params, x, key: jnp.sqrt(params["w"]) + 0 * x,
        losses=lambda outputs, y: outputs,
        correct=None,
    )
    config = Config(batch_size=3)
    task = build_task(config, 10, model)
    rows = make_plan(config, 3).take(0, 1)

    _, outcome = build_interval(task)(start(task), rows, put(np.ones(3), np.ones(3)))

    assert float(outcome.loss) == 0
    assert not outcome.finite


def test_a_run_whose_last_update_overflows_has_diverged_too():
    text = r"^training diverged in epoch 1: the loss was 5\.75, and not all parameters are finite"
    with pytest.raises(DivergedError, match=text):
        train(Config(epochs=1, learning_rate=1e38))


def test_what_on_interval_raises_ends_the_run():
    def stop(interval):
        if interval.number == 3:
            raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        train(on_interval=stop)
