"""Runs parity cases on both sides and gathers what the referee says of them in a Report."""

from __future__ import annotations

import inspect
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from comparisons import _trees
from comparisons._backends import Backend, Outputs
from comparisons._case import DTYPES, DType, Order, ParityCase, check_orders
from comparisons._environment import describe_environment
from comparisons._referee import Evidence, Probe, judge
from comparisons._results import CaseResult, LeafResult
from comparisons._tolerance import PROBES
from comparisons.report import Report

# Comparing nothing is a failure: it would pass whatever the functions do.
_EMPTY: dict[Order, str] = {
    "value": "Nothing was compared: neither function returned an array.\n"
    "Return what is to be compared, e.g. a dict of named arrays.",
    "vjp": "Nothing was compared as 'vjp': no input or no output is floating-point.\n"
    "Leave 'vjp' out of `orders`, or pass floating-point arrays.",
}


def compare(
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: tuple[Order, ...] = ("value", "vjp"),
    dtype: DType = "float32",
    name: str | None = None,
) -> Report:
    """Runs a function of each framework on the same numbers and says how the results compare.

    PyTorch's nearest is ``torch.testing.assert_close`` on two results that one made oneself, with a
    tolerance that one chose; this runs both functions, at ``dtype`` and at float64, and needs none.

    Args:
        jax_fn: Gets ``inputs`` as jax arrays and returns a pytree.
        torch_fn: Gets ``inputs`` as fresh tensors, which require gradients if ``"vjp"`` is among
            ``orders``, and returns a pytree of tensors.
        inputs: Tuple of positional arguments: pytrees of NumPy arrays, or arrays of either
            framework, which are copied. Floating leaves are cast to ``dtype``.
        orders: What to compare: ``"value"``, and ``"vjp"`` for the gradients of all floating
            inputs, pulled back from one fixed cotangent.
        dtype: The working dtype; float64 is the referee.
        name: Of the case in the report; the JAX function's name if left out.

    Returns:
        A report of one case. ``report.ok`` tells whether it passed.

    Raises:
        TypeError: ``inputs`` is not a tuple or holds what is no real or integer array.
        ValueError: ``orders`` or ``dtype`` is unknown.
        Exception: What either function raises, with a note that says which side at which dtype.

    Example:
        >>> import jax.numpy as jnp, numpy as np, torch
        >>> x = np.linspace(0.1, 3, 50)
        >>> compare(jnp.std, torch.std, (x,)).verdict  # PyTorch divides by n - 1
        <Verdict.MISMATCH: 'MISMATCH'>
        >>> compare(lambda x: jnp.std(x, ddof=1), torch.std, (x,)).ok
        True
    """
    case = ParityCase(
        name=name or getattr(jax_fn, "__name__", "").strip("<>") or type(jax_fn).__name__,
        title=name or "compare",
        jax=jax_fn,
        torch=torch_fn,
        inputs=inputs,
        orders=tuple(orders),
    )
    return Report((run_case(case, dtype),), describe_environment())


def assert_parity(
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: tuple[Order, ...] = ("value", "vjp"),
    dtype: DType = "float32",
    name: str | None = None,
) -> None:
    """Asserts that a function of each framework computes the same, for use in a test.

    PyTorch's nearest is ``torch.testing.assert_close``.

    Args:
        jax_fn: As for ``compare``.
        torch_fn: As for ``compare``.
        inputs: As for ``compare``.
        orders: As for ``compare``.
        dtype: As for ``compare``.
        name: As for ``compare``.

    Raises:
        AssertionError: The comparison failed; the text is the report's table with the reasons.

    Example:
        >>> import jax, numpy as np, torch
        >>> assert_parity(jax.nn.relu, torch.relu, (np.array([-1.0, 2.0]),))
        >>> assert_parity(jax.nn.relu, torch.abs, (np.array([-1.0, 2.0]),))
        Traceback (most recent call last):
            ...
        AssertionError: parity failed
        ...
    """
    report = compare(jax_fn, torch_fn, inputs, orders, dtype, name)
    if not report.ok:
        raise AssertionError(f"parity failed\n{report}")


