"""All operations, in worker processes: one that never returns costs one row."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from comparisons._atlas._row import Row, read_row
from comparisons._processes import End, Service, run_tasks
from comparisons.cases.atlas import OPS, Op

LIMIT = 90.0  # seconds; the slowest operation takes a tenth of it on a busy machine
_VERSIONS = ("jax", "jaxlib", "torch", "optax", "numpy", "mpmath", "sympy")  # rows depend on them
# Files that rows do not depend on: they run the others, or show and keep what those found.
_SHOW = frozenset(
    ("_at", "_check", "_command", "_page", "_run", "_stored", "_text", "_unexplained", "_view")
)


def run_atlas(
    ops: Sequence[Op],
    jobs: int,
    *,
    dtypes: tuple[str, ...],
    orders: tuple[str, ...] = ("value", "vjp", "jvp", "hvp"),
    cache: Path,
    limit: float = LIMIT,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Examines operations, each in a process that may hang or die.

    Rows are kept in ``cache`` as they come, so that a run that was interrupted goes on where it
    was; they are used again while the operation, the engine and both frameworks are the same.

    Args:
        ops: The operations.
        jobs: How many processes.
        dtypes: The dtypes.
        orders: The quantities, as far as they mean something for an operation.
        cache: A folder for rows, and for what XLA compiles.
        limit: Seconds that an operation may take.
        on_row: Called with each row as it comes.

    Returns:
        A row for each operation, in their order.
    """
    key = describe_engine()
    paths = [cache / "rows" / f"{_make_key(op, (dtypes, orders), key)}.json" for op in ops]
    rows: dict[int, Row] = {}
    for i, path in enumerate(paths):
        if (row := _read(path)) is not None:
            rows[i] = row
            if on_row is not None:
                on_row(row)
    todo = [i for i in range(len(ops)) if i not in rows]

    def keep(place: int, row: Row) -> None:
        if not row.trouble:
            _write(paths[todo[place]], row)
        if on_row is not None:
            on_row(row)

    service = Service(
        load=_load,
        arguments=(dtypes, orders, str(cache / "xla")),
        replace=lambda place, end: _describe_end(ops[todo[place]], end, limit),
        limit=limit,
    )
    found = run_tasks(service, [ops[i].name for i in todo], jobs, on_result=keep)
    rows |= dict(zip(todo, found, strict=True))
    return [rows[i] for i in range(len(ops))]


def describe_engine() -> str:
    """What rows depend on beside their operation: the code here, and the frameworks."""
    from importlib.metadata import version

    here = Path(__file__).parent
    sources = [path for path in here.glob("*.py") if path.stem not in _SHOW]
    sources += (here.parent / "cases/atlas").glob("_*.py")
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    versions = " ".join(f"{name} {version(name)}" for name in _VERSIONS)
    return f"{versions} {digest.hexdigest()}"


def _make_key(op: Op, choice: object, engine: str) -> str:
    tried = dataclasses.replace(op, remarks=())  # what is said of it changes nothing
    return hashlib.sha256(f"{tried!r} {choice} {engine}".encode()).hexdigest()[:32]


def _read(path: Path) -> Row | None:
    try:
        return read_row(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # there is none, or it is half-written


def _write(path: Path, row: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(row.to_data()), encoding="utf-8")
    part.replace(path)


def _describe_end(op: Op, end: End, limit: float) -> Row:
    verdict = "HUNG" if end.late else "CRASHED"
    why = (
        f"it had not returned after {limit:.0f} s" if end.late else f"its process {end.describe()}"
    )
    said = f": {end.said.splitlines()[-1]}" if end.said and not end.late else ""
    return Row(name=op.name, family=op.family, trouble=f"{verdict}: {why}{said}")


def _load(dtypes: tuple[str, ...], orders: tuple[str, ...], cache: str) -> Callable[[str], Row]:
    """In a worker: makes ready, and returns what examines an operation by its name."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    ops = {
        op.name: dataclasses.replace(op, orders=tuple(o for o in op.orders if o in orders))
        for op in OPS
    }
    return functools.partial(_examine, ops, dtypes)


def _examine(ops: dict[str, Op], dtypes: tuple[str, ...], name: str) -> Row:
    from comparisons._atlas._examine import examine

    return examine(ops[name], dtypes)
