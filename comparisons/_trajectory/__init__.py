"""Training parity: two step functions over the same batches, step by step.

Free-running, each side goes on from its own state; teacher-forced, both start every step from
PyTorch's. A defect is seen in the second, at the step and in the leaf where it is; what is only
rounding that training amplifies is seen in the first alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from comparisons import _trees
from comparisons._backends import jax as jax_side
from comparisons._case import DType, check_dtype
from comparisons._casts import PRECISION, Cast, find_casts
from comparisons._environment import describe_environment
from comparisons._inputs import prepare_inputs, widen
from comparisons._results import CaseResult, LeafResult, Trajectory
from comparisons._runner import read_source
from comparisons._trajectory._conclusion import conclude
from comparisons._trajectory._extent import is_floating
from comparisons._trajectory._forced import ForcedRecord
from comparisons._trajectory._free import FreeRecord
from comparisons._trajectory._runs import Runs
from comparisons._trees import Leaves
from comparisons.report import Report


def compare_training(
    jax_step: Callable[..., Any],
    torch_step: Callable[..., Any],
    state: Any,
    batches: Iterable[Any],
    *,
    dtype: DType = "float32",
    name: str | None = None,
    jit: bool = True,
) -> Report:
    """Trains on both sides with the same batches and says at which step, and where, they part.

    PyTorch has no counterpart; what people do is lay two loss curves over each other, which shows
    neither a defect that the loss does not feel nor that two curves part for no reason but
    rounding.

    Both modes are run. Teacher-forced, both sides start each step from the state of PyTorch's run,
    and every leaf of the new state and of ``aux`` is judged as ``compare`` judges it. Free-running,
    each side goes on from its own state, at ``dtype`` and at float64, and what the runs differ by
    is held against what rounding does to PyTorch's own run. No state is kept longer than a step,
    so memory does not grow with the number of steps. A step costs four calls of ``jax_step`` and
    five of ``torch_step``, and eight more of that one where a leaf is in doubt.

    Args:
        jax_step: ``(state, batch) -> (state, aux)`` on jax arrays: a pure function that returns a
            state like the one it gets, and in ``aux`` what else is to be compared, e.g.
            ``{"loss": ..., "grads": ...}``. It may donate its arguments.
        torch_step: The same on tensors; ``torch_training`` makes one of a module and an optimizer.
        state: What both sides start from: a pytree of NumPy arrays, numbers, or arrays of either
            framework, which are copied. Floating leaves are cast to ``dtype``; parameters,
            optimizer state, step counts and running statistics all belong in it.
        batches: Any iterable of batches, pytrees likewise; it is read once.
        dtype: The working dtype; float64 is the referee.
        name: Of the two cases in the report; the JAX function's name if left out.
        jit: Whether to compile ``jax_step``, as a training script would. One that is compiled
            already stays what it is. With False it runs operation by operation, for a step that
            looks at values or gets strings in its batch.

    Returns:
        A report of two cases, ``NAME/teacher-forced`` and ``NAME/free-running``. Each has one leaf
        per leaf of state and ``aux``: the result of the first step that fails, else of the step at
        which the sides are farthest apart. ``report.cases[0].trajectory`` names the first step and
        leaf that diverge, and has the differences per step.

    Raises:
        TypeError: A step returns no pair, or a leaf is no array.
        ValueError: There is no batch, no floating leaf in the state, ``dtype`` is unknown, a step
            returns another tree or other shapes than it got, or gives something else when it is
            called again with the same state and batch.
        Exception: What a step raises, with a note that says which side, at which dtype and step.

    Source:
        https://docs.pytorch.org/docs/stable/notes/randomness.html

    Example:
        >>> import jax, jax.numpy as jnp, torch
        >>> def jax_step(state, batch):
        ...     grad = jax.grad(lambda w: jnp.mean((batch @ w) ** 2))(state["w"])
        ...     return {"w": state["w"] - 0.1 * grad}, {"grad": grad}
        >>> def torch_step(state, batch):
        ...     w = state["w"].requires_grad_()
        ...     (grad,) = torch.autograd.grad((batch @ w).square().mean(), w)
        ...     return {"w": (w - 0.1 * grad).detach()}, {"grad": grad}
        >>> rng = np.random.default_rng(0)
        >>> batches = (rng.normal(size=(8, 3)) for _ in range(20))
        >>> report = compare_training(jax_step, torch_step, {"w": np.ones(3)}, batches)
        >>> report.ok, report.cases[0].trajectory.kind
        (True, 'agreement')
    """
    check_dtype("compare_training", dtype)
    start = time.perf_counter()
    info = _find_info(dtype)
    start_state = _prepare_state(state, dtype)
    jax_step = _compile(jax_step) if jit else jax_step
    runs = Runs(jax_step, torch_step, start_state)
    forced, free = ForcedRecord(info[0]), FreeRecord(*info)
    casts: tuple[Cast, ...] = ()
    with np.errstate(all="ignore"):  # infinities are findings here, not exceptions
        for batch in _read(batches):
            prepared = _prepare(batch, dtype, f"batch {runs.steps + 1}")
            if jit and not runs.steps:  # the trace is the float64 run's; another may not be wanted
                casts = _find_casts(jax_step, start_state, prepared)
                free = FreeRecord(*info, coarse=any(map(_is_coarse, casts)))
            runs.advance(prepared, dtype, forced, free)
    if not runs.steps:
        raise ValueError(
            "`compare_training(batches=...)` must hold at least one batch: comparing nothing "
            "proves nothing.\n  expected: an iterable that was not read before\n"
            "  got:      one that is empty"
        )
    conclusion = conclude(forced, free, runs.steps)
    seconds = time.perf_counter() - start

    def describe(leaves: tuple[LeafResult, ...], trajectory: Trajectory) -> CaseResult:
        stem = name or getattr(jax_step, "__name__", "").strip("<>") or type(jax_step).__name__
        return CaseResult(
            name=f"{stem}/{trajectory.mode}",
            title=f"Training, {trajectory.mode}",
            leaves=leaves,
            jax_source=read_source(jax_step),
            torch_source=read_source(torch_step),
            dtype=dtype,
            casts=tuple(map(str, casts)),
            seconds=seconds,
            vacuity=_find_vacuity(runs),
            trajectory=trajectory,
        )

    return Report(
        (describe(*conclusion.forced), describe(*conclusion.free)), describe_environment()
    )


def _find_casts(step: Callable[..., Any], state: Any, batch: Any) -> tuple[Cast, ...]:
    """Where JAX's float64 runs compute at less; nowhere if the step cannot be traced."""
    with jax_side.session("float64"):
        return find_casts(step, jax_side.from_numpy(widen((state, batch)))) or ()


