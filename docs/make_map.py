"""Writes map.md from the rows of the map: `python docs/make_map.py`. A test keeps the two alike."""

from __future__ import annotations

from pathlib import Path

from comparisons.cases.surface import CASES, GROUPS, ROWS, Row

SOURCES = "../comparisons/cases/surface"

NAMES = sum(len(row.names) for row in ROWS)

HEAD = f"""# The map: torch.autograd in JAX

Every name of PyTorch's autograd, in the order of its documentation, with what stands in its place.
{len(ROWS)} rows hold {NAMES} names. {len(CASES)} of the rows have an expression, and a case in
which both sides run on the same numbers and agree; the tests run them all. The others say why
nothing is needed.

    python -m comparisons explain torch.autograd.grad    # a row: both sources, and the verdict
    python -m comparisons run surface                    # every row

`jnp` is `jax.numpy`, `checkpoint_name` is from `jax.ad_checkpoint`. This page is written by
`python docs/make_map.py`.
"""


def render() -> str:
    """The page."""
    parts = [HEAD]
    for heading, rows in GROUPS.items():
        parts.append(f"\n## {heading.rstrip('.')}\n")
        stem = heading.rstrip(".") + "."
        runnable = [row for row in rows if row.case is not None]
        if runnable:
            parts += ["| PyTorch | JAX | what changes | case |", "| --- | --- | --- | --- |"]
            parts += [_write_row(row, stem) for row in runnable]
        reasons = [row for row in rows if row.case is None]
        if reasons:
            parts.append("\nWithout a counterpart:\n" if runnable else "Without a counterpart:\n")
            parts += [f"- {_write_names(row, stem)}: {row.change}" for row in reasons]
    return "\n".join(parts) + "\n"


def _write_row(row: Row, stem: str) -> str:
    assert row.case is not None
    name = row.case.name.removeprefix("surface/")
    cells = (
        _write_names(row, stem),
        f"`{row.jax}`",
        row.change,
        f"[{name}]({SOURCES}/{row.group}.py)",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _write_names(row: Row, stem: str) -> str:
    """The names of a row; what the heading or the first name says already is left out."""
    first = f"[`{row.name.removeprefix(stem)}`]({row.docs})"
    space = row.name.rpartition(".")[0] + "."
    return ", ".join([first, *(f"`{also.removeprefix(space)}`" for also in row.also)])


if __name__ == "__main__":
    Path(__file__).with_name("map.md").write_text(render(), encoding="utf-8")
