"""Both frameworks at the points or the sample of an operation, quantity by quantity."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from comparisons._backends import jax as jax_side
from comparisons._backends import torch as torch_side
from comparisons._case import Order
from comparisons._seeds import Seeds, Shape
from comparisons._trees import Array, Leaves, to_array


@dataclasses.dataclass(frozen=True)
class Missing:
    """What a framework does not compute, and what it raised."""

    reason: str


Found = Leaves | Missing


@dataclasses.dataclass(frozen=True)
class Ones(Seeds):
    """Seeds of a pointwise operation: its derivatives themselves, along one argument.

    Attributes:
        along: Path of the argument whose tangent is 1; that of the others is 0.
    """

    along: str = "0"

    def draw_cotangents(self, outputs: Mapping[str, tuple[Shape, bool]]) -> Leaves:
        """Ones."""
        return {path: np.ones(shape, np.float64) for path, (shape, _) in outputs.items()}

    def draw_tangents(self, inputs: Mapping[str, tuple[Shape, bool]]) -> Leaves:
        """Ones along the argument, and zeros."""
        return {
            path: np.full(shape, float(path == self.along), np.float64)
            for path, (shape, _) in inputs.items()
        }


def run_torch(
    fn: Callable[..., Any], inputs: tuple[Array, ...], dtype: str, order: Order, seeds: Seeds
) -> Found:
    """A quantity on PyTorch's side."""
    return _attempt(lambda: torch_side.run(fn, inputs, dtype, (order,), seeds)[order])


def run_jax(
    fn: Callable[..., Any], inputs: tuple[Array, ...], dtype: str, order: Order, seeds: Seeds
) -> Found:
    """A quantity on JAX's side, operation by operation."""
    return _attempt(lambda: jax_side.run(fn, inputs, dtype, (order,), seeds)[order])


class Compiled:
    """A quantity on JAX's side, compiled as a whole: once, for all inputs of one shape."""

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: tuple[Array, ...],
        dtype: str,
        order: Order,
        seeds: Seeds,
    ) -> None:
        self._dtype = dtype
        self._derive = jax.jit(jax_side.derive(fn, inputs, order, seeds))

    def __call__(self, inputs: tuple[Array, ...]) -> Found:
        """The quantity."""
        return _attempt(lambda: self._run(inputs))

    def _run(self, inputs: tuple[Array, ...]) -> Leaves:
        with jax_side.session(self._dtype):
            found = self._derive(jax_side.from_numpy(inputs))
            return {
                path: to_array(jax_side.name, path, leaf, self._dtype)
                for path, leaf in found.items()
            }


def run_compiled(
    fn: Callable[..., Any], inputs: tuple[Array, ...], dtype: str, order: Order, seeds: Seeds
) -> Found:
    """A quantity on JAX's side, compiled as a whole, once."""
    return Compiled(fn, inputs, dtype, order, seeds)(inputs)


def _attempt(run: Callable[[], Leaves]) -> Found:
    """What a framework refuses is a finding; its warnings are not."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return run()
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return Missing(f"{type(error).__name__}: {lines[0]}"[:200])
