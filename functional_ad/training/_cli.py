"""The command line's options, and the `Config` that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from functional_ad.training._config import MAX_HIDDEN, MAX_SEED, TRAINING_EXAMPLES, Config
from functional_ad.training._errors import CommandError, ConfigError

PROGRAM: Final = "functional-ad-train"

# typer exports this one usage error; its base is the one that they all have, whichever copy of
# click typer carries.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

_EPILOG: Final = (
    "Exit status: 0 finished; 1 failed: the loss is not finite, or output cannot be written; "
    "2 bad arguments, or a package is missing; 130 interrupted."
)


class Command(NamedTuple):
    """What the command line asks for."""

    config: Config
    metrics: Path | None


def _declare(metavar: str, field: str, text: str) -> Any:
    """Declares an option, with the default that it has for each model.

    Values are read as text: `Config` checks them all, and its errors say what was expected and got.
    """
    linear = getattr(Config.for_model("linear"), field)
    mlp = getattr(Config.for_model("mlp"), field)
    if field == "model" or linear == mlp:
        default = f"{linear}"
    elif linear is None:
        default = f"{mlp} for mlp"
    else:
        default = f"{linear} for linear, {mlp} for mlp"
    return typer.Option(metavar=metavar, help=f"{text} [default: {default}]", show_default=False)


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=_EPILOG)
def _make_command(
    model: Annotated[
        str,
        _declare(
            "linear|mlp",
            "model",
            "linear: y = a*x + b, as in the tutorial. mlp: a perceptron with one hidden layer.",
        ),
    ] = "linear",
    data: Annotated[
        str | None,
        _declare(
            "tutorial|digits",
            "data",
            "tutorial: the tutorial's 20 pairs, for linear. digits: scikit-learn's, for mlp.",
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        _declare("INTEGER", "epochs", "How often to go through the training examples, 1 or more."),
    ] = None,
    learning_rate: Annotated[
        str | None, _declare("NUMBER", "learning_rate", "Step size of the optimizer, above 0.")
    ] = None,
    optimizer: Annotated[
        str | None,
        _declare("sgd|adam|adamw", "optimizer", "The optimizer: optax's, with its own defaults."),
    ] = None,
    batch_size: Annotated[
        str | None,
        _declare(
            "INTEGER",
            "batch_size",
            "Examples per update, 1 to the number of training examples "
            f"({TRAINING_EXAMPLES['tutorial']} in tutorial, {TRAINING_EXAMPLES['digits']} in "
            "digits). The last batch of an epoch may be smaller; no example is left out.",
        ),
    ] = None,
    microbatches: Annotated[
        str | None,
        _declare(
            "INTEGER",
            "microbatches",
            "Take each batch in this many parts and accumulate their gradients: the same "
            "update up to rounding, in less memory. 1 to the batch size.",
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        _declare("INTEGER", "hidden", f"Width of the mlp's hidden layer, 1 to {MAX_HIDDEN}."),
    ] = None,
    log_every: Annotated[
        str | None,
        _declare(
            "INTEGER",
            "log_every",
            "Updates per logging interval, each of which is one compiled call; None: an epoch's.",
        ),
    ] = None,
    keep_grads: Annotated[
        str | None,
        _declare("true|false", "keep_grads", "Keep the gradients of the last update."),
    ] = None,
    seed: Annotated[
        str | None,
        _declare(
            "INTEGER",
            "seed",
            "Seed of the mlp's first parameters and of the shuffling, 0 to "
            f"{MAX_SEED}. The data are always the same.",
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write metrics to this file, replacing it, as JSON lines: the configuration and "
            "versions, each epoch, the final results. [default: none are written]",
            show_default=False,
        ),
    ] = None,
) -> Command:
    """Train a model with JAX: each logging interval is one jitted scan, its buffers donated.

    Without options: the linear regression of the tutorial on torch.autograd, on its own data.
    Prints each epoch's loss and, at the end, the last gradients and the parameters.

    With --model mlp: a perceptron on scikit-learn's digits, to at least 97 % test accuracy in
    seconds. Prints each epoch's loss and its accuracy on examples held out.
    """
    given = {
        "data": data,
        "epochs": _read(int, epochs),
        "learning_rate": _read(float, learning_rate),
        "optimizer": optimizer,
        "batch_size": _read(int, batch_size),
        "microbatches": _read(int, microbatches),
        "hidden": _read(int, hidden),
        "log_every": _read(int, log_every),
        "keep_grads": {"true": True, "false": False}.get(keep_grads or "", keep_grads),
        "seed": _read(int, seed),
    }
    changes = {field: value for field, value in given.items() if value is not None}
    return Command(config=Config.for_model(model, **changes), metrics=metrics)


def parse_command(arguments: list[str] | None = None) -> Command | None:
    """Reads the command line.

    Args:
        arguments: What follows the program's name; ``sys.argv[1:]`` if left out.

    Returns:
        What is asked for; None if only help was, and was given.

    Raises:
        CommandError: The arguments are not understood, or cannot be run.
    """
    try:
        command: Any = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except _UsageError as error:
        text: str = getattr(error, "format_message")()  # noqa: B009 - its type is not exported
        raise CommandError(f"{' '.join(text.split())} (see --help)", status=2) from error
    except ConfigError as error:
        option = "--" + error.field.replace("_", "-")
        message = f"{option}: expected {error.expected}, got {error.got}"
        raise CommandError(message, status=2) from error
    return command if isinstance(command, Command) else None


def _read(number: Callable[[str], float], text: str | None) -> float | str | None:
    """Reads a number; leaves what is none as it is, for `Config` to refuse."""
    try:
        return None if text is None else number(text)
    except ValueError:
        return text
