"""compare_training: defects of a step are found at their step and leaf; rounding is never one."""

import functools
import itertools
import math
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch import nn

import comparisons
from comparisons import Verdict, compare_training, torch_training
from comparisons._evidence import Evidence
from comparisons._referee import judge
from comparisons._trajectory import _curves
from comparisons._trajectory._forced import Forced, ForcedRecord
from comparisons._trajectory._free import Free, FreeRecord
from comparisons._trajectory._sides import Stepped

LR = 1e-2


# A small regression, written twice.


def make_mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def torch_loss(module, batch):
    return (module(batch["x"])[:, 0] - batch["y"]).square().mean()


def predict(params, x):
    hidden = jnp.tanh(x @ params["0"]["weight"].T + params["0"]["bias"])
    return (hidden @ params["2"]["weight"].T + params["2"]["bias"])[:, 0]


def jax_loss(params, batch):
    return jnp.mean((predict(params, batch["x"]) - batch["y"]) ** 2)


def make_batches(count, seed=0, size=16):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.normal(size=(size, 4))
        yield {"x": x, "y": np.sin(x.sum(1)) + 0.1 * rng.normal(size=size)}


# The optimizers, in optax, with their state as torch_training has it.


def step_sgd(grads, opt, params):
    return grads, {}


def step_momentum(grads, opt, params):
    updates, new = optax.trace(0.9).update(grads, optax.TraceState(opt["momentum_buffer"]))
    return updates, {"momentum_buffer": new.trace}


def step_adam(grads, opt, params, weight_decay=0.0):
    state = optax.ScaleByAdamState(opt["step"], opt["exp_avg"], opt["exp_avg_sq"])
    updates, new = optax.scale_by_adam(0.9, 0.999, 1e-8).update(grads, state)
    updates = jax.tree.map(lambda u, p: u + weight_decay * p, updates, params)
    return updates, {"exp_avg": new.mu, "exp_avg_sq": new.nu, "step": new.count}


def step_rmsprop(grads, opt, params):
    state = optax.ScaleByRmsState(opt["square_avg"])
    updates, new = optax.scale_by_rms(0.99, 1e-8, eps_in_sqrt=False).update(grads, state)
    return updates, {"square_avg": new.nu, "step": opt["step"] + 1}


OPTIMIZERS = {
    "sgd": (lambda params: torch.optim.SGD(params, lr=LR), step_sgd),
    "momentum": (lambda params: torch.optim.SGD(params, lr=LR, momentum=0.9), step_momentum),
    "adam": (lambda params: torch.optim.Adam(params, lr=LR), step_adam),
    "adamw": (
        lambda params: torch.optim.AdamW(params, lr=LR, weight_decay=0.1),
        functools.partial(step_adam, weight_decay=0.1),
    ),
    "rmsprop": (lambda params: torch.optim.RMSprop(params, lr=LR), step_rmsprop),
}


def make_jax_step(update, loss_fn=jax_loss, lr=lambda batch: LR):
    def jax_step(state, batch):
        loss, grads = jax.value_and_grad(loss_fn)(state["params"], batch)
        updates, opt = update(grads, state["optimizer"], state["params"])
        params = jax.tree.map(lambda p, u: p - lr(batch) * u, state["params"], updates)
        return {"params": params, "optimizer": opt}, {"loss": loss, "grads": grads}

    return jax_step


def train(optimizer, update, batches, *, loss_fn=jax_loss, seed=0, lr=lambda batch: LR, **options):
    """Compares a JAX step with PyTorch's of one of OPTIMIZERS, or of a function that makes one."""
    make = OPTIMIZERS[optimizer][0] if isinstance(optimizer, str) else optimizer
    state, torch_step = torch_training(
        make_mlp(seed), lambda module: make(module.parameters()), torch_loss, **options
    )
    return compare_training(make_jax_step(update, loss_fn, lr), torch_step, state, batches)


def find(report, mode="teacher-forced"):
    return next(case for case in report.cases if case.name.endswith(mode))


def failing(case):
    return {f"{leaf.quantity} {leaf.path}" for leaf in case.leaves if leaf.outcome == "fail"}


# Known-good pairs.


