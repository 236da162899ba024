"""What a training run is told: one frozen, checked dataclass."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final, Literal, cast, get_args

from functional_ad.training._errors import ConfigError

ModelName = Literal["linear", "mlp"]
DataName = Literal["tutorial", "digits"]
OptimizerName = Literal["sgd", "adam", "adamw"]

TRAINING_EXAMPLES: Final[dict[DataName, int]] = {"tutorial": 20, "digits": 1437}
"""How many examples there are to train on, so that a batch size is checked before any is loaded."""

MAX_HIDDEN: Final = 8192
MAX_SEED: Final = 2**32 - 1
_SMALLEST, _GREATEST = 2.0**-126, 2.0**127  # in the range of a float32, which JAX makes of it

_DATA_OF: Final[dict[ModelName, DataName]] = {"linear": "tutorial", "mlp": "digits"}

_MLP_DEFAULTS: Final[dict[str, Any]] = {
    "data": "digits",
    "epochs": 30,
    "learning_rate": 0.003,
    "optimizer": "adamw",
    "batch_size": 32,
    "hidden": 256,
    "keep_grads": False,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The configuration of a training run; by default the tutorial's worked case.

    `for_model` gives the defaults that go with the other model.

    Attributes:
        model: ``"linear"``, y = a·x + b with two scalar parameters, or ``"mlp"``, a perceptron
            with one hidden layer.
        data: ``"tutorial"`` (for linear) or ``"digits"`` (for mlp).
        epochs: How often to go through the training examples, 1 or more.
        learning_rate: The optimizer's step size, above 0.
        optimizer: ``"sgd"``, ``"adam"`` or ``"adamw"``: optax's, with its own defaults.
        batch_size: Examples per update, 1 to the number of training examples (20 in tutorial,
            1437 in digits). The last batch of an epoch may be smaller; none is left out.
        microbatches: Parts whose gradients are accumulated for each update, 1 to the batch size.
            The result is the whole batch's up to rounding, in less memory.
        hidden: Width of the mlp's hidden layer, 1 to 8192; None for linear, which has none.
        log_every: Updates per logging interval, each of which is one compiled call; None for those
            of an epoch.
        keep_grads: Whether the last update's gradients are kept, what PyTorch's ``.grad`` holds.
        seed: Seed of the mlp's first parameters and of the shuffling, 0 to 2³² - 1. The data are
            always the same.

    Raises:
        ConfigError: A field is out of its range, or two do not go together.

    Example:
        >>> from functional_ad.training import Config
        >>> Config().epochs
        50
        >>> Config.for_model("mlp", microbatches=4).data
        'digits'
    """

    model: ModelName = "linear"
    data: DataName = "tutorial"
    epochs: int = 50
    learning_rate: float = 0.01
    optimizer: OptimizerName = "sgd"
    batch_size: int = 20
    microbatches: int = 1
    hidden: int | None = None
    log_every: int | None = None
    keep_grads: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("model", self.model, get_args(ModelName))
        _check_choice("data", self.data, get_args(DataName))
        _check_choice("optimizer", self.optimizer, get_args(OptimizerName))
        _check_together("data", self.data, _DATA_OF[self.model], self.model)
        examples = TRAINING_EXAMPLES[self.data]
        _check_integer("epochs", self.epochs, 1, None)
        _check_positive("learning_rate", self.learning_rate)
        _check_integer("batch_size", self.batch_size, 1, examples, f"the examples in {self.data}")
        _check_integer("microbatches", self.microbatches, 1, self.batch_size, "the batch size")
        if self.log_every is not None:
            _check_integer("log_every", self.log_every, 1, None)
        _check_choice("keep_grads", self.keep_grads, (True, False))
        _check_integer("seed", self.seed, 0, MAX_SEED)
        if self.model == "mlp":
            _check_integer("hidden", self.hidden, 1, MAX_HIDDEN)
        else:
            _check_together("hidden", self.hidden, None, self.model)

    @classmethod
    def for_model(cls, model: str, **changes: Any) -> Config:
        """Makes the configuration with that model's own defaults.

        Args:
            model: ``"linear"`` or ``"mlp"``.
            **changes: Fields of `Config` to set otherwise.

        Returns:
            The configuration, checked.

        Raises:
            ConfigError: As for `Config`.
        """
        fields: dict[str, Any] = {"model": model, **(_MLP_DEFAULTS if model == "mlp" else {})}
        return cls(**{**fields, **changes})


def _check_choice(field: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        expected = " or ".join(repr(choice) for choice in choices)
        raise ConfigError(field, expected=expected, got=repr(value))


def _check_together(field: str, value: object, needed: object, model: str) -> None:
    if value != needed:
        expected = "nothing" if needed is None else repr(needed)
        raise ConfigError(field, expected=f"{expected} with the model {model!r}", got=repr(value))


def _check_integer(
    field: str, value: object, low: int, high: int | None, high_means: str | None = None
) -> None:
    top = math.inf if high is None else high
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= top:
        return
    if high is None:
        expected = f"an integer, {low} or more"
    else:
        expected = f"an integer from {low} to {high}"
        expected += "" if high_means is None else f" ({high_means})"
    raise ConfigError(field, expected=expected, got=repr(value))


def _check_positive(field: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and _SMALLEST <= cast("float", value) <= _GREATEST:
        return
    raise ConfigError(field, expected="a number above 0 that float32 holds", got=repr(value))
