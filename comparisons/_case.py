"""A parity case: one idea, written twice, with the inputs of both sides; or one training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

Order = Literal["value", "vjp", "jvp", "hvp"]
DType = Literal["float32", "bfloat16", "float16", "complex64"]

ORDERS: tuple[Order, ...] = get_args(Order)
DTYPES: tuple[DType, ...] = get_args(DType)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityCase:
    """One idea written in JAX and in PyTorch, to be run side by side.

    PyTorch has no counterpart; the nearest is an ``OpInfo`` of its own test suite, which pairs an
    operator with a NumPy reference.

    Attributes:
        name: Slash-separated and unique, e.g. ``"tutorial/gradients/scalar"``.
        title: One line for people.
        jax: The JAX side. Gets ``inputs`` as jax arrays, returns a pytree. A pair
            ``(convert, apply)`` stands for ``apply(convert(inputs[0]), *inputs[1:])``, for a model
            whose parameters are laid out differently. Gradients go back through ``convert``, so
            that they compare in PyTorch's layout.
        torch: The PyTorch side. Gets the same ``inputs`` as fresh tensors, which require a
            gradient if a derivative is among ``orders``, and returns a pytree of tensors. A
            ``torch.nn.Module`` stands for ``module(*inputs)`` and is put before the ``inputs``.
        inputs: Positional arguments, pytrees of NumPy arrays. Floating leaves are cast to the
            dtype of the run. A ``torch.nn.Module`` is an input like any other: the JAX side gets
            its parameters and buffers as a nested dict by name, the PyTorch side a copy of it, and
            each parameter has its gradient compared.
        orders: What is compared: ``"value"``; ``"vjp"``, the gradients of every floating input
            against one fixed cotangent; ``"jvp"``, the derivative along one fixed tangent; and
            ``"hvp"``, the derivative of the gradients along that tangent. A case whose functions
            call ``backward`` themselves returns the gradients as values, and needs only
            ``"value"``.
        note: What changes in the head of someone who comes from PyTorch: a sentence or two.
        citation: Address of the documentation of the PyTorch behaviour.
        curves: Paths of outputs of shape (steps,) that a report draws, both sides on one plot.
        dtype: The working dtype of the floating inputs, unless the run names another.
        formula: For a function that works element by element: the same with mpmath's numbers, one
            of each input, e.g. ``mpmath.tanh``. It has a vote where the two sides disagree.

    Raises:
        ValueError: ``name`` is empty or begins or ends with a slash or a space, or ``orders`` is no
            choice of quantities, or ``dtype`` is no working dtype.
        TypeError: ``inputs`` is not a tuple, or ``jax`` is neither a function nor such a pair.

    Example:
        >>> case = ParityCase(
        ...     name="example/square", title="x squared", inputs=(3.0,),
        ...     jax=lambda x: x**2, torch=lambda x: x**2, orders=("value", "vjp"),
        ... )
        >>> case.orders
        ('value', 'vjp')
    """

    name: str
    title: str
    jax: Callable[..., Any]
    torch: Callable[..., Any]
    inputs: tuple[Any, ...] = ()
    orders: tuple[Order, ...] = ("value",)
    note: str = ""
    citation: str = ""
    curves: tuple[str, ...] = ()
    dtype: DType = "float32"
    formula: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        """Writes modules and pairs out, and refuses what could only fail later."""
        _check_name("ParityCase", self.name)
        if not isinstance(self.inputs, tuple):
            raise TypeError(
                f"`ParityCase(inputs=...)` must be a tuple of positional arguments.\n"
                f"  expected: tuple\n  got:      {type(self.inputs).__name__}\n"
                f"For one argument write `inputs=(x,)`."
            )
        check_orders("ParityCase", self.orders)
        check_dtype("ParityCase", self.dtype)
        if is_module(self.torch):
            object.__setattr__(self, "inputs", (self.torch, *self.inputs))
            object.__setattr__(self, "torch", _write_call(self.torch))
        if isinstance(self.jax, tuple):
            object.__setattr__(self, "jax", _write_pair(self.jax))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """One training run written in JAX and in PyTorch, to be run side by side, step by step.

    It becomes two cases of a report, ``NAME/teacher-forced`` and ``NAME/free-running``, as
    ``compare_training`` gives them.

    Attributes:
        name: As for ``ParityCase``.
        title: One line for people.
        make: Makes the run: what ``compare_training`` gets, as a tuple ``(jax_step, torch_step,
            state, batches)``. Called when the case is run.
        jax: What a report shows as the source of the JAX side: a function or a class.
        torch: What it shows as that of the PyTorch side.
        note: As for ``ParityCase``.
        citation: As for ``ParityCase``.
        dtype: The working dtype, unless the run names another.
        jit: Whether to compile the JAX step.

    Raises:
        ValueError: As for ``ParityCase``.

    Example:
        >>> import jax.numpy as jnp, torch
        >>> def halve(state, batch):
        ...     return {"w": state["w"] / 2}, {"loss": state["w"].sum()}
        >>> case = TrainingCase(
        ...     name="example/halve", title="a half at each step", jax=halve, torch=halve,
        ...     make=lambda: (halve, halve, {"w": [1.0]}, range(3)),
        ... )
        >>> case.dtype
        'float32'
    """

    name: str
    title: str
    make: Callable[[], tuple[Callable[..., Any], Callable[..., Any], Any, Iterable[Any]]]
    jax: Callable[..., Any]
    torch: Callable[..., Any]
    note: str = ""
    citation: str = ""
    dtype: DType = "float32"
    jit: bool = True

    def __post_init__(self) -> None:
        """Refuses what could only fail later."""
        _check_name("TrainingCase", self.name)
        check_dtype("TrainingCase", self.dtype)


Case = ParityCase | TrainingCase


def is_module(value: Any) -> bool:
    """Whether a value is a ``torch.nn.Module``, told without importing torch."""
    return hasattr(value, "named_parameters") and hasattr(value, "named_buffers")


def _write_call(written: Any) -> Callable[..., Any]:
    def call(module: Any, *inputs: Any) -> Any:
        return module(*inputs)

    # What a report shows: the source of the user's own class, or what a library's module holds.
    call.__wrapped__ = type(written)  # type: ignore[attr-defined]
    call.description = repr(written)  # type: ignore[attr-defined]
    return call


def _write_pair(pair: tuple[Any, ...]) -> Callable[..., Any]:
    if len(pair) != 2 or not all(map(callable, pair)):
        kinds = ", ".join(type(part).__name__ for part in pair) or "nothing"
        raise TypeError(
            f"`ParityCase(jax=...)` must be a function, or a pair of them.\n"
            f"  expected: (convert, apply), where convert makes JAX's parameters of PyTorch's\n"
            f"  got:      a tuple of {kinds}\n"
            f"Parameters themselves are no function: write how they follow from the module's."
        )
    convert, apply = pair

    def call(numbers: Any, *inputs: Any) -> Any:
        return apply(convert(numbers), *inputs)

    call.__wrapped__ = apply  # type: ignore[attr-defined]
    return call


def _check_name(owner: str, name: str) -> None:
    if not name or name != name.strip("/ "):
        raise ValueError(f"`{owner}(name=...)` must be slash-separated; got {name!r}.")


def check_orders(owner: str, orders: tuple[str, ...]) -> None:
    """Raises ValueError unless ``orders`` is a non-empty choice of ORDERS."""
    listed = isinstance(orders, tuple | list)
    if not listed or not orders or any(order not in ORDERS for order in orders):
        raise ValueError(
            f"`{owner}(orders=...)` must name at least one quantity to compare.\n"
            f"  expected: a tuple of some of {', '.join(map(repr, ORDERS))}\n"
            f"  got:      {orders!r}"
        )


def check_dtype(owner: str, dtype: str) -> None:
    """Raises ValueError unless ``dtype`` is one of DTYPES."""
    if dtype not in DTYPES:
        raise ValueError(
            f"`{owner}(dtype=...)` must be a working dtype.\n"
            f"  expected: {' or '.join(map(repr, DTYPES))}\n  got:      {dtype!r}"
        )
