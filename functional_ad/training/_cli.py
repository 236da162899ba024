"""The command line's options, and the `Config` that they make."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from functional_ad.training._architecture import MODELS
from functional_ad.training._config import Config
from functional_ad.training._config_file import NONE, format_config_file, read_config_file
from functional_ad.training._errors import CommandError, ConfigError
from functional_ad.training._execution import Execution
from functional_ad.training._kinds import Switch
from functional_ad.training._options import Option, format_value, get_options

PROGRAM: Final = "functional-ad-train"

# typer exports this one usage error; its base is the one that they all have, whichever copy of
# click typer carries.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

_EPILOG: Final = (
    "Exit status: 0 finished; 1 failed: the loss is not finite, output or a checkpoint cannot be "
    "written, a checkpoint is of another run, another process is lost; "
    "2 bad arguments, or a package is missing; 130 or 143 interrupted, by Ctrl-C or SIGTERM."
)
_OPTIONS: Final = {**get_options(Config), **get_options(Execution)}


class Command(NamedTuple):
    """What the command line asks for."""

    config: Config
    execution: Execution


def _make_command(**words: Any) -> Command | None:
    """Train a model with JAX: each logging interval is one jitted scan, its buffers donated.

    Without options: the linear regression of the tutorial on torch.autograd, on its own data.
    Prints each epoch's loss and, at the end, the last gradients and the parameters.

    With --model mlp: a perceptron on scikit-learn's digits, to at least 97 % test accuracy in
    seconds. Prints each epoch's loss and its accuracy on examples held out.

    With --model cnn: convolutions on the same. With --model transformer: the bytes of Python's own
    help topics, of which it learns to say the next one.
    """
    show, path = words.pop("print_config"), words.pop("config")
    values = {} if path is None else read_config_file(path, _OPTIONS)
    values |= {name: _read(name, word) for name, word in words.items() if word is not None}
    execution = {name: values.pop(name) for name in get_options(Execution) if name in values}
    model = values.pop("model", "linear")
    command = Command(config=Config.for_model(model, **values), execution=Execution(**execution))
    if show:
        sys.stdout.write(format_config_file(command.config))
        return None
    return command


def _read(name: str, word: Any) -> Any:
    """Values are read as words: they are checked later, and what was expected is said."""
    told = _OPTIONS[name]
    if isinstance(word, bool):  # a switch
        return word
    return None if told.optional and word == NONE else told.kind.read(word)


def _declare(name: str, told: Option) -> Any:
    """Declares an option, with the default that it has for each model."""
    if isinstance(told.kind, Switch):
        return Annotated[
            bool | None,
            typer.Option("--" + name.replace("_", "-"), help=told.text, show_default=False),
        ]
    metavar = f"{told.kind.metavar}|{NONE}" if told.optional else told.kind.metavar
    text = f"{told.text} [default: {_describe_default(told)}]"
    return Annotated[str | None, typer.Option(metavar=metavar, help=text, show_default=False)]


def _describe_default(told: Option) -> str:
    models: dict[str, list[str]] = {}  # those that share a default
    for model in told.models or MODELS:
        models.setdefault(_format_default(told.default_for(model)), []).append(model)
    if len(models) == 1 and not told.models:
        return next(iter(models))
    return ", ".join(f"{default} for {' and '.join(names)}" for default, names in models.items())


def _format_default(value: Any) -> str:
    if value is None or value in ((), {}):
        return NONE
    return value if isinstance(value, str) else format_value(value)


_FILE: Final = typer.Option(
    metavar="FILE",
    help="Read options from this file, TOML with one line for each, such as learning_rate = 0.1; "
    "those on the command line come first. A run directory has one, config.toml. [default: none]",
    show_default=False,
)
_SHOW: Final = typer.Option(
    "--print-config", help="Print the configuration as such a file, and do nothing else."
)


def _describe_command() -> inspect.Signature:
    """The command's signature, which typer makes its options of."""
    kinds: dict[str, Any] = {
        "config": Annotated[Path | None, _FILE],
        **{name: _declare(name, told) for name, told in _OPTIONS.items()},
        "print_config": Annotated[bool | None, _SHOW],
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(name, keyword, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]
    )


setattr(_make_command, "__signature__", _describe_command())  # noqa: B010 - functions lack it in types
app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command(epilog=_EPILOG)(_make_command)


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
        raise CommandError(error.as_option, status=2) from error
    return command if isinstance(command, Command) else None
