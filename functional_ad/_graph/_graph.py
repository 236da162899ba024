"""The computation graph of a function, with PyTorch's flags (is_leaf, requires_grad, grad_fn)."""

from __future__ import annotations

import dataclasses
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import PrimitiveError, SelectionError, explain
from functional_ad._graph import _drawing, _svg
from functional_ad._graph._blocks import (
    Block,
    Scope,
    make_block,
    name_constant,
    open_body,
    open_scope,
)
from functional_ad._graph._layout import can_lay_out
from functional_ad._graph._nodes import Edge, Node, Picture, describe, draw
from functional_ad._leaves import Where, select_for
from functional_ad._program import trace_arrays
from functional_ad._regions import list_bodies


@dataclasses.dataclass(frozen=True)
class Graph:
    """A computation as a graph: what ``graph`` returns.

    ``print`` shows it as a table; a notebook draws it. PyTorch's graph is the chain of ``grad_fn``
    and ``next_functions``, which exists once the operations have run, and shows only what requires
    a gradient. This one is read off the traced function, nothing has run, and what needs no
    gradient is in it, marked.

    Regions are one node each: functions under ``jit``, ``checkpoint`` or with a derivative rule of
    their own, loops, conditions, and the operations in one ``jax.named_scope`` (flax.linen enters
    one for each module). ``open`` shows the inside of one.

    Attributes:
        title: The function's name, or the region's.
        nodes: In the order in which they are computed.
        edges: From where a value is made to where it is used.

    Example:
        >>> import jax.numpy as jnp
        >>> drawn = graph(lambda w, x: jnp.sum(w * x), jnp.ones(3), jnp.ones(3), where="w")
        >>> [(node.name, node.is_leaf, node.requires_grad) for node in drawn.nodes][:3]
        [('w', True, True), ('x', True, False), ('mul', False, True)]
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _block: Block = dataclasses.field(repr=False, compare=False)
    _picture: Picture = dataclasses.field(repr=False, compare=False)

    def __getitem__(self, name: str) -> Node:
        """The node of a name.

        Raises:
            SelectionError: There is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise SelectionError(
            explain(
                "`functional_ad.Graph[...]` must be the name of a node.",
                expected=f"one of {_tree.list_paths([node.name for node in self.nodes])}",
                got=_tree.describe_value(name),
                fix="Print the graph to see the names.",
            )
        )

    def open(self, node: Node | str, body: int = -1) -> Graph:
        """The inside of a region, as a graph of its own.

        PyTorch has no counterpart: its graph is flat.

        Args:
            node: A node that has ``bodies``, or its name.
            body: Which of the bodies; the last is the body of a loop (the one before is the
                condition of ``while``), and the branch taken for True in ``cond``.

        Returns:
            Its graph. The inputs have the names and the flags that they have outside.

        Raises:
            SelectionError: There is no such node, or it is no region.
        """
        name = node.name if isinstance(node, Node) else node
        bodies = self[name].bodies
        if not bodies or not -len(bodies) <= body < len(bodies):
            regions = [node.name for node in self.nodes if node.bodies]
            raise SelectionError(
                explain(
                    "`functional_ad.Graph.open(node, body)` must name a region of the graph.",
                    expected=f"one of {_tree.list_paths(regions)}" if regions else "a region",
                    got=f"{name!r} with {len(bodies)} bodies, {body=}",
                    fix="Print the graph to see which nodes can be opened: they end in [+].",
                )
            )
        item, labels = self._picture.items[name], self._picture.labels
        if isinstance(item, Scope):
            return _make_graph(open_scope(self._block, item, labels))
        chosen = list_bodies(item)[body]
        title = name if len(bodies) == 1 else f"{name}: {chosen.name}"
        return _make_graph(open_body(self._block, item, chosen, title, labels))

    def to_text(self, depth: int = 1) -> str:
        """A table of the nodes, one a line, which is what ``print`` shows.

        Args:
            depth: How far regions are opened, below their lines: 1 means not at all.
        """
        count = f"{len(self.nodes)} node" + "s" * (len(self.nodes) != 1)
        return _drawing.write_table(f"{self.title}: {count}", self._list_rows(depth))

    def _list_rows(self, depth: int, level: int = 0) -> Iterator[tuple[int, Node]]:
        for node in self.nodes:
            if level and node.kind in ("input", "output"):
                continue  # they are the values of the region's own line
            yield level, node
            if depth > level + 1:
                for body in range(len(node.bodies)):
                    yield from self.open(node, body)._list_rows(depth, level + 1)

    def to_mermaid(self) -> str:
        """The graph for Mermaid, which GitHub and JupyterLab draw."""
        return _drawing.write_mermaid(self.nodes, self.edges)

    def to_dot(self) -> str:
        """The graph for Graphviz."""
        return _drawing.write_dot(self.title, self.nodes, self.edges)

    def to_svg(self) -> str:
        """The graph as a picture, readable on light and dark pages.

        The layout is fast-sugiyama's, from the extra ``graph``.

        Raises:
            MissingExtraError: fast-sugiyama is not installed.
        """
        return _svg.write_svg(self.title, self.nodes, self.edges)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """For notebooks: the picture, or Mermaid's where it cannot be laid out."""
        kind = "image/svg+xml" if can_lay_out() else "text/vnd.mermaid"
        return {
            "text/plain": str(self),
            kind: self.to_svg() if can_lay_out() else self.to_mermaid(),
        }


