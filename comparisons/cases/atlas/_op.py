"""An operation of the atlas: its two expressions, and where they are tried. Plain data."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Literal, cast

Axis = Literal["ordinary", "edges", "nonfinite", "denormal", "large", "modes", "jit"]
Side = Literal["JAX", "PyTorch", "both"]
Point = float | tuple[float, ...]
Interval = tuple[float, float]

TORCH_DOCS = "https://docs.pytorch.org/docs/stable/generated/"
JAX_DOCS = "https://docs.jax.dev/en/latest/_autosummary/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Remark:
    """What there is to say of some of an operation's differences; one line.

    Attributes:
        text: The line: what is chosen where, or what loses its digits and why.
        axes: The axes that it is about; all if empty.
        quantities: The quantities that it is about, as ``Order`` names them; all if empty.
        dtypes: The dtypes; all if empty.
        wrong: The side that has a bug here, if it is one. It makes ``repro`` a duty.
        link: Address of the documentation or of the issue that says so, where one is known.
        repro: At most five lines of plain JAX or plain PyTorch that print the wrong number.
    """

    text: str
    axes: tuple[Axis, ...] = ()
    quantities: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    wrong: Side | None = None
    link: str = ""
    repro: str = ""


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation, as both frameworks have it.

    An operation is *pointwise*, and is tried at many points of its domain, or it is about whole
    arrays, and is tried on ``samples``.

    Attributes:
        name: As PyTorch calls it, e.g. ``"clamp(-1, 1)"``.
        torch: A PyTorch expression of the arguments; ``torch``, ``F``, ``special`` and ``linalg``
            are known to it.
        jax: A JAX expression of the arguments; ``jax``, ``jnp``, ``lax``, ``nn`` (``jax.nn``),
            ``jsp`` (``jax.scipy``) and ``optax`` are known to it.
        formula: Pointwise: the function as SymPy writes it, for real arguments; empty if there is
            none, and then float64 is the referee.
        args: The arguments' names, separated by spaces.
        domain: Pointwise: between which numbers ordinary points are drawn; of several arguments, an
            interval for each, or one for all.
        kinks: Pointwise: points at which the function or a derivative has a kink, a tie or a jump.
        points: Pointwise: more points to be tried, such as bounds and where it is known to lose.
        avoid: Pointwise: points that are not tried, as the call never returns there.
        samples: Whole arrays: the arguments by name of the sample, as an expression of the makers
            in ``_makers.py``. A name begins with its axis: ``"ordinary"``, ``"edges: a tie"``.
        orders: The quantities that mean something for the operation.
        torch_like: A JAX expression that has PyTorch's values and gradients, where ``jax`` makes
            another choice.
        remarks: What there is to say of the differences.
        seen_as: How the operation shows in a jaxpr: the name of a primitive, or of a function of
            JAX that is compiled as one; empty if it cannot be told from others.
        trap: With ``seen_as``: a NumPy expression of that equation's inputs ``x``, ``y``, ``z`` and
            its parameters ``p``: the elements at which the frameworks differ.
        torch_page: Name of PyTorch's page below ``TORCH_DOCS``, or an address; if left out, that of
            the first name in the expression.
        jax_page: Name of JAX's page below ``JAX_DOCS``, or an address; likewise.
        family: Title of the file that the operation stands in; set by the package.
    """

    name: str
    torch: str
    jax: str
    formula: str = ""
    _: dataclasses.KW_ONLY
    args: str = "x"
    domain: Interval | tuple[Interval, ...] = (-6.0, 6.0)
    kinks: tuple[Point, ...] = ()
    points: tuple[Point, ...] = ()
    avoid: tuple[Point, ...] = ()
    samples: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    orders: tuple[str, ...] = ("value", "vjp", "jvp", "hvp")
    torch_like: str = ""
    remarks: tuple[Remark, ...] = ()
    seen_as: str = ""
    trap: str = ""
    torch_page: str = ""
    jax_page: str = ""
    family: str = ""

    @property
    def is_pointwise(self) -> bool:
        """Whether each element of the result depends on the elements at its place only."""
        return not self.samples

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.args.split())

    @property
    def domains(self) -> tuple[Interval, ...]:
        """The interval of each argument."""
        low, high = self.domain[0], self.domain[1]
        if isinstance(low, tuple):
            return cast("tuple[Interval, ...]", self.domain)
        return ((low, cast("float", high)),) * self.arity

    @property
    def torch_docs(self) -> str:
        """Address of PyTorch's documentation."""
        return _make_address(TORCH_DOCS, self.torch_page or _find_name(self.torch, _TORCH_PAGES))

    @property
    def jax_docs(self) -> str:
        """Address of JAX's documentation."""
        return _make_address(JAX_DOCS, self.jax_page or _find_name(self.jax, _JAX_PAGES))


_TORCH_PAGES = {
    "torch": "torch.",
    "F": "torch.nn.functional.",
    "linalg": "torch.linalg.",
    "special": "https://docs.pytorch.org/docs/stable/special.html#torch.special.",
}
_JAX_PAGES = {
    "jnp": "jax.numpy.",
    "lax": "jax.lax.",
    "nn": "jax.nn.",
    "jsp": "jax.scipy.",
    "jax": "jax.",
    "optax": "https://optax.readthedocs.io/en/latest/api/losses.html#optax.",
}


def _find_name(expression: str, pages: Mapping[str, str]) -> str:
    """The page of the first dotted name in an expression; an empty text if there is none."""
    for found in re.finditer(r"\b(\w+)\.([A-Za-z_][\w.]*)", expression):
        if found[1] in pages:
            return pages[found[1]] + found[2]
    return ""


def _make_address(base: str, page: str) -> str:
    return page if page.startswith("https://") or not page else f"{base}{page}.html"
