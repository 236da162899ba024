"""One optimizer in PyTorch and here, on the same gradients: parameters and state of every step.

PyTorch runs first, on a gradient that depends on its parameters, moves on its own besides, and
changes its sign and its size: `weight * tanh(parameter - target)`, with a target that swings. Its
gradients are recorded, and are those of the optimizer here, too. So what differs is the optimizer,
and not what a rounding grows to in a descent; and everything else is one compiled scan.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks._optimizer_row import Make, Options, Row
from benchmarks._optimizer_rows import ROWS
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim._slots import SLOTS, read_state, write_state

STEPS = 1_000
Leaves = dict[str, Any]  # arrays; in a state also None, where a leaf has no such entry
BeforeStep = Callable[[torch.optim.Optimizer, int], None]


class Run(NamedTuple):
    """Of each step, by the leaf's name: gradients, parameters, and by PyTorch's name the state."""

    grads: Leaves
    params: Leaves
    state: dict[str, Leaves]
    optional: tuple[str, ...] = ()  # entries that PyTorch's state may have besides


class Difference(NamedTuple):
    """How far two runs are apart, relative to the largest magnitude of a leaf up to that step."""

    params: float
    state: float


def get_maker(name: str) -> Make:
    """The optimizer of that name."""
    return getattr(optim, name)


@contextmanager
def double_precision() -> Iterator[None]:
    """float64 in both, also for the scalars that PyTorch keeps in its default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with jax.enable_x64(True):
            yield
    finally:
        torch.set_default_dtype(before)


def make_params(row: Row, dtype: str) -> Leaves:
    """Where a run begins: numbers of the size of 1."""
    rng = np.random.default_rng(0)
    return {
        name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in row.shapes.items()
    }


def make_targets(row: Row, steps: int, dtype: str) -> tuple[dict[str, float], Leaves]:
    """How strong the gradient of each leaf is, and where it points in each step."""
    rng = np.random.default_rng(1)
    strengths = dict(zip(row.shapes, (0.1, 10.0, 1.0), strict=False))
    time = np.arange(steps)
    targets = {}
    for name, shape in row.shapes.items():
        pace = rng.uniform(0.003, 0.3, shape)
        phase = rng.uniform(0.0, 6.0, shape)
        targets[name] = 2 * np.cos(np.multiply.outer(time, pace) + phase).astype(dtype)
    return strengths, targets


def run_torch(
    row: Row,
    options: Options,
    *,
    steps: int = STEPS,
    dtype: str = "float64",
    before_step: BeforeStep | None = None,
) -> Run:
    """Runs PyTorch's optimizer and records its steps; `before_step` may change its options."""
    with row.setting():
        return _run_torch(row, options, steps, dtype, before_step)


def _run_torch(
    row: Row, options: Options, steps: int, dtype: str, before_step: BeforeStep | None
) -> Run:
    params = {name: torch.tensor(x) for name, x in make_params(row, dtype).items()}
    optimizer = getattr(torch.optim, row.torch)(params.values(), **options)
    strengths, targets = make_targets(row, steps, dtype)
    moving = {name: torch.from_numpy(x) for name, x in targets.items()}
    grads: dict[str, list[Any]] = {name: [] for name in params}
    path: dict[str, list[Any]] = {name: [] for name in params}
    state: dict[str, dict[str, list[Any]]] = {}
    for step in range(steps):
        for name, param in params.items():
            param.grad = (param - moving[name][step]).tanh_().mul_(strengths[name])
            grads[name].append(param.grad)
        if before_step:
            before_step(optimizer, step)
        optimizer.step()
        for name, param in params.items():
            path[name].append(param.clone())
            for key, value in optimizer.state[param].items():
                if value is not None:
                    entry = state.setdefault(key, {}).setdefault(name, [])
                    entry.append(value.clone() if isinstance(value, torch.Tensor) else value)
    stacked = {
        key: {name: _stack(leaves).get(name) for name in params} for key, leaves in state.items()
    }
    return Run(_stack(grads), _stack(path), stacked)


def run_here(
    name: str,
    row: Row,
    variant: str,
    numbers: Options,
    grads: Leaves,
    *,
    make: Make | None = None,
) -> Run:
    """Runs the optimizer here on recorded gradients: `make` in its place, to plant a defect.

    `numbers` are traced, the options of the variant are not.
    """
    half = _count_steps(grads) // 2
    with row.setting():
        scan, arrays, state = _prepare(name, row, variant, numbers, grads, make or get_maker(name))
        carry = make_params(row, _get_dtype(grads)), state
        carry, first = scan(arrays, carry, _cut(grads, slice(half)))
        _, second = scan(arrays, carry, _cut(grads, slice(half, None)))
    path, entries = jax.tree.map(lambda x, y: np.concatenate([x, y]), first, second)
    return Run(grads, path, entries, _find_optional(name))


