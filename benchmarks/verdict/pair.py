"""A pair of functions that compute the same, mistakes in it, and how its inputs are drawn."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from comparisons._case import DType, Order

Inputs = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Draw:
    """What was drawn for one comparison; with the name of the pair it makes it again."""

    dtype: DType
    size: int
    scale: float
    seed: int
    jitted: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two programs for one function, which must not be called different.

    Attributes:
        name: Unique.
        jax: The JAX side.
        torch: The PyTorch side: its own operator where it has one, not a transcript.
        inputs: Makes the inputs from a generator, a size and a scale.
        sizes: The sizes to draw from. Few, since XLA compiles each shape anew.
        scales: The scales to draw from.
        dtypes: The working dtypes to draw from.
        orders: What is compared.
        defects: Mistakes that a porter makes here: the JAX side with each of them.
        jitted: Whether XLA always compiles the JAX side as a whole: for loops. Otherwise correct
            pairs are drawn with and without, and mistakes run without, since they share operations.
        blind: These inputs cannot show some of the mistakes, e.g. because they are all zero; the
            comparison ought to say so.
    """

    name: str
    jax: Callable[..., Any]
    torch: Callable[..., Any]
    inputs: Callable[[np.random.Generator, int, float], Inputs]
    sizes: tuple[int, ...] = (8,)
    scales: tuple[float, ...] = (1.0,)
    dtypes: tuple[DType, ...] = ("float32",)
    orders: tuple[Order, ...] = ("value", "vjp")
    defects: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    jitted: bool = False
    blind: bool = False

    def make_inputs(self, draw: Draw) -> Inputs:
        """The inputs of a draw: float64 or complex128 numbers, and integers."""
        return self.inputs(np.random.default_rng(draw.seed), draw.size, draw.scale)

    def plan_draws(self, dtype: DType) -> st.SearchStrategy[Draw]:
        """Hypothesis' strategy for the draws of this pair at a dtype."""
        return st.builds(
            Draw,
            st.just(dtype),
            st.sampled_from(self.sizes),
            st.sampled_from(self.scales),
            st.integers(0, 2**32 - 1),
            st.just(True) if self.jitted else st.booleans(),
        )


def draw_examples(strategy: st.SearchStrategy[Any], count: int, seed: str) -> list[Any]:
    """The same ``count`` examples of a strategy for the same seed.

    Hypothesis' first example is the simplest one for every seed, so that one is left out.
    """
    examples: list[Any] = []

    @hypothesis.seed(zlib.crc32(seed.encode()))  # a string's own hash changes with the process
    @hypothesis.settings(
        max_examples=count + 1,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(example: Any) -> None:
        examples.append(example)

    collect()
    if len(examples) != count + 1:
        raise RuntimeError(f"hypothesis drew {len(examples)} examples, not {count + 1}")
    return examples[1:]
