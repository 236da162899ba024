"""L-BFGS in PyTorch and here: each on its own way, and here step by step from PyTorch's states.

What a rounding grows to on a way of many iterations depends on the loss: the pairs that a direction
is made of are differences of gradients, and a difference of nearly equal numbers keeps what is off
in them. So there are two comparisons. On a loss that comes to rest, both go their own way, and must
make the same evaluations and arrive at the same numbers. On a loss that moves and never comes to
rest, every step here begins with the parameters and the state that PyTorch has there, and must lead
to those that PyTorch has next: over 1,000 steps, what one step adds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim._lbfgs_state import write_lbfgs_state

Params = dict[str, Any]
SHAPES = {"shift": (2,), "weight": (3,)}  # in the order of JAX's trees
SIZE = 5

_RNG = np.random.default_rng(0)
_MATRIX = _RNG.standard_normal((8, SIZE))
_TARGET = _RNG.standard_normal(8)
_POINTS = _RNG.standard_normal((30, SIZE))
_LABELS = (_RNG.uniform(size=30) < 0.5).astype(float)


class Path(NamedTuple):
    """What is known after each call of `step`: arrays with an axis for the calls."""

    params: Any
    loss: Any  # of the parameters before the call
    func_evals: Any
    n_iter: Any


def _join(xp: Any, params: Params) -> Any:
    return xp.concatenate([params[name] for name in SHAPES])


def _take(xp: Any, numbers: np.ndarray) -> Any:
    return torch.from_numpy(numbers) if xp is torch else jnp.asarray(numbers)


def quadratic(xp: Any, params: Params) -> Any:
    """Least squares."""
    return ((_take(xp, _MATRIX) @ _join(xp, params) - _take(xp, _TARGET)) ** 2).sum() / 2


def rosenbrock(xp: Any, params: Params) -> Any:
    """The curved valley."""
    x = _join(xp, params)
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def logistic(xp: Any, params: Params) -> Any:
    """Logistic regression with a small penalty."""
    weight = _join(xp, params)
    logits = _take(xp, _POINTS) @ weight
    nll = xp.logaddexp(xp.zeros_like(logits), logits) - _take(xp, _LABELS) * logits
    return nll.mean() + 1e-3 * (weight**2).sum()


def moving(xp: Any, params: Params, target: Any) -> Any:
    """Least squares with another target each time, and hills between that bend downwards."""
    x = _join(xp, params)
    return ((_take(xp, _MATRIX) @ x - target) ** 2).sum() / 2 + 4 * xp.cos(2 * x).sum()


LOSSES: dict[str, Callable[..., Any]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "logistic": logistic,
}


def make_params(seed: int) -> Params:
    """Where a run begins."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def make_targets(steps: int) -> np.ndarray:
    """The targets of the loss that moves."""
    return np.random.default_rng(1).standard_normal((steps, 8)).cumsum(0) / 3


class Side:
    """PyTorch's optimizer and its parameters, as trees of arrays."""

    def __init__(self, params: Params, options: Mapping[str, Any]) -> None:
        self.params = {name: torch.tensor(x, requires_grad=True) for name, x in params.items()}
        self.optimizer = torch.optim.LBFGS(list(self.params.values()), **options)

    def step(self, loss: Callable[[Params], Any]) -> Any:
        def closure() -> Any:
            self.optimizer.zero_grad()
            value = loss(self.params)
            value.backward()
            return value

        return self.optimizer.step(closure).detach().numpy().copy()

    def read_params(self) -> Params:
        return {name: x.detach().numpy().copy() for name, x in self.params.items()}

    @property
    def state(self) -> dict[str, Any]:
        return self.optimizer.state[self.optimizer._params[0]]

    def read_state(self) -> dict[str, Any]:
        """As `write_lbfgs_state` takes it."""
        entries = {key: value for key, value in self.state.items() if key != "al"}
        for key in ("d", "prev_flat_grad"):
            if key in entries:
                entries[key] = self._split(entries[key])
        for key in ("old_dirs", "old_stps"):
            entries[key] = [self._split(vector) for vector in entries.get(key, ())]
        return jax.tree.map(
            lambda x: x.numpy().copy() if isinstance(x, torch.Tensor) else x, entries
        )

    def _split(self, vector: Any) -> Params:
        parts = torch.split(vector, [x.numel() for x in self.params.values()])
        return dict(zip(self.params, parts, strict=True))


def run_torch(name: str, seed: int, calls: int, options: Mapping[str, Any]) -> Path:
    """Goes PyTorch's way."""
    side = Side(make_params(seed), options)
    places = []
    for _ in range(calls):
        loss = side.step(functools.partial(LOSSES[name], torch))
        state = side.state
        places.append(Path(side.read_params(), loss, state["func_evals"], state["n_iter"]))
    return jax.tree.map(lambda *x: np.stack(x), *places)


