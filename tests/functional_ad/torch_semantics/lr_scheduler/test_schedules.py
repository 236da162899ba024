"""Schedules as JAX uses them: counts, tracing, transforms, dtypes, optax, and error texts."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import lr_scheduler


def make_all(lr=0.5):
    """One of each, and of each way of putting them together."""
    linear, cosine = (
        lr_scheduler.linear_lr(lr, 0.5, 1.0, 4),
        lr_scheduler.cosine_annealing_lr(lr, 6),
    )
    product = lr_scheduler.multiplicative_lr(lr, lambda count: 1 - 1 / (count + 2))
    step = lr_scheduler.step_lr(lr, 3)
    chain = lr_scheduler.chained_scheduler([linear, step])
    return {
        "step_lr": step,
        "multi_step_lr": lr_scheduler.multi_step_lr(lr, [2, 5]),
        "constant_lr": lr_scheduler.constant_lr(lr),
        "linear_lr": linear,
        "exponential_lr": lr_scheduler.exponential_lr(lr, 0.9),
        "polynomial_lr": lr_scheduler.polynomial_lr(lr),
        "cosine_annealing_lr": cosine,
        "cosine_annealing_warm_restarts": lr_scheduler.cosine_annealing_warm_restarts(lr, 2, 2),
        "one_cycle_lr": lr_scheduler.one_cycle_lr(lr, 10),
        "cyclic_lr": lr_scheduler.cyclic_lr(0.1 * lr, lr, 3),
        "lambda_lr": lr_scheduler.lambda_lr(lr, lambda count: 1 / (count + 1)),
        "multiplicative_lr": product,
        "sequential_lr": lr_scheduler.sequential_lr([linear, cosine, step], [4, 8]),
        "sequence that goes on": lr_scheduler.sequential_lr([linear, product], [4]),
        "chained_scheduler": chain,
        "chain of steps": lr_scheduler.chained_scheduler([cosine, linear]),
        "sequence of a chain": lr_scheduler.sequential_lr([chain, step], [4]),
    }


NAMES = list(make_all())


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_every_kind(name):
    """Ints, arrays and traced counts give the same, in a scan, under vmap, and for a traced lr."""
    counts = jnp.arange(12)
    rates = make_all()[name](counts)
    assert rates.shape == (12,)
    assert rates.dtype == jnp.float32
    rate = make_all()[name](7)
    assert rate.shape == ()
    np.testing.assert_allclose(rate, rates[7], rtol=1e-6)

    @jax.jit
    @jax.vmap
    def run(lr):
        schedule = make_all(lr)[name]
        _, scanned = jax.lax.scan(lambda count, _: (count + 1, schedule(count)), 0, length=12)
        return scanned, schedule(counts.reshape(3, 4)).ravel()

    for others in run(jnp.array([0.5, 1.0])):
        np.testing.assert_allclose(others, [rates, 2 * rates], rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_float64_with_the_int32_counts_of_optax(name):
    """optax's own schedules are of float32 then: JAX divides an int32 in float32."""
    with jax.enable_x64(True):
        rate, same = jax.jit(lambda *counts: [make_all(0.1)[name](n) for n in counts])(
            jnp.int32(3), jnp.int64(3)
        )
        assert rate.dtype == jnp.float64
        np.testing.assert_allclose(rate, same, rtol=1e-15)
        assert optax.linear_schedule(0.1, 0.0, 7)(jnp.int32(3)).dtype == jnp.float32


def test_an_optimizer_takes_it():
    schedule = lr_scheduler.step_lr(0.5, 2)
    optimizer = optax.sgd(schedule)
    params, taken = jnp.float32(1.0), []
    state = optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(jnp.float32(1.0), state, params)
        taken.append(-float(updates))
    np.testing.assert_allclose(taken, [0.5, 0.5, 0.05, 0.05])


def test_a_power_is_that_of_the_number_and_not_of_its_rounding():
    """optax's exponential_decay is 1e-5 off here."""
    rate = lr_scheduler.exponential_lr(1.0, 0.999)(1000)
    np.testing.assert_allclose(rate, 0.999**1000, rtol=3e-7)


def test_many_steps_without_a_formula():
    """Over several blocks, at their ends and in the middle."""
    schedule = lr_scheduler.multiplicative_lr(1.0, lambda count: count / (count + 1.0))
    counts = jnp.array([0, 1, 1023, 1024, 1025, 5000])
    np.testing.assert_allclose(schedule(counts), 1 / (counts + 1.0), rtol=1e-5)


