"""The terminal's report: a verdict table, and beneath it why a case failed or warns."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from comparisons._verdict import Outcome
from comparisons.report._document import CaseSection, Document, Mark
from comparisons.report._table import POWER_COLUMN

STYLES: dict[Outcome, str] = {"fail": "bold red", "warn": "yellow", "pass": "green"}
WIDTH = 80
WIDTH_FOR_POWER = 96
WIDTH_FOR_TITLES = 120
FINDINGS_SHOWN = 12  # of one case; the files have all
FINDINGS_SHOWN_WITH_CAUSE = 3  # the cause says it all


def render_text(document: Document) -> str:
    """The report as plain text of 80 columns, the same wherever it is made."""
    # What the terminal, a notebook or the environment variables say must not change it.
    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        console.print(TerminalDocument(document))
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").split("\n")) + "\n"


class TerminalDocument:
    """A document as rich prints it: as wide as the console, in its colours."""

    def __init__(self, document: Document):
        self.document = document

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The parts of the report, in order."""
        document = self.document
        if document.sections:
            yield _make_table(document, options.max_width)
            yield Text("")
        for section in document.sections:
            if section.mark.outcome != "pass":
                yield from _explain(section)
            elif any(note.limit for note in section.notes):
                yield from _qualify(section)
        yield _make_summary(document)


def _make_table(document: Document, width: int) -> RichTable:
    table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    with_titles = width >= WIDTH_FOR_TITLES
    columns = [
        c for c in document.overview.columns if c != POWER_COLUMN or width >= WIDTH_FOR_POWER
    ]
    for column in columns:
        if column.kind == "code":
            table.add_column(column.label, overflow="fold")
        else:
            justify = "right" if column.kind == "number" else "left"
            table.add_column(column.label, justify=justify, no_wrap=True)
    if with_titles:
        table.add_column("title", overflow="fold")
    for row, section in zip(document.overview.rows, document.sections, strict=True):
        cells = [_style_cell(cell) for cell in row[: len(columns)]]
        table.add_row(*cells, *([Text(section.title)] if with_titles else []))
    return table


def _style_cell(cell: str | Mark) -> Text:
    if isinstance(cell, str):
        return Text(cell)
    accepted = " ✓" * (cell.outcome != cell.verdict.outcome)  # the words are beneath the table
    return Text(f"{cell.verdict}{accepted}", style=STYLES[cell.outcome])


def _style_verdict(mark: Mark) -> Text:
    return Text(str(mark), style=STYLES[mark.outcome])


def _explain(section: CaseSection) -> Iterator[RenderableType]:
    """A case that does not pass: cause and fix, then why, leaf by leaf."""
    yield _name(section)
    for cause in section.causes:
        where = f" ({cause.where})" if cause.where else ""
        yield _label("Cause", Text(cause.title + where))
        yield _label("Fix", Text(cause.fix, style="bold"))
    if section.error:
        yield _indent(Text(section.error))
    found = [finding for finding in section.findings if finding.mark.outcome != "pass"]
    shown = FINDINGS_SHOWN_WITH_CAUSE if section.causes else FINDINGS_SHOWN
    for finding in found[:shown]:
        same = finding.mark == section.mark
        own = [] if same else [_style_verdict(finding.mark), "  "]
        line = Text.assemble(*own, (finding.where, "bold"), ": ")
        yield _indent(line + Text(finding.reason))
    if len(found) > shown:
        left = len(found) - shown
        yield _indent(Text(f"and {left} more {'leaf' if left == 1 else 'leaves'}"))
    if not section.error and not found:
        yield _indent(Text(section.reason))
    for note in section.notes:
        if note.label != "Power":  # there is no pass to be trusted
            yield _label(note.label, Text(note.text))
    yield Text("")


def _qualify(section: CaseSection) -> Iterator[RenderableType]:
    """A case that passes, with what its verdict does not tell."""
    yield _name(section)
    for note in section.notes:
        if note.limit:
            yield _label(note.label, Text(note.text))
    yield Text("")


def _name(section: CaseSection) -> Text:
    return Text.assemble(_style_verdict(section.mark), "  ", (section.name, "bold"))


def _indent(text: Text, columns: int = 2) -> RenderableType:
    return Padding(text, (0, 0, 0, columns), expand=False)


def _label(label: str, text: Text) -> RenderableType:
    return _indent(Text.assemble((f"{label}: ", "bold"), text))


def _make_summary(document: Document) -> Text:
    counts = ", ".join(f"{count} {label}" for label, count in document.counts)
    return Text.assemble((document.headline, STYLES[document.outcome]), "  ", f"({counts})")
