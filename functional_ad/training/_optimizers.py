"""Optimizers and schedules of torch_semantics, by name and with their own options."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import re
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple

import jax
import optax
from jaxtyping import PyTree

from functional_ad import ArgumentError
from functional_ad.torch_semantics import lr_scheduler, optim
from functional_ad.training._errors import ConfigError

OPTIMIZERS: Final = (
    *("sgd", "adam", "adamw", "adamax", "nadam", "radam", "rmsprop", "adagrad", "adadelta"),
    *("rprop", "asgd", "adafactor", "muon"),
)
"""All of torch.optim's that take a gradient, and not a function of the parameters."""

MUON: Final = "muon"
CONSTANT: Final = "constant"
PLATEAU: Final = "reduce_lr_on_plateau"
SCHEDULES: Final = (
    *(CONSTANT, "step_lr", "multi_step_lr", "exponential_lr", "linear_lr", "polynomial_lr"),
    *("cosine_annealing_lr", "cosine_annealing_warm_restarts", "cyclic_lr", "one_cycle_lr"),
    PLATEAU,
)

_HORIZONS: Final[dict[str, str]] = {
    "linear_lr": "total_iters",
    "polynomial_lr": "total_iters",
    "cosine_annealing_lr": "T_max",
    "one_cycle_lr": "total_steps",
}
"""The option of a schedule that is the number of updates, unless it is given."""

OWN_FIELDS: Final = ("momentum", "nesterov", "betas", "eps", "weight_decay")
"""The options of optimizers that are fields of a configuration."""

_RATES: Final[dict[str, str]] = {"one_cycle_lr": "max_lr", "cyclic_lr": "base_lr"}
_WARM: Final = (PLATEAU, "one_cycle_lr", "cyclic_lr")  # which a warm-up cannot stand before


class Recipe(NamedTuple):
    """How a run's learning rate goes, and the optimizer that is made of it.

    Attributes:
        make: Makes the optimizer of a learning rate and, if there is one, a momentum, both of
            which may be traced.
        rate: The learning rate of an update, by its number, counted from 0.
        momentum: The same of the momentum; None unless the schedule has one.
        plateau: Makes what lowers the rate when the loss gets no better, and has it instead; None
            for other schedules.
    """

    make: Callable[[Any, Any], optax.GradientTransformationExtraArgs]
    rate: Callable[[Any], Any]
    momentum: Callable[[Any], Any] | None
    plateau: Callable[[], Any] | None


def build_recipe(
    optimizer: str,
    rate: float,
    options: Mapping[str, Any],
    *,
    schedule: str = CONSTANT,
    schedule_options: Mapping[str, Any],
    warmup: int = 0,
    updates: int,
) -> Recipe:
    """Builds the optimizer and the schedule of a run.

    Args:
        optimizer: The optimizer's name.
        rate: The learning rate.
        options: The optimizer's options, by name.
        schedule: The schedule's name.
        schedule_options: Its options, by name.
        warmup: In how many updates to raise the rate before that.
        updates: How many updates the run has.

    Raises:
        ConfigError: There is no such option, or it is out of PyTorch's bounds.
    """
    function = getattr(optim, optimizer)
    with _name_field(function, options, "optimizer_options", f"the optimizer {optimizer!r}"):
        function(lr=rate, **options)
    course = _build_schedule(schedule, rate, schedule_options, warmup, updates)
    cycle = getattr(course, "momentum", None)
    cycled = _find_cycled(optimizer, function) if cycle is not None else ""

    def make(rate: Any, momentum: Any) -> optax.GradientTransformationExtraArgs:
        chosen = dict(options)
        if cycled == "momentum":
            chosen["momentum"] = momentum
        elif cycled == "betas":
            default = inspect.signature(function).parameters["betas"].default
            chosen["betas"] = (momentum, options.get("betas", default)[1])
        made = function(lr=rate, **chosen)
        return optax.with_extra_args_support(_join_adamw(made, rate) if optimizer == MUON else made)

    plateau = None
    if schedule == PLATEAU:
        plateau = functools.partial(lr_scheduler.reduce_lr_on_plateau, rate, **schedule_options)
    return Recipe(make, course, cycle, plateau)


