import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from functional_ad.torch_semantics import lr_scheduler, optim
from functional_ad.training import Config, ConfigError, train
from functional_ad.training._data import Examples, load_data
from functional_ad.training._interval import build_interval
from functional_ad.training._models import Model
from functional_ad.training._optimizers import OPTIMIZERS, SCHEDULES, has_horizon
from functional_ad.training._plan import make_plan
from functional_ad.training._state import init_state
from functional_ad.training._task import build_task

RTOL = 1e-6  # some float32 units in the last place, since XLA may add in another order


def run(config, model=None, data=None):
    """One epoch: the state after it and what it tells."""
    if data is None:
        data = load_data("tutorial").train
    plan = make_plan(config, len(data.inputs))
    task = build_task(config, plan.updates, model)
    state = jax.jit(functools.partial(init_state, task))()
    data = jax.tree.map(jnp.asarray, data)
    return build_interval(task)(state, plan.take(0, plan.batches), data)


def follow(make, rates, updates=4, momenta=None):
    """The same in plain optax: parameters after each of some updates on the whole batch."""
    (x, y, _), _ = load_data("tutorial")

    def loss(params):
        return jnp.mean((y - (params["a"] * x + params["b"])) ** 2)

    params, state, seen = {"a": jnp.float32(1), "b": jnp.float32(2)}, None, []
    for count in range(updates):
        more = () if momenta is None else (momenta(count),)
        optimizer = make(rates(count), *more)
        state = optimizer.init(params) if state is None else state
        grads = jax.grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen


def compare(config, wanted):
    result = train(config)
    for name in ("a", "b"):
        np.testing.assert_allclose(result.params[name], wanted[-1][name], rtol=RTOL)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "muon"])
def test_every_optimizer_trains_with_its_own_defaults(name):
    config = Config(epochs=2, optimizer=name, learning_rate=0.02)

    compare(config, follow(getattr(optim, name), lambda count: 0.02, updates=2))


def test_muon_takes_the_matrices_inside_and_adamw_the_rest():
    params = {
        "token_embedding": {"embedding": jnp.ones((3, 2))},
        "layers": {0: {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, 1: {"kernel": None}},
        "head": {"kernel": jnp.ones((2, 3))},
    }
    grads = jax.tree.map(
        lambda leaf: jnp.arange(leaf.size, dtype="float32").reshape(leaf.shape), params
    )
    both, muon, adamw = (
        jax.jit(lambda tx=optimizer: tx.update(grads, tx.init(params), params)[0])()
        for optimizer in (
            Config.for_model("mlp", optimizer="muon").build_recipe(10).make(0.1, None),
            optax.masked(
                optim.muon(lr=0.1), lambda tree: jax.tree.map(lambda x: x.ndim == 2, tree)
            ),
            optim.adamw(lr=0.1),
        )
    )

    wanted = adamw | {"layers": {**adamw["layers"], 0: {**adamw["layers"][0]}}}
    wanted["layers"][0]["kernel"] = muon["layers"][0]["kernel"]
    jax.tree.map(np.testing.assert_array_equal, both, wanted)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
        (
            {"momentum": 0.5, "optimizer_options": {"dampening": 0.1}},
            {"momentum": 0.5, "dampening": 0.1},
        ),
        ({"weight_decay": 0.1}, {"weight_decay": 0.1}),
        (
            {"optimizer": "adam", "betas": [0.8, 0.9], "eps": 1e-3},
            {"betas": (0.8, 0.9), "eps": 1e-3},
        ),
    ],
)
def test_options_reach_the_optimizer(fields, options):
    make = functools.partial(getattr(optim, fields.get("optimizer", "sgd")), **options)

    compare(Config(epochs=3, **fields), follow(make, lambda count: 0.01, updates=3))


SCHEDULE_OPTIONS = {
    "step_lr": {"step_size": 2, "gamma": 0.5},
    "multi_step_lr": {"milestones": [1, 3]},
    "exponential_lr": {"gamma": 0.5},
    "cosine_annealing_warm_restarts": {"T_0": 2},
    "cyclic_lr": {"max_lr": 0.1, "step_size_up": 2, "cycle_momentum": False},
    "one_cycle_lr": {"cycle_momentum": False},
}
HORIZONS = {
    "linear_lr": {"total_iters": 4},
    "polynomial_lr": {"total_iters": 4},
    "cosine_annealing_lr": {"T_max": 4},
    "one_cycle_lr": {"total_steps": 4},
}
SMOOTH = [name for name in SCHEDULES if name not in ("constant", "reduce_lr_on_plateau")]


