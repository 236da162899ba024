"""One step of each side: the same state, by PyTorch's names, and the same batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
import torch

import functional_ad
from comparisons.cases.training._layout import to_flax
from functional_ad.torch_semantics.optim._slots import SLOTS
from functional_ad.training._models import Model

State = dict[str, Any]
Step = Callable[[State, Any], tuple[State, dict[str, Any]]]


def make_jax_step(
    name: str,
    model: Model,
    optimizer: str,
    transform: optax.GradientTransformation,
    *,
    where: Any = None,
    max_norm: float | None = None,
) -> Step:
    """Makes a step of the training script's model with an optimizer of ``torch_semantics``.

    Args:
        name: The model's name.
        model: The model.
        optimizer: The optimizer's name, by which its state is known.
        transform: The optimizer.
        where: Which parameters are trained; all if left out.
        max_norm: The bound of the gradients' norm.
    """

    def compute_loss(params: State, batch: Mapping[str, Any]) -> Any:
        outputs = model.apply(to_flax(name, params), batch["x"], None)
        return jnp.mean(model.losses(outputs, batch["y"]))

    gradients = functional_ad.value_and_grad(compute_loss, where=where)

    def step(state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        params = state["params"]
        loss, grads = gradients(params, batch)
        if max_norm is not None:
            grads = functional_ad.clip_by_norm(grads, max_norm).grads
        trained = _prune(params, grads)
        before = _write(optimizer, transform.init(trained), state["optimizer"])
        updates, after = transform.update(grads, before, trained)
        params = jax.tree.map(
            lambda u, p: p if u is None else p + u, updates, params, is_leaf=_is_none
        )
        aux = {"loss": loss, "grads": _drop_none(grads)}
        return {"params": params, "optimizer": _read(optimizer, after, state["optimizer"])}, aux

    return step


def make_closure_step(name: str, model: Model, optimizer: Any) -> Step:
    """Makes a step of an optimizer that evaluates the loss itself, begun anew at each batch."""

    def step(state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        def compute_loss(params: State) -> Any:
            outputs = model.apply(to_flax(name, params), batch["x"], None)
            return jnp.mean(model.losses(outputs, batch["y"]))

        params = state["params"]
        params, _, loss = optimizer.step(compute_loss, params, optimizer.init(params))
        return {"params": params}, {"loss": loss}

    return step


def make_loop_step(
    module: torch.nn.Module,
    make_optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer],
    compute_loss: Callable[[torch.nn.Module, Any], torch.Tensor],
    begin: Callable[[torch.Tensor], dict[str, torch.Tensor]],
    shared: Mapping[str, float],
) -> tuple[State, Step]:
    """Makes a step of an optimizer whose state does not begin at zero.

    ``torch_training`` makes that of the others.

    Args:
        module: The model.
        make_optimizer: Makes the optimizer of a module.
        compute_loss: The loss of a module and a batch.
        begin: What the optimizer's state of a parameter is before the first step.
        shared: What it is that all parameters have in common.
    """
    copies: dict[torch.dtype, torch.nn.Module] = {}
    names = [name for name, _ in module.named_parameters()]
    params = {name: p.detach().clone() for name, p in module.named_parameters()}
    slots = {name: begin(p) for name, p in params.items()}
    keys = list(dict.fromkeys(key for slot in slots.values() for key in slot))
    having = {key: [name for name in names if key in slots[name]] for key in keys}
    trees = {key: _nest({name: slots[name][key] for name in having[key]}) for key in keys}
    state: State = {"params": _nest(params), "optimizer": {**trees, **shared}}

    def step(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        params = _flatten(state["params"])
        dtype = params[names[0]].dtype
        if dtype not in copies:
            copies[dtype] = copy.deepcopy(module).to(dtype)
        model = copies[dtype]
        model.zero_grad(set_to_none=True)
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(params[name])
        optimizer = make_optimizer(model)
        flat = {key: _flatten(state["optimizer"][key]) for key in keys}
        for name, parameter in own.items():
            optimizer.state[parameter].update(
                {key: flat[key][name].clone() for key in keys if name in having[key]},
                **{
                    key: torch.as_tensor(state["optimizer"][key]).clone().to(_count_dtype())
                    for key in shared
                },
            )
        loss = compute_loss(model, batch)
        loss.backward()
        grads = {name: own[name].grad.clone() for name in names}
        optimizer.step()
        after = {name: optimizer.state[own[name]] for name in names}
        read = {key: _nest({n: after[n][key].clone() for n in having[key]}) for key in keys}
        common = {key: torch.as_tensor(after[names[0]][key]).clone() for key in shared}
        new = {name: own[name].detach().clone() for name in names}
        return (
            {"params": _nest(new), "optimizer": {**read, **common}},
            {"loss": loss.detach(), "grads": _nest(grads)},
        )

    return state, step


def make_torch_closure_step(
    module: torch.nn.Module,
    make_optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer],
    compute_loss: Callable[[torch.nn.Module, Any], torch.Tensor],
) -> tuple[State, Step]:
    """Makes a step of an optimizer that takes a closure, begun anew at each batch."""

    def step(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        params = _flatten(state["params"])
        model = copy.deepcopy(module).to(next(iter(params.values())).dtype)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(params[name])
        optimizer = make_optimizer(model)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = compute_loss(model, batch)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        new = {name: p.detach().clone() for name, p in model.named_parameters()}
        return {"params": _nest(new)}, {"loss": torch.as_tensor(loss).detach()}

    return {"params": _nest({n: p.detach().clone() for n, p in module.named_parameters()})}, step


def _count_dtype() -> torch.dtype:
    """The dtype in which PyTorch's optimizers count."""
    wide = torch.get_default_dtype() == torch.float64
    return torch.float64 if wide else torch.float32