@pytest.mark.parametrize(("seed", "optimizer"), list(enumerate(OPTIMIZERS)))
def test_correct_ports_agree_over_200_steps(optimizer, seed):
    report = train(optimizer, OPTIMIZERS[optimizer][1], make_batches(200, seed), seed=seed)
    assert {str(leaf.verdict) for case in report.cases for leaf in case.leaves} <= {
        "AGREES",
        "IDENTICAL",
    }, str(report)
    forced, free = (case.trajectory for case in report.cases)
    assert (forced.kind, free.kind) == ("agreement", "agreement")
    assert forced.steps == free.steps == 200
    assert forced.first_step is free.first_step is None
    # The cheap tests decide nearly all steps; were the probes always run, this would be 200.
    assert forced.probed < 50


# A chaotic model: float32 runs part altogether, and nothing is wrong.


def make_chaos():
    """Hyper-parameters with which a last bit grows about tenfold every few steps."""
    rng = np.random.default_rng(0)
    state = {"w": 2.5 * rng.normal(size=(16, 16)) / 4, "u": rng.normal(size=16)}
    return state, [rng.normal(size=(12, 16)) for _ in range(120)]


def chaos_jax(state, batch, lr=0.5):
    def loss_fn(state):
        hidden = jnp.zeros(16)
        for x in batch:
            hidden = jnp.tanh(state["w"] @ hidden + x)
        return jnp.mean((hidden - state["u"]) ** 2)

    loss, grads = jax.value_and_grad(loss_fn)(state)
    return jax.tree.map(lambda p, g: p - lr * g, state, grads), {"loss": loss}


def chaos_torch(state, batch, lr=0.5):
    state = {name: leaf.requires_grad_() for name, leaf in state.items()}
    hidden = torch.zeros(16)
    for x in batch:
        hidden = torch.tanh(state["w"] @ hidden + x)
    loss = (hidden - state["u"]).square().mean()
    grads = torch.autograd.grad(loss, list(state.values()))
    new = {k: (p - lr * g).detach() for (k, p), g in zip(state.items(), grads, strict=True)}
    return new, {"loss": loss}


def test_chaos_is_amplification_and_no_defect():
    state, batches = make_chaos()
    report = compare_training(chaos_jax, chaos_torch, state, batches)
    forced, free = report.cases
    assert (forced.verdict, free.verdict) == (Verdict.AGREES, Verdict.AGREES), str(report)
    assert forced.trajectory.kind == "agreement"
    assert free.trajectory.kind == "amplification"
    assert "there is no defect in it" in free.trajectory.summary
    # Were it not chaotic, the test would show nothing: the runs end up wholly apart.
    curve = free.trajectory.curves[-1]
    assert curve.label == "state"
    assert curve.gap[-1] > 1
    assert curve.float64_gap[-1] > 1e-3


def test_a_defect_in_a_chaotic_run_is_found_at_its_step():
    """Where any two runs part, only the teacher-forced comparison can see it."""
    state, batches = make_chaos()

    def jax_step(state, batch):
        new, aux = chaos_jax(state, batch["x"], lr=jnp.where(batch["step"] >= 90, 0.501, 0.5))
        return new, aux

    report = compare_training(
        jax_step,
        lambda state, batch: chaos_torch(state, batch["x"]),
        state,
        [{"x": x, "step": np.int32(step)} for step, x in enumerate(batches, 1)],
    )
    forced, free = (case.trajectory for case in report.cases)
    assert (forced.kind, forced.first_step) == ("defect", 90)
    assert forced.first_leaf in {"state w", "state u"}
    assert free.kind == "amplification"
    assert "step 90" in free.summary
    assert "does not show here" in free.summary


# Planted defects: each on the JAX side, each in one place.


