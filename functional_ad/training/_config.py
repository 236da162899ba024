"""What a training run is told: one frozen, checked dataclass."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Final

from functional_ad.training._architecture import (
    MODELS,
    NETWORKS,
    Architecture,
    check_together,
)
from functional_ad.training._errors import ConfigError
from functional_ad.training._kinds import (
    Choice,
    Flag,
    Integer,
    Mesh,
    Number,
    Numbers,
    Table,
    Words,
)
from functional_ad.training._optimizers import (
    CONSTANT,
    MUON,
    OPTIMIZERS,
    OWN_FIELDS,
    SCHEDULES,
    Recipe,
    build_recipe,
)
from functional_ad.training._options import describe_options, get_options, option

REMAT: Final = ("none", "full", "dots", "dots_with_no_batch_dims")
DTYPES: Final = ("float32", "bfloat16", "float16")

TRAINING_EXAMPLES: Final[dict[str, int]] = {"tutorial": 20, "digits": 1437}
"""How many examples there are to train on, so that a batch size is checked before any is loaded.

Of the text it depends on the version of Python and on the context."""

MAX_SEED: Final = 2**32 - 1
_MANY: Final = 1000  # updates of a run whose data are not loaded yet


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config(Architecture):
    """The configuration of a training run; by default the tutorial's worked case.

    `for_model` gives the defaults that go with another model.

    Raises:
        ConfigError: A field is out of its range, or two do not go together.

    Example:
        >>> from functional_ad.training import Config
        >>> Config().epochs
        50
        >>> Config.for_model("mlp", microbatches=4).data
        'digits'
    """

    epochs: int = option(
        Integer(1),
        "How often to go through the training examples.",
        50,
        mlp=30,
        cnn=8,
        transformer=4,
    )
    batch_size: int = option(
        Integer(1),
        "Examples per update, at most as many as there are to train on (20 in tutorial, 1437 in "
        "digits; in text they are sequences). The last batch of an epoch may be smaller; no "
        "example is left out.",
        20,
        **dict.fromkeys(NETWORKS, 32),
    )
    microbatches: int = option(
        Integer(1),
        "Take each batch in this many parts and accumulate their gradients: the same update up to "
        "rounding, in less memory.",
        1,
    )
    seed: int = option(
        Integer(0, MAX_SEED),
        "Seed of the first parameters, of the shuffling and of dropout. The data are always the "
        "same.",
        0,
    )
    optimizer: str = option(
        Choice(OPTIMIZERS),
        "The optimizer, torch.optim's, with its own defaults. muon takes the matrices inside of a "
        "network, and leaves embeddings, the last layer and all that is no matrix to adamw.",
        "sgd",
        **dict.fromkeys(NETWORKS, "adamw"),
    )
    learning_rate: float = option(
        Number(),
        "Step size of the optimizer.",
        0.01,
        mlp=0.003,
        cnn=0.002,
        transformer=0.002,
    )
    momentum: float | None = option(
        Number(low=0.0), "Momentum of the optimizers that have one.", optional=True
    )
    nesterov: bool | None = option(Flag(), "Whether momentum looks ahead.", optional=True)
    betas: tuple[float, float] | None = option(
        Numbers(2), "Decay rates of Adam and its kin.", optional=True
    )
    eps: float | None = option(Number(low=0.0), "What is added to a divisor.", optional=True)
    weight_decay: float | None = option(
        Number(low=0.0), "Decay of the parameters, as the optimizer applies it.", optional=True
    )
    optimizer_options: Mapping[str, Any] = option(
        Table(), "Other options of the optimizer, by torch.optim's names.", {}
    )
    schedule: str = option(
        Choice(SCHEDULES),
        "How the learning rate goes, update by update: torch.optim.lr_scheduler's. "
        "reduce_lr_on_plateau looks at the loss of each logging interval.",
        CONSTANT,
    )
    schedule_options: Mapping[str, Any] = option(
        Table(),
        "Options of the schedule, by torch's names. Those that are the number of updates "
        "(total_iters, T_max, total_steps) are the run's unless given.",
        {},
    )
    warmup: int = option(
        Integer(0), "In how many updates the rate rises before the schedule begins.", 0
    )
    max_norm: float | None = option(
        Number(), "The norm that gradients are clipped to.", optional=True
    )
    compute_dtype: str = option(
        Choice(DTYPES),
        "What is computed in; parameters are float32.",
        "float32",
    )
    loss_scale: float | None = option(
        Number(),
        "What the loss is scaled with at first, so that small gradients do not vanish in float16 "
        "(torch: GradScaler). With float16 it is 65536 unless given, otherwise it is not scaled.",
        optional=True,
    )
    freeze: tuple[str, ...] = option(
        Words(),
        "Leaves that are not trained, by path or glob, such as */bias: no backward pass is built "
        "for them alone.",
        (),
    )
    remat: str = option(
        Choice(REMAT),
        "What the backward pass computes again and does not keep, layer by layer: none; full: "
        "everything in a layer; dots: all but matrix products.",
        "none",
    )
    mesh: str | None = option(
        Mesh(),
        "Spread the run over so many devices: a batch's examples along data, large matrices along "
        "model. none: over one device, or with several processes over all of theirs along data.",
        optional=True,
    )
    log_every: int | None = option(
        Integer(1),
        "Updates per logging interval, each of which is one compiled call; none: those of an "
        "epoch.",
        optional=True,
        transformer=50,
    )
    evaluate_every: int | None = option(
        Integer(1),
        "After how many logging intervals to evaluate the examples held out; none: only after the "
        "last one, as always.",
        1,
        optional=True,
    )
    keep_grads: bool = option(
        Flag(),
        "Whether the last update's gradients are kept, what PyTorch's .grad holds.",
        True,
        **dict.fromkeys(NETWORKS, False),
    )
    log_grad_norm: bool = option(
        Flag(),
        "Whether to log the norm of each interval's last gradients. It is known anyway if they are "
        "kept or clipped; otherwise it costs a pass over them.",
        False,
    )
    log_intermediates: bool | None = option(
        Flag(),
        "Whether to log the norms of the gradients of hidden values, after each interval.",
        models=NETWORKS,
        **dict.fromkeys(NETWORKS, False),
    )

    def __post_init__(self) -> None:
        Architecture.__post_init__(self)  # without `super`: dataclasses with slots are made twice
        examples = TRAINING_EXAMPLES.get(self.data)
        if examples is not None:
            check_batch_size(self, examples)
        high = Integer(1, self.batch_size)
        high.check("microbatches", self.microbatches, "the batch size")
        if self.model == "linear":
            check_together("compute_dtype", self.compute_dtype, "float32", self.model)
            if self.optimizer == MUON:
                expected = "another one with the model 'linear', which has no matrix"
                raise ConfigError("optimizer", expected=expected, got=repr(MUON))
        # Here, since it checks all options. Only their values depend on the number of updates.
        self.build_recipe(self.warmup + _MANY)

    @classmethod
    def for_model(cls, model: str, **changes: Any) -> Config:
        """Makes the configuration with that model's own defaults.

        Args:
            model: ``"linear"``, ``"mlp"``, ``"cnn"`` or ``"transformer"``.
            **changes: Fields of `Config` to set otherwise.

        Returns:
            The configuration, checked.

        Raises:
            ConfigError: As for `Config`; or there is no such field.
        """
        options = get_options(cls)
        Choice(MODELS).check("model", model)
        for name in changes:
            if name not in options:
                raise ConfigError(name, expected=_name_nearest(name, options), got=repr(name))
        fields: dict[str, Any] = {name: told.default_for(model) for name, told in options.items()}
        fields.update(changes, model=model)
        return cls(**fields)

    def build_recipe(self, updates: int) -> Recipe:
        """Builds the optimizer and the schedule.

        Args:
            updates: How many updates the run has.

        Raises:
            ConfigError: An option is unknown, or out of PyTorch's bounds.
        """
        own = {name: getattr(self, name) for name in OWN_FIELDS}
        options = {name: value for name, value in own.items() if value is not None}
        return build_recipe(
            self.optimizer,
            self.learning_rate,
            {**options, **self.optimizer_options},
            schedule=self.schedule,
            schedule_options=self.schedule_options,
            warmup=self.warmup,
            updates=updates,
        )

    @property
    def first_loss_scale(self) -> float | None:
        """What the loss is scaled with at first; None if it is not."""
        default = 2.0**16 if self.compute_dtype == "float16" else None
        return default if self.loss_scale is None else self.loss_scale


def check_batch_size(config: Config, examples: int) -> None:
    """Checks the batch size against the number of examples.

    Raises:
        ConfigError: There are fewer.
    """
    means = f"the examples in {config.data}"
    Integer(1, examples).check("batch_size", config.batch_size, means)


def _name_nearest(name: str, options: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.0)
    return f"a field of `Config`, such as {near[0]!r}"


if Config.__doc__:  # there is none under `python -OO`
    Config.__doc__ = Config.__doc__.rstrip() + describe_options(Config)
