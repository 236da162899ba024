"""The nodes and edges that a block of a program is drawn as."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jax.extend.core import Literal

from functional_ad import _tree
from functional_ad._compat import function_name
from functional_ad._flow import reach_inputs, read
from functional_ad._graph._blocks import Block, Item, Scope, find_ends, is_region, name_constant
from functional_ad._program import Step
from functional_ad._regions import list_bodies

_REGIONS = {
    "pjit": "jit",
    "remat2": "checkpoint",
    "custom_jvp_call": "custom_jvp",
    "custom_vjp_call": "custom_vjp",
}
_LOOPS = ("scan", "while", "cond")  # their functions are often lambdas, and never the whole of them
# Numbers that belong to an operation, as literals do.
_SETTINGS = {"integer_pow": "y"}


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a ``Graph``.

    Attributes:
        name: Unique in its graph: the path of an input, the name of a function, scope or value
            (``checkpoint_name``), or the operation's, numbered as torch.fx does: ``"mul_1"``.
        kind: ``"input"``, ``"constant"``, ``"op"``, ``"region"`` or ``"output"``.
        op: JAX's name for the operation, e.g. ``"dot_general"``; ``"scope"`` for a named scope.
        label: What a drawing shows.
        args: The nodes and the numbers that it is computed from, as text.
        types: Shapes and dtypes of its values, ``"float32[3,2]"``.
        is_leaf: PyTorch's flag: it is an input, or requires no gradient.
        requires_grad: PyTorch's flag, for one of its values at least.
        on_grad_path: Whether the gradient of the outputs passes through it, or reaches it.
        line: The user's line it comes from, ``"model.py:12"``, if it is known.
        bodies: Names of what ``Graph.open`` can show: ``("body",)``, ``("condition", "body")``.
        count: Number of leaves that an input or output stands for: those of one subtree that only
            one region uses, or makes, are drawn as one.

    Example:
        >>> import functional_ad
        >>> node = functional_ad.graph(lambda w: 2.0 * w, 3.0)["mul"]
        >>> node.args, node.types, node.is_leaf, node.requires_grad
        (('2', 'w'), ('float32[]',), False, True)
    """

    name: str
    kind: str
    op: str
    label: str
    args: tuple[str, ...]
    types: tuple[str, ...]
    is_leaf: bool
    requires_grad: bool
    on_grad_path: bool
    line: str | None = None
    bodies: tuple[str, ...] = ()
    count: int = 1


@dataclasses.dataclass(frozen=True)
class Edge:
    """One edge of a ``Graph``: values made by one node and used by another.

    Attributes:
        source: Name of the node that they come from.
        target: Name of the node that uses them.
        types: Shapes and dtypes, ``"float32[3,2]"``.
        requires_grad: Whether one of them requires a gradient.
        on_grad_path: Whether the gradient of the outputs passes here, from target to source.

    Example:
        >>> import functional_ad
        >>> [(e.source, e.target) for e in functional_ad.graph(lambda w: 2.0 * w, 3.0).edges]
        [('w', 'mul'), ('mul', 'output')]
    """

    source: str
    target: str
    types: tuple[str, ...]
    requires_grad: bool
    on_grad_path: bool


