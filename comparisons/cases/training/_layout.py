"""PyTorch's parameters, by name, as the training script's models have theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp

FIRST_LINEAR = ("linear1", "kernel")
SIDE = 4  # of the cnn's image when it is flattened

RENAMED = {"in_proj_weight": ("in_proj", "weight"), "in_proj_bias": ("in_proj", "bias")}


def to_flax(model: str, params: Mapping[str, Any]) -> dict[Any, Any]:
    """The parameters of a module as Flax names and lays them out.

    A linear layer's weight is transposed, a convolution's has the channels last, and what the cnn
    flattens does, too.

    Args:
        model: The model's name.
        params: A nested dictionary by PyTorch's names.
    """
    if model == "linear":
        return dict(params)
    tree: dict[Any, Any] = {}
    for path, leaf in _walk(params):
        *parents, last = _rename(path)
        owner = parents[-1]
        name, move = _translate(str(owner), last, leaf)
        if model == "cnn" and (owner, name) == FIRST_LINEAR:
            move = _put_channels_last
        branch = tree
        for parent in parents:
            branch = branch.setdefault(int(parent) if parent.isdigit() else parent, {})
        branch[name] = move(leaf)
    return tree


def _walk(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _walk(value, *path, name)
        else:
            yield (*path, name), value


def _rename(path: tuple[str, ...]) -> tuple[str, ...]:
    return (*path[:-1], *RENAMED.get(path[-1], (path[-1],)))


def _translate(owner: str, name: str, leaf: Any) -> tuple[str, Callable[[Any], Any]]:
    if name == "bias":
        return name, lambda x: x
    if "embedding" in owner:
        return "embedding", lambda x: x
    if leaf.ndim == 1:
        return "scale", lambda x: x
    if leaf.ndim == 4:
        return "kernel", lambda x: jnp.transpose(x, (2, 3, 1, 0))
    return "kernel", jnp.transpose


def _put_channels_last(weight: Any) -> Any:
    """The weight of a linear layer after ``flatten``, whose inputs are channel by channel."""
    outputs = len(weight)
    image = weight.reshape(outputs, -1, SIDE, SIDE)
    return jnp.transpose(image, (2, 3, 1, 0)).reshape(-1, outputs)