def with_adam(grads, opt, params, *, b2=0.999, decay=0.1, corrected=True, inside=False, start=0):
    """AdamW written out, with what people get wrong as options."""
    count = opt["step"] + 1
    # 1 - b2 is a Python number: at float32 it would have lost three digits.
    b2, rest = (jnp.where(count > start, a, b) for a, b in ((b2, 0.999), (1 - b2, 1 - 0.999)))
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, opt["exp_avg"], grads)
    square = jax.tree.map(lambda v, g: b2 * v + rest * g * g, opt["exp_avg_sq"], grads)

    def move(m, v, p):
        if corrected:
            m, v = m / (1 - 0.9**count), v / (1 - b2**count)
        root = jnp.sqrt(v + 1e-8) if inside else jnp.sqrt(v) + 1e-8
        return m / root + decay * p

    updates = jax.tree.map(move, mean, square, params)
    return updates, {"exp_avg": mean, "exp_avg_sq": square, "step": count}


def with_dampening(grads, opt, params):
    moment = jax.tree.map(lambda b, g: 0.9 * b + 0.1 * g, opt["momentum_buffer"], grads)
    return moment, {"momentum_buffer": moment}


def with_opposite_sign(grads, opt, params):
    return step_adam(jax.tree.map(jnp.negative, grads), opt, params)


def with_stopped_layer(params, batch):
    return jax_loss(params | {"0": jax.lax.stop_gradient(params["0"])}, batch)


ADAMW = OPTIMIZERS["adamw"][0]
adam_with = functools.partial


@pytest.mark.parametrize(
    ("optimizer", "update", "options", "step", "leaf"),
    [
        ("adamw", adam_with(with_adam, decay=0.0), {}, 1, "state params/"),
        ("adamw", adam_with(with_adam, b2=0.99), {}, 1, "state optimizer/exp_avg_sq/"),
        ("adamw", adam_with(with_adam, corrected=False), {}, 1, "state params/"),
        ("adamw", adam_with(with_adam, inside=True), {}, 1, "state params/"),
        ("adamw", adam_with(with_adam, b2=0.99, start=36), {}, 37, "state optimizer/exp_avg_sq/"),
        ("adam", with_opposite_sign, {}, 1, "state optimizer/exp_avg/"),
        ("momentum", with_dampening, {}, 1, "state optimizer/momentum_buffer/"),
        ("sgd", step_sgd, {"loss_fn": with_stopped_layer}, 1, "aux grads/0/"),
    ],
    ids=[
        "weight decay missing",
        "beta2",
        "bias correction missing",
        "eps inside the root",
        "beta2 from step 37 on",
        "opposite signs under Adam",
        "dampening",
        "stop_gradient on a layer",
    ],
)
def test_a_defect_is_found_at_its_step_and_leaf(optimizer, update, options, step, leaf):
    report = train(optimizer, update, make_batches(40 if step > 1 else 5), **options)
    forced, free = (case.trajectory for case in report.cases)
    assert not report.ok
    assert (forced.kind, forced.first_step) == ("defect", step), str(report)
    assert forced.first_leaf.startswith(leaf)
    assert f"first at step {step} of" in forced.summary
    assert forced.first_leaf in forced.summary
    assert free.kind == "defect"
    assert free.first_step == step


def test_only_what_is_wrong_fails():
    """The second moments under another beta2: nothing else depends on them at the first step."""
    report = train("adamw", adam_with(with_adam, b2=0.99), make_batches(1))
    paths = [f"{layer}/{kind}" for layer in "02" for kind in ("weight", "bias")]
    assert failing(find(report)) == {f"state optimizer/exp_avg_sq/{path}" for path in paths}


def test_the_defect_free_variants_of_the_defects_agree():
    report = train("adamw", with_adam, make_batches(5))
    assert report.verdict is Verdict.AGREES, str(report)


def clip_all(module, optimizer, batch):
    nn.utils.clip_grad_norm_(module.parameters(), 0.1)


