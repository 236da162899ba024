"""An ordinary PyTorch training loop's step as a pure function of a tree of tensors."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Any]
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
Step = Callable[[State, Any], tuple[State, dict[str, Any]]]


def torch_training(
    module: nn.Module,
    make_optimizer: MakeOptimizer,
    loss_fn: Callable[[nn.Module, Any], Tensor],
    before_step: Callable[[nn.Module, torch.optim.Optimizer, Any], object] | None = None,
) -> tuple[State, Step]:
    """Makes a pure step for ``compare_training`` of a module, an optimizer and a loss.

    The step loads the state into a copy of the module and a new optimizer, does what a loop does
    (``loss.backward()``, ``optimizer.step()``) and reads the state back. Over many steps it gives
    what the loop gives, bit for bit; here that is tried on the optimizer with random gradients,
    and one whose state cannot be carried so is refused.

    Args:
        module: The model, with its initial parameters, in the mode (``train()`` or ``eval()``) in
            which it is to run. It is copied.
        make_optimizer: Makes the optimizer of a module, e.g.
            ``lambda module: torch.optim.AdamW(module.parameters(), lr=1e-3)``.
        loss_fn: Gets the module and the batch, and returns the loss, a scalar tensor.
        before_step: Called with the module, the optimizer and the batch between ``backward`` and
            ``optimizer.step()``, e.g. to clip gradients. The optimizer is a new one in each step,
            so a schedule sets its learning rate here, from a step number that the batch holds.

    Returns:
        The initial state and the step. The state has ``"params"``, nested by name (``"0.weight"``
        is ``state["params"]["0"]["weight"]``), ``"buffers"`` likewise if there are any, and
        ``"optimizer"``: by the name that PyTorch gives it (``"exp_avg"``, ``"momentum_buffer"``),
        a tree like the parameters', and ``"step"``, the number of updates, if the optimizer counts
        them. The step returns the new state and ``{"loss": ..., "grads": ...}``, the gradients
        as the optimizer gets them: zero where PyTorch has None.

    Raises:
        ValueError: The module has no parameter that is trained, or the optimizer cannot be
            carried: its step needs a closure, or its state is more than tensors of the parameters'
            shapes and a count of updates.

    Source:
        https://docs.pytorch.org/docs/stable/optim.html

    Example:
        >>> import torch
        >>> module = torch.nn.Linear(2, 1)
        >>> state, step = torch_training(
        ...     module,
        ...     lambda module: torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9),
        ...     lambda module, batch: module(batch).square().mean(),
        ... )
        >>> sorted(state["optimizer"]["momentum_buffer"])
        ['bias', 'weight']
        >>> new_state, aux = step(state, torch.ones(4, 2))
        >>> sorted(aux)
        ['grads', 'loss']
    """
    own = copy.deepcopy(module)
    if not any(param.requires_grad for param in own.parameters()):
        raise ValueError(
            "`torch_training(module=...)` must have a parameter that is trained.\n"
            "  expected: at least one with requires_grad=True\n  got:      none"
        )
    carrier = _find_carrier(own, make_optimizer)
    copies: dict[torch.dtype, nn.Module] = {}

    def step(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        dtype = next(leaf.dtype for leaf in _flatten(state["params"]).values())
        if dtype not in copies:
            copies[dtype] = copy.deepcopy(own).to(dtype)
        model = copies[dtype]
        _load(model, state)
        optimizer = make_optimizer(model)
        carrier.load(optimizer, model, state["optimizer"])
        loss = loss_fn(model, batch)
        loss.backward()
        if before_step is not None:
            before_step(model, optimizer, batch)
        optimizer.step()
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        grads = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in trained.items()}
        aux = {"loss": loss.detach(), "grads": _nest(grads)}
        return _read(model, carrier.read(optimizer, model, state["optimizer"])), aux

    return _read(own, carrier.initial), step


@dataclasses.dataclass(frozen=True)
class _Carrier:
    """How an optimizer's state goes into a tree and out of it.

    ``initial`` is that of an optimizer that has made no update. With ``lazy``, one that has made
    none is not loaded but left to fill itself: SGD with dampening treats its first update apart.
    """

    initial: dict[str, Any]
    lazy: bool

    def load(
        self, optimizer: torch.optim.Optimizer, module: nn.Module, state: Mapping[str, Any]
    ) -> None:
        """Fills a new optimizer."""
        if self.lazy and not int(state["step"]):
            return
        # The dtype in which the optimizers count: float64 only where that is the default.
        wide = torch.get_default_dtype() == torch.float64
        count = torch.tensor(
            float(state.get("step", 0)), dtype=torch.float64 if wide else torch.float32
        )
        params = dict(module.named_parameters())
        for key, tree in state.items():
            for name, tensor in _flatten(tree).items() if key != "step" else ():
                optimizer.state[params[name]][key] = tensor.clone()
                if "step" in state and not self.lazy:  # a lazy one does not count itself
                    optimizer.state[params[name]]["step"] = count.clone()

    def read(
        self, optimizer: torch.optim.Optimizer, module: nn.Module, before: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The state after an update; ``before`` is what was loaded for it."""
        params = dict(module.named_parameters())
        state: dict[str, Any] = {}
        for key in self.initial:
            if key == "step":
                state[key] = torch.as_tensor(int(before[key]) + 1)
                continue
            slots = {name: optimizer.state[params[name]] for name in _flatten(self.initial[key])}
            _check_updated(slots, key, before)
            state[key] = _nest({name: slot[key].clone() for name, slot in slots.items()})
        return state


