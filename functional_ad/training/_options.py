"""Options: the fields of a configuration, each declared once with all that is told of it."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from functional_ad.training._errors import ConfigError
from functional_ad.training._kinds import Kind


@dataclasses.dataclass(frozen=True)
class Option:
    """One option: what it may be, what it means, and what it is unless given.

    Attributes:
        kind: What it may be.
        text: What it means, in sentences.
        default: What it is unless given.
        defaults: The same for the models where it is something else.
        models: The models that have it; for the others it must be None. Empty: all have it.
        optional: Whether it may be None, too.
    """

    kind: Kind
    text: str
    default: Any
    defaults: Mapping[str, Any]
    models: tuple[str, ...]
    optional: bool

    def default_for(self, model: str) -> Any:
        """What it is for a model, unless given."""
        return self.defaults.get(model, self.default)


KEY: Final = "option"


def option(
    kind: Kind,
    text: str,
    default: Any = None,
    *,
    models: Sequence[str] = (),
    optional: bool = False,
    **defaults: Any,
) -> Any:
    """Declares a field of a configuration; see `Option`."""
    told = Option(kind, text, default, defaults, tuple(models), optional)
    if isinstance(default, dict):
        # A dictionary has no hash, and two configurations may share none.
        return dataclasses.field(default_factory=dict, hash=False, metadata={KEY: told})
    return dataclasses.field(default=default, metadata={KEY: told})


def get_options(config: type) -> dict[str, Option]:
    """The options of a configuration class, by name, in their order."""
    return {field.name: field.metadata[KEY] for field in dataclasses.fields(config)}


def check_options(config: Any, model: str | None = None) -> None:
    """Checks each field of a new configuration by itself.

    Fields are kept as they are checked: a list as a tuple, an integer as a float.

    Args:
        config: The configuration.
        model: Its model, if it has one.

    Raises:
        ConfigError: One is of another kind, or is nothing that the model has.
    """
    for name, told in get_options(type(config)).items():
        value = getattr(config, name)
        if told.models and model not in told.models:
            if value is not None:
                expected = f"nothing with the model {model!r}"
                raise ConfigError(name, expected=expected, got=repr(value))
        elif value is not None or not told.optional:
            object.__setattr__(config, name, told.kind.check(name, value))


def describe_options(config: type) -> str:
    """The section of a docstring that lists the options, in the words of the command's help."""
    fill = textwrap.TextWrapper(96, initial_indent=" " * 8, subsequent_indent=" " * 12).fill
    lines = [fill(f"{name}: {told.text}") for name, told in get_options(config).items()]
    return "\n".join(["\n\n    Attributes:", *lines, "    "])


def format_value(value: Any) -> str:
    """A value in the words of TOML, which `read` takes, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(format_value(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {format_value(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