def _is_coarse(cast: Cast) -> bool:
    """Whether a cast is to less than float32: nothing at float64 then shows below its last bit."""
    return PRECISION[cast.taken] < PRECISION["float32"]


def _compile(step: Callable[..., Any]) -> Callable[..., Any]:
    return step if hasattr(step, "lower") else jax.jit(step)


def _find_info(dtype: str) -> tuple[float, float]:
    """The distance from 1 to the next number, and the least normal number."""
    info = jnp.finfo(dtype)
    return float(info.eps), float(info.tiny)


def _prepare_state(state: Any, dtype: str) -> Any:
    """The state as NumPy arrays; numbers become arrays, for a step gives arrays back."""

    def make_array(leaf: Any) -> Any:
        whole = isinstance(leaf, int) and not isinstance(leaf, bool)
        return np.asarray(leaf, np.int32 if whole else None)

    tree = _trees.map_leaves(make_array, _prepare(state, dtype, "the state"))
    leaves: Leaves = _trees.flatten(tree)
    if not any(
        leaf.dtype.kind != "U" and is_floating(leaf) and leaf.size for leaf in leaves.values()
    ):
        got = ", ".join(f"{path or '(state)'}: {leaf.dtype}" for path, leaf in leaves.items())
        raise ValueError(
            f"`compare_training(state=...)` must hold what is trained.\n"
            f"  expected: a pytree with at least one floating-point array\n"
            f"  got:      {got or 'no leaf'}"
        )
    return tree


def _prepare(tree: Any, dtype: str, what: str) -> Any:
    try:
        return prepare_inputs((tree,), dtype)[0]
    except (TypeError, ValueError) as error:
        error.add_note(f"in {what} of compare_training")
        raise


def _read(batches: Iterable[Any]) -> Iterable[Any]:
    if not isinstance(batches, Iterable):
        raise TypeError(
            f"`compare_training(batches=...)` must be an iterable of batches.\n"
            f"  expected: e.g. a list or a generator\n  got:      {type(batches).__name__}\n"
            f"For one batch write `[batch]`."
        )
    return batches


def _find_vacuity(runs: Runs) -> tuple[str, ...]:
    """What these steps cannot show."""
    found: list[str] = []
    still = [path for path in runs.frame.leaves if path not in runs.moved]
    if still:
        named = ", ".join(still[:4]) + (f" and {len(still) - 4} more" if len(still) > 4 else "")
        found.append(
            f"PyTorch's steps never changed {named} of the state, so how they change is not shown."
        )
    if runs.lost is not None:
        found.append(
            f"From step {runs.lost} on nothing in PyTorch's state is finite, so the later steps "
            f"show nothing."
        )
    return tuple(found)
