"""A training run as a case: both sides from a model and an optimizer of each framework."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from comparisons import TrainingCase, torch_training
from comparisons.cases.training import models
from comparisons.cases.training._sides import (
    make_closure_step,
    make_jax_step,
    make_loop_step,
    make_torch_closure_step,
)
from functional_ad.training import Config
from functional_ad.training._data import load_data
from functional_ad.training._models import build_model

STEPS = 200
OPTIM = "https://docs.pytorch.org/docs/stable/generated/torch.optim.{}.html"
HIDDEN, CHANNELS = 24, 4
CONTEXT, WIDTH, HEADS, LAYERS = 16, 16, 2, 1

TORCH = {
    "linear": models.Linear,
    "mlp": functools.partial(models.MLP, HIDDEN),
    "cnn": functools.partial(models.CNN, CHANNELS, HIDDEN),
    "transformer": functools.partial(models.Transformer, CONTEXT, WIDTH, HEADS, 2 * WIDTH, LAYERS),
}
CONFIGS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"hidden": HIDDEN},
    "cnn": {"hidden": HIDDEN, "channels": CHANNELS},
    "transformer": {
        "context": CONTEXT,
        "width": WIDTH,
        "heads": HEADS,
        "hidden": 2 * WIDTH,
        "layers": LAYERS,
    },
}
TITLES = {"mlp": "MLP", "cnn": "CNN", "transformer": "Transformer"}
BATCH = {"linear": 20, "mlp": 32, "cnn": 16, "transformer": 4}


def make_batches(model: str, steps: int = STEPS) -> list[dict[str, Any]]:
    """The batches of a run: the same numbers for both sides, drawn from the script's own data."""
    config = Config.for_model(model, **CONFIGS[model])
    train = load_data(config.data, config.context).train
    if model == "linear":
        return [{"x": train.inputs, "y": train.targets}] * steps
    rng = np.random.default_rng(0)
    chosen = [rng.integers(0, len(train.inputs), BATCH[model]) for _ in range(steps)]
    return [
        {"x": train.inputs[rows], "y": train.targets[rows], "step": number}
        for number, rows in enumerate(chosen)
    ]


def make_module(model: str) -> torch.nn.Module:
    """The PyTorch model, its parameters drawn from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TORCH[model]()


def compute_loss(module: torch.nn.Module, batch: Any) -> torch.Tensor:
    """The loss as PyTorch's users write it."""
    outputs = module(batch["x"])
    if outputs.ndim == 1:
        return F.mse_loss(outputs, batch["y"])
    return F.cross_entropy(outputs.flatten(0, -2), batch["y"].flatten().long())


def build(model: str) -> Any:
    """The training script's model."""
    return build_model(Config.for_model(model, **CONFIGS[model]))


def make_run(
    name: str,
    model: str,
    optimizer: str,
    make_torch: Callable[[Any], torch.optim.Optimizer],
    make_jax: Callable[[], Any],
    note: str,
    *,
    begin: Callable[[torch.Tensor], dict[str, torch.Tensor]] | None = None,
    shared: dict[str, float] | None = None,
    weights_only: bool = False,
    max_norm: float | None = None,
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None,
) -> TrainingCase:
    """A run as a case; what it needs is made when it is run.

    Args:
        name: Name of the case, below ``training``.
        model: The model.
        optimizer: The optimizer's name in ``torch_semantics.optim``.
        make_torch: Makes PyTorch's optimizer of parameters.
        make_jax: Makes the transform.
        note: What there is to say of it.
        begin: As for ``make_loop_step``, for an optimizer that ``torch_training`` refuses.
        shared: Likewise.
        weights_only: Whether only matrices are trained.
        max_norm: The bound of the gradients' norm.
        schedule: Makes PyTorch's scheduler of an optimizer.
    """

    def make() -> tuple[Any, Any, Any, Any]:
        module = make_module(model)
        for parameter in module.parameters():
            parameter.requires_grad_(not weights_only or parameter.ndim == 2)
        batches = make_batches(model)
        rates = _list_rates(make_torch, schedule, len(batches)) if schedule else None

        def of(module: torch.nn.Module) -> torch.optim.Optimizer:
            return make_torch([p for p in module.parameters() if p.requires_grad])

        def before_step(module: Any, made: Any, batch: Any) -> None:
            if max_norm is not None:
                torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm)
            if rates is not None:
                made.param_groups[0]["lr"] = rates[int(batch["step"])]

        if begin is not None:
            state, torch_step = make_loop_step(module, of, compute_loss, begin, shared or {})
        else:
            state, torch_step = torch_training(module, of, compute_loss, before_step)
        jax_step = make_jax_step(
            model,
            build(model),
            optimizer,
            make_jax(),
            where=(lambda path, leaf: leaf.ndim == 2) if weights_only else None,
            max_norm=max_norm,
        )
        return jax_step, torch_step, state, batches

    return TrainingCase(
        name=f"training/{name}",
        title=f"{STEPS} steps of the {model} with {optimizer}",
        make=make,
        jax=_find_jax(model),
        torch=_find_torch(model),
        note=note,
        citation=_cite(make_torch),
    )


def make_closure_case(
    name: str,
    model: str,
    make_torch: Callable[[Any], torch.optim.Optimizer],
    make_jax: Callable[[], Any],
    note: str,
) -> TrainingCase:
    """A run of an optimizer that evaluates the loss itself."""

    def make() -> tuple[Any, Any, Any, Any]:
        module = make_module(model)
        state, torch_step = make_torch_closure_step(
            module, lambda module: make_torch(module.parameters()), compute_loss
        )
        return (
            make_closure_step(model, build(model), make_jax()),
            torch_step,
            state,
            make_batches(model),
        )

    return TrainingCase(
        name=f"training/{name}",
        title=f"{STEPS} steps of the {model} with {name}",
        make=make,
        jax=_find_jax(model),
        torch=_find_torch(model),
        note=note,
        citation=_cite(make_torch),
    )


def _find_jax(model: str) -> Callable[..., Any]:
    """What a report shows as the JAX side: the training script's own model."""
    home = importlib.import_module(f"functional_ad.training._models._{model}")
    return home.build_linear if model == "linear" else getattr(home, TITLES[model])


def _find_torch(model: str) -> Callable[..., Any]:
    made = TORCH[model]
    return made.func if isinstance(made, functools.partial) else made


def _cite(make_torch: Callable[[Any], torch.optim.Optimizer]) -> str:
    return OPTIM.format(type(make_torch([torch.zeros(1, 1, requires_grad=True)])).__name__)


def _list_rates(
    make_torch: Callable[[Any], torch.optim.Optimizer], schedule: Callable[[Any], Any], steps: int
) -> list[float]:
    """What PyTorch's scheduler gives at each step."""
    optimizer = make_torch([torch.zeros((), requires_grad=True)])
    scheduler = schedule(optimizer)
    rates: list[float] = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates
