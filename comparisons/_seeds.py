"""The cotangents and tangents of a comparison: the same for both sides and for all runs.

Not ones: those would hide every difference that cancels in a sum, over the elements of an output or
over several outputs. They depend on the paths only, and are numbers of the working dtype, so that
the float64 run gets the same ones. A probe gets them off by a last bit, as its inputs are.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from comparisons._inputs import move
from comparisons._trees import Array, Leaves

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Seeds:
    """Draws cotangents and tangents.

    Attributes:
        dtype: The working dtype.
        probe: Number of the probe; None for the run itself.
    """

    dtype: str
    probe: int | None = None

    def draw_cotangents(self, outputs: Mapping[str, tuple[Shape, bool]]) -> Leaves:
        """One for each floating output, given its shape and whether it is complex.

        1 for the only output if it is a scalar: people call ``backward()`` on a loss.
        """
        # Not the bare path: that of a single output is empty, and its draw would be that of
        # `default_rng(0)`, with which people draw their inputs.
        return self._draw(outputs, "cotangent of ")

    def draw_tangents(self, inputs: Mapping[str, tuple[Shape, bool]]) -> Leaves:
        """One for each input that is differentiated, given its shape and whether it is complex."""
        return self._draw(inputs, "tangent of ")

    def _draw(self, leaves: Mapping[str, tuple[Shape, bool]], purpose: str) -> Leaves:
        alone = [shape for shape, _ in leaves.values()] == [()]
        return {
            path: self._draw_leaf(purpose + path, shape, is_complex, alone)
            for path, (shape, is_complex) in leaves.items()
        }

    def _draw_leaf(self, name: str, shape: Shape, is_complex: bool, alone: bool) -> Array:
        real = np.float32 if self.dtype == "complex64" else jnp.finfo(self.dtype).dtype
        if alone and not is_complex:
            seed = np.ones((), real)
        else:
            seed = _draw_normal(name, shape).astype(real)
            if is_complex:
                seed = seed + 1j * _draw_normal(f"{name}, imaginary", shape).astype(real)
        if self.probe is None:
            return seed
        return move(seed, (self.probe, zlib.crc32(name.encode())))


@functools.lru_cache(maxsize=64)
def _draw_normal(name: str, shape: Shape) -> Array:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return np.asarray(rng.normal(size=shape))