def run_here(
    name: str,
    seed: int,
    calls: int,
    static: Mapping[str, Any],
    traced: Mapping[str, Any],
    *,
    shaken: bool = False,
) -> Path:
    """Goes our way, in one scan; `shaken`, from parameters that are off by their last bit.

    Options that are `traced` compile nothing when they change.
    """
    params = make_params(seed)
    if shaken:
        params = jax.tree.map(lambda x: np.nextafter(x, np.inf), params)
    run = _compile_run(name, calls, tuple(static.items()))
    return jax.tree.map(np.asarray, run(dict(traced), params))


@functools.cache
def _compile_run(name: str, calls: int, static: tuple[tuple[str, Any], ...]) -> Any:
    @jax.jit
    def run(traced: Mapping[str, Any], params: Params) -> Path:
        optimizer = optim.lbfgs(**dict(static), **traced)

        def call(carry: Any, _: None) -> Any:
            loss = functools.partial(LOSSES[name], jnp)
            params, state, value = optimizer.step(loss, *carry)
            return (params, state), Path(params, value, state.func_evals, state.n_iter)

        start = jax.tree.map(jnp.asarray, params)
        return jax.lax.scan(call, (start, optimizer.init(start)), length=calls)[1]

    return run


class Steps(NamedTuple):
    """Parameters and states before and after each step on the loss that moves."""

    before: Any
    after: Any


def record_torch(steps: int, options: Mapping[str, Any]) -> Steps:
    """PyTorch's way over the loss that moves."""
    side = Side(make_params(0), options)
    begin = optim.lbfgs(**options).init(jax.tree.map(jnp.asarray, make_params(0)))
    places = [(side.read_params(), begin)]
    for count, target in enumerate(make_targets(steps)):
        side.step(functools.partial(moving, torch, target=torch.from_numpy(target)))
        state = write_lbfgs_state(begin, side.read_state(), count=count + 1)
        places.append((side.read_params(), state))
    stacked = jax.tree.map(lambda *x: np.stack(x), *places)
    before, after = (
        jax.tree.map(lambda x: x[:-1], stacked),
        jax.tree.map(lambda x: x[1:], stacked),
    )
    return Steps(before, _arrange(after))


def repeat_here(steps: Steps, options: Mapping[str, Any]) -> Any:
    """Makes each step from where PyTorch began it, and returns where it leads."""
    optimizer = optim.lbfgs(**options)
    count = len(steps.before[1].count)

    @jax.jit
    def run(before: Any, targets: Any) -> Any:
        def make_step(pair: Any) -> Any:
            (params, state), target = pair
            return optimizer.step(lambda p: moving(jnp, p, target), params, state)[:2]

        return jax.lax.map(make_step, (before, targets))

    return _arrange(jax.tree.map(np.asarray, run(steps.before, make_targets(count))))


def _arrange(places: Any) -> Any:
    """Each step's pairs from the oldest to the newest: here they are overwritten in turn."""
    params, state = places
    curvature = state.curvature
    steps, size = curvature.ro.shape
    kept = np.minimum(curvature.num_pairs, size)[:, None]
    order = (curvature.num_pairs[:, None] - kept + np.arange(size)) % size
    there = np.arange(size) < kept

    def sort(memory: np.ndarray) -> np.ndarray:
        sorted_ = memory[np.arange(steps)[:, None], order]
        return np.where(there.reshape(steps, size, *[1] * (memory.ndim - 2)), sorted_, 0)

    curvature = curvature._replace(
        old_dirs=jax.tree.map(sort, curvature.old_dirs),
        old_stps=jax.tree.map(sort, curvature.old_stps),
        ro=sort(curvature.ro),
        num_pairs=kept[:, 0],
    )
    return params, state._replace(curvature=curvature)


def measure_steps(ones: Any, others: Any) -> np.ndarray:
    """How far two trees are apart after each step: the worst entry, relative to its own size.

    Counts that differ are infinitely far apart.
    """
    pairs = zip(jax.tree.leaves(ones), jax.tree.leaves(others), strict=True)
    return np.max([_measure_entry(one, other) for one, other in pairs], axis=0)


def _measure_entry(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind == "i":
        return np.where(one == other, 0.0, np.inf)
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    error, size = np.abs(one - other).max(1), np.abs(one).max(1)
    worst = np.where(error == 0, 0.0, np.inf)  # also NaN, which a loss that moves never gives
    return np.divide(error, size, out=worst, where=np.isfinite(error) & (error > 0) & (size > 0))


def measure_paths(one: Path, other: Path) -> float:
    """How far two ways are apart, relative to the largest magnitude on the way."""
    pairs = zip(
        jax.tree.leaves((one.params, one.loss)),
        jax.tree.leaves((other.params, other.loss)),
        strict=True,
    )
    return max(float(np.abs(x - y).max() / np.abs(x).max()) for x, y in pairs)


def count_alike(one: Path, other: Path) -> bool:
    """Whether both evaluated and iterated as often after each call."""
    return np.array_equal(one.func_evals, other.func_evals) and np.array_equal(
        one.n_iter, other.n_iter
    )
