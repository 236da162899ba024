"""The tolerances that a test by tolerance would need to pass where a comparison did not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons._results import LeafResult

_STEPS = 100  # of one in the third digit: half precision computes the tolerance itself to 1 %


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """What ``numpy.testing.assert_allclose(jax, torch)`` needs to pass, to three digits.

    Attributes:
        rtol: The smallest ``rtol`` with ``atol=0``; None if none passes, or it is not known.
        atol: The smallest ``atol`` with ``rtol=0``; None if none passes.
        complete: Whether the values were there; if not, ``rtol`` is not known and ``atol`` is from
            the greatest difference.
    """

    rtol: float | None
    atol: float | None
    complete: bool


def find_tolerances(leaf: LeafResult) -> Tolerances | None:
    """The smallest tolerances that would let a leaf pass, by trying ``assert_allclose``.

    Returns:
        The tolerances, or None for what no tolerance is made for: other shapes, booleans.

    Example:
        >>> from comparisons._verdict import Verdict
        >>> leaf = LeafResult(
        ...     path="", quantity="value", verdict=Verdict.MISMATCH, reason="", dtype="float32",
        ...     shape=(2,), max_abs=0.5, jax=[1.0, 4.5], torch=[1.0, 4.0],
        ... )
        >>> find_tolerances(leaf)
        Tolerances(rtol=0.125, atol=0.5, complete=True)
    """
    if leaf.max_abs is None or leaf.dtype in ("-", "bool"):
        return None
    try:
        jax, torch = (np.array(side, leaf.dtype) for side in (leaf.jax, leaf.torch))
    except (TypeError, ValueError):  # the values are not kept
        jax = torch = None
    if jax is None or torch is None or leaf.jax is None or jax.shape != leaf.shape:
        known = math.isfinite(leaf.max_abs)
        return Tolerances(None, _round_up(leaf.max_abs) if known else None, False)

    def passes(rtol: float, atol: float) -> bool:
        try:
            np.testing.assert_allclose(jax, torch, rtol=rtol, atol=atol)
        except AssertionError:
            return False
        return True

    with np.errstate(all="ignore"):
        kind = np.complex128 if jax.dtype.kind == "c" else np.float64
        gap = np.abs(jax.astype(kind) - torch.astype(kind))
        relative = gap / np.abs(torch.astype(kind))
        return Tolerances(
            _search(relative, lambda value: passes(value, 0.0)),
            _search(gap, lambda value: passes(0.0, value)),
            True,
        )


def describe_tolerances(leaf: LeafResult) -> str:
    """A sentence on the smallest tolerances; empty where none is made for such a leaf."""
    found = find_tolerances(leaf)
    if found is None:
        return ""
    if found.rtol is None and found.atol is None:
        return "No tolerance would pass."
    parts = [f"rtol=0, atol={found.atol:.3g}"] * (found.atol is not None)
    if found.rtol is not None:
        parts.insert(0, f"rtol={found.rtol:.3g}, atol=0")
    text = f"Smallest tolerance that would pass at {leaf.dtype}: {'; or '.join(parts)}."
    if found.complete and found.rtol is None:
        text += " No rtol would, for PyTorch has a 0 where JAX has none."
    return text


def _search(needed: Any, passes: Callable[[float], bool]) -> float | None:
    """The smallest number of three digits that passes; it is near the greatest one needed."""
    finite = needed[np.isfinite(needed)]
    greatest = float(np.max(finite, initial=0.0))
    if greatest == 0:
        return 0.0 if passes(0.0) else None
    digits, exponent = _split(_round_up(greatest))
    for _ in range(_STEPS):
        if passes(_join(digits, exponent)):
            break
        digits, exponent = _split(_join(digits + 1, exponent))
    else:
        return None
    for _ in range(_STEPS):
        lower = _split(_join(digits - 1, exponent)) if digits > 100 else (999, exponent - 1)
        if not passes(_join(*lower)):
            break
        digits, exponent = lower
    return _join(digits, exponent)


def _round_up(value: float) -> float:
    """The next number of three digits."""
    if value == 0:
        return 0.0
    digits, exponent = _split(value)
    rounded = _join(digits, exponent)
    return rounded if rounded >= value else _join(digits + 1, exponent)


def _split(value: float) -> tuple[int, int]:
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return int(mantissa.replace(".", "")), int(exponent) - 2


def _join(digits: int, exponent: int) -> float:
    return float(f"{digits}e{exponent}")