def _write(optimizer: str, made: Any, state: Mapping[str, Any]) -> Any:
    """The optimizer's own state from the one by PyTorch's names."""
    for key, value in state.items():
        slot = SLOTS[optimizer][key]
        found = optax.tree.get_all_with_path(made, slot.field, _is_field)
        if not found:
            continue  # a count that nothing needs
        filled = jax.tree_util.tree_map_with_path(
            lambda path, old, value=value, slot=slot: jnp.asarray(
                slot.from_torch(_look_up(value, path)), jnp.result_type(old)
            ),
            found[0][1],
        )
        made = optax.tree.set(made, _is_field, **{slot.field: filled})
    return made


def _read(optimizer: str, made: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    """The state by PyTorch's names from the optimizer's own."""
    state: dict[str, Any] = {}
    for key, old in before.items():
        slot = SLOTS[optimizer][key]
        found = optax.tree.get_all_with_path(made, slot.field, _is_field)
        if not found:
            state[key] = old + 1
            continue
        new = _drop_none(jax.tree.map(slot.to_torch, found[0][1]))
        state[key] = jax.tree.map(lambda x, b: jnp.asarray(x, jnp.result_type(b)), new, old)
    return state


def _is_field(path: Any, value: Any) -> bool:
    del value
    return isinstance(path[-1], optax.tree_utils.NamedTupleKey)


def _look_up(tree: Any, path: Any) -> Any:
    for key in path:
        tree = tree[key.key]
    return tree


def _prune(params: Any, grads: Any) -> Any:
    """The parameters that have a gradient."""
    return jax.tree.map(lambda g, p: None if g is None else p, grads, params, is_leaf=_is_none)


def _drop_none(tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        return tree
    kept = {key: _drop_none(value) for key, value in tree.items() if value is not None}
    return {
        key: value for key, value in kept.items() if not (isinstance(value, dict) and not value)
    }


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a.b": x}`` as ``{"a": {"b": x}}``."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = leaf
    return tree


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
