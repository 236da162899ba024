"""What an evaluation is asked for, where it is, and what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from jax.extend.core import JaxprEqn

from functional_ad._program import Step

Key: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Origin:
    """One place where something begins to be not finite.

    Attributes:
        key: Path of its step and iterations of the loops around it, for telling it from others.
        step: The operation; None for a value that came from outside.
        source: Number of the program's constant or input that it is, if it is one.
        around: The loops and branches around it, outermost first, for people.
        inputs: What went into the operation.
        output: What came out, the one that is not finite.
        index: Its first element that is not finite.
        became: That element.
    """

    key: Key
    step: Step | None
    source: int | None
    around: tuple[str, ...]
    inputs: tuple[Any, ...]
    output: Any
    index: tuple[int, ...]
    became: complex

    @property
    def iterations(self) -> tuple[int, ...]:
        """Iterations of the loops around it, outermost first."""
        return self.key[1]


class Place(NamedTuple):
    """Where in a program the evaluation is."""

    path: tuple[int, ...] = ()
    callers: tuple[JaxprEqn, ...] = ()
    iterations: tuple[int, ...] = ()
    around: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one evaluation does besides computing.

    Attributes:
        leave: Origins that are not repaired in the third values.
        constants: Whether infinities written in the program are origins; else they are meant.
        watch: Called with every step that is opened in the iterations of ``opened``.
        opened: Iterations in which compiled bodies are not to be used.
        poison: An origin's key, and where its step's third output is to be NaN.
    """

    leave: Callable[[Key], bool] = lambda key: False
    constants: bool = False
    watch: Callable[[Step, Key, list[Any]], None] | None = None
    opened: tuple[int, ...] | None = None
    poison: tuple[Key, Any] | None = None
