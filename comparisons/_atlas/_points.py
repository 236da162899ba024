"""Where a pointwise operation is tried: ordinary points, and points at its edges."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons.cases.atlas import Axis, Op

Array = np.ndarray[Any, Any]

NARROW = 80  # ordinary points that bfloat16 holds, so that every dtype is tried at them
WIDE = 80  # ordinary points of float32, for the others
WIDTH = 64  # points come in multiples of this: eager JAX compiles each operation for each size
STEP = 2.0**-26  # how far to the sides of an edge the limits are looked for, relative
LARGE = 1e6  # from here on a number counts as large
TINY = float(np.finfo(np.float64).tiny)
NEAREST = 1e-4  # of a domain around zero, how near ordinary points come to it

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
NONFINITE = (np.inf, -np.inf, np.nan)
DENORMAL = (1e-310, -1e-310)
HUGE = (1e30, -1e30, 1e300, -1e300, float(np.finfo(np.float64).max))
PAIRS = (
    *itertools.product((0.0, -0.0, 1.0, -1.0, 0.5), repeat=2),
    *((1.0, 1e-310), (1e-310, 1.0), (1e300, 1.0), (1.0, 1e300), (-1.0, 1e300), (1e300, 1e300)),
    *((np.inf, 1.0), (1.0, np.inf), (-np.inf, 1.0), (1.0, -np.inf), (np.inf, np.inf)),
    *((np.nan, 1.0), (1.0, np.nan), (0.0, np.inf), (np.inf, 0.0), (np.inf, np.nan)),
)


@dataclasses.dataclass(frozen=True)
class Points:
    """Points, one array for each argument; ordinary ones first, then edges, then their sides.

    Attributes:
        args: The coordinates, at float64.
        ordinary: How many ordinary points there are; those of bfloat16 come first.
        edges: How many edges there are. They are followed by all edges with the first argument a
            little less, with it a little more, then with the second argument likewise.
    """

    args: tuple[Array, ...]
    ordinary: int
    edges: int

    def take(self, dtype: str) -> tuple[Array, ...]:
        """The coordinates that a dtype is tried at, as arrays of it: edges at float64 only."""
        if dtype == "float64":
            return self.args
        count = NARROW if dtype == "bfloat16" else self.ordinary
        padded = -(-count // WIDTH) * WIDTH
        index = np.arange(padded) % count
        return tuple(x[index].astype(jnp.dtype(dtype)) for x in self.args)

    def list_ordinary(self) -> list[tuple[float, ...]]:
        """The ordinary points."""
        return self._list(0, self.ordinary)

    def list_edges(self) -> list[tuple[float, ...]]:
        """The edges."""
        return self._list(self.ordinary, self.edges)

    def side(self, argument: int, above: bool) -> slice:
        """Where the points beside the edges are, along an argument."""
        start = self.ordinary + self.edges * (1 + 2 * argument + above)
        return slice(start, start + self.edges)

    def _list(self, start: int, count: int) -> list[tuple[float, ...]]:
        columns = [x[start : start + count].tolist() for x in self.args]
        return list(zip(*columns, strict=True))


def choose_points(op: Op) -> Points:
    """The points of an operation; the same every time."""
    rng = np.random.default_rng(zlib.crc32(op.name.encode()))
    narrow = [_draw(rng, low, high, NARROW, jnp.bfloat16) for low, high in op.domains]
    wide = [_draw(rng, low, high, WIDE, np.float32) for low, high in op.domains]
    edges = _find_edges(op)
    columns: list[list[Array]] = []
    for k in range(op.arity):
        at = np.array([edge[k] for edge in edges])
        column = [narrow[k], wide[k], at]
        for moved in range(op.arity):
            if moved != k:
                column += [at, at]  # with the sign of a zero, which a sum would lose
                continue
            step = STEP * np.maximum(1.0, np.abs(at))
            with np.errstate(over="ignore", invalid="ignore"):
                column += [at - step, at + step]
        columns.append(column)
    args = [np.concatenate(column) for column in columns]
    padding = -len(args[0]) % WIDTH
    return Points(
        tuple(np.concatenate([x, np.repeat(x[:1], padding)]) for x in args),
        ordinary=NARROW + WIDE,
        edges=len(edges),
    )


def classify(op: Op, point: tuple[float, ...]) -> Axis:
    """The axis that an edge belongs to."""
    if not all(np.isfinite(x) for x in point):
        return "nonfinite"
    if any(0 < abs(x) < TINY for x in point):
        return "denormal"
    return "large" if any(abs(x) >= LARGE for x in point) else "edges"


def _draw(rng: np.random.Generator, low: float, high: float, count: int, dtype: Any) -> Array:
    """Uniform numbers, and a third of them uniform in the logarithm of their size."""
    found: list[Array] = []
    while sum(map(len, found)) < count:
        x = rng.uniform(low, high, count)
        if low < NEAREST and high > -NEAREST:
            most = min(max(abs(low), abs(high)), 1.0)
            near = np.exp(rng.uniform(np.log(NEAREST * most), np.log(most), count))
            near *= rng.choice([-1.0, 1.0], count)
            x = np.where(rng.random(count) < 1 / 3, near, x)
        elif low > 0 and high / low > 1e3:
            spread = np.exp(rng.uniform(np.log(low), np.log(high), count))
            x = np.where(rng.random(count) < 0.5, spread, x)
        x = x.astype(dtype).astype(np.float64)
        found.append(x[(x > low) & (x < high)])
    return np.concatenate(found)[:count]


def _find_edges(op: Op) -> list[tuple[float, ...]]:
    own = [_as_tuple(point) for point in (*op.kinks, *op.points)]
    usual: list[tuple[float, ...]] = []
    if op.arity == 1:
        usual = [(x,) for x in (*SPECIAL, *NONFINITE, *DENORMAL, *HUGE)]
    elif op.arity == 2:
        usual = list(PAIRS)
    avoided = {_write(_as_tuple(point)) for point in op.avoid}
    unique = {_write(point): point for point in (*own, *usual)}
    return [point for key, point in unique.items() if key not in avoided]


def _write(point: tuple[float, ...]) -> str:
    """Not the number: -0.0 equals 0.0, and NaN nothing."""
    return " ".join(repr(float(x)) for x in point)


def _as_tuple(point: float | tuple[float, ...]) -> tuple[float, ...]:
    return point if isinstance(point, tuple) else (point,)
