"""A configuration as a TOML file: written into a run's folder, and read with ``--config``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from functional_ad.training._config import Config
from functional_ad.training._errors import CommandError
from functional_ad.training._options import Option, format_value, get_options

NONE: Final = "none"
"""What stands for None, on the command line and in a file."""


def format_config_file(config: Config) -> str:
    """Formats a configuration; what no model's default differs from is written, too."""
    lines = [
        f"{name} = {format_value(NONE if value is None else value)}"
        for name, told in get_options(Config).items()
        if (value := getattr(config, name)) is not None
        or told.default_for(config.model) is not None
    ]
    return "\n".join(lines) + "\n"


def read_config_file(path: Path, options: Mapping[str, Option]) -> dict[str, Any]:
    """Reads options from a file.

    Args:
        path: The file.
        options: The options that there are, by name.

    Returns:
        Their values, by name, which are not checked yet.

    Raises:
        CommandError: It cannot be read, is no TOML, or has a key that is no option.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"--config: expected a file that can be read, got {str(path)!r}"
        raise CommandError(f"{message} ({error.strerror})", status=2) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"--config: expected TOML, got {str(path)!r} ({error})"
        raise CommandError(message, status=2) from error
    for name in values:
        if name not in options:
            near = difflib.get_close_matches(name, options, n=1, cutoff=0.0)[0]
            message = f"--config: expected an option, such as {near!r}, got {name!r} in {path}"
            raise CommandError(message, status=2)
    return {
        name: None if options[name].optional and value == NONE else value
        for name, value in values.items()
    }
