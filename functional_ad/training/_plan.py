"""Which examples each update takes: a pure function of the seed and the update's number."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from functional_ad.training._config import Config


class Rows(NamedTuple):
    """The examples of some updates in a row, all padded to one width.

    Attributes:
        positions: Where each example stands in the data; 0 where there is only padding.
        real: False where there is only padding; None in a run that has none.
    """

    positions: Int32[np.ndarray, "updates width"]
    real: Bool[np.ndarray, "updates width"] | None

    def count_examples(self) -> int:
        """How many examples there are, without the padding."""
        return self.positions.size if self.real is None else int(np.sum(self.real))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How epochs are cut into batches.

    Several batches are shuffled anew in each epoch. A single one is not: its gradient is the same
    in any order, and unshuffled it is bit for bit reproducible.

    Attributes:
        examples: How many examples there are.
        batch_size: How many an update takes; the last one of an epoch may take fewer.
        parts: Into how many parts of one size each batch is taken apart: the width of a batch,
            with its padding, is a multiple of it.
        epochs: How often to go through the examples.
        seed: What the order depends on, with the epoch; None for the order of the data.
    """

    examples: int
    batch_size: int
    parts: int
    epochs: int
    seed: int | None

    @property
    def batches(self) -> int:
        """Updates in an epoch."""
        return -(-self.examples // self.batch_size)

    @property
    def updates(self) -> int:
        """Updates in the whole run."""
        return self.batches * self.epochs

    @property
    def width(self) -> int:
        """Places in a batch, those for padding among them."""
        return -(-self.batch_size // self.parts) * self.parts

    @property
    def is_padded(self) -> bool:
        """Whether there is padding in any batch."""
        return self.width > self.batch_size or self.examples % self.batch_size > 0

    def take(self, start: int, count: int) -> Rows:
        """Takes the examples of the updates ``start``, ``start + 1``, ... counted from 0."""
        slots = np.arange(self.width)
        positions = np.zeros((count, self.width), np.int32)
        real = np.zeros((count, self.width), np.bool_)
        first, last = start // self.batches, -(-(start + count) // self.batches)
        for epoch in range(first, last):
            order = self._order(epoch)
            low = max(start, epoch * self.batches)
            high = min(start + count, (epoch + 1) * self.batches)
            places = np.arange(low, high)[:, None] % self.batches * self.batch_size + slots
            inside = (slots < self.batch_size) & (places < self.examples)
            positions[low - start : high - start] = np.where(inside, order[places * inside], 0)
            real[low - start : high - start] = inside
        return Rows(positions, real if self.is_padded else None)

    def _order(self, epoch: int) -> np.ndarray:
        if self.batches == 1 or self.seed is None:
            return np.arange(self.examples)
        return _shuffle(self.examples, self.seed, epoch)


@functools.lru_cache(maxsize=2)  # an epoch may have many intervals, and one may have two epochs
def _shuffle(examples: int, seed: int, epoch: int) -> np.ndarray:
    # The seeding of a SeedSequence and the shuffling of a RandomState are promised never to change;
    # those of newer generators are not.
    seeds = np.random.SeedSequence([seed, epoch])
    return np.random.RandomState(np.random.MT19937(seeds)).permutation(examples)


def make_plan(config: Config, examples: int, *, devices: int = 1) -> Plan:
    """Makes the plan of a run.

    Args:
        config: The configuration.
        examples: How many examples there are to train on.
        devices: Over how many devices each microbatch's examples are spread.
    """
    return Plan(
        examples=examples,
        batch_size=config.batch_size,
        parts=config.microbatches * devices,
        epochs=config.epochs,
        seed=config.seed,
    )
