"""Where a PyTorch function, run at float64, computes at less than that, and what that reaches."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import jax
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from comparisons._casts import PRECISION, Cast, choose_lowest

T = TypeVar("T")

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


def find_reached(
    run: Callable[[Callable[[Mapping[str, Any]], dict[str, str]]], T],
    given_by: Callable[..., torch.Tensor] | None = None,
) -> T:
    """The lowest precision that the results of a run have gone through.

    Operations are followed from tensor to tensor, backward passes included. A tensor of which it is
    not seen how it was made, such as one that the function makes of numbers, has the lowest
    precision so far, since it may have been made of such a tensor's.

    Args:
        run: Is given a function that reads tensors by path, to be called in the run: it returns the
            dtype of each that has gone through less than float64.
        given_by: What makes tensors of the numbers that the run is given, at any time in it.

    Returns:
        What ``run`` returns.

    Example:
        >>> x = torch.ones(2, dtype=torch.float64)
        >>> find_reached(lambda read: read({"a": (x.float() + 1).double(), "b": x.sin()}))
        {'a': 'float32'}
    """
    watch = _Watch(getattr(given_by, "__code__", None))
    with watch:
        return run(watch.read)


class _Watch(TorchDispatchMode):
    """Sees every operation of the run, below autocast and autograd."""

    def __init__(self, given_by: CodeType | None = None) -> None:
        super().__init__()
        self.given_by = given_by
        self.lowered: list[Cast] = []
        self.low: list[Cast] = []
        # By storage, which a tensor and its views share; kept, so that no other gets its address.
        self._reached: dict[int, tuple[Any, str | None]] = {}
        self._lowest: str | None = None  # so far
        self._escaped: str | None = None  # into a Python number, which may be anywhere since

    def read(self, leaves: Mapping[str, Any]) -> dict[str, str]:
        """The dtype that each of these has gone through, where it is less than float64."""
        found = {path: self._find(leaf) for path, leaf in leaves.items() if _is_inexact(leaf)}
        return {path: name for path, name in found.items() if name}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        given, taken = _list_inexact((args, kwargs)), _list_inexact(output)
        own = self._find_own(func, _name_dtypes(given), _name_dtypes(taken))
        sources = [] if func.overloadpacket.__name__ in _FRESH else map(self._find, given)
        reached = choose_lowest([own, self._escaped, *sources])
        self._lowest = choose_lowest([self._lowest, own])
        if func is torch.ops.aten._local_scalar_dense.default:
            self._escaped = reached
        if func is torch.ops.aten.lift_fresh.default and self._is_given():
            reached = None
        for tensor in taken:
            self._note(tensor, reached)
        return output

    def _find_own(self, func: Any, given: list[str], taken: list[str]) -> str | None:
        """The dtype that an operation computes at, if that is less than it should be; listed."""
        if not taken:
            return None
        highest = max(given, key=PRECISION.__getitem__, default="")
        lowest = min(taken, key=PRECISION.__getitem__)
        if PRECISION[lowest] < PRECISION.get(highest, 0):
            self.lowered.append(_describe(func, highest, lowest))
        elif PRECISION[lowest] < PRECISION["float64"] and not _only_moves(func):
            self.low.append(_describe(func, highest, lowest))
        else:
            return None
        return lowest

    def _find(self, tensor: torch.Tensor) -> str | None:
        storage = _find_storage(tensor)
        if storage is None:
            return self._lowest
        return self._reached.setdefault(storage._cdata, (storage, self._lowest))[1]

    def _is_given(self) -> bool:
        """Whether a tensor is being made of numbers that the run is given."""
        return any(frame.f_code is self.given_by for frame, _ in traceback.walk_stack(None))

    def _note(self, tensor: torch.Tensor, name: str | None) -> None:
        storage = _find_storage(tensor)
        if storage is not None:
            self._reached[storage._cdata] = storage, name


def _find_storage(tensor: torch.Tensor) -> Any:
    """What holds a tensor's numbers; None for one that has no such thing, as a sparse one."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


# What takes a shape from what it is given, and no number.
_FRESH = frozenset(
    """
    zeros_like ones_like full_like empty_like rand_like randn_like
    new_zeros new_ones new_full new_empty new_empty_strided
    """.split()  # noqa: SIM905
)
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


def _list_inexact(tree: Any) -> list[torch.Tensor]:
    """The tensors of floating or complex numbers in what an operation is given or returns."""
    return [leaf for leaf in jax.tree.leaves(tree) if _is_inexact(leaf)]


def _is_inexact(leaf: Any) -> bool:
    return torch.is_tensor(leaf) and _name_dtype(leaf) in PRECISION


def _name_dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _name_dtypes(tensors: list[torch.Tensor]) -> list[str]:
    return [_name_dtype(tensor) for tensor in tensors]


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