@dataclasses.dataclass(frozen=True)
class Picture:
    """The nodes and edges of a block, and what belongs to them.

    Attributes:
        nodes: In the order in which they are computed.
        edges: Between them.
        items: What an op or region stands for, by name.
        labels: How each value is called.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    items: Mapping[str, Item]
    labels: Mapping[Any, str]


def draw(block: Block) -> Picture:
    """Makes the nodes and edges of a block."""
    return _Drawer(block).draw()


class _Drawer:
    def __init__(self, block: Block) -> None:
        self.block = block
        self.nodes: list[Node] = []
        self.items: dict[str, Item] = {}
        self.labels: dict[Any, str] = {}
        self.makers: dict[Any, str] = {}  # the node that each value comes from
        self.links: dict[tuple[str, str], list[Any]] = {}
        self.passed: set[tuple[Any, str]] = set()  # the values whose gradient comes from a node
        self.taken: set[str] = set()

    def draw(self) -> Picture:
        items = [(item, *find_ends(self.block, item)) for item in self.block.items]
        self.add_inputs(items)
        for item, ins, outs in items:
            self.add_item(item, ins, outs)
        self.add_outputs()
        edges = [
            Edge(
                source,
                target,
                self.write_types(atoms),
                self.find_flags(atoms)[0],
                any((atom, target) in self.passed for atom in atoms),
            )
            for (source, target), atoms in self.links.items()
        ]
        return Picture(tuple(self.nodes), tuple(edges), self.items, self.labels)

    def add_inputs(self, items: Sequence[tuple[Item, list[Any], list[Any]]]) -> None:
        """One node for each input, or for those of one subtree that only the same regions use."""
        users: dict[Any, tuple[int, ...]] = dict.fromkeys(self.block.inputs, ())
        for index, (_, ins, _) in enumerate(items):
            for atom in set(ins) & users.keys():
                users[atom] += (index,)
        ends = {atom for atom, _ in self.block.outputs if not isinstance(atom, Literal)}
        together: dict[Any, list[Any]] = collections.defaultdict(list)
        for variable, value in self.block.inputs.items():
            uses = users[variable]
            if self.block.callers and not uses and variable not in ends:
                continue  # an argument of a region that nothing in it uses
            tree, *below = value.label.split("/")
            key = variable
            if (
                uses
                and below
                and variable not in ends
                and all(is_region(items[i][0]) for i in uses)
            ):
                key = (tree, uses, value.kind, value.is_leaf, self.find_flags([variable]))
            together[key].append(variable)
        for variables in together.values():
            self.add_input(variables)

    def add_input(self, variables: list[Any]) -> None:
        values = [self.block.inputs[variable] for variable in variables]
        requires, reached = self.find_flags(variables)
        label = values[0].label
        if len(variables) > 1:
            others = {value.label for value in self.block.inputs.values()}
            label = find_prefix([value.label for value in values], others)
        name = self.make_unique(label)
        count = len(variables)
        for variable, value in zip(variables, values, strict=True):
            self.labels[variable] = value.label if count > 1 else name
            self.makers[variable] = name
        self.nodes.append(
            Node(
                name,
                values[0].kind,
                "",
                f"{label} ({count} leaves)" if count > 1 else label,
                (),
                self.write_types(variables),
                values[0].is_leaf,
                requires,
                reached,
                count=count,
            )
        )

    def add_item(self, item: Item, ins: Sequence[Any], outs: Sequence[Any]) -> None:
        base, op, note = describe(item)
        name = self.make_unique(base)
        self.items[name] = item
        args = self.list_args(item, ins)
        requires, reached = self.find_flags(outs)
        for index, variable in enumerate(outs):
            self.labels[variable] = f"{name}.{index}" if len(outs) > 1 else name
            self.makers[variable] = name
        self.link(ins, name)
        for equation in item.equations if isinstance(item, Scope) else (item,):
            hits = reach_inputs(equation, self.block.required, self.block.reached)
            self.passed |= {(a, name) for a, hit in zip(equation.invars, hits, strict=True) if hit}
        self.nodes.append(
            Node(
                name,
                "region" if is_region(item) else "op",
                op,
                f"{base} {note}".rstrip(),
                args,
                self.write_types(outs),
                not requires,
                requires,
                reached,
                self.find_line(item),
                ("body",) if isinstance(item, Scope) else tuple(b.name for b in list_bodies(item)),
            )
        )

    def add_outputs(self) -> None:
        """One node for each output, or for those of one subtree that come from one region."""
        regions = {name for name, item in self.items.items() if is_region(item)}
        together: dict[Any, list[tuple[Any, str]]] = collections.defaultdict(list)
        for index, (atom, label) in enumerate(self.block.outputs):
            maker = None if isinstance(atom, Literal) else self.makers[atom]
            joined = maker in regions and label.count("/") > 1
            key = (maker, self.find_flags([atom])) if joined else index
            together[key].append((atom, label))
        for pairs in together.values():
            self.add_output([atom for atom, _ in pairs], [label for _, label in pairs])

    def add_output(self, atoms: list[Any], labels: list[str]) -> None:
        count, others = len(labels), {label for _, label in self.block.outputs}
        label = find_prefix(labels, others) if count > 1 else labels[0]
        name = self.make_unique(label)
        requires, reached = self.find_flags(atoms)
        leaf = not requires
        made = [atom for atom in atoms if not isinstance(atom, Literal)]
        self.link(made, name)
        self.passed |= {(atom, name) for atom in made if read(self.block.reached, atom)}
        if made and made[0] in self.block.inputs:
            leaf = self.block.inputs[made[0]].is_leaf
        args = tuple(dict.fromkeys(self.write_atom(atom) for atom in atoms))
        if count > 1:
            args, label = (self.makers[made[0]],), f"{label} ({count} leaves)"
        types = self.write_types(atoms)
        self.nodes.append(
            Node(name, "output", "", label, args, types, leaf, requires, reached, count=count)
        )

    def list_args(self, item: Item, ins: Sequence[Any]) -> tuple[str, ...]:
        if isinstance(item, Scope) or is_region(item):  # many leaves may go into it
            return tuple(dict.fromkeys(self.makers[atom] for atom in ins))
        return tuple(self.write_atom(atom) for atom in item.invars)

    def write_atom(self, atom: Any) -> str:
        return name_constant(atom) if isinstance(atom, Literal) else self.labels[atom]

    def link(self, atoms: Iterable[Any], target: str) -> None:
        for atom in dict.fromkeys(atoms):
            self.links.setdefault((self.makers[atom], target), []).append(atom)

    def find_flags(self, atoms: Sequence[Any]) -> tuple[bool, bool]:
        required = any(read(self.block.required, atom) for atom in atoms)
        return required, any(read(self.block.reached, atom) for atom in atoms)

    def find_line(self, item: Item) -> str | None:
        equations = item.equations if isinstance(item, Scope) else (item,)
        lines = (Step(equation, (), self.block.callers).line for equation in equations)
        return next(filter(None, lines), None)

    def write_types(self, atoms: Sequence[Any]) -> tuple[str, ...]:
        return tuple(_tree.describe(atom.aval) for atom in atoms)

    def make_unique(self, name: str) -> str:
        unique = name
        for number in itertools.count(1):
            if unique not in self.taken:
                break
            unique = f"{name}_{number}"
        self.taken.add(unique)
        return unique


def find_prefix(labels: Sequence[str], every: Collection[str]) -> str:
    """The path of the subtree of some labels; with the names of its parts if it has others, too.

    Example:
        >>> find_prefix(["p/a/w", "p/a/b"], ["p/a/w", "p/a/b", "p/c"])
        'p/a'
        >>> find_prefix(["p/a/w", "p/a/b"], ["p/a/w", "p/a/b", "p/a/c"])
        'p/a/{w,b}'
    """
    paths = [label.split("/") for label in labels]
    common = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*paths, strict=False))
    prefix = "/".join(column[0] for column in common)
    if not any(other.startswith(f"{prefix}/") for other in every if other not in labels):
        return prefix
    depth = prefix.count("/") + 1
    parts = dict.fromkeys(path[depth] for path in paths if len(path) > depth)
    return f"{prefix}/{{{','.join(parts)}}}"


def describe(item: Item) -> tuple[str, str, str]:
    """How an item is called, what JAX calls it, and what a drawing adds."""
    if isinstance(item, Scope):
        return item.name, "scope", "(backward)" if item.is_backward else ""
    op, params = item.primitive.name, item.params
    if op == "name":
        return params["name"], op, ""
    if op in _LOOPS:
        return op, op, f"{params['length']} times" if op == "scan" else ""
    if bodies := list_bodies(item):
        name = str(params.get("name") or function_name(bodies[0].jaxpr)).lstrip("_")
        title = _REGIONS.get(op, op)
        return (name if name.isidentifier() else title), title, ""
    numbers = [name_constant(atom) for atom in item.invars if isinstance(atom, Literal)]
    if op in _SETTINGS:
        numbers.append(str(params[_SETTINGS[op]]))
    return op, op, " ".join(numbers)
