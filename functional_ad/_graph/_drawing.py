"""A graph as text: a table, and the languages of Mermaid and Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from functional_ad._graph._nodes import Edge, Node

_HEADER = ("node", "from", "type", "leaf", "requires_grad", "on path", "line")
_WIDEST = 44

# Which nodes look alike: on the gradient's path, requiring a gradient but not on it, or neither.
_MERMAID = {
    "path": "fill:#ddf4ff,stroke:#0969da,stroke-width:2px,color:#1f2328",
    "grad": "fill:#ffffff,stroke:#0969da,color:#1f2328",
    "plain": "fill:#f6f8fa,stroke:#818b98,stroke-dasharray:4 3,color:#1f2328",
}
_DOT = {
    "path": 'color="#0969da", fillcolor="#ddf4ff", penwidth=2, style="{shape}filled"',
    "grad": 'color="#0969da", fillcolor="#ffffff", style="{shape}filled"',
    "plain": 'color="#818b98", fillcolor="#f6f8fa", style="{shape}filled,dashed"',
}


def classify(part: Node | Edge) -> str:
    """How a node or an edge is drawn: ``"path"``, ``"grad"`` or ``"plain"``."""
    return "path" if part.on_grad_path else "grad" if part.requires_grad else "plain"


def write_table(title: str, rows: Iterable[tuple[int, Node]]) -> str:
    """A table with a line for each node, indented by its level.

    Args:
        title: Its first line.
        rows: Levels and nodes.
    """
    cells = [_HEADER, *(_write_row(level, node) for level, node in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _write_row(level: int, node: Node) -> tuple[str, ...]:
    name = "  " * level + node.name + (" [+]" if node.bodies else "")
    origin = f"({node.kind})" if node.kind in ("input", "constant") else ", ".join(node.args)
    flags = (node.is_leaf, node.requires_grad, node.on_grad_path)
    return (
        name,
        shorten(origin),
        shorten(write_types(node)),
        *("yes" if flag else "no" for flag in flags),
        node.line or "",
    )


def write_types(node: Node) -> str:
    """The types of a node's values: the first few, and how many there are."""
    if node.count > 1:
        return f"{node.count} leaves"
    shown = ", ".join(node.types[:2])
    return f"{shown}, ... ({len(node.types)})" if len(node.types) > 2 else shown


def shorten(text: str, width: int = _WIDEST) -> str:
    """A text cut to a width."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def write_mermaid(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The flowchart for Mermaid."""
    shapes = {"op": ("[", "]"), "region": ("[[", "]]"), "output": ("{{", "}}")}
    ids = {node.name: f"n{index}" for index, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    for node in nodes:
        left, right = shapes.get(node.kind, ("([", "])"))
        text = "<br/>".join(filter(None, map(_escape_mermaid, (node.label, write_types(node)))))
        lines.append(f'  {ids[node.name]}{left}"{text}"{right}:::{classify(node)}')
    arrows = {"path": "==>", "grad": "-->", "plain": "-.->"}
    lines += [f"  {ids[e.source]} {arrows[classify(e)]} {ids[e.target]}" for e in edges]
    return "\n".join([*lines, *(f"  classDef {name} {css}" for name, css in _MERMAID.items())])


def _escape_mermaid(text: str) -> str:
    codes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "&": "#amp;"}
    return "".join(codes.get(character, character) for character in text)


def write_dot(title: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The graph for Graphviz."""
    ids = {node.name: f"n{index}" for index, node in enumerate(nodes)}
    lines = [f"digraph {_quote(title)} {{", '  node [shape=box, fontname="Helvetica"];']
    for node in nodes:
        label = "\n".join(filter(None, (node.label, write_types(node))))
        rounded = "rounded," if node.kind in ("input", "constant") else ""
        style = _DOT[classify(node)].format(shape=rounded)
        edging = {"region": ", peripheries=2", "output": ", shape=hexagon"}.get(node.kind, "")
        tip = f", tooltip={_quote(node.line)}" if node.line else ""
        lines.append(f"  {ids[node.name]} [label={_quote(label)}, {style}{edging}{tip}];")
    looks = {"path": ' [color="#0969da", penwidth=2]', "grad": ' [color="#0969da"]'}
    for edge in edges:
        look = looks.get(classify(edge), ' [color="#818b98", style=dashed]')
        lines.append(f"  {ids[edge.source]} -> {ids[edge.target]}{look};")
    return "\n".join([*lines, "}"])


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