def test_the_momentum_of_a_sequence_is_held_between_its_cycles():
    step, cycle = lr_scheduler.step_lr(0.1, 3), lr_scheduler.cyclic_lr(0.1, 0.5, 2)
    schedule = lr_scheduler.sequential_lr([step, cycle, step], [2, 5])
    np.testing.assert_allclose(
        schedule.momentum(jnp.arange(7)), [0.9, 0.9, 0.9, 0.85, 0.8, 0.8, 0.8], rtol=1e-6
    )
    assert lr_scheduler.sequential_lr([step, step], [2]).momentum is None
    assert lr_scheduler.cyclic_lr(0.1, 0.5, cycle_momentum=False).momentum is None


def test_after_the_end_of_one_cycle_the_rate_stays():
    """PyTorch raises there, which a compiled program cannot."""
    schedule = lr_scheduler.one_cycle_lr(1.0, 10)
    assert schedule(10) == schedule(11) == schedule(1000)
    assert schedule(10) > schedule(9)  # PyTorch's step beyond its own end


def test_making_schedules_takes_no_device():
    """A script makes them before `jax.distributed.initialize`, which must come before arrays."""
    code = f"""
import sys
sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
import jax, test_schedules
test_schedules.make_all()
jax.config.update("jax_num_cpu_devices", 3)  # raises once there is a backend
print(len(jax.devices("cpu")))
"""
    code = "import os\nos.environ.pop('XLA_FLAGS', None)\n" + code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout == "3\n", done.stderr


E_TRACED = "TracerBoolConversionError: Attempted boolean conversion of traced array with shape"


