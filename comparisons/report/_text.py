"""The terminal's report: a verdict table, and beneath it why a case failed or warns."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from comparisons._verdict import Outcome, Verdict
from comparisons.report._document import CaseSection, Document

STYLES: dict[Outcome, str] = {"fail": "bold red", "warn": "yellow", "pass": "green"}
WIDTH = 80
WIDTH_FOR_TITLES = 120
FINDINGS_SHOWN = 12  # of one case; the files have all


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
            yield _make_table(document, with_titles=options.max_width >= WIDTH_FOR_TITLES)
            yield Text("")
        for section in document.sections:
            if section.verdict.outcome != "pass":
                yield from _explain(section)
        yield _make_summary(document)


def _make_table(document: Document, *, with_titles: bool) -> RichTable:
    table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in document.overview.columns:
        if column.kind == "code":
            table.add_column(column.label, overflow="fold")
        else:
            justify = "right" if column.kind == "number" else "left"
            table.add_column(column.label, justify=justify, no_wrap=True)
    if with_titles:
        table.add_column("title", overflow="fold")
    for row, section in zip(document.overview.rows, document.sections, strict=True):
        cells = [_style_verdict(c) if isinstance(c, Verdict) else Text(c) for c in row]
        table.add_row(*cells, *([Text(section.title)] if with_titles else []))
    return table


def _style_verdict(verdict: Verdict) -> Text:
    return Text(str(verdict), style=STYLES[verdict.outcome])


def _explain(section: CaseSection) -> Iterator[RenderableType]:
    yield Text.assemble(_style_verdict(section.verdict), "  ", (section.name, "bold"))
    if section.error:
        yield Padding(Text(section.error), (0, 0, 0, 2), expand=False)
    found = [f for f in section.findings if f.verdict.outcome != "pass"]
    for finding in found[:FINDINGS_SHOWN]:
        verdict = (f"{finding.verdict}  ", STYLES[finding.verdict.outcome])
        own = [] if finding.verdict is section.verdict else [verdict]
        line = Text.assemble(*own, (finding.where, "bold"), ": ")
        yield Padding(line + Text(finding.reason), (0, 0, 0, 2), expand=False)
    if len(found) > FINDINGS_SHOWN:
        yield Padding(f"and {len(found) - FINDINGS_SHOWN} more leaves", (0, 0, 0, 2), expand=False)
    if not section.error and not found:
        yield Padding(Text(section.reason), (0, 0, 0, 2), expand=False)
    yield Text("")


def _make_summary(document: Document) -> Text:
    counts = ", ".join(f"{count} {label}" for label, count in document.counts)
    return Text.assemble((document.headline, STYLES[document.outcome]), "  ", f"({counts})")