@pytest.mark.parametrize(("eps", "same"), [(1e-6, True), (0.0, False)])
def test_the_epsilon_of_clipping_is_seen(eps, same):
    """It changes the gradients by 1e-6 of 1/norm, which float64 shows and float32 hides.

    So it is no MISMATCH at float32, but it is told.
    """

    def clipped(grads, opt, params):
        norm = optax.tree.norm(grads)
        scale = jnp.minimum(1.0, 0.1 / (norm + eps))
        return jax.tree.map(lambda g: scale * g, grads), {}

    def jax_step(state, batch):
        new, aux = make_jax_step(clipped)(state, batch)
        grads, _ = clipped(aux["grads"], {}, None)
        return new, aux | {"grads": grads}

    state, torch_step = torch_training(
        make_mlp(), lambda m: torch.optim.SGD(m.parameters(), lr=LR), torch_loss, clip_all
    )
    batches = [{"x": 50 * b["x"], "y": 1000 * b["y"]} for b in make_batches(3)]
    report = compare_training(jax_step, torch_step, state, batches)
    forced = find(report)
    if same:
        assert forced.trajectory.kind == "agreement", str(report)
        return
    assert (forced.trajectory.kind, forced.trajectory.first_step) == ("difference", 1)
    assert forced.trajectory.first_leaf.startswith("aux grads/")
    (leaf,) = [leaf for leaf in forced.leaves if leaf.path == "grads/0/weight"]
    assert leaf.verdict is Verdict.APPROXIMATION
    assert 0 < leaf.float64_gap < 1e-9  # of gradients of up to 0.1
    assert report.ok
    assert report.summary["warn"] >= 1


def test_a_schedule_that_is_off_by_one_step():
    def set_lr(module, optimizer, batch):
        optimizer.param_groups[0]["lr"] = 0.1 * 0.5 ** (int(batch["step"]) // 10)

    def number(batches):
        for step, batch in enumerate(batches):
            yield batch | {"step": np.int32(step)}

    for shift, expected in ((0, None), (1, 10)):
        report = train(
            "sgd",
            step_sgd,
            number(make_batches(15)),
            lr=lambda batch, shift=shift: 0.1 * 0.5 ** ((batch["step"] + shift) // 10),
            before_step=set_lr,
        )
        assert find(report).trajectory.first_step == expected, str(report)


def test_a_defect_of_the_last_smaller_batch_alone():
    """Divided by the usual batch size instead of the batch's own."""
    batches = [*make_batches(6), *make_batches(1, seed=1, size=5)]
    report = train(
        "sgd",
        step_sgd,
        batches,
        loss_fn=lambda params, b: jnp.sum((predict(params, b["x"]) - b["y"]) ** 2) / 16,
    )
    forced = find(report).trajectory
    assert (forced.first_step, forced.steps) == (7, 7)
    assert forced.first_leaf.startswith("aux ")
    assert train("sgd", step_sgd, batches).ok


def test_two_biases_merged_into_one():
    """The same forward pass, half of the step: each of two biases takes a step of its own."""
    rng = np.random.default_rng(0)
    state = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}

    def jax_step(state, batch):
        loss, grads = jax.value_and_grad(
            lambda state: jnp.mean((batch @ state["w"] + state["b"]) ** 2)
        )(state)
        return jax.tree.map(lambda p, g: p - 0.1 * g, state, grads), {"loss": loss}

    def torch_step(state, batch, both=True):
        w, b = state["w"].requires_grad_(), (state["b"] / 2).requires_grad_()
        other = (state["b"] / 2).requires_grad_(both)
        loss = (batch @ w + b + other).square().mean()
        loss.backward()
        second = other.grad if both else 0
        return {
            "w": (w - 0.1 * w.grad).detach(),
            "b": (b - 0.1 * b.grad + other - 0.1 * second).detach(),
        }, {"loss": loss.detach()}

    batches = [rng.normal(size=(8, 3)) for _ in range(3)]
    report = compare_training(jax_step, torch_step, state, batches)
    forced = find(report)
    assert failing(forced) == {"state b"}
    assert (forced.trajectory.first_step, forced.trajectory.first_leaf) == (1, "state b")
    assert compare_training(jax_step, functools.partial(torch_step, both=False), state, batches).ok


# Conv, BatchNorm, GELU, Linear under AdamW: a drift that is none, and a variance that is one.


def make_convnet():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(3 * 16, 2)
    )


