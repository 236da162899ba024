"""One case at one working dtype: everything that is run, and what the referee says of it."""

from __future__ import annotations

import functools
from typing import Any

from comparisons._backends import Outputs
from comparisons._case import DType, Order, ParityCase
from comparisons._evidence import Evidence, Probe
from comparisons._inputs import perturb, prepare_inputs, widen
from comparisons._referee import judge
from comparisons._results import LeafResult
from comparisons._seeds import Seeds
from comparisons._tolerance import PROBES
from comparisons._verdict import Verdict

Inputs = tuple[Any, ...]


class Trial:
    """Runs a case, each run once, and judges it.

    Attributes:
        case: The case.
        dtype: The working dtype.
        inputs: The prepared numbers.
        wide: The same numbers at float64.
        orders: What is run: the case's orders, and the value in any case.
        known: What was found inside both programs, by quantity: further fields of the evidence.
    """

    def __init__(self, case: ParityCase, dtype: DType) -> None:
        self.case = case
        self.dtype: DType = dtype
        self.inputs = prepare_inputs(case.inputs, dtype)
        self.wide = widen(self.inputs)
        self.orders: tuple[Order, ...] = tuple(dict.fromkeys(("value", *case.orders)))
        self.known: dict[Order, dict[str, Any]] = {}

    def run(
        self,
        side: Any,
        inputs: Inputs,
        *,
        float64: bool = False,
        probe: int | None = None,
        orders: tuple[Order, ...] | None = None,
    ) -> Outputs:
        """Runs one side's function on prepared inputs; all orders of the trial, or those named.

        Raises:
            Exception: What the function raises, with a note that says which side at which dtype.
        """
        fn = self.case.jax if side.name == "JAX" else self.case.torch
        dtype = "float64" if float64 else self.dtype
        try:
            return side.run(fn, inputs, dtype, orders or self.orders, Seeds(self.dtype, probe))
        except (Exception, SystemExit) as error:
            error.add_note(f"{side.name} side, at {dtype}")
            raise

    @functools.cached_property
    def jax_runs(self) -> tuple[Outputs, Outputs]:
        """JAX at the working dtype, twice."""
        from comparisons._backends import jax

        return self.run(jax, self.inputs), self.run(jax, self.inputs)

    @functools.cached_property
    def jax64(self) -> Outputs:
        """JAX at float64."""
        from comparisons._backends import jax

        return self.run(jax, self.wide, float64=True)

    @functools.cached_property
    def torch_runs(self) -> tuple[Outputs, Outputs]:
        """PyTorch at the working dtype, twice."""
        from comparisons._backends import torch

        return self.run(torch, self.inputs), self.run(torch, self.inputs)

    @functools.cached_property
    def torch64(self) -> Outputs:
        """PyTorch at float64."""
        from comparisons._backends import torch

        return self.run(torch, self.wide, float64=True)

    @functools.cached_property
    def probes(self) -> tuple[tuple[Outputs, Outputs], ...]:
        """PyTorch with inputs and seeds off by a last bit, at both dtypes."""
        from comparisons._backends import torch

        return self._run_probes(torch)

    @functools.cached_property
    def jax_probes(self) -> tuple[tuple[Outputs, Outputs], ...]:
        """JAX likewise; only where it is asked whether PyTorch rounds worse."""
        from comparisons._backends import jax

        return self._run_probes(jax)

    def _run_probes(self, side: Any) -> tuple[tuple[Outputs, Outputs], ...]:
        found: list[tuple[Outputs, Outputs]] = []
        for probe in range(PROBES):
            near = perturb(self.inputs, probe)
            narrow = self.run(side, near, probe=probe)
            found.append((narrow, self.run(side, widen(near), float64=True, probe=probe)))
        return tuple(found)

    @functools.cached_property
    def evidence(self) -> dict[Order, Evidence]:
        """What was run, by quantity."""
        (ours, ours_again), ours64 = self.jax_runs, self.jax64
        (theirs, theirs_again), theirs64 = self.torch_runs, self.torch64
        return {
            order: Evidence(
                quantity=order,
                jax=ours[order],
                torch=theirs[order],
                jax64=ours64[order],
                torch64=theirs64[order],
                probes=tuple(Probe(near[order], far[order]) for near, far in self.probes),
                jax_again=ours_again[order],
                torch_again=theirs_again[order],
                dtype=self.dtype,
                **self.known.get(order, {}),
            )
            for order in self.orders
        }

    def judge(self) -> list[LeafResult]:
        """The referee's verdict on every leaf of every order of the case.

        Raises:
            ValueError: There is nothing to compare, which would pass whatever the functions do.
        """
        leaves: list[LeafResult] = []
        for order in self.orders:
            found = judge(self.evidence[order])
            if order not in self.case.orders:
                # The gradients of other outputs would prove nothing.
                found = [leaf for leaf in found if leaf.verdict is Verdict.STRUCTURE]
            elif all(0 in leaf.shape for leaf in found):
                raise ValueError(_explain_empty(order))
            leaves += found
        return leaves

    def change(self, case: ParityCase) -> Trial:
        """A trial of a changed case, which takes over what is known of what has not changed."""
        trial = Trial(case, self.dtype)
        if case.inputs is self.case.inputs and case.orders == self.case.orders:
            trial.inputs, trial.wide, trial.known = self.inputs, self.wide, self.known
            if case.torch is self.case.torch:
                trial.torch_runs, trial.torch64 = self.torch_runs, self.torch64
                trial.probes = self.probes
            if case.jax is self.case.jax:
                trial.jax_runs, trial.jax64 = self.jax_runs, self.jax64
        return trial

    def learn(self, known: dict[Order, dict[str, Any]]) -> Trial:
        """The same trial with more known."""
        trial = self.change(self.case)
        trial.known = {**self.known, **known}
        return trial

    def run_both(
        self, inputs: Inputs, orders: tuple[Order, ...] | None = None
    ) -> tuple[Outputs, Outputs]:
        """JAX and PyTorch at float64 on other inputs."""
        from comparisons._backends import jax, torch

        return (
            self.run(jax, inputs, float64=True, orders=orders),
            self.run(torch, inputs, float64=True, orders=orders),
        )


def _explain_empty(order: Order) -> str:
    if order == "value":
        return (
            "Nothing was compared: neither function returned an element.\n"
            "Return what is to be compared, e.g. a dict of named arrays."
        )
    return (
        f"Nothing was compared as {order!r}: no input or no output is floating-point.\n"
        f"Leave {order!r} out of `orders`, or pass floating-point arrays."
    )
