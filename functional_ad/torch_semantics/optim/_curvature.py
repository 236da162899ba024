"""What L-BFGS knows of the curvature: the last steps, and how the gradient changed in each."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

_LEAST = 1e-10  # a pair whose product is not above this says nothing reliable, and is left out


class Curvature(NamedTuple):
    """The last pairs of a step and the change of the gradient in it, with PyTorch's names.

    The places are used in turn, the oldest pair overwritten: pair k of all is at k modulo the
    length. PyTorch shifts a list.

    Attributes:
        old_dirs: The changes of the gradient, a tree of arrays with a leading axis for the pairs.
        old_stps: The steps, likewise.
        ro: The inverse of each pair's product, a vector.
        num_pairs: How many pairs there have been, an int32 scalar.
        h_diag: The multiple of the identity that the approximation begins with.
    """

    old_dirs: PyTree
    old_stps: PyTree
    ro: jax.Array
    num_pairs: jax.Array
    h_diag: jax.Array


def begin_curvature(params: PyTree, size: int, dtype: Any) -> Curvature:
    """No pairs yet, with places for ``size`` of them."""

    def make(x: Any) -> jax.Array:
        return jnp.zeros((size, *jnp.shape(x)), dtype)

    return Curvature(
        old_dirs=jax.tree.map(make, params),
        old_stps=jax.tree.map(make, params),
        ro=make(0.0),
        num_pairs=jnp.zeros((), jnp.int32),
        h_diag=jnp.ones((), dtype),
    )


def remember_step(curvature: Curvature, change: PyTree, step: PyTree) -> Curvature:
    """Puts a pair in the oldest place, unless the gradient did not grow along the step."""
    product: Any = optax.tree.vdot(change, step)
    counts = product > _LEAST
    place = curvature.num_pairs % len(curvature.ro)

    def put(memory: jax.Array, new: Any) -> jax.Array:
        # Selected before it is written: a select between two memories would copy them.
        return memory.at[place].set(jnp.where(counts, new, memory[place]))

    return Curvature(
        old_dirs=jax.tree.map(put, curvature.old_dirs, change),
        old_stps=jax.tree.map(put, curvature.old_stps, step),
        ro=put(curvature.ro, 1 / product),
        num_pairs=curvature.num_pairs + counts,
        h_diag=jnp.where(counts, product / optax.tree.vdot(change, change), curvature.h_diag),
    )


def find_direction(curvature: Curvature, grad: PyTree) -> PyTree:
    """The direction of descent: minus the approximate inverse Hessian times the gradient."""
    size = len(curvature.ro)
    kept = jnp.minimum(curvature.num_pairs, size)
    oldest = curvature.num_pairs - kept

    def recall(i: jax.Array) -> tuple[jax.Array, PyTree, PyTree, jax.Array]:
        place = (oldest + i) % size
        pairs = curvature.old_dirs, curvature.old_stps, curvature.ro
        return place, *jax.tree.map(lambda memory: memory[place], pairs)

    def take_out(k: jax.Array, carry: tuple[PyTree, jax.Array]) -> tuple[PyTree, jax.Array]:
        q, alphas = carry
        place, change, step, ro = recall(kept - 1 - k)
        alpha = optax.tree.vdot(step, q) * ro
        return optax.tree.add_scale(q, -alpha, change), alphas.at[place].set(alpha)

    def put_back(i: jax.Array, carry: tuple[PyTree, jax.Array]) -> tuple[PyTree, jax.Array]:
        r, alphas = carry
        place, change, step, ro = recall(i)
        beta = optax.tree.vdot(change, r) * ro
        return optax.tree.add_scale(r, alphas[place] - beta, step), alphas

    carry = optax.tree.scale(-1, grad), jnp.zeros_like(curvature.ro)
    q, alphas = jax.lax.fori_loop(0, kept, take_out, carry)
    carry = optax.tree.scale(curvature.h_diag, q), alphas
    return jax.lax.fori_loop(0, kept, put_back, carry)[0]