@pytest.mark.parametrize("name", SMOOTH)
def test_every_schedule_is_followed_and_is_as_long_as_the_run_unless_told(name):
    options = SCHEDULE_OPTIONS.get(name, {})
    rate = {"one_cycle_lr": "max_lr", "cyclic_lr": "base_lr"}.get(name, "lr")
    schedule = getattr(lr_scheduler, name)(**{rate: 0.01, **options, **HORIZONS.get(name, {})})
    config = Config(epochs=4, schedule=name, schedule_options=options)

    result = train(config)

    rates = [float(schedule(count)) for count in range(4)]
    np.testing.assert_allclose([i.learning_rate for i in result.intervals], rates, rtol=RTOL)
    compare(config, follow(optim.sgd, schedule))
    assert has_horizon(name, options) == (name in HORIZONS)


def test_a_configuration_takes_no_device():
    """Processes are joined after it is read, and before anything is computed."""
    code = f"""
import jax
from functional_ad.training import Config
from functional_ad.training._optimizers import OPTIMIZERS, SCHEDULES
for name in OPTIMIZERS:
    Config.for_model("mlp", optimizer=name)
for name in SCHEDULES:
    warmup = 0 if name in ("cyclic_lr", "one_cycle_lr", "reduce_lr_on_plateau") else 3
    options = {SCHEDULE_OPTIONS}.get(name, {{}})
    Config(schedule=name, schedule_options=options, warmup=warmup)
jax.config.update("jax_num_cpu_devices", 3)  # raises once there is a backend
"""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


@pytest.mark.parametrize("fields", [{}, {"patience": 1}])
def test_a_plateaus_options_are_checked_with_the_configuration(fields):
    Config(schedule="reduce_lr_on_plateau", schedule_options=fields)

    with pytest.raises(ConfigError, match=r"factor of the schedule 'reduce_lr_on_plateau'"):
        Config(schedule="reduce_lr_on_plateau", schedule_options={**fields, "factor": 2.0})


def test_a_warm_up_stands_before_the_schedule():
    config = Config(epochs=6, warmup=4, schedule="cosine_annealing_lr")

    rates = [interval.learning_rate for interval in train(config).intervals]

    rise = [0.0025, 0.0025 + 0.0075 / 4, 0.0025 + 0.0075 / 2, 0.0025 + 0.0075 * 3 / 4]
    np.testing.assert_allclose(rates, [*rise, 0.01, 0.005], rtol=RTOL)  # T_max is 2


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_cycle_moves_the_momentum_too(optimizer):
    schedule = lr_scheduler.one_cycle_lr(max_lr=0.01, total_steps=4)
    make = {
        "sgd": lambda rate, momentum: optim.sgd(rate, momentum),
        "adam": lambda rate, beta: optim.adam(rate, (beta, 0.999)),
    }[optimizer]
    config = Config(epochs=4, optimizer=optimizer, schedule="one_cycle_lr")

    compare(config, follow(make, schedule, momenta=schedule.momentum))


def test_a_plateau_lowers_the_rate_by_the_loss_of_each_interval():
    options = {"patience": 0, "threshold": 0.5, "factor": 0.25}
    config = Config(epochs=6, schedule="reduce_lr_on_plateau", schedule_options=options)

    intervals = train(config).intervals

    plateau, rates = lr_scheduler.reduce_lr_on_plateau(0.01, **options), []
    for interval in intervals:
        rates.append(float(plateau.lr))
        plateau = plateau.step(interval.loss)
    np.testing.assert_allclose([i.learning_rate for i in intervals], rates, rtol=RTOL)
    assert len(set(rates)) > 2


@pytest.mark.parametrize(
    ("fields", "field", "expected", "got"),
    [
        (
            {"betas": [0.9, 0.99]},
            "betas",
            "an option of the optimizer 'sgd': momentum, dampening, weight_decay, nesterov, "
            "maximize",
            "'betas'",
        ),
        (
            {"optimizer_options": {"dampning": 1.0}},
            "optimizer_options",
            "an option of the optimizer 'sgd', such as 'dampening'",
            "'dampning'",
        ),
        (
            {"optimizer_options": {"lr": 1.0}},
            "optimizer_options",
            "an option of the optimizer 'sgd': momentum, dampening, weight_decay, nesterov, "
            "maximize",
            "'lr'",
        ),
        (
            {"optimizer": "adam", "betas": [0.9, 2.0]},
            "betas",
            "betas of the optimizer 'adam': a number at least 0 and below 1",
            "2.0 (float)",
        ),
        ({"betas": [0.9]}, "betas", "2 numbers", "[0.9]"),
        (
            {"optimizer": "muon"},
            "optimizer",
            "another one with the model 'linear', which has no matrix",
            "'muon'",
        ),
        (
            {"schedule_options": {"gamma": 0.5}},
            "schedule_options",
            "nothing with the schedule 'constant'",
            "'gamma'",
        ),
        (
            {"schedule": "step_lr", "schedule_options": {"step_size": 0}},
            "schedule_options",
            "step_size of the schedule 'step_lr': an int of at least 1, and not traced",
            "0 (int)",
        ),
        (
            {"schedule": "step_lr"},
            "schedule_options",
            "all that the schedule 'step_lr' needs",
            "step_lr() missing 1 required positional argument: 'step_size'",
        ),
        (
            {"schedule": "one_cycle_lr", "warmup": 3},
            "warmup",
            "0 with the schedule 'one_cycle_lr'",
            "3",
        ),
        (
            {"optimizer": "rprop", "schedule": "one_cycle_lr"},
            "schedule_options",
            "cycle_momentum=false with the optimizer 'rprop', which has no momentum",
            "cycle_momentum=true, its default",
        ),
    ],
)
def test_options_that_are_none_are_named(fields, field, expected, got):
    with pytest.raises(ConfigError) as caught:
        Config(**fields)

    assert (caught.value.field, caught.value.expected, caught.value.got) == (field, expected, got)


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(ConfigError, match=r"fewer than the run's 3 updates"):
        train(Config(epochs=3, warmup=3))


