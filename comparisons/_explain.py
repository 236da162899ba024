"""Looks a name of torch's autograd up in the map, and lays its row out for the terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from comparisons._case import Case
from comparisons._discovery import DiscoveryError
from comparisons._runner import read_source
from comparisons.cases.surface import ROWS, Row

WIDTH_FOR_TWO_COLUMNS = 100  # of the console; a line of the cases has up to 56
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def find_rows(name: str) -> tuple[list[Row], list[Row]]:
    """The rows that a name means, and others that have to do with it.

    Args:
        name: A name of torch, whole or its last parts, in any case, with or without parentheses; or
            a name in the JAX expressions.

    Returns:
        The rows of the name; if it is one row, also the rows of the name with an argument.

    Raises:
        DiscoveryError: No name is like it; the text has the nearest.
    """
    wanted = re.sub(r"\(\)$", "", name.strip()).lower()
    for fits in (_is_name, _is_plain_name, _ends_name, _is_in_expression, _is_within_name):
        found = [row for row in ROWS if fits(row, wanted)]
        if found:
            break
    else:
        raise DiscoveryError(f"no name matches {name!r}; the nearest is {_find_nearest(wanted)!r}")
    plain = [row for row in found if "(" not in row.name]
    if len(found) > 1 and len(plain) == 1:
        return plain, [row for row in found if row is not plain[0]]
    others = [row for row in ROWS if row not in found and _is_plain_name(row, found[0].name)]
    return found, others if len(found) == 1 else []


def _is_name(row: Row, wanted: str) -> bool:
    return "(" in wanted and any(name.lower() == wanted for name in row.names)


def _is_plain_name(row: Row, wanted: str) -> bool:
    return any(name.partition("(")[0].lower() == wanted.lower() for name in row.names)


def _ends_name(row: Row, wanted: str) -> bool:
    return any(
        text.lower().endswith("." + wanted)
        for name in row.names
        for text in (name, name.partition("(")[0])
    )


def _is_in_expression(row: Row, wanted: str) -> bool:
    return any(
        (name.lower() + ".").endswith("." + wanted + ".") or name.lower() == wanted
        for name in find_names(row.jax)
    )


def _is_within_name(row: Row, wanted: str) -> bool:
    return len(wanted) > 2 and any(wanted in name.lower() for name in row.names)


def find_names(expression: str) -> list[str]:
    """The dotted names in an expression, e.g. ``jax.tree.map``."""
    return DOTTED.findall(expression)


def _find_nearest(wanted: str) -> str:
    """The name that is nearest, held against as many of its last parts as were given."""
    parts = wanted.count(".") + 1
    names = {
        ".".join(text.lower().split(".")[-parts:]): text
        for row in reversed(ROWS)
        for name in (*find_names(row.jax), *reversed(row.names))
        for text in (name.partition("(")[0],)
    }
    (near,) = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)
    return names[near]


def lay_out_facts(row: Row) -> RenderableType:
    """What the row says, a line each; print it with ``soft_wrap``, so that its address holds."""
    facts = {
        "PyTorch": row.name,
        "also": ", ".join(row.also),
        "JAX": row.jax or "nothing stands in its place",
        "change" if row.jax else "reason": row.change,
        "see": row.docs,
        "case": row.case.name if row.case is not None else "",
    }
    return Text("\n").join(
        Text.assemble(f"{label:8} ", (text, "bold" if label in ("PyTorch", "JAX") else ""))
        for label, text in facts.items()
        if text
    )


def lay_out_sources(case: Case, width: int) -> RenderableType:
    """A case's two sources, side by side if there is room, else one below the other."""
    sides = {
        side: Syntax(read_source(fn), "python", theme="ansi_dark", word_wrap=True)
        for side, fn in (("PyTorch", case.torch), ("JAX", case.jax))
    }
    if width < WIDTH_FOR_TWO_COLUMNS:
        parts = [
            part for side, text in sides.items() for part in (f"[bold]{side}[/bold]", text, "")
        ]
        return Group(*parts[:-1])
    table = Table(box=None, expand=True, padding=(0, 1))
    for side in sides:
        table.add_column(side, ratio=1)
    table.add_row(*sides.values())
    return table


def lay_out_list(name: str, rows: Sequence[Row]) -> RenderableType:
    """Rows with their expressions, a line each."""
    head = f"{len(rows)} rows have to do with {name!r}; name one of them:" if name else "See also:"
    longest = max(len(row.name) for row in rows)
    return Group(
        Text(head),
        *(Text(f"  {row.name:{longest}}  {row.jax or 'no expression'}") for row in rows),
    )
