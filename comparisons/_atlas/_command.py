"""The command ``atlas``."""

from __future__ import annotations

import difflib
import fnmatch
import json as json_module
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from comparisons._atlas._row import DTYPES, Row
from comparisons._discovery import DiscoveryError
from comparisons.cases.atlas import OPS, Op

WIDTH = 120  # of a pipe
ORDERS = ("value", "vjp", "jvp", "hvp")


def find_ops(names: Sequence[str]) -> list[Op]:
    """The operations that names mean: whole names, families, globs, else parts of names.

    Raises:
        DiscoveryError: A name means none; the text has the nearest.
    """
    if not names:
        return list(OPS)
    found: dict[str, Op] = {}
    for name in names:
        wanted = name.lower()
        for fits in (_is_name, _is_stem, _is_family, _is_glob, _is_part):
            own = [op for op in OPS if fits(op, wanted)]
            if own:
                break
        else:
            known = [*map(_find_stem, OPS), *(op.name.lower() for op in OPS)]
            (near,) = difflib.get_close_matches(wanted, known, 1, 0.0)
            raise DiscoveryError(f"the atlas has no operation {name!r}; the nearest is {near!r}")
        found |= {op.name: op for op in own}
    return list(found.values())


def _is_name(op: Op, wanted: str) -> bool:
    return op.name.lower() == wanted


def _is_stem(op: Op, wanted: str) -> bool:
    return _find_stem(op) == wanted


def _find_stem(op: Op) -> str:
    """The name without what is chosen: ``"clamp"`` of ``"clamp(-1, 1), lax"``."""
    return op.name.lower().partition("(")[0].partition(",")[0].strip()


def _is_family(op: Op, wanted: str) -> bool:
    return op.family.lower() == wanted


def _is_glob(op: Op, wanted: str) -> bool:
    return fnmatch.fnmatchcase(op.name.lower(), wanted)


def _is_part(op: Op, wanted: str) -> bool:
    return wanted in op.name.lower() or wanted in op.jax.lower()