def test_gradients_are_clipped_and_their_norm_is_told_before():
    whole, clipped = train(Config(epochs=1)), train(Config(epochs=1, max_norm=0.5))

    grads = np.array([whole.grads["a"], whole.grads["b"]])
    norm = np.linalg.norm(grads)
    np.testing.assert_allclose(whole.intervals[0].grad_norm, norm, rtol=RTOL)
    np.testing.assert_allclose(clipped.intervals[0].grad_norm, norm, rtol=RTOL)
    got = np.array([clipped.grads["a"], clipped.grads["b"]])
    np.testing.assert_allclose(got, grads * 0.5 / (norm + 1e-6), rtol=RTOL)
    # What is left out is the rest of a step of plain gradient descent.
    step = np.array([1 - clipped.params["a"], 2 - clipped.params["b"]])
    np.testing.assert_allclose(step, 0.01 * got, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"keep_grads": True}, True),
        ({"max_norm": 99.0}, True),
        ({"log_grad_norm": True}, True),
        ({}, False),
    ],
)
def test_the_norm_of_the_last_gradients_is_told_if_it_is_known_or_asked_for(fields, told):
    first, second = train(Config(epochs=2)).intervals

    config = Config(epochs=2, log_every=2, **{"keep_grads": False, **fields})
    (both,) = train(config).intervals

    assert (both.grad_norm is not None) == told
    if told:
        assert first.grad_norm != second.grad_norm
        np.testing.assert_allclose(both.grad_norm, second.grad_norm, rtol=RTOL)


def half_model(power):
    """w·x, with w held in float16 on the way, and its slope at 2 to that power."""
    return Model(
        init=lambda key: {"w": jnp.ones((), jnp.float32)},
        apply=lambda params, x, key: params["w"].astype(jnp.float16) * x.astype(jnp.float16),
        losses=lambda outputs, y: outputs.astype(jnp.float32) * 2.0**power,
        correct=None,
    )


ONES = Examples(np.ones(4, np.float32), np.ones(4, np.float32))


@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_scaled_loss_saves_gradients_that_float16_cannot_hold(microbatches):
    fields = {"batch_size": 4, "epochs": 1, "learning_rate": 2.0**20}
    config = Config(**fields, microbatches=microbatches, loss_scale=2.0**16)
    model = half_model(-26)

    state, outcome = run(config, model, ONES)
    lost, _ = run(Config(**fields), model, ONES)

    assert float(outcome.loss) == 2.0**-26
    assert float(state.grads["w"]) == float(outcome.grad_norm) == 2.0**-26
    assert float(state.params["w"]) == 1 - 2.0**-6
    assert float(lost.params["w"]) == 1.0
    assert float(outcome.loss_scale) == 2.0**16


def test_an_update_whose_scaled_gradients_overflow_is_left_out_and_the_scale_is_cut_back():
    config = Config(batch_size=2, epochs=1, optimizer="adam", loss_scale=2.0**17)

    state, outcome = run(config, half_model(0), ONES)

    # 131,072 is not in float16, and neither is the next scale's gradient: 65,536.
    assert float(outcome.loss_scale) == 2.0**15
    assert float(state.params["w"]) == 1.0
    assert int(state.step) == 2
    assert all(not jnp.any(leaf) for leaf in jax.tree.leaves(state.optimizer))
    assert outcome.finite


def test_the_loss_is_scaled_by_default_in_float16_only():
    scales = {
        dtype: Config.for_model("mlp", compute_dtype=dtype).first_loss_scale
        for dtype in ("float32", "bfloat16", "float16")
    }

    assert scales == {"float32": None, "bfloat16": None, "float16": 65536.0}
    assert Config.for_model("mlp", compute_dtype="float16", loss_scale=8).first_loss_scale == 8.0
