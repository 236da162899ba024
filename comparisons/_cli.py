"""The command line; ``atlas`` and ``check-function`` are in ``_atlas/_command.py``."""

from __future__ import annotations

import shlex
from datetime import date
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from comparisons._atlas import _command
from comparisons._case import Case, DType
from comparisons._discovery import DiscoveryError, find_cases, load_shipped_cases
from comparisons._ledger import DEFAULT, LedgerError, apply_ledger, read_ledger, write_ledger
from comparisons._progress import run_with_progress
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
            "or Python files that hold ParityCase or TrainingCase objects. [default: every case]",
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
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report here, as data.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report here, as a page.", show_default=False),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit 1 for a warning that is not accepted, too, and for a ledger's "
            "entry without use.",
        ),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Run in N processes; one that dies costs one case."),
    ] = 1,
    dtype: Annotated[
        DType | None,
        typer.Option(help="The working dtype. [default: each case's own]", show_default=False),
    ] = None,
    power: Annotated[
        bool, typer.Option(help="Plant defects, to tell the smallest one that would be noticed.")
    ] = True,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Accept what this file lists (see 'accept'). [default: accept nothing]",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Run cases on both frameworks, print the verdicts, and exit 1 if one failed."""
    import rich

    cases = find_cases(targets or [])
    accepted = read_ledger(ledger) if ledger else None
    paths = {"--json": json, "--html": html}
    for option, path in paths.items():
        if path is not None:
            if path.suffix.lower() != f".{option[2:]}":
                raise CommandError(f"{option}: {str(path)!r} must end in .{option[2:]}")
            _prepare_directory(option, path.parent, path)
    if out is not None:
        _prepare_directory("--out", out)
    report = run_with_progress(targets or [], cases, jobs=jobs, dtype=dtype, power=power)
    problems: tuple[str, ...] = ()
    if accepted is not None:
        found, problems = apply_ledger(report.cases, accepted)
        report = Report(found, {**report.environment, "ledger": str(accepted.path)})
    rich.print(report)
    for problem in problems:
        typer.echo(f"ledger: {problem}")
    if accepted is not None:  # perhaps of a case that has another name by now; no warning
        ran = {case.name for case in report.cases}
        others = sorted({entry.case for entry in accepted.entries} - ran)
        if others:
            typer.echo(
                f"ledger: {accepted.path} has entries of cases that were not run: "
                + ", ".join(others)
            )
    files = [path for path in paths.values() if path]
    files += [out / name for name in FILES] if out else []
    for path in files:
        report.save(path)
    if files:
        typer.echo("wrote " + ", ".join(map(str, files)))
    warned = bool(report.summary["warn"] or problems)
    return 0 if report.ok and not (strict and warned) else 1


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
        _print_case(case)
    return 0


@app.command()
def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name of torch's autograd, whole or in part (torch.autograd.grad, "
            "Tensor.backward, no_grad), or of what stands in its place (jax.jvp); or, with --at, "
            "an operation of the atlas.",
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="X[,Y]",
            help="Show what an operation of the atlas gives at this point, on both sides.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Look a name of torch's autograd up: what stands in its place in JAX, and both run."""
    from rich.console import Console

    from comparisons._explain import find_rows, lay_out_facts, lay_out_list, lay_out_sources

    if at is not None:
        return _command.explain_at(name, at)
    rows, others = find_rows(name)
    console = Console()
    if len(rows) > 1:
        console.print(lay_out_list(name, rows + others), soft_wrap=True, highlight=False)
        return 0
    (row,) = rows
    console.print(lay_out_facts(row), "", soft_wrap=True, highlight=False)
    report = None
    if row.case is not None:
        console.print(lay_out_sources(row.case, console.width), "")
        report = run_with_progress([row.case.name], [row.case], jobs=1, dtype=None, power=False)
        console.print(report)
    if others:
        console.print(lay_out_list("", others), soft_wrap=True, highlight=False)
    return 0 if report is None or report.ok else 1


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="A stored report.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="The report to hold against it.")],
    json: Annotated[bool, typer.Option("--json", help="Print data for a machine.")] = False,
) -> int:
    """Say what changed between two reports; exit 1 if anything got worse."""
    from rich.console import Console

    from comparisons._diff import diff_reports

    found = diff_reports(_load_report(before), _load_report(after))
    if json:
        typer.echo(dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        Console().print(found, soft_wrap=True, highlight=False)
    return 1 if found.worse else 0


@app.command()
def accept(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json", help="A stored report.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")],
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE[:LEAF]]...",
            help="What to accept, e.g. net/loss or net/loss:vjp/0/w. [default: every warning]",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM-DD", help="The last day. [default: none]", show_default=False
        ),
    ] = None,
    ledger: Annotated[
        Path, typer.Option(metavar="FILE", help="The file that the entries are added to.")
    ] = Path(DEFAULT),
    also_failures: Annotated[
        bool, typer.Option("--also-failures", help="Accept verdicts that are failures, too.")
    ] = False,
) -> int:
    """Write results of a report that are no pass, and the reason, into a ledger for 'run'."""
    from comparisons._accept import AcceptError, choose_entries

    if not reason.strip():
        raise CommandError("--reason: say why in a few words")
    try:
        day = date.fromisoformat(expires) if expires else None
    except ValueError:
        raise CommandError(f"--expires: {expires!r} is no day such as 2027-06-30") from None
    if day and day < date.today():
        raise CommandError(f"--expires: {day} is over")
    try:
        entries = choose_entries(
            _load_report(report),
            targets or [],
            reason=reason.strip(),
            expires=day,
            also_failures=also_failures,
        )
    except AcceptError as error:
        raise CommandError(str(error)) from error
    try:
        write_ledger(ledger, entries)
    except OSError as error:
        raise CommandError(f"--ledger: cannot write {str(ledger)!r}: {error.strerror}") from error
    for entry in entries:
        typer.echo(f"accepted  {entry.case}:{entry.leaf}  {entry.verdict}")
    typer.echo(f"wrote {ledger}; give it to 'run' with --ledger {shlex.quote(str(ledger))}")
    return 0


app.command("atlas")(_command.atlas)
app.command("check-function")(_command.check_function)


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
    except (DiscoveryError, LedgerError) as error:
        raise CommandError(str(error)) from error
    if status == 130:  # typer's, for Ctrl-C
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _print_case(case: Case) -> None:
    from rich.console import Console
    from rich.text import Text

    from comparisons._explain import lay_out_sources

    console = Console()
    console.print(Text.assemble((case.name, "bold"), "  ", case.title), "")
    console.print(lay_out_sources(case, console.width), "")
    if case.note:
        console.print(Text(case.note), "")


def _load_report(path: Path) -> Report:
    try:
        return Report.load(path)
    except FileNotFoundError:
        raise CommandError(f"there is no file {str(path)!r}") from None
    except ValueError as error:
        raise CommandError(" ".join(str(error).split())) from error


def _prepare_directory(option: str, folder: Path, file: Path | None = None) -> None:
    """Fails before the run, not after it, if the report cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".comparisons-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        path = str(file or folder)
        raise CommandError(f"{option}: cannot write to {path!r}: {error.strerror}") from error
    if file is not None and file.is_dir():
        raise CommandError(f"{option}: {str(file)!r} is a folder")
