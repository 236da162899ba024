"""Training runs: each model, and each optimizer at least once."""

from __future__ import annotations

from typing import Any

import torch

from comparisons.cases.training._runs import make_closure_case, make_run
from functional_ad.torch_semantics import lr_scheduler, optim

T: Any = torch.optim


def _zeros(p: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(p)


def _begin_adafactor(p: torch.Tensor) -> dict[str, torch.Tensor]:
    if p.ndim < 2:
        return {"variance": _zeros(p)}
    rows, columns = list(p.shape), list(p.shape)
    rows[-1] = columns[-2] = 1
    return {"row_var": p.new_zeros(rows), "col_var": p.new_zeros(columns)}


CASES = (
    make_run(
        "linear",
        "linear",
        "sgd",
        lambda ps: T.SGD(ps, lr=0.01),
        lambda: optim.sgd(0.01),
        "The tutorial's regression: by hand in PyTorch, a jitted scan in JAX.",
    ),
    make_run(
        "mlp",
        "mlp",
        "sgd",
        lambda ps: T.SGD(ps, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
        lambda: optim.sgd(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
        "Nesterov's momentum; weights decay through the gradient.",
    ),
    make_run(
        "cnn",
        "cnn",
        "adam",
        lambda ps: T.Adam(ps, lr=2e-3),
        lambda: optim.adam(lr_scheduler.step_lr(2e-3, 50, 0.5)),
        "Channels first in PyTorch and last in JAX; the learning rate is halved every 50 steps.",
        schedule=lambda optimizer: T.lr_scheduler.StepLR(optimizer, 50, 0.5),
    ),
    make_run(
        "transformer",
        "transformer",
        "adamw",
        lambda ps: T.AdamW(ps, lr=3e-3),
        lambda: optim.adamw(lr_scheduler.cosine_annealing_lr(3e-3, 200)),
        "Gradients are clipped, the learning rate falls by a cosine.",
        max_norm=1.0,
        schedule=lambda optimizer: T.lr_scheduler.CosineAnnealingLR(optimizer, 200),
    ),
    make_run(
        "amsgrad",
        "mlp",
        "adam",
        lambda ps: T.Adam(ps, lr=2e-3, amsgrad=True, weight_decay=1e-3),
        lambda: optim.adam(2e-3, amsgrad=True, weight_decay=1e-3),
        "The largest average so far, corrected as PyTorch corrects it.",
    ),
    make_run(
        "adamax",
        "mlp",
        "adamax",
        lambda ps: T.Adamax(ps, lr=2e-3),
        lambda: optim.adamax(2e-3),
        "Adam with the largest gradient in place of the averaged square.",
    ),
    make_run(
        "nadam",
        "mlp",
        "nadam",
        lambda ps: T.NAdam(ps, lr=2e-3),
        lambda: optim.nadam(2e-3),
        "PyTorch's schedule of the momentum, which optax does not have.",
        begin=lambda p: {"exp_avg": _zeros(p), "exp_avg_sq": _zeros(p)},
        shared={"step": 0.0, "mu_product": 1.0},
    ),
    make_run(
        "radam",
        "mlp",
        "radam",
        lambda ps: T.RAdam(ps, lr=2e-3),
        lambda: optim.radam(2e-3),
        "The first steps are momentum alone.",
    ),
    make_run(
        "rmsprop",
        "mlp",
        "rmsprop",
        lambda ps: T.RMSprop(ps, lr=1e-3, centered=True, momentum=0.5),
        lambda: optim.rmsprop(1e-3, centered=True, momentum=0.5),
        "eps outside of the root, the learning rate after the momentum.",
    ),
    make_run(
        "adagrad",
        "mlp",
        "adagrad",
        lambda ps: T.Adagrad(ps, lr=0.02, lr_decay=1e-2),
        lambda: optim.adagrad(0.02, lr_decay=1e-2),
        "A sum that begins at 0, and eps outside of the root.",
    ),
    make_run(
        "adadelta",
        "mlp",
        "adadelta",
        lambda ps: T.Adadelta(ps),
        lambda: optim.adadelta(),
        "With the learning rate of 1 that PyTorch has by default.",
    ),
    make_run(
        "rprop",
        "mlp",
        "rprop",
        lambda ps: T.Rprop(ps, lr=2**-13, step_sizes=(2**-20, 2**-10)),
        lambda: optim.rprop(2**-13, step_sizes=(2**-20, 2**-10)),
        "Only signs count; sizes are bounded by numbers of float32, which both dtypes have.",
        begin=lambda p: {"prev": _zeros(p), "step_size": torch.full_like(p, 2**-13)},
        shared={"step": 0.0},
    ),
    make_run(
        "asgd",
        "mlp",
        "asgd",
        lambda ps: T.ASGD(ps, lr=0.05),
        lambda: optim.asgd(0.05),
        "The average of the iterates is in the state.",
        begin=lambda p: {"ax": _zeros(p)},
        shared={"step": 0.0, "eta": 0.05, "mu": 1.0},
    ),
    make_run(
        "adafactor",
        "mlp",
        "adafactor",
        lambda ps: T.Adafactor(ps, lr=1e-2),
        lambda: optim.adafactor(1e-2),
        "Averages of rows and columns in place of a matrix of them.",
        begin=_begin_adafactor,
        shared={"step": 0.0},
    ),
    make_run(
        "muon",
        "mlp",
        "muon",
        lambda ps: T.Muon(ps, lr=2e-3),
        lambda: optim.muon(2e-3),
        "Matrices only; the biases are frozen on both sides.",
        weights_only=True,
    ),
    make_closure_case(
        "lbfgs",
        "mlp",
        lambda ps: T.LBFGS(ps, lr=0.1, max_iter=4),
        lambda: optim.lbfgs(0.1, max_iter=4),
        "An optimizer that evaluates the loss itself, begun anew at each batch.",
    ),
)