def convnet_jax(state, batch, unbiased=True):
    def loss_fn(params):
        conv, norm, linear = params["0"], params["1"], params["4"]
        h = jax.lax.conv_general_dilated(batch["x"], conv["weight"], (1, 1), "VALID")
        h = h + conv["bias"][:, None, None]
        mean, var = h.mean((0, 2, 3)), h.var((0, 2, 3))
        count = h.size / h.shape[1]
        h = (h - mean[:, None, None]) / jnp.sqrt(var + 1e-5)[:, None, None]
        h = h * norm["weight"][:, None, None] + norm["bias"][:, None, None]
        h = jax.nn.gelu(h, approximate=False).reshape(len(h), -1)
        h = h @ linear["weight"].T + linear["bias"]
        loss = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), batch["y"][:, None], 1))
        return loss, (mean, var * (count / (count - 1) if unbiased else 1))

    (loss, (mean, var)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state["params"])
    updates, opt = step_adam(grads, state["optimizer"], state["params"], weight_decay=0.01)
    old = state["buffers"]["1"]
    buffers = {
        "running_mean": 0.9 * old["running_mean"] + 0.1 * mean,
        "running_var": 0.9 * old["running_var"] + 0.1 * var,
        "num_batches_tracked": old["num_batches_tracked"] + 1,
    }
    params = jax.tree.map(lambda p, u: p - LR * u, state["params"], updates)
    return {"params": params, "buffers": {"1": buffers}, "optimizer": opt}, {
        "loss": loss,
        "grads": grads,
    }


def train_convnet(jax_step):
    rng = np.random.default_rng(0)
    state, torch_step = torch_training(
        make_convnet(),
        lambda module: torch.optim.AdamW(module.parameters(), lr=LR),
        lambda module, batch: nn.functional.cross_entropy(module(batch["x"]), batch["y"].long()),
    )
    batches = ({"x": rng.normal(size=(8, 1, 6, 6)), "y": rng.integers(0, 2, 8)} for _ in range(20))
    return compare_training(jax.jit(jax_step), torch_step, state, batches)


def test_a_bias_without_a_gradient_drifts_and_is_no_mismatch():
    """BatchNorm takes it away again, so its gradient is rounding, which Adam makes steps of lr."""
    report = train_convnet(convnet_jax)
    forced, free = report.cases
    assert report.ok, str(report)
    for case in (forced, free):
        leaves = {f"{leaf.quantity} {leaf.path}": leaf for leaf in case.leaves}
        grad = leaves["aux grads/0/bias"]
        assert grad.verdict is Verdict.NO_SIGNAL
        assert "below PyTorch's own rounding error" in grad.reason
        assert leaves["state params/0/bias"].outcome == "pass"
        assert leaves["aux loss"].outcome == "pass"
    # What the facts say of it, without which the test would show nothing: at float32 the bias is
    # off by a good part of what 20 steps of lr can do, the loss hardly at all.
    free_leaves = {leaf.path: leaf for leaf in free.leaves}
    assert free_leaves["params/0/bias"].max_abs > LR
    assert free_leaves["loss"].max_abs < 1e-4


def test_a_biased_running_variance_is_found_at_step_1():
    report = train_convnet(functools.partial(convnet_jax, unbiased=False))
    forced = find(report)
    assert failing(forced) == {"state buffers/1/running_var"}
    assert forced.trajectory.first_step == 1
    assert forced.trajectory.first_leaf == "state buffers/1/running_var"


# What a run needs, and what it leaves as it was.


def halve(state, batch):
    return {"w": state["w"] * 0.5 + batch.sum()}, {"loss": batch.sum()}


START = {"w": np.ones(3)}


def test_batches_are_read_once_and_in_order():
    seen = []

    def read():
        for number in range(5):
            seen.append(number)
            yield np.full(2, number, np.float32)

    report = compare_training(halve, halve, START, read())
    assert seen == [0, 1, 2, 3, 4]
    losses = report.cases[1].trajectory.curves[0]
    assert losses.label == "aux loss"
    assert losses.steps == (1, 2, 3, 4, 5)
    assert losses.torch == losses.jax == (0.0, 2.0, 4.0, 6.0, 8.0)


