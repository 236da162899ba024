"""jacobian and hessian in chunks against JAX's, which compute all rows at once.

    python -m benchmarks.second_order

Exits 1 if a chunk of 32 rows holds more than a tenth of JAX's temporary memory for a perceptron
from 2,000 to 2,000 numbers (for the Hessian, to a scalar), or takes more than 1.3 times its time,
or if a function does other flops than JAX's or the form by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks._timing import format_seconds, print_table, time_interleaved
from functional_ad import ggnvp, hessian, hvp, jacobian

WIDTH = 2000
CHUNK = 32
ROUNDS = 7
MOST_MEMORY, MOST_TIME = 0.1, 1.3

Weights = list[jax.Array]


def compute_outputs(weights: Weights, x: jax.Array) -> jax.Array:
    """A perceptron with three layers."""
    for weight in weights:
        x = jnp.tanh(x @ weight)
    return x


def compute_loss(weights: Weights, x: jax.Array) -> jax.Array:
    """Its outputs as a scalar."""
    return jnp.sum(compute_outputs(weights, x) ** 2)


PAIRS: dict[str, tuple[Callable, Callable]] = {
    "jacobian": (
        jacobian(compute_outputs, argnums=1, chunk_size=CHUNK),
        jax.jacrev(compute_outputs, argnums=1),
    ),
    "hessian": (
        hessian(compute_loss, argnums=1, chunk_size=CHUNK),
        jax.hessian(compute_loss, argnums=1),
    ),
}
"""What is computed in chunks, and JAX's way."""


def _multiply_by_hand(weights: Weights, x: jax.Array) -> tuple:
    return jax.jvp(jax.grad(lambda x: compute_loss(weights, x)), (x,), (x,))


def _multiply_gauss_newton_by_hand(weights: Weights, x: jax.Array) -> jax.Array:
    outputs, pushed = jax.jvp(lambda x: compute_outputs(weights, x), (x,), (x,))
    _, pullback = jax.vjp(lambda x: compute_outputs(weights, x), x)
    _, curved = jax.jvp(jax.grad(lambda z: jnp.sum(z**2)), (outputs,), (pushed,))
    return pullback(curved)[0]


FORMS: dict[str, tuple[Callable, Callable]] = {
    "jacobian, reverse": (
        jacobian(compute_outputs, argnums=1, mode="rev"),
        jax.jacrev(compute_outputs, argnums=1),
    ),
    "jacobian, forward": (
        jacobian(compute_outputs, argnums=1, mode="fwd"),
        jax.jacfwd(compute_outputs, argnums=1),
    ),
    "hessian": (hessian(compute_loss, argnums=1), jax.hessian(compute_loss, argnums=1)),
    "hvp": (
        lambda weights, x: hvp(lambda x: compute_loss(weights, x), (x,), (x,)),
        _multiply_by_hand,
    ),
    "ggnvp": (
        lambda weights, x: ggnvp(
            lambda x: compute_outputs(weights, x), lambda z: jnp.sum(z**2), x, x
        ),
        _multiply_gauss_newton_by_hand,
    ),
}
"""What does the same arithmetic as JAX's function, or as the form by hand."""


def make_inputs(width: int = WIDTH) -> tuple[Weights, jax.Array]:
    """Makes weights and a point."""
    keys = jax.random.split(jax.random.key(0), 4)
    weights = [jax.random.normal(key, (width, width)) / width**0.5 for key in keys[:3]]
    return weights, jax.random.normal(keys[3], (width,))


def _compile(fn: Callable, width: int) -> jax.stages.Compiled:
    return jax.jit(fn).lower(*jax.eval_shape(lambda: make_inputs(width))).compile()


def measure_memory(fn: Callable, width: int = WIDTH) -> int:
    """Compiles a function, without running it, and reads its temporary memory in bytes."""
    return _compile(fn, width).memory_analysis().temp_size_in_bytes


def measure_flops(fn: Callable, width: int = WIDTH) -> float:
    """Compiles a function, without running it, and reads its flops."""
    return _compile(fn, width).cost_analysis()["flops"]


def check_memory(width: int = WIDTH) -> list[str]:
    """Says where a chunk holds more than a tenth of what JAX holds."""
    failures = []
    for name, (ours, plain) in PAIRS.items():
        held, whole = measure_memory(ours, width), measure_memory(plain, width)
        if held > MOST_MEMORY * whole:
            failures.append(f"{name} holds {held} bytes, JAX's {whole}")
    return failures


def check_flops(width: int = WIDTH) -> list[str]:
    """Says where a function without chunks does other arithmetic than JAX's."""
    failures = []
    for name, (ours, plain) in FORMS.items():
        done, asked = measure_flops(ours, width), measure_flops(plain, width)
        if done != asked:
            failures.append(f"{name} does {done:.0f} flops, by hand {asked:.0f}")
    return failures


def measure_times() -> dict[str, dict[str, float]]:
    """Times both ways of each pair in turn, in seconds."""
    inputs = make_inputs()
    times = {}
    for name, ways in PAIRS.items():
        calls = {way: _make_call(fn, inputs) for way, fn in zip(("ours", "jax"), ways, strict=True)}
        times[name] = time_interleaved(calls, ROUNDS)
    return times


def _make_call(fn: Callable, inputs: tuple) -> Callable[[], object]:
    compiled = jax.jit(fn).lower(*inputs).compile()
    return lambda: jax.block_until_ready(compiled(*inputs))


def check_times(times: dict[str, dict[str, float]]) -> list[str]:
    """Says where chunks take more than 1.3 times JAX's time."""
    ratios = {name: pair["ours"] / pair["jax"] for name, pair in times.items()}
    return [
        f"{name} takes {ratio:.2f} times JAX's time"
        for name, ratio in ratios.items()
        if ratio > MOST_TIME
    ]


def main() -> int:
    """Prints the tables, and what does not hold."""
    _print_memory()
    times = measure_times()
    _print_times(times)
    failures = check_memory() + check_flops() + check_times(times)
    for failure in failures:
        print(f"DOES NOT HOLD: {failure}")
    if not failures:
        print("A tenth of the memory in 1.3 times the time, and no flops more: holds.")
    return 1 if failures else 0


def _print_memory() -> None:
    rows = []
    for name, (ours, plain) in PAIRS.items():
        held, whole = measure_memory(ours), measure_memory(plain)
        rows.append([name, f"{held / 2**20:.2f}", f"{whole / 2**20:.2f}", f"1/{whole / held:.0f}"])
    print_table(
        f"Temporary memory of {WIDTH} x {WIDTH} derivatives, {CHUNK} rows at a time against all "
        f"(jax {jax.__version__}, {jax.default_backend()})",
        ["", "MiB, ours", "MiB, JAX's", "ratio"],
        rows,
    )


def _print_times(times: dict[str, dict[str, float]]) -> None:
    rows = [
        [name, *map(format_seconds, pair.values()), f"{pair['ours'] / pair['jax']:.2f}"]
        for name, pair in times.items()
    ]
    print_table(
        f"Times: medians of {ROUNDS} interleaved rounds", ["", "ours", "JAX's", "ratio"], rows
    )


if __name__ == "__main__":
    sys.exit(main())
