"""The PyTorch side; with its companions here and the case files, all that imports torch."""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
import torch

from comparisons import _trees
from comparisons._backends import Outputs
from comparisons._case import Order
from comparisons._inputs import ModuleInput, find_differentiated, has_module
from comparisons._seeds import Seeds
from comparisons._settings import random_states_restored
from comparisons._trees import Leaves

name = "PyTorch"

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "complex64": torch.float32,  # the default dtype, which complex numbers follow
}

Tensors = dict[str, torch.Tensor]
T = TypeVar("T")


def run(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    dtype: str,
    orders: tuple[Order, ...],
    seeds: Seeds,
) -> Outputs:
    """The quantities of a PyTorch function, which is called anew for each derivative."""
    if "jvp" in orders:
        _load_forward_mode()
    with session(DTYPES[dtype]):
        return derive(fn, inputs, orders, seeds, lambda leaves: _to_arrays(leaves, dtype))


def derive(
    fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: tuple[Order, ...],
    seeds: Seeds,
    read: Callable[[dict[str, Any]], T],
) -> dict[Order, T]:
    """The quantities ``orders``, and the value; each is what ``read`` makes of the tensors."""
    outputs: dict[Order, T] = {}
    reverse = "hvp" if "hvp" in orders else "vjp" if "vjp" in orders else None
    arguments, primals = from_numpy(inputs, requires_grad=reverse is not None)
    output = _call(fn, arguments)
    if reverse is not None:
        grads = _pull_back(primals, output, seeds, create_graph=reverse == "hvp")
        if "vjp" in orders:
            outputs["vjp"] = read(grads)
        if "hvp" in orders:
            outputs["hvp"] = read(_differentiate_again(primals, grads, seeds))
    outputs["value"] = read(_trees.flatten(output))
    if "jvp" in orders:
        outputs["jvp"] = read(_push_forward(fn, inputs, seeds))
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
def session(dtype: torch.dtype) -> Generator[None]:
    """The run's dtype as default dtype, gradients on; whatever is changed inside is put back."""
    before = [(read, put_back, read()) for read, put_back in _SETTINGS]
    with (
        random_states_restored(),
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
    ):
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(True)
        try:
            yield
        finally:
            for read, put_back, value in before:
                if read() != value:
                    put_back(value)


def _set_default_device(device: torch.device) -> None:
    """None for the CPU: torch sends each call through a mode once a device is set, whichever."""
    torch.set_default_device(None if device.type == "cpu" else device)


def _read_flush_denormal() -> bool:
    """Whether denormal numbers are zero; there is no other way to ask."""
    return bool((torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1).item() == 0)


def _read_determinism() -> tuple[bool, bool]:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warn_only


def _read_anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_device, _set_default_device),
    (_read_flush_denormal, torch.set_flush_denormal),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (
        _read_determinism,
        lambda was: torch.use_deterministic_algorithms(was[0], warn_only=was[1]),
    ),
    (_read_anomaly, lambda was: torch.autograd.set_detect_anomaly(*was)),
)


def from_numpy(
    inputs: tuple[Any, ...], *, requires_grad: bool = False
) -> tuple[tuple[Any, ...], Tensors]:
    """Fresh tensors and modules with these numbers, and those that are differentiated, by path."""
    primals: Tensors = {}
    wanted = find_differentiated(inputs) if requires_grad else {}

    def convert(path: str, node: Any) -> Any:
        if isinstance(node, ModuleInput):
            module, parameters = _fill_module(node)
            found = {f"{path}/{key}": tensor for key, tensor in parameters.items()}
            primals.update({key: tensor for key, tensor in found.items() if key in wanted})
            return module
        if not isinstance(node, np.ndarray):
            return node
        tensor = to_tensor(node)
        if path in wanted:
            primals[path] = tensor.requires_grad_()
        return tensor

    return _map_with_path(convert, inputs), primals


def to_tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """A copy as a tensor; NumPy's bfloat16 is not one that torch knows."""
    if array.dtype == jnp.bfloat16:
        bits = torch.tensor(array.view(np.int16))
        return bits.view(torch.bfloat16)
    return torch.tensor(array)


def to_numpy(leaf: Any) -> Any:
    """A tensor as a NumPy array of its own; anything else as it is."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    tensor = leaf.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        bits = tensor.contiguous().view(torch.int16)
        return bits.numpy(force=True).copy().view(jnp.bfloat16)
    return tensor.numpy(force=True).copy()


def _map_with_path(convert: Callable[[str, Any], Any], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    import jax

    def is_leaf(node: Any) -> bool:
        return isinstance(node, ModuleInput)

    pairs, tree = jax.tree_util.tree_flatten_with_path(inputs, is_leaf=is_leaf)
    written = (jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in pairs)
    leaves = [convert(path, node) for path, (_, node) in zip(written, pairs, strict=True)]
    return jax.tree.unflatten(tree, leaves)


def _fill_module(given: ModuleInput) -> tuple[torch.nn.Module, Tensors]:
    """A copy of the module with the numbers of this run, and its trained parameters by path."""
    module = copy.deepcopy(given.module)
    numbers = _trees.flatten(given.numbers)
    parameters = {key.replace(".", "/"): p for key, p in module.named_parameters()}
    buffers = {key.replace(".", "/"): b for key, b in module.named_buffers()}
    for path, tensor in {**parameters, **buffers}.items():
        tensor.data = to_tensor(np.asarray(numbers[path])).to(tensor.device)
        tensor.grad = None
    return module, {path: p for path, p in parameters.items() if path in given.trained}


def _call(fn: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The output; what torch.max(x, 0) returns is a tuple to Python, but a leaf to JAX."""
    return _trees.map_leaves(
        lambda leaf: tuple(leaf) if isinstance(leaf, tuple) else leaf, fn(*arguments)
    )