def test_memory_does_not_grow_with_the_steps(monkeypatch):
    """A state of 160 kB, and curves of fewer points than usual: they are full after 60 steps."""
    monkeypatch.setattr(_curves, "POINTS", 30)
    traced = {}

    def read():
        for step in range(1, 161):
            if step == 60:  # until here the curves grow, and tracing is slow
                tracemalloc.start()
            if step in {80, 160}:
                traced[step] = tracemalloc.get_traced_memory()[0]
            yield np.full(2, 1e-3, np.float32)

    report = compare_training(halve, halve, {"w": np.ones(40_000)}, read())
    tracemalloc.stop()
    assert report.ok
    assert report.cases[0].trajectory.steps == 160
    # A list of states would have grown by 12.8 MB. The curves have as many points at both, but
    # some of the later ones are new ones.
    assert traced[160] - traced[80] < 1_000_000
    assert all(len(c.steps) <= 32 for case in report.cases for c in case.trajectory.curves)


def test_one_step_is_enough_and_none_is_an_error():
    assert find(compare_training(halve, halve, START, [np.ones(2)])).trajectory.steps == 1
    with pytest.raises(ValueError, match=r"compare_training\(batches=...\)` must hold at least"):
        compare_training(halve, halve, START, [])
    with pytest.raises(TypeError, match=r"must be an iterable of batches.\n.*\n  got:      int"):
        compare_training(halve, halve, START, 3)


def test_a_state_without_what_is_trained_is_an_error():
    with pytest.raises(ValueError, match=r"state=...\)` must hold what is trained.*\n.*\n.*n: int"):
        compare_training(halve, halve, {"n": 3}, [np.ones(2)])


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(ValueError, match=r"compare_training\(dtype=...\)` must be"):
        compare_training(halve, halve, START, [np.ones(2)], dtype="int8")


@pytest.mark.parametrize("side", ["JAX", "PyTorch"])
def test_a_step_that_raises_is_named_with_side_dtype_and_step(side):
    def fail(state, batch):
        if float(batch[0]) == 57:
            raise RuntimeError("out of luck")
        return halve(state, batch)

    steps = {"JAX": halve, "PyTorch": halve} | {side: fail}
    batches = (np.full(2, number, np.float32) for number in itertools.count(1))
    with pytest.raises(RuntimeError, match="out of luck") as error:
        compare_training(steps["JAX"], steps["PyTorch"], START, batches, jit=False)
    assert error.value.__notes__ == [f"{side} side, at float32, step 57"]


def test_a_step_that_returns_another_state_is_named():
    def grow(state, batch):
        return {"w": state["w"][:2], "count": batch}, {}

    with pytest.raises(ValueError, match="must return a state like the one it got") as error:
        compare_training(halve, grow, START, [np.ones(2)])
    assert "expected: w (3,), count missing" in str(error.value)
    assert "got:      w (2,), count (2,)" in str(error.value)
    assert error.value.__notes__ == ["PyTorch side, at float32, step 1"]


def test_a_step_that_returns_no_pair_is_named():
    with pytest.raises(TypeError, match="must return a pair") as error:
        compare_training(lambda state, batch: state, halve, START, [np.ones(2)])
    assert error.value.__notes__ == ["JAX side, at float32, step 1"]


def test_a_step_that_keeps_something_to_itself_is_an_error():
    calls = itertools.count()

    def count(state, batch):
        return {"w": state["w"] * 0.5 + next(calls)}, {}

    with pytest.raises(ValueError, match=r"torch_step=...\)` must be a function of the state"):
        compare_training(halve, count, START, [np.ones(2)])
    with pytest.raises(ValueError, match=r"jax_step=...\)` must be a function of the state"):
        compare_training(count, halve, START, [np.ones(2)], jit=False)


def test_a_bad_batch_is_named():
    with pytest.raises(TypeError) as error:
        compare_training(halve, halve, START, [np.ones(2), np.array([object()])])
    assert error.value.__notes__ == ["in batch 2 of compare_training"]


def test_a_random_step_of_torch_is_the_same_in_every_run():
    """Its random state is put back, so dropout drops the same; the JAX side cannot know which."""
    before = torch.random.get_rng_state()

    def drop(state, batch):
        return {"w": state["w"] * (torch.rand(3) < 0.5)}, {}

    report = compare_training(lambda s, b: (s, {}), drop, START, [np.ones(2)] * 3)
    assert not report.ok
    assert torch.equal(torch.random.get_rng_state(), before)


