"""Steps of optimizers, as functions of parameters, gradients and state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks.verdict.pair import Pair

_with = functools.partial


def _parameters(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    params = {"w": rng.normal(size=(size, 3)), "b": rng.normal(size=size)}
    grads = {
        name: scale
        * rng.normal(size=(4, *value.shape))
        * np.arange(1, 5).reshape(-1, *[1] * value.ndim)
        for name, value in params.items()
    }
    return params, grads


def _with_state(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return rng.normal(size=size), scale * rng.normal(size=size), scale * rng.normal(size=size)


def _optax(make: Callable[..., Any], *args: Any, **options: Any) -> Callable[..., Any]:
    """Four steps with an optimizer of optax."""

    def run(params: Any, grads: Any) -> Any:
        optimizer = make(*args, **options)
        state = optimizer.init(params)
        for grad in _take_apart(grads):
            updates, state = optimizer.update(grad, state, params)
            params = optax.apply_updates(params, updates)
        return params

    return run


def _take_apart(grads: Any) -> list[Any]:
    return [jax.tree.map(lambda leaf, i=i: leaf[i], grads) for i in range(4)]


def _torch(
    make: Callable[..., Any], clip: float | None = None, **options: Any
) -> Callable[..., Any]:
    """Four steps with an optimizer of PyTorch."""

    def run(params: Any, grads: Any) -> Any:
        params = {name: value.detach().clone().requires_grad_() for name, value in params.items()}
        optimizer = make(params.values(), **options)
        for i in range(4):
            for name, value in params.items():
                value.grad = grads[name][i].detach().clone()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(params.values(), clip)
            optimizer.step()
        return {name: value.detach() for name, value in params.items()}

    return run


def _clip(params: Any, grads: Any, each: bool = False, eps: float = 1e-6) -> Any:
    """PyTorch's clipping; its epsilon is no part of optax'."""

    def clip(grad: Any) -> Any:
        leaves = jax.tree.leaves(grad)
        norms = [jnp.sum(leaf**2) for leaf in leaves]
        factors = [
            jnp.minimum(1.0, 0.5 / (jnp.sqrt(n) + eps))
            for n in (norms if each else [sum(norms)] * len(norms))
        ]
        return jax.tree.unflatten(
            jax.tree.structure(grad), [leaf * f for leaf, f in zip(leaves, factors, strict=True)]
        )

    for grad in _take_apart(grads):
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, clip(grad))
    return params


def _step(w: Any, g: Any, m: Any, nesterov: bool = False, dampening: float = 0.0, lr: float = 0.1):
    m = 0.9 * m + (1 - dampening) * g
    return {"w": w - lr * (g + 0.9 * m if nesterov else m), "m": m}


def _adam(
    w: Any, g: Any, m: Any, inside: bool = False, correct: bool = True, sign: float = 1.0
) -> Any:
    """The third step of Adam, whose state is the second moment of ``m``."""
    m, v = 0.9 * 0.1 * m + 0.1 * g, 0.999 * 0.001 * m**2 + 0.001 * g**2
    if correct:
        m, v = m / (1 - 0.9**3), v / (1 - 0.999**3)
    root = jnp.sqrt(v + 1e-8) if inside else jnp.sqrt(v) + 1e-8
    return w - sign * 1e-2 * m / root


def _adam_torch(w: Any, g: Any, m: Any) -> Any:
    m, v = 0.1 * m, 0.001 * m**2
    m, v = torch.lerp(m, g, 0.1), torch.addcmul(0.999 * v, g, g, value=0.001)
    denominator = v.sqrt() / (1 - 0.999**3) ** 0.5 + 1e-8
    return w - 1e-2 / (1 - 0.9**3) * m / denominator


_ADAM = {"lr": 1e-2, "betas": (0.9, 0.99)}
_FOUR_STEPS: dict[str, Any] = {
    "orders": ("value",),
    "inputs": _parameters,
    "sizes": (4, 20),
}

PAIRS = (
    Pair(
        name="SGD with momentum",
        jax=_optax(optax.sgd, 0.1, momentum=0.9),
        torch=_torch(torch.optim.SGD, lr=0.1, momentum=0.9),
        defects={
            "Nesterov's momentum": _optax(optax.sgd, 0.1, momentum=0.9, nesterov=True),
            "the decay of an average": _optax(optax.sgd, 0.1, momentum=0.1),
        },
        **_FOUR_STEPS,
    ),
    Pair(
        name="Adam",
        jax=_optax(optax.adam, 1e-2, 0.9, 0.99),
        torch=_torch(torch.optim.Adam, **_ADAM),
        scales=(1.0, 1e-3),
        defects={
            "b2 0.999": _optax(optax.adam, 1e-2, 0.9, 0.999),
            "eps 1e-7": _optax(optax.adam, 1e-2, 0.9, 0.99, eps=1e-7),
            "eps inside the root": _optax(optax.adam, 1e-2, 0.9, 0.99, eps=0, eps_root=1e-8),
            "uphill": _optax(optax.adam, -1e-2, 0.9, 0.99),
        },
        **_FOUR_STEPS,
    ),
    Pair(
        name="AdamW",
        jax=_optax(optax.adamw, 1e-2, 0.9, 0.99, weight_decay=1e-2),
        torch=_torch(torch.optim.AdamW, **_ADAM, weight_decay=1e-2),
        defects={
            "optax' default decay": _optax(optax.adamw, 1e-2, 0.9, 0.99),
            "L2 in the gradient": _optax(
                lambda: optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-2, 0.9, 0.99))
            ),
        },
        **_FOUR_STEPS,
    ),
    Pair(
        name="RMSprop",
        jax=_optax(optax.rmsprop, 1e-2, decay=0.99, eps=1e-8, eps_in_sqrt=False),
        torch=_torch(torch.optim.RMSprop, lr=1e-2),
        scales=(1.0, 1e-3),
        defects={
            "eps inside the root": _optax(optax.rmsprop, 1e-2, decay=0.99, eps=1e-8),
            "decay 0.9": _optax(optax.rmsprop, 1e-2, decay=0.9, eps=1e-8, eps_in_sqrt=False),
        },
        **_FOUR_STEPS,
    ),
    Pair(
        name="SGD with clipped gradients",
        jax=_clip,
        torch=_torch(torch.optim.SGD, clip=0.5, lr=0.1),
        defects={
            "optax' clipping, without an epsilon": _with(_clip, eps=0.0),
            "each leaf clipped": _with(_clip, each=True),
        },
        **_FOUR_STEPS,
    ),
    Pair(
        name="one step with momentum",
        jax=_step,
        torch=lambda w, g, m: {"w": w - 0.1 * (n := 0.9 * m + g), "m": n},
        inputs=_with_state,
        sizes=(20, 65),
        scales=(1.0, 1e-6),
        dtypes=("float32", "bfloat16"),
        defects={
            "dampened": _with(_step, dampening=0.9),
            "another learning rate": _with(_step, lr=0.1001),
            "Nesterov's": _with(_step, nesterov=True),
        },
    ),
    Pair(
        name="third step of Adam, differentiated",
        jax=_adam,
        torch=_adam_torch,
        inputs=_with_state,
        sizes=(20, 65),
        scales=(1.0, 1e-2),
        defects={
            "eps inside the root": _with(_adam, inside=True),
            "no bias correction": _with(_adam, correct=False),
            "uphill": _with(_adam, sign=-1.0),
        },
    ),
)
