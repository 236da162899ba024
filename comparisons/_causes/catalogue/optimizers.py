"""optax against torch.optim: defaults, and places where the two put the same numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from comparisons._causes._known import AnyOf, Calls, Known, Program, Scene
from comparisons._causes._patch import Call
from comparisons._causes._rewrite import Rule
from comparisons._causes.catalogue.norms import divides_by_norm, replace_literals

_DECAYS = tuple({"decay": decay} for decay in (1e-2, 1e-4, 1e-3, 5e-4, 0.1))
_TORCH = "https://docs.pytorch.org/docs/stable/generated/torch"


def _decay_as_gradient(call: Call) -> Any:
    """Adamw's numbers, with the decay added to the gradients."""
    names = ("b1", "b2", "eps", "eps_root", "mu_dtype", "nesterov")
    adam = optax.adam(call.get("learning_rate"), **{name: call.get(name) for name in names})
    return optax.chain(optax.add_decayed_weights(call.get("weight_decay"), call.get("mask")), adam)


class _Summed(NamedTuple):
    squares: Any


def _adagrad(call: Call) -> Any:
    """torch.optim.Adagrad: the sum begins at 0, and 1e-10 is added to its root."""

    def init(params: Any) -> _Summed:
        return _Summed(jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        squares = jax.tree.map(lambda total, g: total + g * g, state.squares, updates)
        scaled = jax.tree.map(lambda g, total: g / (jnp.sqrt(total) + 1e-10), updates, squares)
        return scaled, _Summed(squares)

    scale = optax.scale_by_learning_rate(call.get("learning_rate"))
    return optax.chain(optax.GradientTransformation(init, update), scale)


def _clip_by_norm(call: Call) -> Any:
    """torch.nn.utils.clip_grad_norm_: divides by the norm + 1e-6."""
    greatest = call.get("max_norm")

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        factor = jnp.minimum(1.0, greatest / (optax.tree.norm(updates) + 1e-6))
        return jax.tree.map(lambda g: g * factor, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _lengthen_norm() -> Rule:
    return lambda step: step.values[0] / (step.values[1] + 1e-6) if divides_by_norm(step) else None


def _find_norm(scene: Scene) -> list[dict[str, Any]]:
    return [{}] if any(map(divides_by_norm, scene.steps)) else []


def _find_adamw_decay(scene: Scene) -> list[dict[str, Any]]:
    """optax.adamw's default, for an optimizer that was made before the function is called."""
    return [{}] if 1e-4 in scene.literals() else []


def _decay_first(call: Call, decay: float) -> Any:
    return optax.chain(optax.add_decayed_weights(decay), call.again())


OPTIMIZERS: tuple[Known, ...] = (
    Known(
        name="adamw-weight-decay",
        title="optax.adamw decays weights by 1e-4 by default, torch.optim.AdamW by 1e-2.",
        fix="Write optax.adamw(lr, weight_decay=0.01).",
        source=f"{_TORCH}.optim.AdamW.html",
        kind="convention",
        how=AnyOf(
            (
                Calls(
                    ("optax.adamw",),
                    lambda call: call.again(weight_decay=1e-2),
                    when=lambda call: call.get("weight_decay") == 1e-4,
                ),
                Program(lambda: replace_literals({1e-4: 1e-2}, ("mul",)), _find_adamw_decay),
            )
        ),
    ),
    Known(
        name="adam-l2",
        title="optax.adamw decays the weights, torch.optim.Adam(weight_decay) adds the decay to "
        "the gradients.",
        fix="Write optax.chain(optax.add_decayed_weights(decay), optax.adam(lr)).",
        source="https://github.com/google-deepmind/optax/issues/417",
        kind="mistake",
        how=Calls(("optax.adamw",), _decay_as_gradient),
    ),
    Known(
        name="weight-decay-missing",
        title="torch.optim's optimizer has weight_decay={decay:g}, the JAX side's none.",
        fix="Write optax.chain(optax.add_decayed_weights({decay:g}), ...).",
        source=f"{_TORCH}.optim.SGD.html",
        kind="mistake",
        how=Calls(("optax.sgd", "optax.adam", "optax.rmsprop"), _decay_first, options=_DECAYS),
    ),
    Known(
        name="rmsprop",
        title="optax.rmsprop has decay 0.9 and eps under the root, torch.optim.RMSprop 0.99 and "
        "outside.",
        fix="Write optax.rmsprop(lr, decay=0.99, eps=1e-8, eps_in_sqrt=False).",
        source="https://github.com/google-deepmind/optax/issues/532",
        kind="convention",
        how=Calls(
            ("optax.rmsprop",),
            lambda call, **changes: call.again(**changes),
            options=(
                {"decay": 0.99, "eps": 1e-8, "eps_in_sqrt": False},
                {"eps_in_sqrt": False},
                {"decay": 0.99},
            ),
        ),
    ),
    Known(
        name="adagrad-accumulator",
        title="optax.adagrad begins with 0.1 and has eps under the root, torch.optim.Adagrad 0 "
        "and outside.",
        fix="Write optax.adagrad(lr, initial_accumulator_value=0.0, eps=0.0).",
        source=f"{_TORCH}.optim.Adagrad.html",
        kind="convention",
        how=Calls(("optax.adagrad",), _adagrad),
    ),
    Known(
        name="clip-norm-epsilon",
        title="clip_grad_norm_ divides by the norm + 1e-6, the JAX side by the norm.",
        fix="Divide by norm + 1e-6; optax.clip_by_global_norm has no such epsilon.",
        source=f"{_TORCH}.nn.utils.clip_grad_norm_.html",
        kind="convention",
        how=AnyOf(
            (
                Calls(("optax.clip_by_global_norm",), _clip_by_norm),
                Program(_lengthen_norm, _find_norm),
            )
        ),
    ),
)
