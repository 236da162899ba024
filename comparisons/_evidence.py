"""What was run for one quantity of one case: all that the referee is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from comparisons._trees import Array, Leaves


@dataclasses.dataclass(frozen=True)
class Probe:
    """One side's leaves where inputs and cotangents are off by a last bit, at both dtypes."""

    working: Leaves
    float64: Leaves


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything that was run for one quantity of one case.

    Attributes:
        quantity: The order, e.g. ``"value"``.
        jax: JAX's leaves at the working dtype.
        torch: PyTorch's.
        jax64: JAX's leaves at float64.
        torch64: PyTorch's.
        probes: PyTorch's runs that are off by a last bit.
        jax_again: JAX's leaves at the working dtype from a second run, or nothing.
        torch_again: PyTorch's.
        inner: What rounding inside the JAX program does at float64, by path, where measured.
        jax_casts: The coarsest dtype that a leaf of JAX's float64 run has gone through, by path,
            where it is not float64.
        torch_casts: PyTorch's.
        jax_probes: JAX's runs that are off by a last bit, where they were made.
        dtype: The working dtype; None if it is that of the leaves.
    """

    quantity: str
    jax: Leaves
    torch: Leaves
    jax64: Leaves
    torch64: Leaves
    probes: tuple[Probe, ...] = ()
    jax_again: Leaves = dataclasses.field(default_factory=dict[str, Array])
    torch_again: Leaves = dataclasses.field(default_factory=dict[str, Array])
    inner: Leaves = dataclasses.field(default_factory=dict[str, Array])
    jax_casts: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    torch_casts: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    jax_probes: tuple[Probe, ...] = ()
    dtype: str | None = None
