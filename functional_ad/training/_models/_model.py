"""What a model is: four pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Key

Params = dict[Any, Any]
"""A model's parameters: a dictionary, by name, of float32 arrays or of such dictionaries."""


class Model(NamedTuple):
    """A model as four functions.

    Attributes:
        init: Makes the parameters from a PRNG key.
        apply: The outputs, from the parameters, the inputs, and a key to draw dropout from. With
            None, as when a model is evaluated, nothing is left out.
        losses: The loss of each example or token, from the outputs and the targets.
        correct: Whether each is classified rightly; None where nothing is classified.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[[Params, Array, Any], Array]
    losses: Callable[[Array, Array], Array]
    correct: Callable[[Array, Array], Array] | None
