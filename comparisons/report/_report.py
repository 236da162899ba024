"""Report: what ``compare`` and ``python -m comparisons run`` give back."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparisons._results import CaseResult, summarize
from comparisons._verdict import Verdict, worst
from comparisons.report._json import SCHEMA, decode_cases, encode, encode_case

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """The results of some cases, and where they were had. Plain data; rendering comes last.

    ``print(report)`` gives the verdict table, ``rich.print(report)`` the same in colour and as wide
    as the terminal is. PyTorch's nearest is the text of ``torch.testing.assert_close``'s error.

    Attributes:
        cases: One result per case, in the order in which they ran.
        environment: Versions, devices, precision, threads: whatever may explain a difference.

    Example:
        >>> from comparisons._results import CaseResult, LeafResult
        >>> leaf = LeafResult(path="y", quantity="value", verdict=Verdict.IDENTICAL, reason="-")
        >>> report = Report((CaseResult(name="square", title="x squared", leaves=(leaf,)),), {})
        >>> report.ok, report.verdict
        (True, <Verdict.IDENTICAL: 'IDENTICAL'>)
        >>> Report.from_dict(report.to_dict()) == report
        True
    """

    cases: tuple[CaseResult, ...]
    environment: dict[str, str | int | bool | list[Any]]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all cases; STRUCTURE if there is none."""
        return worst(case.verdict for case in self.cases)

    @property
    def ok(self) -> bool:
        """Whether there is at least one case and none failed."""
        return bool(self.summary["ok"])

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of cases by verdict and by outcome."""
        return summarize(self.cases)

    def to_dict(self) -> dict[str, Any]:
        """The whole report as strict-JSON data, as ``schema.json`` describes it.

        Returns:
            A new dict of dicts, lists, text, numbers and None; nothing of it is shared.
        """
        return {
            "schema": SCHEMA,
            "environment": encode(self.environment),
            "cases": [encode_case(case) for case in self.cases],
            "summary": self.summary,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Report:
        """The inverse of ``to_dict``.

        Fields that this version does not know are ignored: within one schema version fields are
        only ever added. What follows from the rest (a case's verdict, the summary) is worked out
        anew, so a report cannot contradict itself.

        Args:
            d: What ``to_dict`` gave, here or in another version with the same schema.

        Returns:
            A report equal to the one that was written.

        Raises:
            ValueError: If ``d`` is no report, is one of another schema version, or has a field of
                the wrong type.
        """
        if not isinstance(d, Mapping) or "schema" not in d:
            got = f"keys {sorted(map(str, d))}" if isinstance(d, Mapping) else type(d).__name__
            raise ValueError(_unreadable(f'an object with "schema": "{SCHEMA}"', got))
        if d["schema"] != SCHEMA:
            advice = "Read it with the version that wrote it, or run the comparison again."
            got = f'"schema": {json.dumps(d["schema"], default=repr)}'
            raise ValueError(_unreadable(f'"schema": "{SCHEMA}"', got, advice))
        environment = d.get("environment")
        if not isinstance(environment, Mapping):
            raise ValueError(_unreadable("environment: an object", repr(environment)))
        try:
            cases = decode_cases(d.get("cases"))
        except ValueError as error:
            raise ValueError(_unreadable("fields as schema.json has them", str(error))) from None
        return cls(cases, copy.deepcopy(dict(environment)))

    def to_json(self) -> str:
        """``to_dict`` as strict JSON text.

        Returns:
            The text, without a bare NaN: any JSON parser reads it.
        """
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the report in the format that the suffix names.

        The file appears whole or not at all; missing parent directories are made.

        Args:
            path: Ends in ``.html``, ``.json``, ``.md`` or ``.txt``.

        Raises:
            ValueError: If the suffix is another one.
        """
        path = Path(path)
        try:
            render = RENDERERS[path.suffix.lower()]
        except KeyError:
            raise ValueError(
                f"`Report.save(path=...)` must end in a suffix that names a format.\n"
                f"  expected: {', '.join(RENDERERS)}\n"
                f"  got:      {path.suffix!r} in {str(path)!r}"
            ) from None
        _write_whole(path, render(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Reads a report back from its JSON file.

        Args:
            path: A file that ``save`` wrote with the suffix ``.json``.

        Returns:
            A report equal to the one that was saved; it renders to the same text and HTML.

        Raises:
            ValueError: If the file is not strict JSON, no report, or of another schema version.
            FileNotFoundError: If there is no such file.
        """
        place = os.fspath(path)
        try:
            text = Path(path).read_text(encoding="utf-8")
            data = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:  # from json, or from the UTF-8 decoder
            raise ValueError(f"{place}: {_unreadable('strict JSON', str(error))}") from None
        try:
            return cls.from_dict(data)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    def __eq__(self, other: object) -> bool:
        """By what is written to JSON, where NaN equals NaN."""
        return self.to_dict() == other.to_dict() if isinstance(other, Report) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it holds a dict

    def __str__(self) -> str:
        """The verdict table for a terminal of 80 columns, without colours."""
        return _render_text(self).rstrip("\n")

    def __rich__(self) -> RenderableType:
        """The verdict table in colour, as wide as the console."""
        from comparisons.report._document import build_document
        from comparisons.report._text import TerminalDocument

        return TerminalDocument(build_document(self))


def _unreadable(expected: str, got: str, advice: str = "") -> str:
    lines = "`Report.from_dict(d)` must be a report that this version can read."
    lines += f"\n  expected: {expected}\n  got:      {got}"
    return f"{lines}\n{advice}" if advice else lines


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write it as a string")


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the replacement stays within one file system.
    temporary = path.parent / f".report-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        # A lone surrogate, which UTF-8 cannot hold, becomes \udXXX: in JSON that is its escape.
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _render_html(report: Report) -> str:
    from comparisons.report._document import build_document
    from comparisons.report._html import render_html

    return render_html(build_document(report))


def _render_markdown(report: Report) -> str:
    from comparisons.report._document import build_document
    from comparisons.report._markdown import render_markdown

    return render_markdown(build_document(report))


def _render_text(report: Report) -> str:
    from comparisons.report._document import build_document
    from comparisons.report._text import render_text

    return render_text(build_document(report))


RENDERERS: dict[str, Callable[[Report], str]] = {
    ".html": _render_html,
    ".json": Report.to_json,
    ".md": _render_markdown,
    ".txt": _render_text,
}
