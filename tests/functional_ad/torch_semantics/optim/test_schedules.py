"""Learning rates and momenta that change from step to step, as PyTorch's schedulers change them."""

import math

import jax.numpy as jnp
import pytest

pytest.importorskip("torch", reason="needs torch")

from benchmarks import _optimizer_runs as runs
from benchmarks._optimizer_rows import ROWS

STEPS = 60


def swing(value, cos):
    """A schedule around a value. Not `count / 5`, which is float32 where the count is int32."""
    return lambda count: value * (0.7 + 0.3 * cos(count * 0.2))


def compare(name, variant, numbers, scheduled):
    """`scheduled` makes of the options those of a step, with the schedules of torch and of ours."""
    row = ROWS[name]

    def before_step(optimizer, count):
        for group in optimizer.param_groups:
            group.update(scheduled(numbers, lambda value: swing(value, math.cos)(count)))

    def make(**options):
        changed = scheduled(numbers, lambda value: swing(value, jnp.cos))
        return runs.get_maker(name)(**{**options, **changed})

    with runs.double_precision():
        options = {**numbers, **row.variants[variant]}
        theirs = runs.run_torch(row, options, steps=STEPS, before_step=before_step)
        ours = runs.run_here(name, row, variant, numbers, theirs.grads, make=make)
        return runs.compare(theirs, ours)


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, list(row.variants)[-1]) for name, row in ROWS.items()]
    + [("sgd", "dampened"), ("adam", "amsgrad")],
)
def test_a_rate_and_a_momentum(name, variant):
    """What torch's OneCycleLR and CyclicLR change: the rate, and the momentum or beta1."""
    numbers = ROWS[name].make_options(variant)

    def scheduled(options, at):
        changed = {"lr": at(options["lr"])}
        if "betas" in options:
            changed["betas"] = (at(options["betas"][0]), options["betas"][1])
        elif name == "sgd":
            changed["momentum"] = at(options["momentum"])
        return changed

    assert max(compare(name, variant, numbers, scheduled)) <= 1e-10
