"""The arguments of an operation on whole arrays, and every result that is asked for."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._atlas._sides import Compiled, Found, Missing, run_jax, run_torch
from comparisons._inputs import find_differentiated
from comparisons._seeds import Seeds
from comparisons._trees import Array, Leaves
from comparisons.cases.atlas import Op
from comparisons.cases.atlas._expressions import make_jax, make_torch, make_torch_like
from comparisons.cases.atlas._makers import make_sample


class Sample:
    """The arguments of an operation, and every result that has been asked for."""

    def __init__(self, op: Op, name: str, text: str) -> None:
        self.op = op
        self.name = name
        self.axis = name.partition(":")[0]
        self.inputs = make_sample(f"{op.name}, {name}", text)
        self._runs: dict[tuple[str, str, str], Found] = {}
        self._compiled: dict[tuple[str, str, str], Compiled] = {}
        functions = {"torch": make_torch(op), "jax": make_jax(op), "compiled": make_jax(op)}
        if op.torch_like:
            functions["like"] = make_torch_like(op)
        self._functions = functions

    def run(self, who: str, quantity: str, dtype: str) -> Found:
        """A side's leaves."""
        key = (who, quantity, dtype)
        if key not in self._runs:
            self._runs[key] = self.evaluate(who, quantity, dtype, cast_inputs(self.inputs, dtype))
        return self._runs[key]

    def evaluate(self, who: str, quantity: Any, dtype: str, inputs: tuple[Array, ...]) -> Found:
        """A side's leaves for other inputs of the same shapes."""
        arguments = (self._functions[who], inputs, dtype, quantity, Seeds(dtype))
        if who in ("torch", "jax"):
            return (run_torch if who == "torch" else run_jax)(*arguments)
        key = (who, quantity, dtype)
        if key not in self._compiled:
            self._compiled[key] = Compiled(*arguments)
        return self._compiled[key](inputs)

    @property
    def wide(self) -> tuple[Array, ...]:
        """The arguments at float64."""
        return cast_inputs(self.inputs, "float64")

    def draw_tangents(self) -> Leaves:
        """The direction of the JVP, by argument."""
        primals = find_differentiated(self.wide)
        return Seeds("float64").draw_tangents(
            {path: (x.shape, x.dtype.kind == "c") for path, x in primals.items()}
        )

    def contract(self, back: Leaves) -> float:
        """A gradient along the tangents."""
        tangents = self.draw_tangents()
        return sum(float(np.sum(np.conj(back[p]) * tangents[p]).real) for p in back)

    def weigh(self, outputs: Leaves) -> float:
        """Outputs, or their tangents, along the cotangents."""
        floats = {path: x for path, x in outputs.items() if x.dtype.kind in "fc"}
        specs = {path: (x.shape, x.dtype.kind == "c") for path, x in floats.items()}
        seeds = Seeds("float64").draw_cotangents(specs)
        return float(sum(np.sum(np.conj(seeds[p]) * x).real for p, x in floats.items()))

    def observe(self, who: str, inputs: tuple[Array, ...], quantity: str = "value") -> float:
        """The number that is differentiated: the value weighed, or the gradient contracted."""
        found = self.evaluate(who, quantity, "float64", inputs)
        if isinstance(found, Missing):
            return float("nan")
        return self.weigh(found) if quantity == "value" else self.contract(found)


def cast_inputs(inputs: tuple[Array, ...], dtype: str) -> tuple[Array, ...]:
    """The arrays at a dtype: floating and complex ones; the others stay."""
    real = jnp.dtype(dtype)
    pair = np.complex128 if dtype == "float64" else np.complex64
    kinds = {"f": real, "c": np.dtype(pair)}
    return tuple(x.astype(kinds[x.dtype.kind]) if x.dtype.kind in kinds else x for x in inputs)


def find_misfit(torch: Leaves, jax: Leaves) -> str:
    if list(torch) != list(jax):
        return f"PyTorch returns {list(torch)}, JAX {list(jax)}"
    for path in torch:
        if torch[path].shape != jax[path].shape:
            return f"at {path!r} PyTorch returns {torch[path].shape}, JAX {jax[path].shape}"
    return ""


def is_floating(x: Array) -> bool:
    return x.dtype.kind in "fc" or x.dtype.name == "bfloat16"
