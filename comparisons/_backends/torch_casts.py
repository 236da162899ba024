"""Where a PyTorch function, run at float64, computes at less than that."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from comparisons._casts import PRECISION, Cast

_HERE = Path(__file__)
_TORCH = Path(torch.__file__).parent


def find_casts(fn: Callable[..., Any], tensors: tuple[Any, ...]) -> tuple[Cast, ...]:
    """Runs a function once and lists the operations that lower the precision of what they get.

    What runs is what is seen: a branch that is not taken is not, nor is a backward pass.

    Args:
        fn: Takes ``tensors``.
        tensors: Trees of tensors, the floating ones float64.

    Returns:
        The casts in the order of the run, one for each line, operation and dtype.

    Example:
        >>> [cast] = find_casts(lambda x: x.float().sum(), (torch.ones(2, dtype=torch.float64),))
        >>> cast.side, cast.given, cast.taken
        ('PyTorch', 'float64', 'float32')

    Source:
        https://dev-discuss.pytorch.org/t/what-and-why-is-torch-dispatch/557
    """
    watch = _Watch()
    with watch:
        fn(*tensors)
    # What is low from the start, as positions that are made in float32.
    return tuple(dict.fromkeys(watch.lowered or watch.low))


class _Watch(TorchDispatchMode):
    """Sees every operation of the run, below autocast and autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.lowered: list[Cast] = []
        self.low: list[Cast] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        given, taken = _find_dtypes((args, kwargs)), _find_dtypes(output)
        if taken:
            highest = max(given, key=PRECISION.__getitem__, default="")
            lowest = min(taken, key=PRECISION.__getitem__)
            if PRECISION[lowest] < PRECISION.get(highest, 0):
                self.lowered.append(_describe(func, highest, lowest))
            elif PRECISION[lowest] < PRECISION["float64"] and not _only_moves(func):
                self.low.append(_describe(func, highest, lowest))
        return output


# What makes no new number. Views are told by the operation itself.
_MOVES = frozenset(
    """
    _to_copy clone copy_ detach lift_fresh zeros ones full empty zeros_like ones_like full_like
    empty_like new_zeros new_ones new_full new_empty fill_ zero_ scalar_tensor cat stack index
    index_select gather where masked_fill arange constant_pad_nd flip roll neg abs relu clamp max
    min sort topk _local_scalar_dense select_backward slice_backward bernoulli_ native_dropout
    """.split()  # noqa: SIM905
)


def _only_moves(func: Any) -> bool:
    return func.is_view or func.overloadpacket.__name__ in _MOVES


def _find_dtypes(tree: Any) -> list[str]:
    """Names of the floating dtypes in what an operation is given or returns."""
    tensors = [leaf for leaf in jax.tree.leaves(tree) if torch.is_tensor(leaf)]
    names = [str(tensor.dtype).removeprefix("torch.") for tensor in tensors]
    return [name for name in names if name in PRECISION]


def _describe(func: Any, given: str, taken: str) -> Cast:
    name = str(func).rpartition(".")[0]
    return Cast("PyTorch", given, taken, name, _find_line())


def _find_line() -> str | None:
    """The user's line that is being run: the innermost one outside of installed packages."""
    frames: list[tuple[Path, int]] = []
    for frame, line in traceback.walk_stack(None):
        file = Path(frame.f_code.co_filename)
        if file == _HERE and frame.f_code.co_name == find_casts.__name__:
            break
        if file != _HERE and not file.is_relative_to(_TORCH):
            frames.append((file, line))
    own = [frame for frame in frames if "site-packages" not in frame[0].parts]
    return f"{(own or frames)[0][0].name}:{(own or frames)[0][1]}" if frames else None
