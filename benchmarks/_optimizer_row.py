"""What an optimizer's tests and its benchmark need to know of it: a row of their table.

- `ranges`: from where each number is drawn, `betas` as a pair. They are traced, so that the
  numbers of a new example compile nothing.
- `variants`: options that are static (switches; a number that is exactly 0, for which something
  is left out). They come on top of the drawn numbers. Each variant is compiled once: keep them few.
- `twin`: by variant, optax's own optimizer of the same kind from the same options, whose flops are
  not to be passed. Weights decay in it by `optax.add_decayed_weights`, if at all.
- `shapes`: the parameters; two if not given, since each makes every program larger. One that treats
  shapes differently, as Adafactor, says what it needs: up to three.
- `defects`: wrong transforms from the same options, near enough that one could write them. The
  comparison must notice each, with the options of the variant that is named.
- `setting`: in what both sides are run, if there is something to set.
- `layer`: the shapes of the parameters whose update's flops are counted.
- `shapes`: those of the parameters that are trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import optax

Options = Mapping[str, Any]
Make = Callable[..., optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class Range:
    """From where a number is drawn: between two bounds, evenly in its logarithm if asked for."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The number that lies a share of the way from `low` to `high`."""
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + (self.high - self.low) * share


@dataclasses.dataclass(frozen=True)
class Row:
    """An optimizer, by its name here and PyTorch's; the rest is said above."""

    torch: str
    ranges: Mapping[str, Range | tuple[Range, ...]]
    variants: Mapping[str, Options]
    twin: Mapping[str, Make]
    defects: Mapping[str, tuple[str, Make]]
    setting: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    layer: Mapping[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {"weight": (64, 32), "bias": (32,)}
    )
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(
        default_factory=lambda: {"weight": (3, 2), "scale": ()}
    )

    def draw(self, shares: Iterator[float]) -> dict[str, Any]:
        """Draws all numbers, each with the next share of its way."""
        return {
            key: tuple(part.at(next(shares)) for part in place)
            if isinstance(place, tuple)
            else place.at(next(shares))
            for key, place in self.ranges.items()
        }

    def make_options(self, variant: str, share: float = 0.5) -> dict[str, Any]:
        """All options of a variant, its numbers at one share of their way."""
        return {**self.draw(itertools.repeat(share)), **self.variants[variant]}


RATE = Range(1e-3, 0.1, log=True)
# A tenth of the weakest gradient at most. The decay is the one way in which a difference of the
# parameters comes back as a gradient, and an optimizer that divides by the gradient's size would
# make more of it in each step.
DECAY = Range(1e-4, 1e-2, log=True)
EPS = Range(1e-8, 1e-2, log=True)
# Weights decay little on the way up: where the decay has caught up with the gradient, they cancel,
# and the step of an optimizer that divides by the gradient's size is a quotient of roundings.
ASCENT = {"maximize": True, "weight_decay": 1e-4}
BETAS = (Range(0.5, 0.95), Range(0.9, 0.999))


def add_decay(weight_decay: Any, optimizer: optax.GradientTransformation) -> Any:
    """Decays weights as optax's users do where the optimizer does not: added to the gradient."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optimizer)
