import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from functional_ad.training import Config, DivergedError, train
from functional_ad.training._data import load_data, plan_batches
from functional_ad.training._loop import build_epoch, init_state
from functional_ad.training._models import Model, build_model

# Losses and parameters: ten float32 units in the last place, as XLA may add the twenty errors in
# another order elsewhere. On a CPU with jax 0.10.2 they are equal bit for bit.
RTOL = 1e-6
# The last gradients are small differences of larger numbers; torch's own differ by 4e-6.
GRADIENT_RTOL = 1e-5


def losses_of(result):
    return [epoch.loss for epoch in result.epochs]


def test_default_run_gives_the_tutorials_numbers():
    result = train()

    assert [epoch.number for epoch in result.epochs] == list(range(1, 51))
    np.testing.assert_allclose(losses_of(result)[:2], [5.75, 4.574588298797607], rtol=RTOL)
    np.testing.assert_allclose(losses_of(result)[-1], 1.0617053508758545, rtol=RTOL)
    np.testing.assert_allclose(result.params["a"], 0.18316879868507385, rtol=RTOL)
    np.testing.assert_allclose(result.params["b"], 1.8134957551956177, rtol=RTOL)
    np.testing.assert_allclose(result.grads["a"], 0.07917773723602295, rtol=GRADIENT_RTOL)
    np.testing.assert_allclose(result.grads["b"], -0.18569190800189972, rtol=GRADIENT_RTOL)


def test_every_epoch_is_that_of_gradients_worked_out_by_hand():
    (x, y), _ = load_data("tutorial")
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


def probe(batch_size, epochs=1):
    """Runs a model w·x whose parameter, updated at rate 1, sums what it sees, and keeps the last.

    Yields the sum and the last gradient of each epoch: with x = 1, 2, 4, ... the sum tells which
    examples were seen, and the gradient which came last.
    """
    x = 2.0 ** np.arange(20, dtype=np.float32)
    model = Model(
        init=lambda key: {"w": jnp.zeros((), jnp.float32)},
        losses=lambda params, x, y: params["w"] * x,
        correct=None,
    )
    optimizer = optax.sgd(1.0)
    run_epoch = build_epoch(model, optimizer, plan_batches(20, batch_size, 1), 1)
    state = init_state(model, optimizer, seed=3)
    before = 0.0
    for _ in range(epochs):
        state, _ = run_epoch(state, jnp.asarray(x), jnp.asarray(x))
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
    first, again, other = (
        init_state(build_model(Config.for_model("mlp")), optax.sgd(1.0), seed) for seed in (0, 0, 1)
    )

    weights = [state.params["hidden"]["w"] for state in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.any(weights[0] == weights[2])


@pytest.mark.parametrize("microbatches", [1, 4])
def test_digits_reach_97_percent_on_examples_held_out(microbatches):
    pytest.importorskip("sklearn")
    result = train(Config.for_model("mlp", microbatches=microbatches))

    assert result.epochs[-1].test_accuracy >= 0.97
    assert result.epochs[0].test_accuracy < result.epochs[-1].test_accuracy


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


def build(microbatches, optimizer="adamw"):
    (x, y), _ = load_data("tutorial")
    model = Model(
        init=lambda key: {"a": jnp.ones(()), "b": jnp.full((), 2.0)},
        losses=lambda params, x, y: (y - (params["a"] * x + params["b"])) ** 2,
        correct=None,
    )
    transform = getattr(optax, optimizer)(0.01)
    run_epoch = build_epoch(model, transform, plan_batches(20, 6, microbatches), microbatches)
    return run_epoch, init_state(model, transform, seed=0), jnp.asarray(x), jnp.asarray(y)


@pytest.mark.parametrize(("optimizer", "microbatches"), [("sgd", 1), ("adam", 1), ("adamw", 2)])
def test_the_whole_state_is_donated_and_the_data_are_not(optimizer, microbatches):
    # A buffer that cannot be donated is a warning, and warnings are errors here.
    run_epoch, state, x, y = build(microbatches, optimizer)
    old = jax.tree.leaves(state)

    new, _ = run_epoch(state, x, y)

    assert all(leaf.is_deleted() for leaf in old)
    assert not any(leaf.is_deleted() for leaf in (x, y, *jax.tree.leaves(new)))


def test_an_epoch_is_one_scan_over_the_batches():
    run_epoch, state, x, y = build(microbatches=1)

    (call,) = jax.make_jaxpr(run_epoch)(state, x, y).jaxpr.eqns
    scans = [eqn for eqn in call.params["jaxpr"].jaxpr.eqns if eqn.primitive.name == "scan"]

    assert [eqn.params["length"] for eqn in scans] == [4]


@pytest.mark.parametrize("microbatches", [1, 2])
def test_all_epochs_share_one_compilation(caplog, microbatches):
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        train(Config(epochs=4, batch_size=6, microbatches=microbatches, optimizer="adamw"))

    compiled = [
        record.getMessage() for record in caplog.records if "XLA compilation" in record.getMessage()
    ]
    assert sum("run_epoch" in message for message in compiled) == 1


def test_a_run_that_diverges_stops_there_and_says_so():
    seen = []

    text = (
        r"^training diverged in epoch 7: the loss was inf, and not all parameters are finite "
        r"after it; try a learning rate below 100$"
    )
    with pytest.raises(DivergedError, match=text) as caught:
        train(Config(learning_rate=100.0), on_epoch=seen.append)

    assert (caught.value.epoch, caught.value.loss) == (7, float("inf"))
    assert [epoch.number for epoch in seen] == list(range(1, 8))


def test_a_parameter_that_is_not_finite_is_seen_though_the_loss_is():
    model = Model(
        init=lambda key: {"w": jnp.zeros(())},
        losses=lambda params, x, y: jnp.sqrt(params["w"]) + 0 * x,  # its slope at 0 is infinite
        correct=None,
    )
    run_epoch = build_epoch(model, optax.sgd(1.0), plan_batches(3, 3, 1), 1)

    _, outcome = run_epoch(init_state(model, optax.sgd(1.0), 0), jnp.ones(3), jnp.ones(3))

    assert float(outcome.loss) == 0
    assert not outcome.finite


def test_a_run_whose_last_update_overflows_has_diverged_too():
    text = r"^training diverged in epoch 1: the loss was 5\.75, and not all parameters are finite"
    with pytest.raises(DivergedError, match=text):
        train(Config(epochs=1, learning_rate=1e38))


def test_what_on_epoch_raises_ends_the_run():
    def stop(epoch):
        if epoch.number == 3:
            raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        train(on_epoch=stop)
