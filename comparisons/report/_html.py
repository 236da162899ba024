"""The report as one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from comparisons._verdict import Outcome
from comparisons.report._bars import draw_histogram
from comparisons.report._curves import Curves
from comparisons.report._document import CaseSection, Document, Mark
from comparisons.report._histogram import Histogram
from comparisons.report._legend import COUNTS_AS, LEAF_COLUMNS, MEANINGS, REMARKS, Column
from comparisons.report._steps import StepFigure

LIGHT, DARK = "default", "github-dark"  # both keep 4.5:1 on the page's code background
SYMBOLS: dict[Outcome, str] = {"fail": "✕", "warn": "!", "pass": "✓"}


def render_html(document: Document) -> str:
    """The whole report as one HTML page; the same document gives the same bytes."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "name": _let_break,
        "prose": _mark_code,
        "python": _highlight,
        "curves": _draw,
        "steps": _draw_steps,
        "histogram": _draw_bars,
    }
    environment.tests["mark"] = _is_mark
    script = _read("report.js")
    # The page's policy lets this script run and no other, and nothing be fetched.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(_read("template.html.jinja")).render(
        document=document,
        groups=_group_sections(document),
        head_groups=_group_columns(LEAF_COLUMNS),
        leaf_columns=LEAF_COLUMNS,
        meanings=[(Mark(v, v.outcome), meaning) for v, meaning in MEANINGS.items()],
        counts_as=COUNTS_AS,
        remarks=REMARKS,
        symbols=SYMBOLS,
        style=Markup(_read("report.css")),
        light=Markup(_code_style(LIGHT)),
        dark=Markup(_code_style(DARK)),
        script=Markup(script),
        script_digest=digest,
    )


def _is_mark(value: Any) -> bool:
    return isinstance(value, Mark)


def _read(name: str) -> str:
    return resources.files("comparisons.report").joinpath(name).read_text(encoding="utf-8")


def _code_style(style: str) -> str:
    return "\n".join(HtmlFormatter(style=style).get_token_style_defs(".code"))


def _mark_code(text: str) -> Markup:
    """A sentence with what it has in backticks as code; all other signs are what they are."""
    *pairs, last = text.split("`")
    if len(pairs) % 2:  # one stands alone: nothing is told to be code
        return escape(text)
    words = zip(pairs[::2], pairs[1::2], strict=True)
    marked = (Markup("{}<code>{}</code>").format(before, code) for before, code in words)
    return Markup().join(marked) + last


def _let_break(name: str) -> Markup:
    """A name that may go on in the next line behind an underscore, where it is too long."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _highlight(source: str) -> Markup:
    lexer = PythonLexer(stripnl=False)
    return Markup(highlight(source, lexer, HtmlFormatter(nowrap=True)).rstrip("\n"))


def _draw_steps(figure: StepFigure) -> Markup:
    from comparisons.report._step_plot import draw_steps  # Matplotlib is slow to import

    return Markup(draw_steps(figure))


def _draw(curves: Curves) -> Markup:
    from comparisons.report._plot import draw_curves  # Matplotlib is slow to import

    return Markup(draw_curves(curves))


def _draw_bars(histogram: Histogram) -> Markup:
    return Markup(draw_histogram(histogram))


def _group_sections(document: Document) -> list[tuple[str, list[tuple[str, CaseSection]]]]:
    """Neighbouring sections under the part of the name that they share: the table of contents."""
    groups: list[tuple[str, list[tuple[str, CaseSection]]]] = []
    for section in document.sections:
        parent, _, leaf = section.name.rpartition("/")
        if not groups or groups[-1][0] != parent:
            groups.append((parent, []))
        groups[-1][1].append((leaf, section))
    return groups


def _group_columns(columns: tuple[Column, ...]) -> list[tuple[str, list[Column]]]:
    """Neighbouring columns by their shared heading; a column without one stands alone."""
    groups: list[tuple[str, list[Column]]] = []
    for column in columns:
        if column.group and groups and groups[-1][0] == column.group:
            groups[-1][1].append(column)
        else:
            groups.append((column.group, [column]))
    return groups
