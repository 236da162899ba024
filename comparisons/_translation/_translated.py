"""A live optimizer or scheduler of PyTorch, translated so that its run goes on in JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import PyTree

from comparisons._translation._layout import Layout, find_layout
from comparisons._translation._options import Options, find_name, read_options
from comparisons._translation._refusal import name_class, refuse
from comparisons._translation._schedulers import is_scheduler, translate_scheduler
from comparisons._translation._state import (
    Entries,
    count_updates,
    fill_lbfgs,
    fill_state,
    read_entries,
    to_numpy,
)
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.lr_scheduler import Schedule

_UNSET: Any = object()  # not None, which says that there is to be no scheduler


class Translated(NamedTuple):
    """What ``from_torch`` makes of an optimizer.

    Attributes:
        transform: The optimizer, an optax gradient transformation; of LBFGS, a
            ``ClosureOptimizer``, which has ``step`` in place of ``update``.
        state: Its state, with the numbers of PyTorch's.
        params: The parameters.
        schedule: What ``from_torch(scheduler)`` gives, None if there is no scheduler.
        make: Makes the transform with another learning rate: a number, a scalar array, a
            schedule, or a list of one for each group. A number fits the state of a number, and a
            schedule that of a schedule.

    Example:
        >>> import torch
        >>> module = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        >>> scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        >>> translated = from_torch(optimizer, module, scheduler=scheduler)
        >>> plateau = translated.schedule.step(0.5)  # what was measured
        >>> transform = translated.make(plateau.lr)  # in the step, where the rate is traced
    """

    transform: Any
    state: Any
    params: PyTree
    schedule: Any
    make: Callable[[Any], Any]


def from_torch(
    source: Any,
    module: Any = None,
    *,
    scheduler: Any = _UNSET,
    steps_per_epoch: int = 1,
    convert: Callable[[dict[str, Any]], PyTree] | None = None,
) -> Any:
    """Translates a live optimizer or scheduler of PyTorch, so that its run goes on in JAX.

    The next update of the translation is the one that PyTorch would have made next: options of
    all groups, state and learning rates are what they are now. PyTorch's objects are read and not
    changed, and nothing is shared with them.

    What only chooses how PyTorch computes a step is left out (``foreach``, ``fused``,
    ``capturable``), and so is what others keep in the groups. A parameter that requires no
    gradient is not trained here either. A parameter that requires one and has no part in the loss
    is skipped by PyTorch, and has a gradient of zero in JAX, of which weights decay: call
    ``requires_grad_(False)`` on it first.

    Args:
        source: An optimizer of torch.optim, or a scheduler of torch.optim.lr_scheduler, also a
            chain or a sequence, also in each other.
        module: The module that has the optimizer's parameters, for their names, and for the
            parameters that the optimizer does not have. Left out, they have the names that the
            optimizer was given (``named_parameters``), else numbers. Buffers are not translated.
        scheduler: The scheduler of the optimizer; None to go on with the rates as they are now.
            It can only be left out where the optimizer was given to none.
        steps_per_epoch: How many updates there are for each ``scheduler.step()``, the last of
            which was called just now: 1 where both are called together.
        convert: Makes the user's tree of PyTorch's: of a dictionary of NumPy arrays, nested by name
            (``"0.weight"`` is ``tree["0"]["weight"]``). It may rename, transpose, reshape, stack
            and split. It is called for the parameters, and for all of the state that has their
            shapes. For Adafactor and Muon, whose steps depend on rows and columns, it may rename.

    Returns:
        Of an optimizer, ``Translated(transform, state, params, schedule, make)``. Of a scheduler, a
        schedule whose count 0 is now, or a ``ReduceLROnPlateau``; a tuple of them, one for each
        group, if the optimizer has several.

    Raises:
        ValueError: Something has no counterpart, and the text says which and why: a class that is
            not PyTorch's own, SparseAdam, hooks of the optimizer, ``differentiable``, a learning
            rate that is trained, complex parameters, a group of which some parameters were never
            updated, a momentum that is cycled in an optimizer without a schedule for it.
        ArgumentError: JAX cannot trace the function of a LambdaLR or MultiplicativeLR, the scale of
            a CyclicLR; or an option has a value that the function of `torch_semantics` refuses.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import torch
        >>> module = torch.nn.Linear(2, 1, bias=False)
        >>> optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
        >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
        >>> def train():
        ...     optimizer.zero_grad()
        ...     module(torch.ones(1, 2)).sum().backward()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> train(), train()
        (None, None)
        >>> print(f"{from_torch(scheduler)(0):.2f}, {from_torch(scheduler)(2):.3f}")
        0.01, 0.001
        >>> transform, state, params, *_ = from_torch(optimizer, module, scheduler=scheduler)
        >>> grads = {"weight": jnp.ones((1, 2))}
        >>> updates, state = transform.update(grads, state, params)
        >>> params = optax.apply_updates(params, updates)
        >>> train()
        >>> bool(jnp.allclose(params["weight"], module.weight.detach().numpy()))
        True

    Source:
        https://docs.pytorch.org/docs/stable/optim.html
    """
    if is_scheduler(source):
        return _unpack(translate_scheduler(source))
    if not hasattr(source, "param_groups"):
        raise refuse(
            "takes an optimizer or a scheduler.",
            expected="an object of torch.optim or of torch.optim.lr_scheduler",
            got=name_class(source),
            fix="A module's parameters are `dict(module.named_parameters())`.",
        )
    if not isinstance(steps_per_epoch, int) or steps_per_epoch < 1:
        raise refuse(
            "(steps_per_epoch=...) must be a number of updates.",
            expected="an int of at least 1",
            got=repr(steps_per_epoch),
            fix="Leave it out where `scheduler.step()` follows each `optimizer.step()`.",
        )
    name = find_name(source)
    schedules = _translate_beside(source, scheduler)
    layout = find_layout(source, module, convert, name)
    _check_trained(name, layout)
    entries = [read_entries(source, layout, group) for group in range(len(source.param_groups))]
    options = [read_options(source, group) for group in source.param_groups]
    for group, schedule in enumerate(schedules):
        if isinstance(schedule, Schedule):
            clock = _Clock(count_updates(entries[group]), steps_per_epoch)
            _put_schedule(name, options[group], schedule, clock)

    def make(rates: Any) -> Any:
        changed = [
            {**own, "lr": rates[group] if isinstance(rates, Sequence) else rates}
            for group, own in enumerate(options)
        ]
        return _make_transform(name, changed, layout)

    transform = _make_transform(name, options, layout)
    params = layout.build({n: to_numpy(tensor) for n, tensor in layout.tensors.items()})
    state = _fill(name, transform.init(params), entries, layout)
    return Translated(transform, state, params, _unpack(schedules), make)


class _Clock(NamedTuple):
    """How the updates that optax counts are a scheduler's steps from now on."""

    begin: int
    steps_per_epoch: int

    def follow(self, course: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda now: course((now - self.begin) // self.steps_per_epoch)


def _translate_beside(optimizer: Any, scheduler: Any) -> Sequence[Any]:
    """The schedules of an optimizer's groups, none without a scheduler."""
    if scheduler is _UNSET and any("initial_lr" in group for group in optimizer.param_groups):
        raise refuse(
            "(scheduler=...) must be given with an optimizer that has one.",
            expected="the scheduler, or None to go on with the learning rates as they are",
            got="nothing, and an optimizer whose groups have an `initial_lr`",
            fix="Pass `scheduler=scheduler`.",
        )
    if scheduler is _UNSET or scheduler is None:
        return []
    if not is_scheduler(scheduler) or scheduler.optimizer is not optimizer:
        raise refuse(
            "(scheduler=...) must be the optimizer's own.",
            expected="a scheduler that was made for this optimizer",
            got=f"{name_class(scheduler)} of another"
            if is_scheduler(scheduler)
            else name_class(scheduler),
            fix="Translate each optimizer with its scheduler.",
        )
    return translate_scheduler(scheduler)


def _check_trained(name: str, layout: Layout) -> None:
    untrained = [n for n, t in layout.tensors.items() if not t.requires_grad]
    if all(group is None for group in layout.groups):
        raise refuse(
            "needs an optimizer with something to train.",
            expected="at least one parameter with requires_grad=True",
            got="none",
            fix="Translate it before its parameters are frozen.",
        )
    if name == "lbfgs" and None in layout.groups:
        raise refuse(
            "cannot translate an LBFGS that does not train all parameters.",
            expected="parameters of the optimizer, all with requires_grad=True",
            got=[repr(n) for n in untrained] or "a module that has more of them",
            fix="Leave `module` out, and close the loss over what is not trained.",
        )


def _put_schedule(name: str, options: Options, schedule: Schedule, clock: _Clock) -> None:
    """Puts a schedule in the place of a group's learning rate, and of the momentum it cycles."""
    options["lr"] = clock.follow(schedule)
    if schedule.momentum is None:
        return
    momentum = clock.follow(schedule.momentum)
    if "betas" in options:
        options["betas"] = (momentum, options["betas"][1])
    elif name == "sgd":
        options["momentum"] = momentum
    else:
        raise refuse(
            "cannot translate a scheduler that cycles the momentum of this optimizer.",
            expected="SGD, or an optimizer with betas",
            got=f"`{name}`, which takes no schedule of its momentum",
            fix="Pass `cycle_momentum=False` to PyTorch's scheduler.",
        )


def _make_transform(name: str, options: Sequence[Options], layout: Layout) -> Any:
    maker = getattr(optim, name)
    groups = _list_groups(layout)
    if None not in layout.groups and len(groups) == 1:
        return maker(**options[groups[0]])
    return optim.param_groups(
        maker, [{**options[group], "where": layout.mask(group)} for group in groups]
    )


def _fill(name: str, state: Any, entries: Sequence[Entries], layout: Layout) -> Any:
    """The state that ``init`` made, with PyTorch's numbers."""
    groups = _list_groups(layout)
    if name == "lbfgs":
        return fill_lbfgs(state, next(iter(entries[0].values())), layout)
    if None not in layout.groups and len(groups) == 1:
        return fill_state(name, state, entries[groups[0]], layout, None)
    inner = dict(state.inner_states)
    for number, group in enumerate(groups):
        masked = inner[str(number)]
        own = fill_state(name, masked.inner_state, entries[group], layout, group)
        inner[str(number)] = masked._replace(inner_state=own)
    return state._replace(inner_states=inner)


def _list_groups(layout: Layout) -> list[int]:
    """The groups that train something."""
    return sorted({group for group in layout.groups if group is not None})


def _unpack(schedules: Sequence[Any]) -> Any:
    return schedules[0] if len(schedules) == 1 else tuple(schedules) or None