def test_settings_are_as_they_were_even_after_an_error():
    def look(state, batch):
        assert torch.get_default_dtype() == state["w"].dtype
        assert torch.is_grad_enabled()
        raise RuntimeError("enough")

    with torch.no_grad(), pytest.raises(RuntimeError, match="enough"):
        compare_training(halve, look, START, [np.ones(2)])
    assert torch.get_default_dtype() == torch.float32
    assert not jax.config.jax_enable_x64
    assert jnp.ones(1).dtype == jnp.float32


def test_inputs_are_not_modified_and_arrays_may_be_donated():
    state, batch = {"w": np.ones(3)}, np.full(2, 2.0)

    def in_place(state, batch):
        loss = batch.sum()
        state["w"].mul_(0.5).add_(loss)
        batch.zero_()
        return state, {"loss": loss}

    report = compare_training(
        jax.jit(halve, donate_argnums=0), in_place, state, [batch, batch, batch]
    )
    assert report.ok
    assert state["w"].tolist() == [1, 1, 1]
    assert batch.tolist() == [2, 2]


def test_a_step_is_compiled_unless_told_otherwise():
    traced = []

    def watch(state, batch):
        traced.append(isinstance(batch, jax.core.Tracer))
        return halve(state, batch)

    batches = [np.ones(2)] * 5
    compare_training(watch, halve, START, batches)
    assert traced == [True, True]  # once at each dtype
    traced.clear()
    compare_training(watch, halve, START, batches, jit=False)
    assert traced == [False] * 20


def test_what_differs_in_aux_alone_is_found():
    def without_loss(state, batch):
        return halve(state, batch)[0], {"accuracy": batch.mean()}

    forced = find(compare_training(without_loss, halve, START, [np.ones(2)] * 2))
    assert {leaf.path: leaf.verdict for leaf in forced.leaves} == {
        "loss": Verdict.STRUCTURE,
        "accuracy": Verdict.STRUCTURE,
        "w": Verdict.IDENTICAL,
    }


def test_nan_on_one_side_is_found_at_its_step():
    def overflow(state, batch):
        return {"w": jnp.where(batch.sum() > 7, jnp.nan, halve(state, batch)[0]["w"])}, {}

    report = compare_training(
        overflow, lambda s, b: (halve(s, b)[0], {}), START, [np.full(2, float(n)) for n in range(6)]
    )
    for case in report.cases:
        assert case.verdict is Verdict.NONFINITE
        assert (case.trajectory.first_step, case.trajectory.first_leaf) == (5, "state w")


def test_nan_on_both_sides_is_said_to_show_nothing():
    def diverge(state, batch):
        return {"w": state["w"] * batch[0]}, {}

    report = compare_training(diverge, diverge, START, [np.full(1, x) for x in (1e30, 1e30, 0, 1)])
    assert report.ok
    assert "From step 2 on nothing in PyTorch's state is finite" in report.cases[0].vacuity[0]


def test_what_never_changes_is_said_to_be_untested():
    def step(state, batch):
        return {"w": state["w"] + 1, "frozen": state["frozen"]}, {}

    report = compare_training(step, step, {"w": 1.0, "frozen": np.ones(2)}, [0, 1])
    assert report.cases[0].vacuity == (
        "PyTorch's steps never changed frozen of the state, so how they change is not shown.",
    )


def test_what_is_kept_outside_of_the_state_shows_as_drift():
    """A state is reset before a forced step; what a side keeps elsewhere is not."""
    calls = itertools.count()

    def sneaky(state, batch):
        # Four calls a step, of which the last two are the runs that go on by themselves.
        step, call = divmod(next(calls), 4)
        new, aux = halve(state, batch)
        return {"w": new["w"] + (1e-3 if step and call >= 2 else 0.0)}, aux

    report = compare_training(sneaky, halve, START, [np.ones(2)] * 4, jit=False)
    forced, free = (case.trajectory for case in report.cases)
    assert (forced.kind, free.kind) == ("agreement", "drift")
    assert (free.first_step, free.first_leaf) == (2, "state w")
    assert "Does a side keep something outside of its state" in free.summary
    assert not report.ok