def graph(fun: Callable[..., Any], *args: PyTree, where: Where = None) -> Graph:
    """Draws the computation of ``fun(*args)``, with PyTorch's flags; nothing is computed.

    PyTorch shows this by ``tensor.is_leaf``, ``tensor.requires_grad`` and ``tensor.grad_fn``, one
    tensor at a time and after the fact. The flags here follow its rule: a result requires a
    gradient if it is floating-point, one of the inputs does, and it was not detached
    (``jax.lax.stop_gradient``); an input is a leaf, and so is what requires no gradient. A value is
    on the gradient's path if it requires one and reaches the output through such values: it is what
    ``backward`` passes through.

    Args:
        fun: A function that JAX can trace.
        *args: Its arguments: arrays or ``jax.ShapeDtypeStruct``, of which only shapes and dtypes
            are used. Python floats count as arrays; integers, text and anything else are passed on.
        where: The leaves that require a gradient, as for ``select``. Paths begin with the
            argument's name: ``"params/w"``. Booleans have the structure of the argument if there is
            one, else of the tuple. None means every floating-point and complex leaf.

    Returns:
        The graph.

    Raises:
        SelectionError: ``where`` does not fit the arguments.
        LeafTypeError: A selected leaf is not floating-point or complex.
        PrimitiveError: ``fun`` uses a ``jax.Ref``, through which values pass without an edge.

    Example:
        >>> import jax.numpy as jnp
        >>> def loss(w, x):
        ...     return jnp.sum(jnp.tanh(x @ w) ** 2)
        >>> print(graph(loss, jnp.ones((3, 2)), jnp.ones((4, 3)), where="w"))  # doctest: +ELLIPSIS
        loss: 7 nodes
          node         from         type          leaf  requires_grad  on path  line
          w            (input)      float32[3,2]  yes   yes            yes
          x            (input)      float32[4,3]  yes   no             no
          dot_general  x, w         float32[4,2]  no    yes            yes      ...
          tanh         dot_general  float32[4,2]  no    yes            yes      ...
          integer_pow  tanh         float32[4,2]  no    yes            yes      ...
          reduce_sum   integer_pow  float32[]     no    yes            yes      ...
          output       reduce_sum   float32[]     no    yes            yes

    Source:
        https://docs.pytorch.org/docs/stable/notes/autograd.html#how-autograd-encodes-the-history
        https://docs.jax.dev/en/latest/jaxpr.html
    """
    named = _name_arguments(fun, args)
    flags = jax.tree.leaves(_select(named, args, where))
    leaves, tree = jax.tree.flatten(args)
    names = [path for path, _ in _tree.flatten_paths(named)]
    traced = [_is_traced(leaf) for leaf in leaves]

    def keep(values: Sequence[Any]) -> list[Any]:
        return [value for value, keeps in zip(values, traced, strict=True) if keeps]

    def call(arrays: list[Any]) -> Any:
        given = iter(arrays)
        filled = [
            next(given) if keeps else leaf for leaf, keeps in zip(leaves, traced, strict=True)
        ]
        return fun(*jax.tree.unflatten(tree, filled))

    program, shapes = trace_arrays(call, keep(leaves))
    _refuse_refs(program.jaxpr.jaxpr)
    inputs = list(zip(keep(names), keep(flags), strict=True))
    outputs = ["/".join(filter(None, ("output", p))) for p, _ in _tree.flatten_paths(shapes)]
    constants = _name_constants(fun, program.jaxpr)
    title = str(getattr(fun, "__name__", type(fun).__name__))
    return _make_graph(make_block(title, program, inputs, outputs, constants))


