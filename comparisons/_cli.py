"""The commands ``run``, ``list`` and ``show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comparisons._discovery import DiscoveryError, find_cases, load_shipped_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comparisons._case import ParityCase
    from comparisons.report import Report

PROGRAM = "comparisons"
FILES = ("index.html", "report.json", "report.md")

# typer exports this one usage error; its base is the one that they all have.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Runs the same idea in JAX and in PyTorch, and says whether the two compute the same.",
    epilog="Exit status: 0 nothing failed; 1 a case failed; 2 bad arguments, or a package is "
    "missing; 130 interrupted.",
)


class CommandError(Exception):
    """The command line cannot be carried out; the text is the one line that says why."""


@app.command()
def run(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE|FILE]...",
            help="Names of cases (see 'list'), their beginnings such as tutorial/control, globs, "
            "or Python files that hold ParityCase objects. [default: every case]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the report here, as " + ", ".join(FILES) + ". [default: print it only]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Run cases on both frameworks, print the verdicts, and exit 1 if one failed."""
    import rich

    cases = find_cases(targets or [])
    if out is not None:
        _prepare_directory(out)
    report = _run_with_progress(cases)
    rich.print(report)
    if out is not None:
        for name in FILES:
            report.save(out / name)
        typer.echo("wrote " + ", ".join(str(out / name) for name in FILES))
    return 0 if report.ok else 1


@app.command("list")
def list_cases() -> int:
    """List the cases that this project ships, with their titles."""
    cases = load_shipped_cases()
    width = max(len(case.name) for case in cases)
    for case in cases:
        typer.echo(f"{case.name:{width}}  {case.title}")
    return 0


@app.command()
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CASE|FILE",
            help="A case's name, whose two sources are printed side by side; a Python file of "
            "cases; or a report.json, whose verdicts are printed again.",
        ),
    ],
) -> int:
    """Show a case's two sources, or a stored report; runs nothing."""
    import rich

    if target.endswith(".json"):
        rich.print(_load_report(Path(target)))
        return 0
    for case in find_cases([target]):
        _print_sources(case)
    return 0


def run_command(arguments: list[str] | None = None) -> int:
    """Carries out a command line and returns its exit status.

    Raises:
        CommandError: The arguments are not understood, or name what is not there.
    """
    try:
        status = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except _UsageError as error:
        text: str = getattr(error, "format_message")()  # noqa: B009 - its type is not exported
        raise CommandError(f"{' '.join(text.split())} (see --help)") from error
    except DiscoveryError as error:
        raise CommandError(str(error)) from error
    return status if isinstance(status, int) else 0


def _run_with_progress(cases: list[ParityCase]) -> Report:
    """Runs the cases with a bar on a terminal's standard error, and nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from comparisons._runner import run_cases

    console = Console(stderr=True)
    with Progress(
        TextColumn("comparing"),
        BarColumn(bar_width=24),  # fixed, or it would jump with the length of the names
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=len(cases))

        def watch() -> Iterator[ParityCase]:
            for case in cases:
                progress.update(task, description=case.name)
                yield case

        return run_cases(watch(), on_result=lambda result: progress.advance(task))


def _print_sources(case: ParityCase) -> None:
    from rich.console import Console, Group
    from rich.syntax import Syntax
    from rich.table import Table

    from comparisons._runner import read_source

    console = Console()
    table = Table(box=None, expand=True, padding=(0, 1))
    table.add_column("PyTorch", ratio=1)
    table.add_column("JAX", ratio=1)
    table.add_row(
        *(
            Syntax(read_source(fn), "python", theme="ansi_dark", word_wrap=True)
            for fn in (case.torch, case.jax)
        )
    )
    console.print(Group(f"[bold]{case.name}[/bold]  {case.title}", "", table, ""))
    if case.note:
        console.print(case.note + "\n", highlight=False)


def _load_report(path: Path) -> Report:
    from comparisons.report import Report

    try:
        return Report.load(path)
    except FileNotFoundError:
        raise CommandError(f"there is no file {str(path)!r}") from None
    except ValueError as error:
        raise CommandError(" ".join(str(error).split())) from error


def _prepare_directory(path: Path) -> None:
    """Fails before the run, not after it, if the report cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".comparisons-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CommandError(f"--out: cannot write to {str(path)!r}: {error.strerror}") from error