def _check_updated(
    slots: Mapping[str, Mapping[str, Any]], key: str, before: Mapping[str, Any]
) -> None:
    """Raises where an update passed a parameter over that the count says was updated."""
    behind = [
        name
        for name, slot in slots.items()
        if key not in slot or ("step" in slot and slot["step"] != before["step"] + 1)
    ]
    if behind and "step" in before:
        raise ValueError(
            f"`torch_training` carries one count of updates for all parameters.\n"
            f"  expected: a gradient for every parameter that is trained\n"
            f"  got:      None for {', '.join(map(repr, behind))}\n"
            f"Set `requires_grad` to False where a parameter has no part in the loss."
        )


def _find_carrier(module: nn.Module, make_optimizer: MakeOptimizer) -> _Carrier:
    """The way of carrying that gives what an ordinary loop gives; there may be none."""
    initial = _make_initial(module, make_optimizer)
    carrier = _Carrier(initial, lazy=False)
    if _carries(carrier, module, make_optimizer):
        return carrier
    carrier = _Carrier({**initial, "step": torch.tensor(0)}, lazy=True)
    if "step" not in initial and _carries(carrier, module, make_optimizer):
        return carrier
    raise ValueError(_refuse(make_optimizer(module), "a state that does not begin at zero"))


def _make_initial(module: nn.Module, make_optimizer: MakeOptimizer) -> dict[str, Any]:
    """The state of which an update with zero gradients of zero parameters makes the same."""
    model = copy.deepcopy(module)
    for param in model.parameters():
        param.data.zero_()
        param.grad = torch.zeros_like(param) if param.requires_grad else None
    optimizer = make_optimizer(model)
    try:
        optimizer.step()
    except TypeError as error:  # the closure is missing
        raise ValueError(_refuse(optimizer, "a step that needs a closure")) from error
    flat: dict[str, dict[str, Tensor]] = {}
    counted = False
    for name, param in model.named_parameters():
        for key, value in optimizer.state.get(param, {}).items():
            if key == "step":
                counted = True
            elif isinstance(value, Tensor) and value.shape == param.shape:
                flat.setdefault(key, {})[name] = value.clone()
            elif value is not None:
                raise ValueError(_refuse(optimizer, f"{key!r} beside"))
    state: dict[str, Any] = {key: _nest(tensors) for key, tensors in flat.items()}
    return state | ({"step": torch.tensor(0)} if counted else {})


def _carries(carrier: _Carrier, module: nn.Module, make_optimizer: MakeOptimizer) -> bool:
    """Whether three updates through the tree are those of an ordinary loop, bit for bit."""
    loop, ours = copy.deepcopy(module), copy.deepcopy(module)
    in_loop, state = make_optimizer(loop), carrier.initial
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        optimizer = make_optimizer(ours)
        carrier.load(optimizer, ours, state)
        for a, b in zip(loop.parameters(), ours.parameters(), strict=True):
            if a.requires_grad:
                a.grad = torch.randn(a.shape, generator=generator).to(a)
                b.grad = a.grad.clone()
        in_loop.step()
        optimizer.step()
        state = carrier.read(optimizer, ours, state)
    pairs = zip(loop.parameters(), ours.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def _refuse(optimizer: torch.optim.Optimizer, got: str) -> str:
    return (
        f"`torch_training(make_optimizer=...)` must make an optimizer whose state can be carried "
        f"from step to step.\n"
        f"  expected: tensors of the parameters' shapes, zero at first, and a count of updates\n"
        f"  got:      {type(optimizer).__name__}, with {got}\n"
        f"Write the step yourself: a function of (state, batch) that returns (state, aux)."
    )


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
    """The inverse of ``_nest``."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _read(module: nn.Module, optimizer: dict[str, Any]) -> State:
    def copy_all(named: Iterable[tuple[str, Tensor]]) -> dict[str, Any]:
        return _nest({name: tensor.detach().clone() for name, tensor in named})

    buffers = copy_all(module.named_buffers())
    state: State = {"params": copy_all(module.named_parameters())}
    return state | ({"buffers": buffers} if buffers else {}) | {"optimizer": optimizer}


def _load(module: nn.Module, state: State) -> None:
    """Puts parameters and buffers in place, and takes gradients away."""
    with torch.no_grad():
        for kind, named in (
            ("params", module.named_parameters()),
            ("buffers", module.named_buffers()),
        ):
            values = _flatten(state.get(kind, {}))
            for name, tensor in named:
                tensor.copy_(values[name])
    module.zero_grad(set_to_none=True)