def run_cases(
    cases: Iterable[ParityCase], on_result: Callable[[CaseResult], None] | None = None
) -> Report:
    """Runs cases one after another; one that raises is a failed case, and the others still run.

    Args:
        cases: The cases.
        on_result: Called with each result as it comes, e.g. to move a progress bar.

    Returns:
        The report.
    """
    results: list[CaseResult] = []
    for case in cases:
        try:
            result = run_case(case)
        except Exception as error:  # whatever a user's function raises is a finding
            result = _describe_case(case, (), "float32", error=_explain_error(error))
        results.append(result)
        if on_result is not None:
            on_result(result)
    return Report(tuple(results), describe_environment())


def run_case(case: ParityCase, dtype: DType = "float32") -> CaseResult:
    """Runs one case: both sides at the working dtype and at float64, and PyTorch's probes."""
    from comparisons._backends import jax, torch

    check_orders("compare", case.orders)
    if dtype not in DTYPES:
        raise ValueError(
            f"`compare(dtype=...)` must be a working dtype.\n"
            f"  expected: {' or '.join(map(repr, DTYPES))}\n  got:      {dtype!r}"
        )
    start = time.perf_counter()
    inputs = _trees.prepare_inputs(case.inputs, dtype)

    def run(side: Backend, fn: Callable[..., Any], inputs: Any, dtype: str) -> Outputs:
        try:
            return side.run(fn, inputs, dtype, case.orders)
        except Exception as error:
            error.add_note(f"{side.name} side, at {dtype}")
            raise

    wide = _trees.widen(inputs)
    ours, ours64 = run(jax, case.jax, inputs, dtype), run(jax, case.jax, wide, "float64")
    theirs, theirs64 = (
        run(torch, case.torch, inputs, dtype),
        run(torch, case.torch, wide, "float64"),
    )
    probes: list[tuple[Outputs, Outputs]] = []
    for number in range(PROBES):
        near = _trees.perturb(inputs, number)
        narrow = run(torch, case.torch, near, dtype)
        probes.append((narrow, run(torch, case.torch, _trees.widen(near), "float64")))
    leaves: list[LeafResult] = []
    for order in case.orders:
        found = judge(
            Evidence(
                quantity=order,
                jax=ours.quantities[order],
                torch=theirs.quantities[order],
                jax64=ours64.quantities[order],
                torch64=theirs64.quantities[order],
                probes=tuple(
                    Probe(narrow.quantities[order], far.quantities[order]) for narrow, far in probes
                ),
            )
        )
        if not found:
            raise ValueError(_EMPTY[order])
        leaves += found
    seconds = time.perf_counter() - start
    return _describe_case(case, tuple(leaves), dtype, seconds=seconds)


def _describe_case(
    case: ParityCase, leaves: tuple[LeafResult, ...], dtype: str, **more: Any
) -> CaseResult:
    return CaseResult(
        name=case.name,
        title=case.title,
        leaves=leaves,
        jax_source=read_source(case.jax),
        torch_source=read_source(case.torch),
        note=case.note,
        citation=case.citation,
        curves=case.curves,
        dtype=dtype,
        **more,
    )


def read_source(fn: Callable[..., Any]) -> str:
    """Source text of a function; its name if there is none, as for a builtin."""
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(fn))).strip()
    except (OSError, TypeError):
        return getattr(fn, "__name__", repr(fn))


def _explain_error(error: Exception) -> str:
    """Which side, what was raised, and the innermost frame."""
    side = "; ".join(getattr(error, "__notes__", ()))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = "".join(traceback.format_exception_only(error)).strip()
    return f"{side or 'Inputs'}: {frame.filename}, line {frame.lineno}, in {frame.name}\n{text}"
