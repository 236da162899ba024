"""Runs one parity case on both sides and gathers what the referee says of it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons._case import DType, Order, ParityCase, check_dtype, check_orders
from comparisons._environment import describe_environment
from comparisons._errors import find_code, is_library_file
from comparisons._inquiry import inquire
from comparisons._power import measure_power, plant_defects
from comparisons._results import CaseResult, LeafResult, PlantedDefect
from comparisons._trial import Trial
from comparisons._vacuity import find_short_counts, find_vacuity
from comparisons.report import Report
from functional_ad._program import trace


def compare(
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: tuple[Order, ...] = ("value", "vjp"),
    dtype: DType = "float32",
    name: str | None = None,
    *,
    power: bool = False,
) -> Report:
    """Runs a function of each framework on the same numbers and says how the results compare.

    PyTorch's nearest is ``torch.testing.assert_close`` on two results that one made oneself, with a
    tolerance that one chose; this runs both functions, at ``dtype`` and at float64, and needs none.

    Args:
        jax_fn: Gets ``inputs`` as jax arrays and returns a pytree. A pair ``(convert, apply)``
            stands for ``apply(convert(first input), *further inputs)``.
        torch_fn: Gets ``inputs`` as fresh tensors, which require gradients if a derivative is among
            ``orders``, and returns a pytree of tensors. Or a ``torch.nn.Module``: it is called with
            the inputs, and is the JAX function's first argument, as a nested dict by name.
        inputs: Tuple of positional arguments: pytrees of NumPy arrays, arrays of either framework,
            which are copied, or modules. Floating leaves are cast to ``dtype``.
        orders: What to compare: ``"value"``; ``"vjp"`` for the gradients of all floating inputs,
            pulled back from one fixed cotangent; ``"jvp"`` for the derivative along one fixed
            tangent; ``"hvp"`` for the derivative of those gradients along it.
        dtype: The working dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"complex64"``;
            float64 (complex128) is the referee.
        name: Of the case in the report; the JAX function's name if left out.
        power: Whether to plant defects in the JAX side and to report which of them are caught.

    Returns:
        A report of one case. ``report.ok`` tells whether it passed.

    Raises:
        TypeError: ``inputs`` is not a tuple or holds what is no real or integer array.
        ValueError: ``orders`` or ``dtype`` is unknown.
        Exception: What either function raises, with a note that says which side at which dtype.

    Source:
        https://docs.pytorch.org/docs/stable/testing.html

    Example:
        >>> import jax.numpy as jnp, numpy as np, torch
        >>> x = np.linspace(0.1, 3, 50)
        >>> compare(jnp.std, torch.std, (x,)).verdict  # PyTorch divides by n - 1
        <Verdict.CONVENTION: 'CONVENTION'>
        >>> compare(lambda x: jnp.std(x, ddof=1), torch.std, (x,)).ok
        True
    """
    check_orders("compare", orders)
    case = ParityCase(
        name=name or getattr(jax_fn, "__name__", "").strip("<>") or type(jax_fn).__name__,
        title=name or "compare",
        jax=jax_fn,
        torch=torch_fn,
        inputs=inputs,
        orders=tuple(dict.fromkeys(orders)),
        dtype=dtype,
    )
    return Report((run_case(case, power=power),), describe_environment())


def assert_parity(
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    orders: tuple[Order, ...] = ("value", "vjp"),
    dtype: DType = "float32",
    name: str | None = None,
    *,
    strict: bool = False,
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
        strict: Whether a warning, such as a convention that the frameworks chose differently, is a
            failure, too.

    Raises:
        AssertionError: The comparison failed; the text is the report's table with the reasons.

    Source:
        https://docs.pytorch.org/docs/stable/testing.html

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
    if not report.ok or (strict and report.summary["warn"]):
        raise AssertionError(f"parity failed\n{report}")


def run_case(case: ParityCase, dtype: DType | None = None, *, power: bool = False) -> CaseResult:
    """Runs one case: both sides at the working dtype and at float64, and PyTorch's probes."""
    dtype = dtype or case.dtype
    check_dtype("compare", dtype)
    start = time.perf_counter()
    with np.errstate(all="ignore"):  # infinities are findings here, not exceptions
        findings = inquire(Trial(case, dtype))
        trial, leaves = findings.trial, findings.leaves
        powers = {order: measure_power(trial.evidence[order]) for order in case.orders}
        planted = _plant(trial) if power else ()
        vacuity = _find_vacuity(trial, leaves)
    return describe_case(
        case,
        tuple(
            dataclasses.replace(leaf, power=powers.get(leaf.quantity, {}).get(leaf.path))
            for leaf in leaves
        ),
        dtype,
        casts=findings.casts,
        planted=planted,
        vacuity=vacuity,
        seconds=time.perf_counter() - start,
    )


def _find_vacuity(trial: Trial, leaves: list[LeafResult]) -> tuple[str, ...]:
    from comparisons._backends import jax

    evidence = [trial.evidence[order] for order in trial.case.orders]
    with jax.session(trial.dtype):
        program = trace(trial.case.jax, jax.from_numpy(trial.inputs))
    return (*find_vacuity(trial.inputs, evidence, leaves), *find_short_counts(program))


def _plant(trial: Trial) -> tuple[PlantedDefect, ...]:
    from comparisons._backends import jax

    with jax.session(trial.dtype):
        arguments = jax.from_numpy(trial.inputs)
    return plant_defects(trial.case, arguments, lambda case: trial.change(case).judge())


def describe_case(
    case: ParityCase, leaves: tuple[LeafResult, ...], dtype: str, **more: Any
) -> CaseResult:
    """The result of a case: what the case says of itself, and what was found."""
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
    """Source text of a user's function or of a callable's class; a library's function by name."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    unwrapped = inspect.unwrap(fn)
    name = getattr(unwrapped, "__qualname__", "")
    if isinstance(unwrapped, type):
        file = getattr(sys.modules.get(unwrapped.__module__), "__file__", None)
    else:
        code = find_code(unwrapped)
        file = code.co_filename if code is not None else None
    if name and file is not None and is_library_file(file):
        # Its source is long, and known to whoever wrote the case.
        return getattr(fn, "description", f"{unwrapped.__module__}.{name}")
    try:
        return textwrap.dedent(inspect.getsource(unwrapped)).strip()
    except (OSError, TypeError):
        pass
    try:
        return textwrap.dedent(inspect.getsource(type(unwrapped))).strip()
    except (OSError, TypeError):
        return getattr(unwrapped, "__name__", type(unwrapped).__name__)
