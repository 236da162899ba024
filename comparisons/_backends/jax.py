"""The JAX side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import functional_ad
from comparisons import _trees
from comparisons._backends import Outputs
from comparisons._case import Order
from comparisons._inputs import ModuleInput, find_differentiated
from comparisons._seeds import Seeds
from comparisons._settings import random_states_restored
from comparisons._trees import Leaves

name = "JAX"

Flat = dict[str, Any]


def run(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    dtype: str,
    orders: tuple[Order, ...],
    seeds: Seeds,
) -> Outputs:
    """The quantities of a JAX function; 64-bit types are on for a float64 run only."""
    outputs: Outputs = {}
    with session(dtype):
        for order in orders:
            # New arrays for each: a call may donate its own.
            found = derive(fn, inputs, order, seeds)(from_numpy(inputs))
            outputs[order] = {
                path: _trees.to_array(name, path, leaf, dtype) for path, leaf in found.items()
            }
    return outputs


@contextlib.contextmanager
def session(dtype: str) -> Generator[None]:
    """Settings of a run at a dtype; whatever is changed inside is put back."""
    before = dict(jax.config.values)  # outside of the contexts, whose settings are among them
    try:
        with (
            random_states_restored(),
            jax.enable_x64(dtype == "float64"),
            functional_ad.set_grad_enabled(True),
        ):
            yield
    finally:
        after = jax.config.values  # made anew whenever it is asked for
        for key, value in before.items():
            if after[key] != value:
                jax.config.update(key, value)


def derive(
    fn: Callable[..., Any], inputs: tuple[Any, ...], order: Order, seeds: Seeds
) -> Callable[[tuple[Any, ...]], Flat]:
    """The quantity ``order`` of ``fn`` as a function of its arguments: flat leaves by path.

    It can be traced if ``fn`` can. ``inputs`` says which leaves are differentiated.
    """
    if order == "value":
        return lambda arrays: _trees.flatten(fn(*arrays))
    differentiated = list(find_differentiated(inputs))
    return lambda arrays: _DERIVE[order](*_split(fn, differentiated, arrays), seeds)


def describe() -> dict[str, Any]:
    """Settings of this process that may change the last bits."""
    precision: Any = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return {
        "jax devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        "jax matmul precision": str(precision or "default"),
        "jax x64": "on in the float64 runs only",
    }


def from_numpy(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies as jax arrays, at the mercy of the function; a module is a dict of its numbers."""

    def convert(node: Any) -> Any:
        if isinstance(node, ModuleInput):
            return jax.tree.map(convert, node.numbers)
        return jnp.array(node) if isinstance(node, np.ndarray) else node

    return jax.tree.map(convert, inputs, is_leaf=lambda node: isinstance(node, ModuleInput))


def _split(
    fn: Callable[..., Any], differentiated: list[str], arrays: tuple[Any, ...]
) -> tuple[Callable[[Flat], Flat], Flat]:
    """``fn`` from the differentiated leaves to the floating outputs, and those leaves."""
    leaves, tree = _trees.flatten(arrays), jax.tree.structure(arrays)

    def call(primals: Flat) -> Flat:
        output = fn(*jax.tree.unflatten(tree, list((leaves | primals).values())))
        return {
            path: jnp.asarray(leaf)
            for path, leaf in _trees.flatten(output).items()
            if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
        }

    return call, {path: leaves[path] for path in differentiated}


def _pull_back(call: Callable[[Flat], Flat], primals: Flat, seeds: Seeds) -> Flat:
    outputs, pullback = jax.vjp(call, primals)
    if not outputs or not primals:
        return {}
    cotangents = _match(seeds.draw_cotangents(_describe(outputs)), outputs)
    (grads,) = pullback({path: jnp.conj(cotangent) for path, cotangent in cotangents.items()})
    return {path: jnp.conj(grad) for path, grad in grads.items()}


def _push_forward(call: Callable[[Flat], Flat], primals: Flat, seeds: Seeds) -> Flat:
    if not primals:
        return {}
    tangents = _match(seeds.draw_tangents(_describe(primals)), primals)
    return jax.jvp(call, (primals,), (tangents,))[1]


def _push_gradient_forward(call: Callable[[Flat], Flat], primals: Flat, seeds: Seeds) -> Flat:
    """Forward over reverse; reverse over reverse where a custom_vjp has no forward mode."""
    tangents = _match(seeds.draw_tangents(_describe(primals)), primals)

    def gradient(primals: Flat) -> Flat:
        return _pull_back(call, primals, seeds)

    if not primals or not gradient(primals):
        return {}
    try:
        return jax.jvp(gradient, (primals,), (tangents,))[1]
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
    _, pullback = jax.vjp(gradient, primals)
    (products,) = pullback({path: jnp.conj(tangent) for path, tangent in tangents.items()})
    return {path: jnp.conj(product) for path, product in products.items()}


_DERIVE: dict[Order, Callable[[Callable[[Flat], Flat], Flat, Seeds], Flat]] = {
    "vjp": _pull_back,
    "jvp": _push_forward,
    "hvp": _push_gradient_forward,
}


def _describe(leaves: Flat) -> dict[str, tuple[tuple[int, ...], bool]]:
    return {path: (leaf.shape, jnp.iscomplexobj(leaf)) for path, leaf in leaves.items()}


def _match(seeds: Leaves, leaves: Flat) -> Flat:
    return {path: jnp.asarray(seeds[path], leaf.dtype) for path, leaf in leaves.items()}