def _refuse_refs(jaxpr: Jaxpr) -> None:
    for equation in jaxpr.eqns:
        if any(hasattr(v.aval, "inner_aval") for v in (*equation.invars, *equation.outvars)):
            raise PrimitiveError(
                explain(
                    "`functional_ad.graph(fun)` cannot follow values through a `jax.Ref`.",
                    expected="operations on values",
                    got=f"{equation.primitive.name!r}, which reads or writes one",
                    fix="Pass the values and return new ones instead of writing to a Ref.",
                )
            )
        for body in list_bodies(equation):
            _refuse_refs(body.jaxpr)


def _make_graph(block: Block) -> Graph:
    """The graph of a block; one that is nothing but a compiled function or a scope is opened."""
    picture = draw(block)
    ends = {atom: label for atom, label in block.outputs if not isinstance(atom, Literal)}
    if len(picture.items) == 1 and len(ends) == len(block.outputs):
        (item,) = picture.items.values()
        labels = {**picture.labels, **ends}
        if isinstance(item, Scope):
            return _make_graph(open_scope(block, item, labels))
        name, op, _ = describe(item)
        if op == "jit" or (len(list_bodies(item)) == 1 and name == block.title):
            (body,) = list_bodies(item)
            return _make_graph(open_body(block, item, body, block.title, labels))
    return Graph(block.title, picture.nodes, picture.edges, block, picture)


def _name_arguments(fun: Callable[..., Any], args: tuple[Any, ...]) -> OrderedDict[str, Any]:
    """The arguments by the names of their parameters, in the order of the call."""
    try:
        return OrderedDict(inspect.signature(fun).bind(*args).arguments)
    except (TypeError, ValueError):  # a built-in has no signature; a wrong call is the call's error
        return OrderedDict((str(index), arg) for index, arg in enumerate(args))


def _select(named: OrderedDict[str, Any], args: tuple[Any, ...], where: Where) -> PyTree:
    argument = "functional_ad.graph(where=...)"
    if where is None:  # nothing need be there to differentiate
        return jax.tree.map(_tree.is_differentiable, args)
    by_name = isinstance(where, str) or callable(where)
    by_name |= isinstance(where, list | tuple) and all(isinstance(w, str) for w in where)
    if by_name:
        return select_for(argument, named, where)
    return select_for(argument, args[0] if len(args) == 1 else args, where)


def _is_traced(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") or isinstance(leaf, float | complex)


def _name_constants(fun: Callable[..., Any], jaxpr: ClosedJaxpr) -> list[str]:
    """How the values are called that a function closes over: as in its source, if that is found."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(fun))
        held = _tree.flatten_paths({**found.globals, **found.nonlocals})
    except Exception:  # no Python function, or something in it that is no tree
        held = []
    names = {id(leaf): path for path, leaf in held}
    return [names.get(id(value)) or name_constant(value) for value in jaxpr.consts]