ERRORS = [
    (
        lambda: lr_scheduler.step_lr(-0.1, 3),
        "`functional_ad.torch_semantics.lr_scheduler.step_lr(lr=...)` is out of bounds.\n"
        "  expected: a number at least 0\n"
        "  got:      -0.1 (float)\n"
        "Leave it out for PyTorch's default, where it has one.",
    ),
    (
        lambda: lr_scheduler.step_lr(0.1, 2.5),
        "`functional_ad.torch_semantics.lr_scheduler.step_lr(step_size=...)` must be an integer.\n"
        "  expected: an int of at least 1, and not traced\n"
        "  got:      2.5 (float)\n"
        "Leave it out for PyTorch's default, where it has one.",
    ),
    (
        lambda: lr_scheduler.multi_step_lr(0.1, [3, -1]),
        "`functional_ad.torch_semantics.lr_scheduler.multi_step_lr(milestones=...)` must be an "
        "integer.\n  expected: an int of at least 0, and not traced\n  got:      -1 (int)",
    ),
    (
        lambda: lr_scheduler.constant_lr(0.1, 0.0),
        "constant_lr(factor=...)` is out of bounds.\n  expected: a number above 0 and at most 1",
    ),
    (
        lambda: lr_scheduler.linear_lr(0.1, total_iters=0),
        "linear_lr(total_iters=...)` must be an integer.\n  expected: an int of at least 1",
    ),
    (
        lambda: lr_scheduler.lambda_lr(0.1, lambda count: 1.0 if count < 3 else 0.1),
        "`functional_ad.torch_semantics.lr_scheduler.lambda_lr(lr_lambda=...)` must be a function "
        "that JAX can trace.\n"
        "  expected: a function of a count, an array of shape (), that returns a number\n"
        f"  got:      {E_TRACED}",
    ),
    (
        lambda: lr_scheduler.multiplicative_lr(0.1, lambda count: jnp.ones(2)),
        "returns a number\n"
        "  got:      (2,)\n"
        "Write `jnp.where` in place of `if`, and `jnp` in place of `math`.",
    ),
    (
        lambda: lr_scheduler.one_cycle_lr(0.1, epochs=3),
        "`functional_ad.torch_semantics.lr_scheduler.one_cycle_lr` must be told how many updates "
        "there are.\n"
        "  expected: total_steps, or epochs and steps_per_epoch\n"
        "  got:      epochs=3, steps_per_epoch=None\n"
        "Pass `total_steps=`.",
    ),
    (
        lambda: lr_scheduler.one_cycle_lr(0.1, 10, pct_start=0.1),
        "`functional_ad.torch_semantics.lr_scheduler.one_cycle_lr(pct_start=...)` leaves a phase "
        "without a step, for which PyTorch divides by 0.\n"
        "  expected: a rise that is not one update long, nor all that there are\n"
        "  got:      pct_start=0.1 of 10 updates\n"
        "Make it a little greater or less.",
    ),
    (
        lambda: lr_scheduler.cyclic_lr(0.1, 0.5, mode="square"),
        "cyclic_lr(mode=...)` is unknown.\n"
        "  expected: 'triangular' or 'triangular2' or 'exp_range'\n"
        "  got:      'square' (str)",
    ),
    (
        lambda: lr_scheduler.chained_scheduler([]),
        "`functional_ad.torch_semantics.lr_scheduler.chained_scheduler(schedulers=...)` must be "
        "schedules.\n"
        "  expected: a list of what step_lr and its like return, at least one\n"
        "  got:      [] (list)\n"
        "Put the schedules into a list.",
    ),
    (
        lambda: lr_scheduler.sequential_lr([lr_scheduler.reduce_lr_on_plateau(0.1)], []),
        "  got:      ReduceLROnPlateau\n"
        "A reduce_lr_on_plateau cannot be one of them, in PyTorch neither.",
    ),
    (
        lambda: lr_scheduler.chained_scheduler(
            [lr_scheduler.step_lr(0.1, 3), lr_scheduler.step_lr(0.2, 3)]
        ),
        "`functional_ad.torch_semantics.lr_scheduler.chained_scheduler(schedulers=...)` must have "
        "the learning rate of one optimizer.\n"
        "  expected: lr=0.1, which the schedules before it have left there\n"
        "  got:      lr=0.2\n"
        "Make all of them with one `lr`, as they have one optimizer in PyTorch.",
    ),
    (
        lambda: lr_scheduler.chained_scheduler(
            [lr_scheduler.one_cycle_lr(0.1, 9), lr_scheduler.one_cycle_lr(0.2, 9)]
        ),
        "`functional_ad.torch_semantics.lr_scheduler.chained_scheduler(schedulers=...)` cannot "
        "have a schedule that cycles after a `one_cycle_lr`.\n"
        "  expected: one of them, or a `cyclic_lr` before the `one_cycle_lr`\n"
        "  got:      a later one, with which PyTorch overwrites the bounds of the earlier\n"
        "Join two such schedules with `optax.join_schedules`.",
    ),
    (
        lambda: lr_scheduler.chained_scheduler([lr_scheduler.cyclic_lr(0.1, 0.2)] * 2),
        "`functional_ad.torch_semantics.lr_scheduler.chained_scheduler(schedulers=...)` can have "
        "one schedule that cycles the momentum.\n"
        "  expected: at most one `one_cycle_lr` or `cyclic_lr` with cycle_momentum\n"
        "  got:      2\n"
        "Pass `cycle_momentum=False` to the others.",
    ),
    (
        lambda: lr_scheduler.sequential_lr([lr_scheduler.step_lr(0.1, 3)] * 3, [5, 4]),
        "`functional_ad.torch_semantics.lr_scheduler.sequential_lr(milestones=...)` must say when "
        "each schedule but the first begins.\n"
        "  expected: 2 counts, in ascending order\n"
        "  got:      [5, 4]\n"
        "Count the milestones from the first update.",
    ),
    (
        lambda: lr_scheduler.sequential_lr(
            [lr_scheduler.step_lr(0.1, 3), make_all(0.1)["sequential_lr"]], [4]
        ),
        "`functional_ad.torch_semantics.lr_scheduler.sequential_lr(schedulers=...)` can have a "
        "chain or a sequence as its first schedule only.\n"
        "  expected: schedules that PyTorch can set to their beginning\n"
        "  got:      one that is put together of others, at position 1\n"
        "Write a sequence in a sequence as one; PyTorch raises NotImplementedError when it comes "
        "to a chain.",
    ),
    (
        lambda: lr_scheduler.step_lr(0.1, 3)(2.0),
        "A schedule must be called with a number of updates.\n"
        "  expected: an int, or an array of integers\n"
        "  got:      2.0 (float)\n"
        "Count the updates from 0, as optax does.",
    ),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_error_texts(number):
    make, text = ERRORS[number]
    with pytest.raises(fad.ArgumentError) as caught:
        make()
    assert text in str(caught.value)


def test_a_mistake_in_a_users_function_is_its_own():
    with pytest.raises(NameError, match="missing"):
        lr_scheduler.lambda_lr(0.1, lambda count: missing)  # noqa: F821
