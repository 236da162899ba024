"""Where a graph's nodes are placed, and where its edges bend: the work of fast-sugiyama."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from functional_ad._errors import MissingExtraError, explain

Point = tuple[float, float]


def can_lay_out() -> bool:
    """Whether fast-sugiyama is there."""
    return importlib.util.find_spec("fast_sugiyama") is not None


def lay_out(
    names: Sequence[str], pairs: Sequence[tuple[str, str]], across: float, down: float
) -> tuple[dict[str, Point], dict[tuple[str, str], list[Point]]]:
    """Places nodes in layers, each above what it leads to; parts that do not touch, side by side.

    Args:
        names: The nodes.
        pairs: The edges, each once, without a cycle.
        across: Distance between the middles of two nodes in a layer, at least.
        down: Distance between two layers.

    Returns:
        The middle of each node, and for each edge the points between its ends.

    Raises:
        MissingExtraError: fast-sugiyama is not installed.
    """
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise MissingExtraError(
            explain(
                "`functional_ad.Graph.to_svg` needs fast-sugiyama, which lays the picture out.",
                expected="fast-sugiyama, of the extra `graph`",
                got="no such package",
                fix="Run `pip install 'functional-ad[graph]'`, or use `to_mermaid` or `to_dot`.",
            )
        ) from None
    linked = [name for name in names if any(name in pair for pair in pairs)]
    number = {name: place for place, name in enumerate(linked)}
    edges = [(number[source], number[target]) for source, target in pairs]
    places: dict[str, Point] = {}
    bends: dict[tuple[str, str], list[Point]] = {}
    right = 0.0
    layouts = from_edges(edges, vertex_spacing=across, dummy_vertices=True) if edges else []
    for positions, _, _, links in layouts:
        left = min(x for _, (x, _) in positions)
        top = max(y for _, (_, y) in positions)
        points = {
            int(vertex): (right + x - left, (top - y) / across * down)
            for vertex, (x, y) in positions
        }
        right = across + max(x for x, _ in points.values())
        places |= {linked[v]: point for v, point in points.items() if v < len(linked)}
        # An edge over several layers is a chain of vertices that are no nodes of ours.
        chain = {int(source): int(target) for source, target in links or ()}
        for source, target in links or ():
            between: list[Point] = []
            end = int(target)
            if int(source) >= len(linked):
                continue
            while end >= len(linked):
                between.append(points[end])
                end = chain[end]
            bends[linked[int(source)], linked[end]] = between
    for name in names:
        if name not in places:
            places[name] = (right, 0.0)
            right += across
    return places, bends
