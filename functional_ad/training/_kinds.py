"""What an option may be: each kind is read from a word of the command line, and checked."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from functional_ad.training._errors import ConfigError

SMALLEST, GREATEST = 2.0**-126, 2.0**127  # in the range of a float32, which JAX makes of it


class Kind(Protocol):
    """What an option may be.

    Attributes:
        metavar: What stands for its value in the help.
    """

    @property
    def metavar(self) -> str: ...

    def read(self, word: str) -> Any:
        """Makes a value of a word of the command line; leaves what is none as it is."""
        ...

    def check(self, field: str, value: Any) -> Any:
        """Returns the value as it is kept; raises ConfigError if it is of another kind."""
        ...


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str:
        """The words."""
        return "|".join(self.words)

    def read(self, word: str) -> Any:
        """A word is one already."""
        return word

    def check(self, field: str, value: Any) -> Any:
        """Accepts the words."""
        if isinstance(value, str) and value in self.words:
            return value
        expected = " or ".join(repr(word) for word in self.words)
        raise ConfigError(field, expected=expected, got=repr(value))


@dataclasses.dataclass(frozen=True)
class Word:
    """Any word that is not empty, as a file's name.

    Attributes:
        metavar: What stands for it in the help.
    """

    metavar: str

    def read(self, word: str) -> Any:
        """A word is one already."""
        return word

    def check(self, field: str, value: Any) -> Any:
        """Accepts words."""
        if isinstance(value, str) and value:
            return value
        raise ConfigError(field, expected="a word that is not empty", got=repr(value))


@dataclasses.dataclass(frozen=True)
class Flag:
    """True or False."""

    metavar = "true|false"

    def read(self, word: str) -> Any:
        """True or false, in small letters."""
        return {"true": True, "false": False}.get(word, word)

    def check(self, field: str, value: Any) -> Any:
        """Accepts bools."""
        if isinstance(value, bool):
            return value
        raise ConfigError(field, expected="True or False", got=repr(value))


@dataclasses.dataclass(frozen=True)
class Switch(Flag):
    """False, or True if it is named at all on the command line."""

    metavar = ""


@dataclasses.dataclass(frozen=True)
class Integer:
    """An integer within bounds."""

    low: int
    high: int | None = None

    metavar = "INTEGER"

    def read(self, word: str) -> Any:
        """An integer, in Python's words."""
        return _read(int, word)

    def check(self, field: str, value: Any, high_means: str | None = None) -> Any:
        """Accepts integers within the bounds; `high_means` says what the upper one is."""
        top = math.inf if self.high is None else self.high
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= top:
            return value
        if self.high is None:
            expected = f"an integer, {self.low} or more"
        else:
            expected = f"an integer from {self.low} to {self.high}"
            expected += "" if high_means is None else f" ({high_means})"
        raise ConfigError(field, expected=expected, got=repr(value))


@dataclasses.dataclass(frozen=True)
class Number:
    """A number that float32 holds, within bounds.

    Attributes:
        low: The least that it may be; None if it must be above 0.
        below: What it must be below.
    """

    low: float | None = None
    below: float | None = None

    metavar = "NUMBER"

    def read(self, word: str) -> Any:
        """A number, in Python's words."""
        return _read(float, word)

    def check(self, field: str, value: Any) -> Any:
        """Accepts integers and floats within the bounds."""
        if isinstance(value, int | float) and not isinstance(value, bool) and self._holds(value):
            return float(value)
        bounds = "above 0" if self.low is None else f"of at least {self.low:g}"
        bounds += "" if self.below is None else f" and below {self.below:g}"
        raise ConfigError(field, expected=f"a number {bounds} that float32 holds", got=repr(value))

    def _holds(self, value: float) -> bool:
        top = GREATEST if self.below is None else math.nextafter(self.below, 0.0)
        low = SMALLEST if self.low is None else self.low
        return low <= value <= top and (value == 0 or abs(value) >= SMALLEST)