def has_horizon(schedule: str, schedule_options: Mapping[str, Any]) -> bool:
    """Whether the number of a run's updates is part of its schedule."""
    return schedule in _HORIZONS and _HORIZONS[schedule] not in schedule_options


def _build_schedule(
    name: str, rate: float, options: Mapping[str, Any], warmup: int, updates: int
) -> Callable[[Any], Any]:
    whose = f"the schedule {name!r}"
    if warmup and name in _WARM:
        raise ConfigError("warmup", expected=f"0 with {whose}", got=repr(warmup))
    if warmup >= updates:
        expected = f"fewer than the run's {updates} updates"
        raise ConfigError("warmup", expected=expected, got=repr(warmup))

    def keep(count: Any) -> float:
        del count
        return rate

    course: Any = keep
    if name == CONSTANT:
        if options:
            got = repr(next(iter(options)))
            raise ConfigError("schedule_options", expected=f"nothing with {whose}", got=got)
    else:
        function = getattr(lr_scheduler, name)
        argument = _RATES.get(name, "lr")
        chosen = {argument: rate, **options}
        if has_horizon(name, options):
            chosen[_HORIZONS[name]] = updates - warmup
        with _name_field(function, options, "schedule_options", whose, argument):
            if name == PLATEAU:  # it has its rate in the state, and is an array already
                jax.eval_shape(functools.partial(function, **chosen))
            else:
                course = function(**chosen)
    if not warmup:
        return course
    rise = lr_scheduler.linear_lr(rate, start_factor=1 / warmup, total_iters=warmup)
    return rise if name == CONSTANT else lr_scheduler.sequential_lr([rise, course], [warmup])


def _join_adamw(muon: optax.GradientTransformation, rate: Any) -> optax.GradientTransformation:
    """Muon for the matrices inside of a network, and AdamW for all other leaves."""

    def label(params: PyTree) -> PyTree:
        def choose(path: Any, leaf: Any) -> str:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            inside = not name.endswith("/embedding") and not name.startswith("head/")
            return MUON if leaf.ndim == 2 and inside else "adamw"

        return jax.tree_util.tree_map_with_path(choose, params)

    return optax.partition({MUON: muon, "adamw": optim.adamw(lr=rate)}, label)


def _find_cycled(optimizer: str, function: Callable[..., Any]) -> str:
    """The option that is the momentum of an optimizer."""
    for name in ("momentum", "betas"):
        if name in inspect.signature(function).parameters:
            return name
    raise ConfigError(
        "schedule_options",
        expected=f"cycle_momentum=false with the optimizer {optimizer!r}, which has no momentum",
        got="cycle_momentum=true, its default",
    )


@contextlib.contextmanager
def _name_field(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    field: str,
    whose: str,
    rate: str = "lr",
) -> Generator[None]:
    """Checks the names of a function's options, and what it says of their values."""
    parameters = inspect.signature(function).parameters
    taken = [name for name in parameters if name not in ("lr", rate)]
    for name in options:
        if name not in taken:
            near = difflib.get_close_matches(name, taken, n=1)
            meant = f", such as {near[0]!r}" if near else f": {', '.join(taken)}"
            expected = f"an option of {whose}{meant}"
            raise ConfigError(_find_field(name, field), expected=expected, got=repr(name))
    try:
        yield
    except ArgumentError as error:
        rule, expected, got, *_ = str(error).splitlines()
        named = re.search(r"\((\w+)", rule)
        name = named[1] if named else ""
        raise ConfigError(
            _find_field(name, field),
            expected=f"{name} of {whose}: {expected.partition(': ')[2].strip()}",
            got=got.partition(":")[2].strip(),
        ) from error
    except TypeError as error:
        raise ConfigError(field, expected=f"all that {whose} needs", got=str(error)) from error


def _find_field(name: str, field: str) -> str:
    return name if field == "optimizer_options" and name in OWN_FIELDS else field