def resume_here(name: str, row: Row, variant: str, numbers: Options, theirs: Run) -> Run:
    """Goes on from PyTorch's parameters and state in the middle of its run, to the end."""
    make, half = get_maker(name), _count_steps(theirs.grads) // 2
    params, values = _cut((theirs.params, theirs.state), half - 1)
    grads = _cut(theirs.grads, slice(half, None))
    with row.setting():
        scan, arrays, state = _prepare(name, row, variant, numbers, theirs.grads, make)
        carry = params, write_state(SLOTS[name], state, values, count=half)
        _, (path, entries) = scan(arrays, carry, grads)
    return Run(grads, *jax.tree.map(np.asarray, (path, entries)), _find_optional(name))


def take_second_half(run: Run) -> Run:
    """The steps that `resume_here` makes."""
    half = _count_steps(run.grads) // 2
    return Run(*_cut((run.grads, run.params, run.state), slice(half, None)))


def compare(one: Run, other: Run) -> Difference:
    """Measures how far two runs are apart.

    Raises:
        ValueError: One has an entry of the state that the other lacks.
    """
    lacking = {key for key in other.optional if key not in other.state}
    keys = [key for key in one.state if key not in lacking]
    if set(keys) != other.state.keys():
        raise ValueError(f"states differ: {sorted(keys)} and {sorted(other.state)}")
    return Difference(
        _compare_leaves(one.params, other.params),
        max([_compare_leaves(one.state[key], other.state[key]) for key in keys], default=0.0),
    )


def _compare_leaves(ones: Leaves, others: Leaves) -> float:
    pairs = [(ones[name], others[name]) for name in ones]
    if any((one is None) != (other is None) for one, other in pairs):
        raise ValueError("states differ: an entry is there for other leaves")
    return max(_compare_arrays(one, other) for one, other in pairs if one is not None)


def _compare_arrays(one: np.ndarray, other: np.ndarray) -> float:
    """Both have the steps as their first axis."""
    steps = len(one)
    error = np.abs(np.subtract(one, other, dtype=np.float64)).reshape(steps, -1).max(1)
    size = np.maximum.accumulate(np.abs(one).reshape(steps, -1).max(1))
    if not np.isfinite(error).all():
        return np.inf
    error[error <= np.finfo(np.float64).tiny] = 0.0  # XLA takes for 0 what is below
    worst = np.where(error > 0, np.inf, 0.0)
    return float(np.divide(error, size, out=worst, where=size > 0).max())


def _stack(leaves: Mapping[str, list[Any]]) -> Leaves:
    return {
        name: torch.stack(values).numpy()
        if isinstance(values[0], torch.Tensor)
        else np.asarray(values)
        for name, values in leaves.items()
    }


def _find_optional(name: str) -> tuple[str, ...]:
    return tuple(key for key, slot in SLOTS[name].items() if slot.optional)


def _count_steps(grads: Leaves) -> int:
    return len(next(iter(grads.values())))


def _get_dtype(grads: Leaves) -> str:
    return next(iter(grads.values())).dtype.name


def _cut(tree: Any, where: int | slice) -> Any:
    return jax.tree.map(lambda x: x[where], tree)


def _prepare(
    name: str, row: Row, variant: str, numbers: Options, grads: Leaves, make: Make
) -> tuple[Any, Any, Any]:
    """The compiled steps, their numbers as arrays, and the state to begin with."""
    dtype, static = _get_dtype(grads), row.variants[variant]
    traced = {key: value for key, value in numbers.items() if key not in static}
    arrays = jax.tree.map(lambda x: jnp.asarray(x, dtype), traced)
    state = make(**arrays, **static).init(make_params(row, dtype))
    return _compile(name, variant, make), arrays, state


@functools.cache
def _compile(name: str, variant: str, make: Make) -> Any:
    static = ROWS[name].variants[variant]

    @jax.jit
    def scan(numbers: Options, carry: Any, grads: Leaves) -> tuple[Any, Any]:
        transform = make(**numbers, **static)

        def step(carry: Any, grad: Leaves) -> tuple[Any, Any]:
            params, state = carry
            updates, state = transform.update(grad, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), (params, read_state(SLOTS[name], state, params))

        return jax.lax.scan(step, carry, grads)

    return scan
