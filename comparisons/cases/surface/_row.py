"""A row of the map: a name of torch's autograd, and what stands in its place in JAX."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

from comparisons._case import DType, Order, ParityCase

STABLE = "https://docs.pytorch.org/docs/stable/"


@dataclasses.dataclass(frozen=True)
class Row:
    """One name of torch's autograd.

    Attributes:
        name: The full name, e.g. ``"torch.autograd.grad"``; an argument that is a topic of its own
            is put behind it, as in ``"torch.autograd.grad(allow_unused=True)"``.
        jax: The expression in its place; empty if there is none.
        change: What changes for someone who comes from PyTorch, or why there is no expression; one
            line.
        torch_side: The PyTorch side of the row's case, which uses the name.
        jax_side: The JAX side, which uses the expression.
        inputs: As for ``ParityCase``.
        orders: As for ``ParityCase``.
        dtype: As for ``ParityCase``.
        also: Further names of which the row holds.
        page: Address of the documentation, below STABLE; the page of the name itself if left out.
        group: Name of the file that the row stands in; set by the package.
    """

    name: str
    jax: str
    change: str
    torch_side: Callable[..., Any] | None = None
    jax_side: Callable[..., Any] | None = None
    _: dataclasses.KW_ONLY
    inputs: tuple[Any, ...] = ()
    orders: tuple[Order, ...] = ("value",)
    dtype: DType = "float32"
    also: tuple[str, ...] = ()
    page: str = ""
    group: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the row is about."""
        return (self.name, *self.also)

    @property
    def docs(self) -> str:
        """Address of the documentation of the name."""
        page = (
            self.page
            or f"generated/{self.name.partition('(')[0]}.html"
        )
        return STABLE + page

    @functools.cached_property
    def case(self) -> ParityCase | None:
        """The row as a case that can be run; None if it has no expression."""
        if (
            self.torch_side is None
            or self.jax_side is None
        ):
            return None
        return ParityCase(
            name=f"surface/{self.group}/{_make_slug(self.name)}",
            title=f"{self.name} → {self.jax}",
            torch=self.torch_side,
            jax=self.jax_side,
            inputs=self.inputs,
            orders=self.orders,
            dtype=self.dtype,
            note=self.change,
            citation=self.docs,
        )


def list_names(stem: str, text: str) -> tuple[str, ...]:
    """Names with a beginning in common: ``list_names("torch.", "is_inference inference_mode")``."""
    return tuple(stem + name for name in text.split())


def _make_slug(name: str) -> str:
    """The last part of a name: ``torch.autograd.grad(allow_unused=True)``: grad-allow_unused."""
    plain, _, argument = name.partition("(")
    argument = re.match(r"\w*", argument)[0]  # type: ignore[index]
    return plain.rpartition(".")[2] + (
        f"-{argument}" if argument else ""
    )
