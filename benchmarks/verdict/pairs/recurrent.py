"""Recurrences: cells, scans and iterations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.verdict.pair import Pair

WIDTH = 5
_with = functools.partial


def _cell(rng: np.random.Generator, size: int, scale: float, gates: int) -> tuple[Any, ...]:
    weights = rng.normal(size=(2, gates * WIDTH, WIDTH)) / np.sqrt(WIDTH)
    biases = 0.5 * rng.normal(size=(2, gates * WIDTH))
    return scale * rng.normal(size=(size, 3, WIDTH)), *weights, *biases


def _signal(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=(size, 3)), np.asarray(rng.uniform(0.5, 0.95))


def _start(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.uniform(0.5, 2, size),)


def _scan(
    step: Callable[[Any, Any], Any],
    carry: Any,
    xs: Any,
    reverse: bool = False,
    shifted: bool = False,
    detach: bool = False,
) -> Any:
    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        carry = jax.lax.stop_gradient(carry) if detach else carry
        after = step(carry, x)
        return after, jax.tree.leaves(carry if shifted else after)[0]

    return jax.lax.scan(body, carry, xs, reverse=reverse)[1]


def _loop(
    step: Callable[[Any, Any], Any], carry: Any, xs: Any, stack: Callable[[Any], Any] = torch.stack
) -> Any:
    outputs = []
    for x in xs:
        carry = step(carry, x)
        outputs.append(carry[0] if isinstance(carry, tuple) else carry)
    return stack(outputs)


def _rnn(xs: Any, wi: Any, wh: Any, bi: Any, bh: Any, biases: int = 2, **how: Any) -> Any:
    bias = bi + bh if biases == 2 else bi
    return _scan(lambda h, x: jnp.tanh(x @ wi.T + h @ wh.T + bias), 0 * xs[0], xs, **how)


def _rnn_torch(xs: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    return _loop(lambda h, x: torch.rnn_tanh_cell(x, h, wi, wh, bi, bh), 0 * xs[0], xs)


def _lstm(
    xs: Any, wi: Any, wh: Any, bi: Any, bh: Any, order: str = "ifgo", forget: float = 0.0
) -> Any:
    def step(carry: Any, x: Any) -> Any:
        h, c = carry
        gates = jnp.split(x @ wi.T + bi + h @ wh.T + bh, 4, -1)
        gate = dict(zip(order, gates, strict=True))
        c = jax.nn.sigmoid(gate["f"] + forget) * c + jax.nn.sigmoid(gate["i"]) * jnp.tanh(gate["g"])
        return jax.nn.sigmoid(gate["o"]) * jnp.tanh(c), c

    return _loop(step, (0 * xs[0], 0 * xs[0]), xs, jnp.stack)


def _lstm_torch(xs: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    def step(carry: Any, x: Any) -> Any:
        return torch.lstm_cell(x, carry, wi, wh, bi, bh)

    return _loop(step, (0 * xs[0], 0 * xs[0]), xs)


def _gru(
    xs: Any, wi: Any, wh: Any, bi: Any, bh: Any, reset_first: bool = False, swapped: bool = False
) -> Any:
    def step(h: Any, x: Any) -> Any:
        xr, xz, xn = jnp.split(x @ wi.T + bi, 3, -1)
        hr, hz, hn = jnp.split(h @ wh.T + bh, 3, -1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        if reset_first:
            hn = (r * h) @ wh[2 * WIDTH :].T + bh[2 * WIDTH :]
            n = jnp.tanh(xn + hn)
        else:
            n = jnp.tanh(xn + r * hn)
        return z * n + (1 - z) * h if swapped else (1 - z) * n + z * h

    return _loop(step, 0 * xs[0], xs, jnp.stack)


def _gru_torch(xs: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    return _loop(lambda h, x: torch.gru_cell(x, h, wi, wh, bi, bh), 0 * xs[0], xs)


def _average(xs: Any, decay: Any, correct: bool = False, swapped: bool = False) -> Any:
    old, new = (1 - decay, decay) if swapped else (decay, 1 - decay)
    means = _scan(lambda m, x: old * m + new * x, jnp.zeros_like(xs[0]), xs)
    steps = jnp.arange(1, len(xs) + 1, dtype=xs.dtype)[:, None]
    return means / (1 - decay**steps) if correct else means


def _average_torch(xs: Any, decay: Any) -> Any:
    return _loop(lambda m, x: torch.lerp(x, m, decay), torch.zeros_like(xs[0]), xs)


def _newton(x: Any, steps: int = 6) -> Any:
    return jax.lax.fori_loop(0, steps, lambda _, y: (y + x / y) / 2, x)


def _newton_torch(x: Any) -> Any:
    y = x
    for _ in range(6):
        y = (y + x / y) / 2
    return y


def _logistic(x: Any, rate: float = 3.7) -> Any:
    x = x / 3
    return jax.lax.fori_loop(0, 12, lambda _, x: rate * x * (1 - x), x)


def _logistic_torch(x: Any) -> Any:
    x = x / 3
    for _ in range(12):
        x = 3.7 * x * (1 - x)
    return x


PAIRS = (
    Pair(
        name="recurrent cell",
        jax=_rnn,
        torch=_rnn_torch,
        jitted=True,
        inputs=_with(_cell, gates=1),
        sizes=(4, 20),
        scales=(1.0, 3.0),
        dtypes=("float32", "bfloat16"),
        defects={
            "one bias for two": _with(_rnn, biases=1),
            "backwards in time": _with(_rnn, reverse=True),
            "outputs shifted by one": _with(_rnn, shifted=True),
            "the state detached": _with(_rnn, detach=True),
        },
    ),
    Pair(
        name="long short-term memory",
        jax=_lstm,
        torch=_lstm_torch,
        inputs=_with(_cell, gates=4),
        sizes=(2,),
        defects={
            "gates in another order": _with(_lstm, order="igfo"),
            "a forget bias of 1": _with(_lstm, forget=1.0),
        },
    ),
    Pair(
        name="gated recurrent unit",
        jax=_gru,
        torch=_gru_torch,
        inputs=_with(_cell, gates=3),
        sizes=(2,),
        defects={
            "reset before the product": _with(_gru, reset_first=True),
            "the update gate inverted": _with(_gru, swapped=True),
        },
    ),
    Pair(
        name="exponential average",
        jax=_average,
        torch=_average_torch,
        jitted=True,
        inputs=_signal,
        sizes=(10, 60),
        scales=(1.0, 1e3),
        dtypes=("float32", "bfloat16"),
        defects={
            "bias corrected": _with(_average, correct=True),
            "decay for momentum": _with(_average, swapped=True),
        },
    ),
    Pair(
        name="Newton's square root",
        jax=_newton,
        torch=_newton_torch,
        jitted=True,
        inputs=_start,
        sizes=(20, 65),
        scales=(1.0, 100.0),
        orders=("value",),
        defects={"four steps for six": _with(_newton, steps=4)},
    ),
    Pair(
        name="logistic map, twelve steps",
        jax=_logistic,
        torch=_logistic_torch,
        jitted=True,
        inputs=_start,
        sizes=(20,),
        orders=("value",),
        defects={"a rate of 3.7001": _with(_logistic, rate=3.7001)},
    ),
)
