"""The arrays of an operation's samples: each is made from a line of text, the same every time."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Makers:
    """The functions that a sample's text may call; all numbers come from one seeded generator.

    Floating arrays are of numbers that bfloat16 holds, so that each dtype is given the same.
    """

    def __init__(self, seed: str) -> None:
        self._rng = np.random.default_rng(zlib.crc32(seed.encode()))

    def normal(self, *shape: int) -> Array:
        """Normal numbers."""
        return _round(self._rng.normal(size=shape))

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        """Uniform numbers."""
        return _round(self._rng.uniform(low, high, size=shape))

    def ints(self, high: int, *shape: int) -> Array:
        """Integers from 0 to ``high`` - 1."""
        return self._rng.integers(0, high, size=shape).astype(np.int32)

    def distinct(self, *shape: int) -> Array:
        """Numbers that are far from equal, in random order."""
        count = int(np.prod(shape))
        values = self._rng.permutation(count).astype(np.float64) - count / 2 + 0.25
        return _round(values.reshape(shape) * 2.0**-2)

    def array(self, values: Sequence[Any] | float) -> Array:
        """These numbers; a list of integers stays one of integers."""
        found = np.asarray(values)
        return found.astype(np.int32) if found.dtype.kind == "i" else found

    def symmetric(self, *shape: int) -> Array:
        """Symmetric matrices."""
        x = self.normal(*shape)
        return _round(x + np.swapaxes(x, -1, -2))

    def positive(self, *shape: int) -> Array:
        """Symmetric positive definite matrices, well conditioned."""
        x = self.normal(*shape)
        product = x @ np.swapaxes(x, -1, -2) / shape[-1] + np.eye(shape[-1])
        rounded = _round(product)
        return (rounded + np.swapaxes(rounded, -1, -2)) / 2

    def complex(self, *shape: int) -> Array:
        """Complex numbers."""
        return self.normal(*shape) + 1j * self.normal(*shape)


def make_sample(seed: str, text: str) -> tuple[Array, ...]:
    """The arrays that a sample's text describes.

    Example:
        >>> [x.shape for x in make_sample("matmul", "normal(2, 3), normal(3)")]
        [(2, 3), (3,)]
    """
    makers = Makers(seed)
    names = {name: getattr(makers, name) for name in dir(Makers) if not name.startswith("_")}
    names |= {"np": np, "inf": np.inf, "nan": np.nan}
    found = eval(text, names)  # the text is the project's own data
    return found if isinstance(found, tuple) else (found,)


def _round(values: Array) -> Array:
    """To what bfloat16 holds: float32 with the last 16 bits zero."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return (((bits + 0x8000) >> 16) << 16).view(np.float32).astype(np.float64)
