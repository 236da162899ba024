"""A graph as SVG, readable on light and dark pages and by a screen reader."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from html import escape

from functional_ad._graph._drawing import classify, shorten, write_types
from functional_ad._graph._layout import Point, lay_out
from functional_ad._graph._nodes import Edge, Node

_HEIGHT, _GAP, _RISE = 40, 32, 92  # of a box, between boxes, from layer to layer
_FOLDED = 23  # what a box with leaves in it is higher
_MARGIN, _LEGEND, _LEGEND_WIDTH = 24, 56, 640
_CHARACTER = 7.4  # width in pixels at 12 px, of the widest usual fonts
_LONGEST = 30  # characters in a box

_STYLE = """
.fad-graph{--paper:#fff;--ink:#1f2328;--dim:#59636e;--line:#818b98;--grad:#0969da;--fill:#ddf4ff;
--box:#f6f8fa;font:12px system-ui,sans-serif;max-width:100%;height:auto}
@media(prefers-color-scheme:dark){.fad-graph{--paper:#0d1117;--ink:#f0f6fc;--dim:#9198a1;
--line:#6e7681;--grad:#4493f8;--fill:#12243d;--box:#151b23}}
.fad-graph .paper{fill:var(--paper)}.fad-graph text{fill:var(--ink);text-anchor:middle}
.fad-graph .type{fill:var(--dim);font-size:11px}.fad-graph .key{text-anchor:start}
.fad-graph rect.plain,.fad-graph rect.inner{fill:var(--box);stroke:var(--line);
stroke-dasharray:4 3}
.fad-graph rect.grad{fill:var(--paper);stroke:var(--grad)}
.fad-graph rect.path{fill:var(--fill);stroke:var(--grad);stroke-width:2}
.fad-graph rect.inner{fill:none;stroke:var(--line);stroke-width:1;stroke-dasharray:none}
.fad-graph path{fill:none;stroke:var(--line)}.fad-graph path.plain{stroke-dasharray:4 3}
.fad-graph path.grad{stroke:var(--grad)}.fad-graph path.path{stroke:var(--grad);stroke-width:2}
.fad-graph marker path{fill:var(--line);stroke:none}
.fad-graph marker.path path{fill:var(--grad)}
"""


def write_svg(title: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The picture, a complete SVG document that can stand in a page, too.

    The leaves of one subtree that only one region uses are drawn in the region's box.

    Raises:
        MissingExtraError: fast-sugiyama is not installed.
    """
    folded = _fold(nodes, edges)
    inside = {leaves.name for leaves in folded.values()}
    shown = [node for node in nodes if node.name not in inside]
    lines = [edge for edge in edges if edge.source not in inside]
    longest = max((len(text) for node in nodes for text in (_label(node), _type(node))), default=0)
    width = max(96, 24 + round(_CHARACTER * longest))
    pairs = [(edge.source, edge.target) for edge in lines]
    places, bends = lay_out([node.name for node in shown], pairs, width + _GAP, _RISE)
    points = [*places.values(), *itertools.chain(*bends.values())] or [(0.0, 0.0)]
    left = min(x for x, _ in points) - width / 2 - _MARGIN
    wide = max(max(x for x, _ in points) + width / 2 + _MARGIN - left, _LEGEND_WIDTH)
    bottom = max(y for _, y in points) + _HEIGHT / 2 + _FOLDED + _MARGIN
    top = -_HEIGHT / 2 - _MARGIN
    high = bottom + _LEGEND - top
    key = f"fad-{zlib.crc32(f'{title}{nodes}{edges}'.encode()):08x}"  # of several in one page
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fad-graph" role="img" '
        f'aria-labelledby="{key}-title {key}-desc" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="{left:.0f} {top:.0f} {wide:.0f} {high:.0f}">',
        f'<title id="{key}-title">Computation graph of {escape(title)}</title>',
        f'<desc id="{key}-desc">{escape(_tell(nodes))}</desc>',
        f"<style>{_STYLE}</style>",
        *(_draw_arrowhead(key, look) for look in ("plain", "path")),
        f'<rect class="paper" x="{left:.0f}" y="{top:.0f}" width="100%" height="100%"/>',
    ]
    for edge in lines:
        (x, y), end = places[edge.source], places[edge.target]
        start = (x, y + _FOLDED) if edge.source in folded else (x, y)
        stops = [start, *bends[edge.source, edge.target], end]
        parts.append(_draw_edge(edge, stops, key))
    for node in shown:
        parts.append(_draw_node(node, places[node.name], width, folded.get(node.name)))
    return "\n".join([*parts, _draw_legend(left + _MARGIN, bottom), "</svg>"])


def _fold(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, Node]:
    """For each region that has them, the leaves that go into it and nowhere else."""
    folded: dict[str, Node] = {}
    for node in nodes:
        users = [edge.target for edge in edges if edge.source == node.name]
        if node.count > 1 and node.kind != "output" and len(users) == 1 and users[0] not in folded:
            folded[users[0]] = node
    return folded


def _label(node: Node) -> str:
    return shorten(node.label, _LONGEST)


def _type(node: Node) -> str:
    return shorten(write_types(node), _LONGEST)


def _draw_node(node: Node, place: Point, width: float, leaves: Node | None) -> str:
    x, y = place
    left, top = x - width / 2, y - _HEIGHT / 2
    height = _HEIGHT + _FOLDED * (leaves is not None)
    radius = {"input": 20, "constant": 20, "output": 0}.get(node.kind, 4)
    parts = [_draw_box(classify(node), left, top, width, height, radius)]
    if node.kind == "region":
        parts.append(_draw_box("inner", left + 4, top + 4, width - 8, height - 8, 2))
    parts.append(_write(_label(node), x, y - 2) + _write(_type(node), x, y + 13, "type"))
    if leaves is not None:
        box = _draw_box(classify(leaves), left + 8, top + _HEIGHT - 1, width - 16, 18, 9)
        label = _write(_label(leaves), x, top + _HEIGHT + 12, "type")
        parts.append(f"<g><title>{escape(_hint(leaves))}</title>{box}{label}</g>")
    return f"<g><title>{escape(_hint(node))}</title>{''.join(parts)}</g>"


def _draw_box(
    look: str, left: float, top: float, width: float, height: float, radius: float
) -> str:
    return (
        f'<rect class="{look}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{height}" rx="{radius}"/>'
    )


def _write(text: str, x: float, y: float, look: str = "label") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _hint(node: Node) -> str:
    flags = f"is_leaf={node.is_leaf}, requires_grad={node.requires_grad}"
    path = "on the gradient's path" if node.on_grad_path else "not on the gradient's path"
    about = [f"{node.name} ({node.op or node.kind})", ", ".join(node.types), flags, path]
    return "\n".join(filter(None, [*about, node.line]))


def _draw_edge(edge: Edge, points: Sequence[Point], key: str) -> str:
    """A line from the lower side of one box to the upper side of another, through the bends."""
    (x, y), *between, (end_x, end_y) = points
    stops = [(x, y + _HEIGHT / 2), *between, (end_x, end_y - _HEIGHT / 2 - 2)]
    path = [f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in itertools.pairwise(stops):
        half = (y1 - y0) / 2
        path.append(f"C{x0:.1f} {y0 + half:.1f} {x1:.1f} {y1 - half:.1f} {x1:.1f} {y1:.1f}")
    look = classify(edge)
    head = "plain" if look == "plain" else "path"
    hint = escape(f"{edge.source} to {edge.target}: {', '.join(edge.types)}")
    return (
        f'<path class="{look}" marker-end="url(#{key}-{head})" d="{"".join(path)}">'
        f"<title>{hint}</title></path>"
    )


def _draw_arrowhead(key: str, look: str) -> str:
    return (
        f'<marker id="{key}-{look}" class="{look}" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>'
    )


def _draw_legend(x: float, y: float) -> str:
    words = (
        ("path", "on the gradient's path"),
        ("grad", "requires_grad, off the path"),
        ("plain", "no gradient"),
    )
    parts = [
        f'<g transform="translate({x + 215 * i:.0f} {y:.0f})"><rect class="{look}" '
        f'width="22" height="14" rx="3"/><text class="key" x="30" y="11">{escape(word)}</text></g>'
        for i, (look, word) in enumerate(words)
    ]
    parts.append(
        f'<text class="key type" x="{x:.0f}" y="{y + 34:.0f}">rounded: input or constant; '
        "double frame: region that can be opened; square: output</text>"
    )
    return "".join(parts)


def _tell(nodes: Sequence[Node]) -> str:
    """The picture in words, for those who do not see it."""
    told = [f"{len(nodes)} nodes."]
    for node in nodes:
        source = f" from {', '.join(node.args)}" if node.args else f" ({node.kind})"
        path = "on the gradient's path" if node.on_grad_path else "no gradient passes"
        told.append(f"{node.name}{source}: {path}.")
    return " ".join(told)
