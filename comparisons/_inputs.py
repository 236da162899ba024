"""The inputs of the runs: one set of numbers, at the dtype of each run, exact and off by a little.

Prepared inputs are trees of NumPy arrays. A ``torch.nn.Module`` among them becomes a
``ModuleInput``: PyTorch's side gets the module, JAX's side its parameters and buffers by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from comparisons._case import is_module
from comparisons._trees import Array, Leaves, flatten, is_inexact, map_leaves


@jax.tree_util.register_pytree_with_keys_class
class ModuleInput:
    """A module among the inputs: its numbers as a nested dict by name, and the module itself.

    Attributes:
        numbers: Parameters and buffers: ``"0.weight"`` of the module is ``numbers["0"]["weight"]``.
        module: The module that they come from. It is copied for every run, never changed.
        trained: Slash-separated names of the parameters that require gradients.
    """

    def __init__(self, numbers: dict[str, Any], module: Any, trained: frozenset[str]) -> None:
        self.numbers = numbers
        self.module = module
        self.trained = trained

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        """Its children are those of ``numbers``, under the same keys."""
        keys = sorted(self.numbers)
        children = [(jax.tree_util.DictKey(key), self.numbers[key]) for key in keys]
        return children, (tuple(keys), self.module, self.trained)

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], children: Any) -> ModuleInput:
        """The inverse of ``tree_flatten_with_keys``."""
        keys, module, trained = static
        return cls(dict(zip(keys, children, strict=True)), module, trained)


def has_module(inputs: tuple[Any, ...]) -> bool:
    """Whether there is a module among prepared inputs, at any depth."""
    nodes = jax.tree.leaves(inputs, is_leaf=lambda node: isinstance(node, ModuleInput))
    return any(isinstance(node, ModuleInput) for node in nodes)


def prepare_inputs(inputs: tuple[Any, ...], dtype: str) -> tuple[Any, ...]:
    """The numbers that both sides get: floating leaves as new NumPy arrays of the working dtype.

    Later runs at float64 start from these, so that the same numbers are compared, not the same
    decimal fractions. At complex64, real numbers become complex ones. Integer and boolean arrays
    become NumPy arrays; Python integers, booleans, strings and None stay what they are.
    """

    def prepare(leaf: Any) -> Any:
        if isinstance(leaf, bool | str):
            return leaf
        if is_module(leaf):
            return _prepare_module(leaf, prepare)
        array = _copy(leaf)
        kind = "f" if array.dtype == jnp.bfloat16 else array.dtype.kind
        if kind == "f":
            return _cast(array, np.dtype(jnp.dtype(dtype)))
        if kind == "c" and dtype in ("float32", "complex64"):
            return _cast(array, np.dtype(np.complex64))
        if kind not in "biu":
            raise TypeError(
                f"`compare(inputs=...)` must hold arrays of numbers or booleans, Python numbers, "
                f"strings and modules.\n"
                f"  expected: an array with a dtype that {dtype} has room for\n"
                f"  got:      {type(leaf).__name__} with dtype {array.dtype}\n"
                f"Close over what is no array; compare complex arrays at float32 or complex64."
            )
        narrow = {"i": np.int32, "u": np.uint32}.get(kind, np.bool_)
        if array.dtype.itemsize == 8 and not (array == array.astype(narrow)).all():
            raise ValueError(
                f"`compare(inputs=...)` must hold integers of 32 bits, JAX's widest at float32.\n"
                f"  expected: values that fit {narrow.__name__}\n"
                f"  got:      {array.dtype} from {array.min()} to {array.max()}\n"
                f"JAX would cut them without a word; pass smaller ones."
            )
        return leaf if isinstance(leaf, int) else array.astype(array.dtype.newbyteorder("="))

    return map_leaves(prepare, inputs)


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if np.isfinite(array).all() and not np.isfinite(cast).all():
        raise ValueError(
            f"`compare(inputs=...)` must hold numbers that the working dtype has room for.\n"
            f"  expected: at most {jnp.finfo(dtype).max} in size, for {dtype}\n"
            f"  got:      {np.max(np.abs(array)):.6g}\n"
            f"Infinities on both sides would prove nothing; pass smaller ones, or another `dtype`."
        )
    return cast


def _prepare_module(module: Any, prepare: Callable[[Any], Any]) -> ModuleInput:
    parameters = dict(module.named_parameters())
    numbers: dict[str, Any] = {}
    for name, tensor in {**parameters, **dict(module.named_buffers())}.items():
        *owners, last = name.split(".")
        place = numbers
        for owner in owners:
            place = place.setdefault(owner, {})
        place[last] = prepare(tensor)
    trained = (name for name, tensor in parameters.items() if tensor.requires_grad)
    return ModuleInput(numbers, module, frozenset(name.replace(".", "/") for name in trained))


def _copy(leaf: Any) -> Array:
    """A new NumPy array: nothing that happens to it reaches the caller's."""
    if hasattr(leaf, "detach"):  # a tensor, on whatever device
        leaf = leaf.detach().cpu()
        leaf = (
            leaf.float() if "bfloat16" in str(leaf.dtype) else leaf.resolve_conj().resolve_neg()
        ).numpy()
    try:
        return np.array(leaf)
    except TypeError:  # a PRNG key, which NumPy has no dtype for
        return np.array(None)