def _pull_back(primals: Tensors, output: Any, seeds: Seeds, *, create_graph: bool) -> Tensors:
    floats = {path: leaf for path, leaf in _trees.flatten(output).items() if _is_inexact(leaf)}
    if not primals or not floats:
        return {}
    specs = {path: (tuple(np.shape(leaf)), _is_complex(leaf)) for path, leaf in floats.items()}
    cotangents = seeds.draw_cotangents(specs)
    return _differentiate(floats, primals, cotangents, create_graph=create_graph)


def _differentiate_again(primals: Tensors, grads: Tensors, seeds: Seeds) -> Tensors:
    """The derivative of the gradients along the tangents; the Hessian is symmetric."""
    if not grads:
        return {}
    return _differentiate(grads, primals, seeds.draw_tangents(_describe(primals)))


def _differentiate(
    outputs: dict[str, Any], primals: Tensors, cotangents: Leaves, *, create_graph: bool = False
) -> Tensors:
    """``torch.autograd.grad`` by path; zero where there is no path to an input, as in JAX."""
    connected = {
        path: leaf
        for path, leaf in outputs.items()
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    }
    grads: Any = [None] * len(primals)
    if connected:
        grads = torch.autograd.grad(
            list(connected.values()),
            list(primals.values()),
            [_match(cotangents[path], leaf) for path, leaf in connected.items()],
            allow_unused=True,
            create_graph=create_graph,
        )
    return {
        path: torch.zeros_like(leaf) if grad is None else grad
        for (path, leaf), grad in zip(primals.items(), grads, strict=True)
    }


def _push_forward(fn: Callable[..., Any], inputs: tuple[Any, ...], seeds: Seeds) -> Tensors:
    """Forward mode; where PyTorch has none for an operation, twice reverse mode."""
    if not find_differentiated(inputs):
        return {}
    if not has_module(inputs):
        try:
            return _push_dual_numbers(fn, inputs, seeds)
        except (NotImplementedError, RuntimeError) as error:
            if "forward" not in str(error).lower():
                raise
    arguments, primals = from_numpy(inputs, requires_grad=True)
    tangents = seeds.draw_tangents(_describe(primals))
    output = _trees.flatten(_call(fn, arguments))
    floats = {path: leaf for path, leaf in output.items() if _is_inexact(leaf)}
    connected = {
        path: leaf
        for path, leaf in floats.items()
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    }
    # A vector-Jacobian product is linear in the vector, so that its derivative is J applied.
    dummies = {path: torch.zeros_like(leaf, requires_grad=True) for path, leaf in connected.items()}
    products = torch.autograd.grad(
        list(connected.values()),
        list(primals.values()),
        list(dummies.values()),
        allow_unused=True,
        create_graph=True,
    )
    pairs = zip(primals, products, strict=True)
    known = {path: grad for path, grad in pairs if getattr(grad, "requires_grad", False)}
    pushed = _differentiate(known, dummies, tangents) if connected else {}
    return {
        path: pushed[path] if path in pushed else torch.zeros_like(torch.as_tensor(leaf))
        for path, leaf in floats.items()
    }


@functools.cache
def _load_forward_mode() -> None:
    """Has PyTorch compile its rules, once, for which it warns of what it does itself.

    Not around each run: a filter that is set makes every warning of the user's function a new one.
    """
    from torch.autograd import forward_ad

    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        one = torch.ones(1, 1, device="cpu")
        torch.trace(forward_ad.make_dual(one, one))  # one of those that have such a rule


def _push_dual_numbers(fn: Callable[..., Any], inputs: tuple[Any, ...], seeds: Seeds) -> Tensors:
    from torch.autograd import forward_ad

    with forward_ad.dual_level():
        arguments, primals = from_numpy(inputs, requires_grad=True)
        tangents = seeds.draw_tangents(_describe(primals))
        duals = {
            path: forward_ad.make_dual(leaf.detach(), _match(tangents[path], leaf))
            for path, leaf in primals.items()
        }
        arguments = _map_with_path(lambda path, leaf: duals.get(path, leaf), arguments)
        pushed: Tensors = {}
        for path, leaf in _trees.flatten(_call(fn, arguments)).items():
            if _is_inexact(leaf):
                tangent = (
                    forward_ad.unpack_dual(leaf).tangent if isinstance(leaf, torch.Tensor) else None
                )
                like = torch.as_tensor(leaf)
                pushed[path] = torch.zeros_like(like) if tangent is None else tangent
        return pushed


def _match(seed: np.ndarray[Any, Any], leaf: torch.Tensor) -> torch.Tensor:
    return to_tensor(seed).to(dtype=leaf.dtype, device=leaf.device)


def _describe(leaves: Tensors) -> dict[str, tuple[tuple[int, ...], bool]]:
    return {path: (tuple(leaf.shape), leaf.is_complex()) for path, leaf in leaves.items()}


def _to_arrays(leaves: dict[str, Any], dtype: str) -> Leaves:
    return {
        path: _trees.to_array(name, path, to_numpy(leaf), dtype) for path, leaf in leaves.items()
    }


def _is_complex(leaf: Any) -> bool:
    return leaf.is_complex() if isinstance(leaf, torch.Tensor) else np.iscomplexobj(leaf)


def _is_inexact(leaf: Any) -> bool:
    """Whether an output has a cotangent, as on the JAX side: numbers count, too."""
    if isinstance(leaf, torch.Tensor):
        return leaf.is_floating_point() or leaf.is_complex()
    return isinstance(leaf, float | complex) or np.asarray(leaf).dtype.kind in "fc"
