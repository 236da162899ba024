"""Cases in several processes; a process that dies costs one case.

Functions do not travel between processes, so a worker finds its cases again, by target and name. A
pool of the standard library is given up when one of its processes dies, so these are kept by hand.
"""

from __future__ import annotations

import faulthandler
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from comparisons._case import DType, ParityCase
from comparisons._results import CaseResult

LINES_SHOWN = 20  # of what a process had written when it died


def run_in_workers(
    targets: Sequence[str],
    cases: Sequence[ParityCase],
    jobs: int,
    *,
    dtype: DType | None = None,
    power: bool = False,
    on_result: Callable[[CaseResult], None] | None = None,
    on_output: Callable[[str, str], None] | None = None,
) -> tuple[CaseResult, ...]:
    """Runs cases in worker processes, each case once.

    Args:
        targets: What ``find_cases`` found the cases by; workers give it the same.
        cases: The cases.
        jobs: How many processes at most.
        dtype: As for ``run_cases``.
        power: As for ``run_cases``.
        on_result: Called with each result as it comes.
        on_output: Called with a case's name and what its functions wrote to standard output and
            standard error, unless they ended their process: then the result has it.

    Returns:
        One result per case, in their order, whichever came first.
    """
    results: dict[int, CaseResult] = {}
    queue = list(range(len(cases)))[::-1]
    with tempfile.TemporaryDirectory(prefix="comparisons-") as folder, _group() as workers:
        while len(results) < len(cases):
            while queue and len(workers) < min(jobs, len(cases)):
                output = Path(folder, f"output-{len(queue)}")
                workers.append(_Worker(tuple(targets), output, dtype, power, jobs))
                _give(workers[-1], queue, cases)
            busy = {worker.connection: worker for worker in workers if worker.task is not None}
            for connection in wait(list(busy)):
                worker = busy[cast("Any", connection)]
                index = worker.task
                assert index is not None
                result = worker.receive()
                output = worker.read_output()
                if result is None:
                    workers.remove(worker)
                    result = _describe_death(cases[index], worker.stop(), output, dtype)
                else:
                    if queue:
                        _give(worker, queue, cases)
                    if output and on_output is not None:
                        on_output(cases[index].name, output)
                results[index] = result
                if on_result is not None:
                    on_result(result)
    return tuple(results[index] for index in range(len(cases)))


class _Worker:
    """One process, the connection to it, and the case that it is at."""

    def __init__(
        self, targets: tuple[str, ...], output: Path, dtype: DType | None, power: bool, jobs: int
    ):
        context = multiprocessing.get_context("spawn")  # JAX and torch have threads: no fork
        self.connection, other = context.Pipe()
        self.output = output
        self.read = 0
        self.task: int | None = None
        self.process: BaseProcess = context.Process(
            target=_serve, args=(other, targets, str(output), dtype, power, jobs)
        )
        files = (Path(target) for target in targets if target.endswith(".py"))
        folders = {str(file.resolve().parent) for file in files}
        with _interrupt_ignored(), _path_without(folders):
            self.process.start()
        other.close()  # so that the connection ends with the process

    def send(self, task: int, name: str) -> None:
        self.task = task
        with suppress(OSError):  # it is dead, which the next receive will find
            self.connection.send(name)

    def receive(self) -> CaseResult | None:
        """A result; None if the process is dead."""
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.task = None
        return result

    def read_output(self) -> str:
        """What was written since the last time."""
        try:
            with self.output.open("rb") as file:
                file.seek(self.read)
                found = file.read()
        except FileNotFoundError:
            return ""
        self.read += len(found)
        return found.decode(errors="replace")

    def stop(self) -> int | None:
        """Ends the process, if it has not ended, and returns its exit status."""
        self.connection.close()
        self.process.join(5.0)
        for end in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                end()
                self.process.join(5.0)
        return self.process.exitcode


def _give(worker: _Worker, queue: list[int], cases: Sequence[ParityCase]) -> None:
    task = queue.pop()
    worker.send(task, cases[task].name)


@contextmanager
def _group() -> Generator[list[_Worker]]:
    """A list of workers, all of which have ended afterwards, whatever happens."""
    workers: list[_Worker] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.connection.close()  # one that waits for a task ends by itself
            if worker.task is not None:
                worker.process.terminate()
        for worker in workers:
            worker.stop()


@contextmanager
def _interrupt_ignored() -> Generator[None]:
    """A process that starts in here never sees Ctrl-C: its parent ends it, without tracebacks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _path_without(folders: set[str]) -> Generator[None]:
    """A process that starts in here gets no modules from the folders of its files of cases.

    It adds them when it loads the files. Earlier, a copy.py beside one would be taken for Python's.
    """
    before = sys.path[:]
    sys.path[:] = [path for path in before if path not in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def _describe_death(
    case: ParityCase, status: int | None, output: str, dtype: DType | None
) -> CaseResult:
    from comparisons._runner import read_source

    if status is not None and status < 0:
        try:
            how = f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            how = f"was ended by signal {-status}"
    else:
        how = f"ended with exit status {status}"
    said = "\nIt last wrote:\n" + last if (last := _find_last_words(output)) else ""
    return CaseResult(
        name=case.name,
        title=case.title,
        leaves=(),
        error=f"The process that ran this case {how}.{said}",
        jax_source=read_source(case.jax),
        torch_source=read_source(case.torch),
        note=case.note,
        citation=case.citation,
        curves=case.curves,
        dtype=dtype or case.dtype,
    )


def _find_last_words(output: str) -> str:
    """The end of what was written, or the beginning of Python's own report of a crash."""
    _, crash, report = output.rpartition("Fatal Python error:")
    if not crash:
        return "\n".join(output.rstrip().splitlines()[-LINES_SHOWN:])
    # Frames are innermost first: below here they are ours. A crash's are written in ASCII.
    own = str(Path(__file__).parent / "_").encode("ascii", "backslashreplace").decode()
    lines = itertools.takewhile(lambda line: own not in line, (crash + report).splitlines())
    return "\n".join(itertools.islice(lines, LINES_SHOWN)).rstrip()


def _serve(
    connection: Connection[Any, Any],
    targets: tuple[str, ...],
    output: str,
    dtype: DType | None,
    power: bool,
    jobs: int,
) -> None:
    """A worker: runs the cases whose names it is sent, until there are no more."""
    # Whatever a function writes, from C too, goes into a file: the terminal is the report's.
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    faulthandler.enable()
    # Several processes on one accelerator: none may take all of its memory at its start. And on the
    # same cores: threads of torch that wait for each other there take many times as long.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))

    from comparisons._discovery import DiscoveryError, find_cases
    from comparisons._runner import run_cases

    try:
        cases = {case.name: case for case in find_cases(targets)}
    except DiscoveryError as error:
        sys.exit(f"{error}")
    while True:
        try:
            name: str = connection.recv()
        except EOFError:
            return
        if name not in cases:
            sys.exit(f"there was no case {name!r} when its file was loaded again")
        result = run_cases([cases[name]], dtype=dtype, power=power).cases[0]
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(result)