def test_a_side_that_rounds_worse_is_a_warning_in_both_modes():
    """As with a matrix product at a lower precision: right at float64, off at float32."""

    def coarse(state, batch):
        new, aux = halve(state, batch)
        off = 1e-4 if new["w"].dtype == jnp.float32 else 0.0
        return {"w": new["w"] * (1 + off * jnp.cos(1e3 * batch.sum()))}, aux

    report = compare_training(coarse, halve, START, [np.full(2, x) for x in (0.1, 0.2, 0.3)])
    assert report.ok
    assert [case.verdict for case in report.cases] == [Verdict.LESS_ACCURATE] * 2, str(report)
    warned = {leaf.path for case in report.cases for leaf in case.leaves if leaf.outcome == "warn"}
    assert warned == {"w"}


def test_integers_are_compared_exactly():
    def count(by):
        return lambda s, b: ({"w": s["w"] * 0.5, "n": s["n"] + (1 if s["n"].ndim else by)}, {})

    def late(state, batch):
        return {"w": state["w"] * 0.5, "n": state["n"] + 1 + (state["n"] >= 3)}, {}

    forced = find(compare_training(late, count(1), {"w": 1.0, "n": 0}, [0] * 6))
    assert failing(forced) == {"state n"}
    assert forced.trajectory.first_step == 4


def test_the_screen_passes_nothing_that_the_referee_would_not():
    """It is a shortcut: tried where the differences are about at its bounds."""
    rng = np.random.default_rng(0)
    screened = 0
    for _ in range(300):
        exact = rng.normal(size=7) * 10.0 ** rng.integers(-6, 3, size=7)
        reach = np.abs(exact).max()

        def near(dtype, ulps, exact=exact, reach=reach):
            off = rng.uniform(-1, 1, 7) * 10.0 ** rng.uniform(-4, 0.6) * ulps
            return Stepped({"w": (exact + off * np.finfo(dtype).eps * reach).astype(dtype)}, {})

        runs = Forced(near(np.float32, 16), near(np.float32, 16), near(float, 256), near(float, 0))
        record = ForcedRecord(float(np.finfo(np.float32).eps))
        record.observe(1, runs, tuple, list)
        (result,) = judge(Evidence("state", *(run.state for run in runs), probes=()))
        clear = record._clear("state", "w", *(run.state["w"] for run in runs))
        assert result.outcome == "pass" or not clear
        screened += clear
    assert 30 < screened < 270  # of both sorts there are enough


def test_the_report_is_complete_as_json():
    report = train("sgd", step_sgd, make_batches(3))
    again = comparisons.Report.from_dict(report.to_dict())
    assert again == report
    assert again.cases[0].trajectory == report.cases[0].trajectory
    assert math.isfinite(again.cases[1].trajectory.curves[-1].noise[-1])


@pytest.mark.parametrize(
    ("coarse", "gap", "outcome"),
    [(False, 1e-6, "fail"), (True, 1e-6, "pass"), (True, 1e-3, "fail")],
)
def test_at_half_precision_float64_shows_no_more_than_the_working_dtype(coarse, gap, outcome):
    """A step in bfloat16 is one at float64, too: what rounding does there is what it does here."""
    info = np.finfo(np.float32)
    record = FreeRecord(float(info.eps), float(info.tiny), coarse=coarse)
    ones = np.ones(3)
    near = np.float32(1 + 1e-6) * np.ones(3, np.float32)
    leaves = Free(near, near, ones + gap, ones, near, ones)
    record.observe(1, Free(*(Stepped({"w": leaf}, {}) for leaf in leaves)))
    assert record.leaves["state", "w"].result.verdict.outcome == outcome


def test_a_step_in_half_precision_is_told_with_its_line():
    def jax_step(state, batch):
        return {"w": state["w"] - batch.astype(jnp.bfloat16).astype(batch.dtype)}, {}

    def torch_step(state, batch):
        return {"w": state["w"] - batch.bfloat16().to(batch.dtype)}, {}

    report = compare_training(jax_step, torch_step, {"w": np.ones(3)}, [np.ones(3)] * 2)
    (cast,) = report.cases[1].casts
    assert "bfloat16 at test_trajectory.py" in cast
