"""The options of a live optimizer of torch.optim, as those of the optimizer here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from comparisons._translation._refusal import is_of, name_class, refuse
from comparisons._translation._schedulers import read_rate

Options = dict[str, Any]

# By the name of PyTorch's class, that of the function of `optim`. AdamW is Adam with
# `decoupled_weight_decay`, in PyTorch too.
NAMES: Final = {
    "ASGD": "asgd",
    "Adadelta": "adadelta",
    "Adafactor": "adafactor",
    "Adagrad": "adagrad",
    "Adam": "adam",
    "AdamW": "adam",
    "Adamax": "adamax",
    "LBFGS": "lbfgs",
    "Muon": "muon",
    "NAdam": "nadam",
    "RAdam": "radam",
    "RMSprop": "rmsprop",
    "Rprop": "rprop",
    "SGD": "sgd",
}

# How PyTorch computes a step, and not what.
_HARMLESS: Final = frozenset({"foreach", "fused", "capturable", "differentiable"})


def find_name(optimizer: Any) -> str:
    """The function of `torch_semantics.optim` that does what an optimizer does.

    Raises:
        ValueError: There is none, or something was hung on to the optimizer.
    """
    if is_of(optimizer, "torch.optim", ["SparseAdam"]):
        raise refuse(
            "cannot translate SparseAdam.",
            expected="an optimizer of dense gradients",
            got="SparseAdam, for the sparse gradients of `nn.Embedding(sparse=True)`",
            fix="JAX has no sparse gradients: go on with Adam.",
        )
    if not is_of(optimizer, "torch.optim", NAMES):
        raise refuse(
            "can translate PyTorch's own optimizers only.",
            expected=", ".join(sorted(NAMES)),
            got=name_class(optimizer),
            fix="Write it as an `optax.GradientTransformation`.",
        )
    _check_hooks(optimizer)
    return NAMES[type(optimizer).__name__]


def read_options(optimizer: Any, group: Mapping[str, Any]) -> Options:
    """The options of a group under the names that the optimizer here has, its rate among them.

    What is in a group and not among the optimizer's options is of no effect in PyTorch, and left
    out: what schedulers keep there, and what users do.

    Raises:
        ValueError: One of them has no counterpart.
    """
    known = inspect.signature(_get_maker(optimizer)).parameters
    options: Options = {}
    for key in optimizer.defaults:
        if key == "differentiable" and group[key]:
            raise refuse(
                "cannot translate an optimizer with `differentiable=True`.",
                expected="differentiable=False",
                got="differentiable=True, with a graph through its state that would be lost",
                fix="In JAX every step can be differentiated: begin there.",
            )
        if key in known:
            options[key] = read_rate(group) if key == "lr" else _read(group[key])
        elif key not in _HARMLESS and group[key] != _get_default(optimizer, key):
            raise refuse(
                f"knows no counterpart of an option of {type(optimizer).__name__}.",
                expected=f"{key}={_get_default(optimizer, key)!r}, the default",
                got=f"{key}={group[key]!r}",
                fix="Leave it out in PyTorch.",
            )
    return options


def _get_maker(optimizer: Any) -> Any:
    from functional_ad.torch_semantics import optim

    return getattr(optim, NAMES[type(optimizer).__name__])


def _get_default(optimizer: Any, key: str) -> Any:
    parameter = inspect.signature(type(optimizer)).parameters.get(key)
    return parameter.default if parameter else optimizer.defaults[key]


def _read(value: Any) -> Any:
    """A number of PyTorch's, which may be a tensor, or a tuple of them."""
    if isinstance(value, tuple | list):
        return tuple(_read(each) for each in value)
    return value.item() if hasattr(value, "item") else value


def _check_hooks(optimizer: Any) -> None:
    named = {
        "register_step_pre_hook": optimizer._optimizer_step_pre_hooks,
        "register_step_post_hook": optimizer._optimizer_step_post_hooks,
    }
    for name, hooks in named.items():
        if hooks:
            raise refuse(
                "cannot translate an optimizer with hooks.",
                expected=f"none registered with `{name}`",
                got=", ".join(getattr(h, "__name__", name_class(h)) for h in hooks.values()),
                fix="Remove them, and do what they do before or after `transform.update`.",
            )
