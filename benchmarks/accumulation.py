"""accumulate_grads against the same scan written by hand.

    python -m benchmarks.accumulation

Exits 1 if it costs more: compiled flops in a ratio of 1.00, one trace and one compilation, and
temporary memory that does not grow with the number of microbatches. Times are shown, not judged.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks._timing import format_seconds, print_table, time_interleaved
from functional_ad import accumulate_grads

FEATURES, HIDDEN, CLASSES = 64, 256, 10
FEW, MANY = 4, 64
MICROBATCH = 32
BATCH = MICROBATCH * MANY
ROUNDS = 21

Step = Callable[[dict, tuple], tuple]


class Cost(NamedTuple):
    """What XLA says that a compiled step costs."""

    flops: float
    bytes: float
    temporary: int


class Traces(NamedTuple):
    """How often three calls of a jitted step traced it, and the loss in it.

    Each trace of a jitted step is one compilation.
    """

    step: int
    loss: int


def compute_loss(params: dict, batch: tuple) -> jax.Array:
    """The loss of a perceptron with one hidden layer: what is accumulated here."""
    x, labels = batch
    hidden = jax.nn.relu(x @ params["w1"] + params["b1"])
    log_probabilities = jax.nn.log_softmax(hidden @ params["w2"] + params["b2"])
    return -jnp.mean(jnp.take_along_axis(log_probabilities, labels[:, None], axis=1))


def accumulate_by_library(loss: Callable, microbatches: int) -> Step:
    """Accumulates with `functional_ad.accumulate_grads`."""
    return accumulate_grads(loss, microbatches)


def accumulate_by_hand(loss: Callable, microbatches: int) -> Step:
    """Accumulates as one would write it: sum over a scan, divide at the end."""

    def step(params: dict, batch: tuple) -> tuple:
        def add(sums: tuple, microbatch: tuple) -> tuple:
            part = jax.value_and_grad(loss)(params, microbatch)
            return jax.tree.map(jnp.add, sums, part), None

        parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), batch)
        zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        sums, _ = jax.lax.scan(add, zeros, parts)
        return jax.tree.map(lambda x: x / microbatches, sums)

    return step


WAYS = {"library": accumulate_by_library, "hand": accumulate_by_hand}


def make_inputs(batch_size: int) -> tuple[dict, tuple]:
    """Makes parameters and a batch."""
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "w1": 0.1 * jax.random.normal(keys[0], (FEATURES, HIDDEN)),
        "b1": jnp.zeros(HIDDEN),
        "w2": 0.1 * jax.random.normal(keys[1], (HIDDEN, CLASSES)),
        "b2": jnp.zeros(CLASSES),
    }
    x = jax.random.normal(keys[2], (batch_size, FEATURES))
    return params, (x, jax.random.randint(keys[3], (batch_size,), 0, CLASSES))


def measure_cost(way: str, microbatches: int, batch_size: int) -> Cost:
    """Compiles a step, without running it, and reads its cost."""
    shapes = jax.eval_shape(functools.partial(make_inputs, batch_size))
    compiled = jax.jit(WAYS[way](compute_loss, microbatches)).lower(*shapes).compile()
    cost = compiled.cost_analysis()
    memory = compiled.memory_analysis()
    return Cost(cost["flops"], cost["bytes accessed"], memory.temp_size_in_bytes)


def count_traces(way: str, microbatches: int) -> Traces:
    """Calls a jitted step three times, on other numbers each time."""
    traces = {"step": 0, "loss": 0}

    def loss(params: dict, batch: tuple) -> jax.Array:
        traces["loss"] += 1
        return compute_loss(params, batch)

    step = WAYS[way](loss, microbatches)

    @jax.jit
    def counted(params: dict, batch: tuple) -> tuple:
        traces["step"] += 1
        return step(params, batch)

    params, batch = make_inputs(MICROBATCH * microbatches)
    for _ in range(3):
        _, params = jax.block_until_ready(counted(params, batch))
    return Traces(**traces)


def check_flops() -> list[str]:
    """Says where the library's compiled step does more or less arithmetic than the hand's."""
    failures = []
    for microbatches in (FEW, MANY):
        library, hand = (measure_cost(way, microbatches, BATCH) for way in WAYS)
        if f"{library.flops / hand.flops:.2f}" != "1.00":
            got = f"{library.flops:.0f} by the library, {hand.flops:.0f} by hand"
            failures.append(f"flops with {microbatches} microbatches: {got}")
    return failures


def check_memory() -> list[str]:
    """Says whether temporary memory grows with the number of microbatches of one size."""
    few, many = (measure_cost("library", n, n * MICROBATCH).temporary for n in (FEW, MANY))
    return [f"temporary memory grows from {few} to {many} bytes"] if many > few else []


def check_traces() -> list[str]:
    """Says whether three calls trace anything more than once."""
    step, loss = count_traces("library", FEW)
    if (step, loss) == (1, 1):
        return []
    return [f"three calls traced the step {step}, the loss {loss} times"]


def main() -> int:
    """Prints the tables, and what does not hold."""
    _print_costs()
    _print_traces()
    _print_times()
    failures = check_flops() + check_memory() + check_traces()
    for failure in failures:
        print(f"DOES NOT HOLD: {failure}")
    if not failures:
        print("As cheap as by hand: holds.")
    return 1 if failures else 0


def _print_costs() -> None:
    rows = []
    for microbatches, batch_size in (
        (FEW, FEW * MICROBATCH),
        (MANY, BATCH),
        (FEW, BATCH),
    ):
        library, hand = (measure_cost(way, microbatches, batch_size) for way in WAYS)
        rows.append(
            [
                f"{microbatches} microbatches of {batch_size // microbatches}",
                f"{library.flops / hand.flops:.2f}",
                f"{library.bytes / hand.bytes:.2f}",
                f"{library.temporary / 1024:.0f}",
                f"{hand.temporary / 1024:.0f}",
            ]
        )
    print_table(
        "accumulate_grads against a scan by hand, compiled: ratios, and temporary memory "
        f"(jax {jax.__version__}, {jax.default_backend()})",
        ["", "flops ratio", "bytes ratio", "KiB by library", "KiB by hand"],
        rows,
    )


def _print_traces() -> None:
    rows = [[way, *map(str, count_traces(way, FEW))] for way in WAYS]
    print_table("Three calls trace", ["", "the step", "the loss"], rows)


def _print_times() -> None:
    rows = []
    for microbatches in (FEW, MANY):
        params, batch = make_inputs(BATCH)
        calls = {way: _make_call(way, microbatches, params, batch) for way in WAYS}
        times = time_interleaved(calls, ROUNDS)
        rows.append(
            [
                f"{microbatches} microbatches of {BATCH // microbatches}",
                *(format_seconds(times[way]) for way in WAYS),
                f"{times['library'] / times['hand']:.2f}",
            ]
        )
    print_table(f"Times: medians of {ROUNDS} interleaved rounds", ["", *WAYS, "ratio"], rows)


def _make_call(way: str, microbatches: int, params: dict, batch: tuple) -> Callable[[], object]:
    step = jax.jit(WAYS[way](compute_loss, microbatches))
    return lambda: jax.block_until_ready(step(params, batch))


if __name__ == "__main__":
    sys.exit(main())
