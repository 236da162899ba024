"""What can go wrong in a training run.

functional_ad.FunctionalADError
└── TrainingError
    ├── ConfigError (ValueError)        a configuration that cannot be run
    ├── MissingExtraError (ImportError) a package of the extra `training` is not installed
    ├── CheckpointError                 a checkpoint that cannot be written, read or gone on from
    ├── DivergedError (ArithmeticError) the loss or a parameter is no longer finite
    └── CommandError                    one line for the command line, and an exit status
"""

from __future__ import annotations

from functional_ad import NonFinite
from functional_ad._errors import FunctionalADError, explain

INSTALL = "pip install 'functional-ad[training]'"


class TrainingError(FunctionalADError):
    """Base of every error of a training run.

    Example:
        >>> from functional_ad import FunctionalADError
        >>> from functional_ad.training import ConfigError, TrainingError
        >>> issubclass(ConfigError, TrainingError), issubclass(TrainingError, FunctionalADError)
        (True, True)
    """


class ConfigError(TrainingError, ValueError):
    """A configuration that cannot be run.

    Attributes:
        field: The field of `Config` that is wrong.
        expected: What it may be.
        got: What it is, as text.

    Example:
        >>> from functional_ad.training import Config
        >>> Config(epochs=0)
        Traceback (most recent call last):
            ...
        functional_ad.training.ConfigError: `functional_ad.training.Config(epochs=...)` cannot be run.
          expected: an integer, 1 or more
          got:      0
        Leave it out for the default, or take `Config.for_model` for the model's own.
    """  # noqa: E501 - the text as it is printed

    def __init__(self, field: str, *, expected: str, got: str) -> None:
        self.field = field
        self.expected = expected
        self.got = got
        super().__init__(
            explain(
                f"`functional_ad.training.Config({field}=...)` cannot be run.",
                expected=expected,
                got=got,
                fix="Leave it out for the default, or take `Config.for_model` for the model's own.",
            )
        )

    @property
    def as_option(self) -> str:
        """The same in one line, of the option of the command line."""
        option = "--" + self.field.replace("_", "-")
        return f"{option}: expected {self.expected}, got {self.got}"


class MissingExtraError(TrainingError, ImportError):
    """A package of the extra ``training`` is not installed.

    Attributes:
        package: The package that is missing.

    Example:
        >>> from functional_ad.training import MissingExtraError
        >>> print(MissingExtraError("scikit-learn"))
        scikit-learn is not installed: pip install 'functional-ad[training]'
    """

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(f"{package} is not installed: {INSTALL}")


class DivergedError(TrainingError, ArithmeticError):
    """The loss or a parameter became infinite or NaN; nothing after it means anything.

    PyTorch trains on silently.

    Attributes:
        epoch: The epoch in which it was seen, counted from 1.
        loss: That interval's loss, which may be finite still when a parameter is not.
        step: The update in which it begins, counted from 1; None if it was not searched for.
        found: The operation in which it begins, what `first_nonfinite` answers; None if that cannot
            be told.

    Example:
        >>> from functional_ad.training import Config, DivergedError, train
        >>> try:
        ...     train(Config(learning_rate=100.0))
        ... except DivergedError as error:
        ...     print(error.step, error.found.op, error.found.phase)
        7 reduce_sum forward
    """

    def __init__(
        self,
        epoch: int,
        loss: float,
        learning_rate: float,
        *,
        step: int | None = None,
        found: NonFinite | None = None,
    ) -> None:
        self.epoch = epoch
        self.loss = loss
        self.step = step
        self.found = found
        text = (
            f"training diverged in epoch {epoch}: the loss was {loss}, and not all parameters are "
            f"finite after it; try a learning rate below {learning_rate:g}"
        )
        if step is not None:
            text += f". It begins in update {step}"
        if found is not None:
            text += f", where {found.op} gives {found.value} at {found.line} ({found.phase})"
        super().__init__(text)


class CheckpointError(TrainingError):
    """A checkpoint cannot be written, or cannot be read, or is of another run.

    PyTorch has no counterpart: ``torch.load`` raises what the file system or pickle does.

    Example:
        >>> from functional_ad.training import CheckpointError, TrainingError
        >>> issubclass(CheckpointError, TrainingError)
        True
    """


class CommandError(TrainingError):
    """What the command line ends with: one line, and an exit status.

    Attributes:
        status: The exit status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


for _error in (TrainingError, ConfigError, CheckpointError, MissingExtraError, DivergedError):
    _error.__module__ = "functional_ad.training"  # where they are imported from, in tracebacks too