@dataclasses.dataclass(frozen=True)
class Numbers:
    """So many numbers."""

    count: int

    @property
    def metavar(self) -> str:
        """As many, with commas between them."""
        return ",".join(["NUMBER"] * self.count)

    def read(self, word: str) -> Any:
        """Numbers with commas between them."""
        values = [_read(float, part) for part in word.split(",")]
        return word if any(isinstance(value, str) for value in values) else tuple(values)

    def check(self, field: str, value: Any) -> Any:
        """Accepts so many numbers, in a list or a tuple."""
        if isinstance(value, list | tuple) and len(value) == self.count:
            numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
            if len(numbers) == self.count and all(math.isfinite(number) for number in numbers):
                return tuple(float(number) for number in numbers)
        raise ConfigError(field, expected=f"{self.count} numbers", got=repr(value))


@dataclasses.dataclass(frozen=True)
class Words:
    """Any number of words, each not empty."""

    metavar = "PATTERN,..."

    def read(self, word: str) -> Any:
        """Words with commas between them."""
        return tuple(word.split(","))

    def check(self, field: str, value: Any) -> Any:
        """Accepts words in a list or a tuple."""
        if isinstance(value, list | tuple) and all(isinstance(v, str) and v for v in value):
            return tuple(value)
        raise ConfigError(field, expected="a list of words, none of them empty", got=repr(value))


@dataclasses.dataclass(frozen=True)
class Table:
    """Names with numbers, words, flags, or lists of these."""

    metavar = "NAME=VALUE,..."

    def read(self, word: str) -> Any:
        """Names with values: ``gamma=0.5,milestones=[10;20]``."""
        pairs = [part.partition("=") for part in word.split(",")]
        if not all(name and equals for name, equals, _ in pairs):
            return word
        return {name.strip(): _read_any(text.strip()) for name, _, text in pairs}

    def check(self, field: str, value: Any) -> Any:
        """Accepts a dictionary; lists in it become tuples."""
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            kept = {name: _freeze(entry) for name, entry in value.items()}
            if all(_is_plain(entry) for entry in kept.values()):
                return kept
        raise ConfigError(field, expected="names with numbers, words or lists", got=repr(value))


@dataclasses.dataclass(frozen=True)
class Mesh:
    """How many devices there are along each axis of a mesh: ``data=4,model=2``."""

    metavar = "data=N,model=M"

    def read(self, word: str) -> Any:
        """A word is one already."""
        return word

    def check(self, field: str, value: Any) -> Any:
        """Accepts words that `parse_mesh` reads."""
        if isinstance(value, str) and parse_mesh(value) is not None:
            return value
        expected = "data=N or data=N,model=M, the numbers of devices along each"
        raise ConfigError(field, expected=expected, got=repr(value))


def parse_mesh(text: str) -> dict[str, int] | None:
    """Reads a mesh; None if it is none.

    Example:
        >>> parse_mesh("data=4,model=2"), parse_mesh("data=0")
        ({'data': 4, 'model': 2}, None)
    """
    found = re.fullmatch(r"data=([1-9]\d{0,5})(?:,model=([1-9]\d{0,5}))?", text.replace(" ", ""))
    if found is None:
        return None
    data, model = found.groups()
    return {"data": int(data)} if model is None else {"data": int(data), "model": int(model)}


def _read(number: Callable[[str], float], word: str) -> float | str:
    """Reads a number; leaves what is none as it is, for `check` to refuse."""
    try:
        return number(word)
    except ValueError:
        return word


def _read_any(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [_read_any(part.strip()) for part in text[1:-1].split(";") if part.strip()]
    if text in ("true", "false"):
        return text == "true"
    value = _read(int, text)
    return _read(float, text) if isinstance(value, str) else value


def _freeze(value: Any) -> Any:
    return tuple(_freeze(entry) for entry in value) if isinstance(value, list | tuple) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(entry) for entry in value)
    finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, bool | int | float | str) and finite