def widen(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same numbers at float64 (complex ones at complex128), the referee's dtype."""

    def widen_leaf(leaf: Any) -> Any:
        if not is_inexact(leaf):
            return leaf
        return leaf.astype(np.complex128 if leaf.dtype.kind == "c" else np.float64)

    return map_leaves(widen_leaf, inputs)


def perturb(inputs: tuple[Any, ...], probe: int) -> tuple[Any, ...]:
    """Moves each nonzero floating element one place up or down, by seed."""
    return _change(inputs, lambda array, place: move(array, (probe, place)))


def jitter(inputs: tuple[Any, ...], seed: int, size: float) -> tuple[Any, ...]:
    """Moves each floating element to one side by up to ``size`` times its leaf's greatest.

    Zeros are moved, too: a kink often is at zero. A leaf of zeros is moved by up to ``size``.
    """

    def shake(array: Array, place: int) -> Array:
        rng = np.random.default_rng((seed, place))
        scale = float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array))) or 1.0
        steps = rng.uniform(0.5, 1.0, array.shape) * rng.choice((-1.0, 1.0), array.shape)
        return array + size * scale * steps

    return _change(inputs, shake)


def _change(inputs: tuple[Any, ...], change: Callable[[Array, int], Array]) -> tuple[Any, ...]:
    places = itertools.count()

    def change_leaf(leaf: Any) -> Any:
        place = next(places)
        return change(leaf, place) if is_inexact(leaf) else leaf

    return map_leaves(change_leaf, inputs)


def move(array: Array, seed: tuple[int, ...]) -> Array:
    """Each nonzero element one place up or down, by seed; of complex numbers, both parts."""
    if array.dtype.kind == "c":
        parts = move(array.real, (*seed, 0)) + 1j * move(array.imag, (*seed, 1))
        return np.asarray(parts, array.dtype)
    directions = np.random.default_rng(seed).choice(np.array([-np.inf, np.inf]), size=array.shape)
    moved = np.nextafter(array, directions.astype(array.dtype))
    return np.where(array == 0, array, moved)


def find_differentiated(inputs: tuple[Any, ...]) -> Leaves:
    """The leaves that have gradients: floating arrays, and of a module what it trains."""
    frozen: set[str] = set()
    with_modules = jax.tree_util.tree_flatten_with_path(
        inputs, is_leaf=lambda node: isinstance(node, ModuleInput)
    )[0]
    for path, node in with_modules:
        if isinstance(node, ModuleInput):
            owner = jax.tree_util.keystr(path, simple=True, separator="/")
            names = set(flatten(node.numbers)) - node.trained
            frozen |= {f"{owner}/{name}" for name in names}
    leaves = flatten(inputs).items()
    return {path: leaf for path, leaf in leaves if is_inexact(leaf) and path not in frozen}