def atlas(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OP]...",
            help="Operations (clamp, 'fft.*'), or families (activations). [default: all]",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(DTYPES),
            help="Try this dtype only; may be repeated. [default: all three]",
            show_default=False,
        ),
    ] = None,
    order: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(ORDERS),
            help="Try this quantity only; may be repeated. [default: all four]",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Run in N processes.")] = 2,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the page here.", show_default=False),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all rows here, as data.", show_default=False),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="Say what is another than the results that came with this package; "
            "exit 1 if anything is.",
        ),
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Say what is another than --store kept in this file.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep verdicts and errors here, for --against.",
            show_default=False,
        ),
    ] = None,
    unexplained: Annotated[
        bool,
        typer.Option(
            "--unexplained",
            help="List the differences that nothing is said of; exit 1 if there are any.",
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep rows and compiled programs here. [default: the user's cache folder]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="End an operation that takes longer.")
    ] = 90.0,
) -> int:
    """Try operations that both frameworks have, at ordinary points and at their edges."""
    from rich.console import Console

    from comparisons._atlas import _text
    from comparisons._atlas._stored import (
        STORED,
        StoredError,
        find_changes,
        name_versions,
        read_stored,
        write_stored,
    )
    from comparisons._atlas._unexplained import find_unexplained
    from comparisons._environment import describe_environment

    orders = _choose("--order", order, ORDERS)
    ops = [op for op in find_ops(names or []) if set(op.orders) & set(orders)]
    if not ops:
        raise DiscoveryError(f"--order: none of these operations has {' or '.join(orders)}")
    kept = against or (STORED if diff else None)
    try:
        stored = None if kept is None else read_stored(kept)
    except StoredError as error:
        raise DiscoveryError(f"{'--against' if against else '--diff'}: {error}") from error
    dtypes = _choose("--dtype", dtype, DTYPES)
    start = time.perf_counter()
    rows = run_with_bar(ops, jobs, dtypes, orders, cache or find_cache(), limit)
    seconds = time.perf_counter() - start
    environment = describe_environment()
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    if len(rows) == 1:
        _text.print_lines(console, _text.lay_out_row(ops[0], rows[0]))
    else:
        _text.print_lines(console, _text.lay_out_rows(rows), _text.lay_out_counts(rows))
    _text.print_lines(console, f"{_text.count_rows(rows)} ({seconds:.0f} s)")
    if html is not None:
        from comparisons._atlas._page import render_page

        html.write_text(render_page(rows, environment), encoding="utf-8")
        typer.echo(f"wrote {html}")
    if json is not None:
        data = {"environment": environment, "rows": [row.to_data() for row in rows]}
        json.write_text(json_module.dumps(data), encoding="utf-8")
        typer.echo(f"wrote {json}")
    if store is not None:
        write_stored(store, rows, environment)
        typer.echo(f"wrote {store}")
    failed = False
    if unexplained:
        found = {op.name: find_unexplained(op, row) for op, row in zip(ops, rows, strict=True)}
        _text.print_lines(console, _text.lay_out_unexplained(found))
        failed = any(found.values())
    if stored is not None:
        whole = not names and dtype is None and order is None
        changes = find_changes(stored, rows, whole=whole)
        _text.print_lines(console, _text.lay_out_changes(changes, name_versions(stored)))
        failed = failed or bool(changes)
    return 1 if failed else 0


def check_function(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE:FUNCTION", help="A function of JAX arrays in a Python file."),
    ],
    inputs: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What holds its arguments in that file: a tuple, or a function that makes one.",
        ),
    ] = "inputs",
) -> int:
    """Say where a function comes to an edge at which PyTorch and JAX differ; exit 1 if it does."""
    from rich.console import Console

    from comparisons._atlas import _text
    from comparisons._atlas._check import check_function as check
    from comparisons._discovery import load_module

    path, _, name = target.rpartition(":")
    if not path or not name:
        raise DiscoveryError(f"{target!r} must be a file and a function, as in model.py:loss")
    module = load_module(Path(path))
    for key in (name, inputs):
        if not hasattr(module, key):
            raise DiscoveryError(f"{path!r} has no {key!r}")
    fn, arguments = (getattr(module, key) for key in (name, inputs))
    if not callable(fn):
        raise DiscoveryError(f"{name!r} in {path!r} is no function")
    arguments = arguments() if callable(arguments) else arguments
    if not isinstance(arguments, tuple):
        raise DiscoveryError(f"{inputs!r} in {path!r} must be a tuple of the function's arguments")
    traps = check(fn, *arguments)
    _text.print_lines(Console(), _text.lay_out_traps(traps))
    return 1 if traps else 0


def explain_at(name: str, at: str) -> int:
    """Prints what an operation gives at a point."""
    from rich.console import Console

    from comparisons._atlas._at import lay_out_readings
    from comparisons._atlas._text import print_lines

    try:
        point = tuple(float(part) for part in at.split(","))
    except ValueError:
        raise DiscoveryError(f"--at: {at!r} is no number, or numbers with commas") from None
    ops = [op for op in find_ops([name]) if op.is_pointwise]
    fitting = [op for op in ops if op.arity == len(point)]
    if not fitting:
        wanted = (
            f"{ops[0].arity} numbers, as in --at {','.join(['1.0'] * ops[0].arity)}"
            if ops
            else ("none: it is an operation on whole arrays, see 'atlas'")
        )
        raise DiscoveryError(f"--at: {name!r} takes {wanted}; got {at!r}")
    print_lines(Console(), *(lay_out_readings(op, point) for op in fitting))
    return 0


def find_cache() -> Path:
    """The folder for rows and compiled programs."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("functional-ad")) / "atlas"


def run_with_bar(
    ops: Sequence[Op],
    jobs: int,
    dtypes: tuple[str, ...],
    orders: tuple[str, ...],
    cache: Path,
    limit: float,
) -> list[Row]:
    """Examines operations, with a bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from comparisons._atlas._run import run_atlas

    console = Console(stderr=True)
    with Progress(
        TextColumn("examining"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=len(ops))
        return run_atlas(
            ops,
            jobs,
            dtypes=dtypes,
            orders=orders,
            cache=cache,
            limit=limit,
            on_row=lambda row: progress.update(task, advance=1, description=row.name),
        )


def _choose(option: str, given: list[str] | None, known: tuple[str, ...]) -> tuple[Any, ...]:
    unknown = [name for name in given or [] if name not in known]
    if unknown:
        raise DiscoveryError(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
    return tuple(name for name in known if not given or name in given)
