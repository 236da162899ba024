"""The PyTorch side; with the case files, the only place that imports torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch

from comparisons import _trees
from comparisons._backends import Outputs
from comparisons._case import Order
from comparisons._trees import Leaves

name = "PyTorch"

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def run(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    dtype: str,
    orders: tuple[Order, ...],
    probe: int | None = None,
) -> Outputs:
    """Values and gradients of a PyTorch function, called once with fresh tensors.

    For a probe, cotangents are off by a last bit; the inputs that are given already are.
    """
    with _settings_restored(DTYPES[dtype]):
        tensors = _trees.map_leaves(lambda leaf: _to_torch(leaf, "vjp" in orders), inputs)
        arguments = _trees.flatten(tensors)  # before the function gets the trees
        # What torch.max(x, 0) returns is a tuple to Python, but a leaf to JAX.
        output = _trees.map_leaves(
            lambda leaf: tuple(leaf) if isinstance(leaf, tuple) else leaf, fn(*tensors)
        )
        outputs: Outputs = {}
        if "vjp" in orders:
            outputs["vjp"] = _pull_back(arguments, output, probe)
        outputs["value"] = {
            path: _trees.to_array(name, path, _to_numpy(leaf), dtype)
            for path, leaf in _trees.flatten(output).items()
        }
        return outputs


def describe() -> dict[str, Any]:
    """Settings of this process that may change the last bits."""
    return {
        "torch device": str(torch.get_default_device()),
        "torch threads": torch.get_num_threads(),
        "torch matmul precision": torch.get_float32_matmul_precision(),
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
    }


@contextlib.contextmanager
def _settings_restored(dtype: torch.dtype) -> Generator[None]:
    """The run's dtype as default dtype, gradients on; whatever ``fn`` changes is put back."""
    default, grad_mode, threads = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(True)
        try:
            yield
        finally:
            torch.set_default_dtype(default)
            torch.set_grad_enabled(grad_mode)
            torch.set_num_threads(threads)


def _to_torch(leaf: Any, requires_grad: bool) -> Any:
    if not isinstance(leaf, np.ndarray):
        return leaf
    tensor = torch.tensor(leaf)
    return tensor.requires_grad_() if requires_grad and tensor.is_floating_point() else tensor


def _pull_back(arguments: dict[str, Any], output: Any, probe: int | None) -> Leaves:
    inputs = {
        path: leaf
        for path, leaf in arguments.items()
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    }
    floats = {path: leaf for path, leaf in _trees.flatten(output).items() if _is_floating(leaf)}
    if not inputs or not floats:
        return {}
    outputs = {
        path: leaf
        for path, leaf in floats.items()
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    }
    grads = [None] * len(inputs)
    if outputs:
        shapes = {path: tuple(np.shape(leaf)) for path, leaf in floats.items()}
        seeds = _trees.seed_cotangents(shapes, probe)
        cotangents = [
            torch.tensor(seeds[path], dtype=leaf.dtype, device=leaf.device)
            for path, leaf in outputs.items()
        ]
        grads = torch.autograd.grad(
            list(outputs.values()), list(inputs.values()), cotangents, allow_unused=True
        )
    # None says that there is no path to the input; as a number the gradient is zero, as in JAX.
    return {
        path: _to_numpy(torch.zeros_like(leaf) if grad is None else grad)
        for (path, leaf), grad in zip(inputs.items(), grads, strict=True)
    }


def _is_floating(leaf: Any) -> bool:
    """Whether an output has a cotangent, as on the JAX side: numbers count, too."""
    if isinstance(leaf, torch.Tensor):
        return leaf.is_floating_point()
    return isinstance(leaf, float) or np.asarray(leaf).dtype.kind == "f"


def _to_numpy(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    if leaf.dtype == torch.bfloat16:
        raise TypeError(
            "A bfloat16 output cannot be compared; cast it to float32 before returning it."
        )
    return leaf.detach().cpu().resolve_conj().resolve_neg().numpy().copy()
