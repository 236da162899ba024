"""The two sides: how a function of each framework is run at a dtype, values and gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

from comparisons._case import Order
from comparisons._trees import Leaves


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What one run of one side gave: leaves by path, for each quantity that was asked for."""

    quantities: dict[Order, Leaves]


class Backend(Protocol):
    """Runs a function of one framework.

    ``inputs`` are prepared NumPy trees, already at ``dtype``; a backend makes its own copies, and
    leaves every global setting as it found it, also when the function raises.
    """

    name: str

    def run(
        self,
        fn: Callable[..., Any],
        inputs: tuple[Any, ...],
        dtype: str,
        orders: tuple[Order, ...],
    ) -> Outputs:
        """Values and, if asked for, gradients of every floating input."""
        ...

    def describe(self) -> dict[str, Any]:
        """Settings of this process that may change the last bits."""
        ...
