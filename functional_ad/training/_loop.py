"""The training loop: one jitted ``lax.scan`` per epoch, its state donated."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float32, Key

from functional_ad import accumulate_grads, value_and_grad
from functional_ad.training._config import Config, OptimizerName
from functional_ad.training._data import BatchPlan, Dataset, load_data, plan_batches
from functional_ad.training._errors import DivergedError
from functional_ad.training._models import Model, Params, build_model

_OPTIMIZERS: Final[dict[OptimizerName, Callable[[float], optax.GradientTransformation]]] = {
    "sgd": optax.sgd,
    "adam": optax.adam,
    "adamw": optax.adamw,
}


class State(NamedTuple):
    """All that an epoch changes, and so all that is donated to the next one."""

    params: Params
    grads: Params
    optimizer: optax.OptState
    key: Key[Array, ""]


class Outcome(NamedTuple):
    """What an epoch tells: its mean loss, and whether every parameter is finite after it."""

    loss: Float32[Array, ""]
    finite: Bool[Array, ""]


class Batch(NamedTuple):
    """Examples, and which of them are real and not padding."""

    inputs: Array
    targets: Array
    real: Bool[Array, " examples"]


_Carry = tuple[Params, Params, optax.OptState]

RunEpoch = Callable[[State, Array, Array], tuple[State, Outcome]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: The epoch, counted from 1.
        loss: Mean training loss over the epoch's examples, each before its batch's update.
        test_accuracy: Share of the test examples that are classified rightly after the epoch, 0 to
            1; None where there are no test examples.
        seconds: How long the epoch took, the first one with its compilation.

    Example:
        >>> from functional_ad.training import Config, train
        >>> epoch = train(Config(epochs=1)).epochs[0]
        >>> epoch.number, epoch.loss, epoch.test_accuracy
        (1, 5.75, None)
    """

    number: int
    loss: float
    test_accuracy: float | None
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a finished run leaves.

    Attributes:
        config: The run's configuration.
        epochs: Each epoch, in order.
        params: The parameters after the last update.
        grads: The gradients of the last update, what PyTorch's ``.grad`` holds at the end.

    Example:
        >>> from functional_ad.training import train
        >>> result = train()
        >>> {name: round(float(value), 4) for name, value in result.params.items()}
        {'a': 0.1832, 'b': 1.8135}
        >>> {name: round(float(value), 4) for name, value in result.grads.items()}
        {'a': 0.0792, 'b': -0.1857}
    """

    config: Config
    epochs: tuple[Epoch, ...]
    params: Params
    grads: Params


def train(
    config: Config | None = None, *, on_epoch: Callable[[Epoch], None] | None = None
) -> Result:
    """Trains as configured.

    PyTorch's loop of ``zero_grad``, ``backward`` and ``step``: here gradients are values, so there
    is nothing to zero, and an epoch is one compiled call.

    Args:
        config: The configuration; the tutorial's worked case if left out.
        on_epoch: Called after each epoch, e.g. to print or to stop by raising.

    Returns:
        The trained parameters, the last gradients, and every epoch's figures.

    Raises:
        DivergedError: The loss or a parameter is not finite; ``on_epoch`` has seen that epoch.
        MissingExtraError: The data need a package that is not installed.

    Example:
        >>> from functional_ad.training import Config, train
        >>> result = train(Config(epochs=2))
        >>> [round(epoch.loss, 4) for epoch in result.epochs]
        [5.75, 4.5746]
    """
    config = Config() if config is None else config
    return run_training(config, load_data(config.data), on_epoch=on_epoch)


def run_training(
    config: Config, data: Dataset, *, on_epoch: Callable[[Epoch], None] | None = None
) -> Result:
    """Trains as configured on data that are loaded already; see `train`."""
    model = build_model(config)
    optimizer = _OPTIMIZERS[config.optimizer](config.learning_rate)
    state = init_state(model, optimizer, config.seed)
    plan = plan_batches(len(data.train.inputs), config.batch_size, config.microbatches)
    run_epoch = build_epoch(model, optimizer, plan, config.microbatches)
    measure_accuracy = _build_accuracy(model, data)
    inputs, targets = jnp.asarray(data.train.inputs), jnp.asarray(data.train.targets)

    epochs: list[Epoch] = []
    for number in range(1, config.epochs + 1):
        started = time.perf_counter()
        state, outcome = run_epoch(state, inputs, targets)
        loss, accuracy = float(outcome.loss), measure_accuracy(state.params)
        seconds = time.perf_counter() - started
        epoch = Epoch(number=number, loss=loss, test_accuracy=accuracy, seconds=seconds)
        epochs.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        if not (math.isfinite(loss) and bool(outcome.finite)):
            raise DivergedError(number, loss, config.learning_rate)
    return Result(config=config, epochs=tuple(epochs), params=state.params, grads=state.grads)


def init_state(model: Model, optimizer: optax.GradientTransformation, seed: int) -> State:
    """Makes the state before the first epoch, every leaf in a buffer of its own."""
    params_key, shuffle_key = jax.random.split(jax.random.key(seed))
    params = model.init(params_key)
    return State(params, jax.tree.map(jnp.zeros_like, params), optimizer.init(params), shuffle_key)


def build_epoch(
    model: Model,
    optimizer: optax.GradientTransformation,
    plan: BatchPlan,
    microbatches: int,
) -> RunEpoch:
    """Compiles, at its first call, one epoch: a scan over the batches. The state is donated.

    Several batches are shuffled anew in each epoch. A single one is not: its gradient is the same
    in any order, and unshuffled it is bit for bit reproducible.
    """

    def batch_loss(params: Params, batch: Batch) -> Array:
        losses = model.losses(params, batch.inputs, batch.targets)
        # At least 1, for a microbatch that is all padding: its loss and gradients are then zero.
        return jnp.sum(losses, where=batch.real) / jnp.maximum(count_real(batch), 1)

    def count_real(batch: Batch) -> Array:
        return jnp.sum(batch.real, dtype=jnp.float32)

    if microbatches == 1:
        gradients = value_and_grad(batch_loss)
    else:
        gradients = accumulate_grads(batch_loss, microbatches, weight_fn=count_real)

    def run_epoch(state: State, inputs: Array, targets: Array) -> tuple[State, Outcome]:
        key, shuffle_key = jax.random.split(state.key)
        order = plan.positions
        if len(plan.positions) > 1:
            order = jax.random.permutation(shuffle_key, len(inputs))[plan.positions]

        def update(carry: _Carry, batch: tuple[Any, Any]) -> tuple[_Carry, Array]:
            params, _, optimizer_state = carry
            examples, real = batch
            loss, grads = gradients(params, Batch(inputs[examples], targets[examples], real))
            updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
            params = cast(Params, optax.apply_updates(params, updates))
            return (params, grads, optimizer_state), loss

        carry = (state.params, state.grads, state.optimizer)
        (params, grads, optimizer_state), losses = jax.lax.scan(update, carry, (order, plan.real))
        finite = jnp.all(
            jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)])
        )
        outcome = Outcome(loss=jnp.sum(losses * plan.shares), finite=finite)
        return State(params, grads, optimizer_state, key), outcome

    return jax.jit(run_epoch, donate_argnums=0)


def _build_accuracy(model: Model, data: Dataset) -> Callable[[Params], float | None]:
    correct, test = model.correct, data.test
    if correct is None or test is None:
        return lambda params: None
    inputs, targets = jnp.asarray(test.inputs), jnp.asarray(test.targets)

    @jax.jit
    def measure(params: Params, inputs: Array, targets: Array) -> Array:
        return jnp.mean(correct(params, inputs, targets))

    return lambda params: float(measure(params, inputs, targets))
