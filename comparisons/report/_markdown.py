"""The report in Markdown, for code hosts: GitHub's flavour, readable as plain text too."""

from __future__ import annotations

import re
from collections.abc import Iterator

from comparisons.report._document import CaseSection, Document, Table
from comparisons.report._notes import CauseNote

# An underscore within a word is never emphasis, so names stay readable as plain text.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~#&$]|(?<![^\W_])_|_(?![^\W_])")
_STARTS_BLOCK = re.compile(r"^(\d*)([-+=.)])(?=\s|$|[-=])")


def render_markdown(document: Document) -> str:
    """The whole report as Markdown."""
    return "\n\n".join(_render_blocks(document)) + "\n"


def _render_blocks(document: Document) -> Iterator[str]:
    yield f"# {_escape(document.title)}"
    yield f"**{_escape(document.headline)}**"
    yield ", ".join(f"{count} {label}" for label, count in document.counts)
    if document.sections:
        yield _render_table(document.overview, [section.anchor for section in document.sections])
    if document.environment:
        yield "## Environment"
        yield "\n".join(f"- {_code(key)}: {_escape(value)}" for key, value in document.environment)
    if document.sections:
        yield "## Cases"
    for section in document.sections:
        yield from _render_section(section)


def _render_section(section: CaseSection) -> Iterator[str]:
    yield f'<a id="{section.anchor}"></a>'
    yield f"### {_escape(section.title or section.name)}"
    yield f"{_code(section.name)}: **{section.mark}**"
    for cause in section.causes:
        yield from _render_cause(cause)
    yield _escape(section.reason)
    if section.error:
        yield _fence(section.error, "text")
    if section.notes:
        yield "\n".join(f"- **{note.label}**: {_escape(note.text)}" for note in section.notes)
    if section.note:
        yield _escape(section.note)
    if section.citation:
        yield f"PyTorch's documentation: {_address(section.citation, section.link)}"
    for label, source in (("PyTorch", section.code.torch), ("JAX", section.code.jax)):
        if source:
            yield f"**{label}**"
            yield _fence(source, "python")
    if section.leaves.rows:
        yield _render_table(section.leaves)
    findings = [
        f"- {_escape(finding.where)}: **{finding.mark}**: {_escape(finding.reason)}"
        for finding in section.findings
        if finding.mark.outcome != "pass"
    ]
    if findings:
        yield "\n".join(findings)
    histograms = [finding.histogram for finding in section.findings if finding.histogram]
    if histograms:
        yield "Distances:"
        yield "\n".join(
            f"- {_escape(each.where)}: {_escape(each.summary)}. {_escape(each.description)}"
            for each in histograms
        )
    for curves in section.curves:
        yield f"Curve: {_escape(curves.description)}"
    for figure in section.steps:
        yield f"Steps: {_escape(figure.description)}"
    if section.missing_curves:
        yield _escape(section.missing_curves)


def _render_cause(cause: CauseNote) -> Iterator[str]:
    where = f" ({_escape(cause.where)})" if cause.where else ""
    yield f"**Cause**: {_escape(cause.title)}{where}"
    yield "**Fix**:"
    yield _fence(cause.fix, "python")
    if cause.source:
        yield f"Source: {_address(cause.source, cause.link)}"


def _address(text: str, link: str) -> str:
    return f"<{re.sub('[<>]', '', link)}>" if link else _escape(text)


def _render_table(table: Table, anchors: list[str] | None = None) -> str:
    """A table; with ``anchors``, the first cell of each row links to its place."""
    lines = [
        [_escape(column.label) for column in table.columns],
        ["---:" if column.kind == "number" else "---" for column in table.columns],
    ]
    for i, row in enumerate(table.rows):
        cells = [
            _code(str(cell)) if column.kind == "code" else _escape(str(cell))
            for column, cell in zip(table.columns, row, strict=True)
        ]
        if anchors:
            cells[0] = f"[{cells[0]}](#{anchors[i]})"
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    text = _SPECIAL.sub(lambda match: f"\\{match[0]}", " ".join(text.split()))
    return _STARTS_BLOCK.sub(r"\1\\\2", text)  # "1. " and "- " would start a list


def _code(text: str) -> str:
    """Inline code. A table splits at | even there, so that one is escaped."""
    text = " ".join(text.split()) or " "
    if "`" in text or "|" in text or "\\" in text:
        return _escape(text)
    return f"`{text}`"


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
