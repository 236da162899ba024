"""Writes causes.md from the catalogue: `python docs/make_causes.py`. A test keeps the two alike."""

from __future__ import annotations

from pathlib import Path

from comparisons._causes.catalogue import TOPICS

HEAD = """# Known causes

What `comparisons` looks for when the two sides disagree. A cause is named only if undoing it closes
the gap: the JAX side is run again with the substitution, and judged as any case is. A
**convention** is a choice that the frameworks made differently; a **mistake** is the port's, or a
framework's. Braces stand for what was found.

This page is written by `python docs/make_causes.py`.
"""


def render() -> str:
    """The page."""
    parts = [HEAD]
    for topic, entries in TOPICS.items():
        parts += [
            f"\n## {topic}\n",
            "| cause | kind | what differs | fix |",
            "| --- | --- | --- | --- |",
        ]
        for known in entries:
            cells = (
                f"[{known.name}]({known.source})",
                known.kind,
                escape(known.title),
                escape(known.fix),
            )
            parts.append(f"| {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """A text as a cell; `*` and `_` stand for themselves."""
    return "".join(f"\\{c}" if c in "|*_<" else c for c in text)


if __name__ == "__main__":
    Path(__file__).with_name("causes.md").write_text(render(), encoding="utf-8")
