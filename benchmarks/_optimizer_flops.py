"""What an optimizer's update costs, as XLA counts it in the compiled program."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

# What is computed once in a step, for all parameters: eps is corrected where optax's is not, and
# ASGD's rate falls, and RAdam's rectification has a form that keeps its digits.
SCALARS = 48


def count_flops(
    optimizer: optax.GradientTransformation, layer: Mapping[str, tuple[int, ...]]
) -> float:
    """Compiles one update of a layer's parameters, and reads its flops."""
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in layer.items()}
    state = jax.eval_shape(optimizer.init, params)

    def update(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(update).lower(params, state, params).compile()
    return compiled.cost_analysis()["flops"]
