"""Tasks in several processes: one that dies, or that does not answer in time, costs one task.

A pool of the standard library is given up when one of its processes dies, so these are kept by
hand.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

LINES_SHOWN = 20  # of what a process had written when it died
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class End:
    """How a process ended that owed an answer.

    Attributes:
        status: Its exit status; negative, the signal that ended it.
        said: The last lines that it wrote.
        late: Whether it was ended because it took too long.
    """

    status: int | None
    said: str
    late: bool = False

    def describe(self) -> str:
        """What happened to it, e.g. ``"was ended by SIGKILL"``."""
        if self.status is None or self.status >= 0:
            return f"ended with exit status {self.status}"
        try:
            return f"was ended by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"was ended by signal {-self.status}"


@dataclasses.dataclass(frozen=True)
class Service(Generic[T]):
    """What the processes do.

    Attributes:
        load: Called once in each process, with ``arguments``; returns the function that makes an
            answer of a task. Both have to be found by name, as processes are started afresh.
        arguments: What ``load`` gets.
        replace: Makes the answer of a task whose process ended without one.
        limit: Seconds that a task may take, a process's start not counted; None for no limit.
        hidden: Folders that are not on the path while a process starts.
    """

    load: Callable[..., Callable[[str], T]]
    arguments: tuple[Any, ...]
    replace: Callable[[int, End], T]
    limit: float | None = None
    hidden: frozenset[str] = frozenset()


def run_tasks(
    service: Service[T],
    tasks: Sequence[str],
    jobs: int,
    *,
    on_result: Callable[[int, T], None] | None = None,
    on_output: Callable[[int, str], None] | None = None,
) -> list[T]:
    """Gives tasks to processes, one at a time to each.

    Args:
        service: What the processes do.
        tasks: The tasks, by what a process knows them by.
        jobs: How many processes at most.
        on_result: Called with a task's index and each answer as it comes.
        on_output: Called with a task's index and what it wrote to standard output and standard
            error, unless its process ended: then ``service.replace`` gets it.

    Returns:
        One answer per task, in their order, whichever came first.
    """
    results: dict[int, T] = {}
    queue = list(range(len(tasks)))[::-1]
    with tempfile.TemporaryDirectory(prefix="comparisons-") as folder, _group() as workers:
        while len(results) < len(tasks):
            while queue and len(workers) < min(jobs, len(tasks)):
                output = Path(folder, f"output-{len(queue)}")
                workers.append(_Worker(service, output, jobs))
                workers[-1].give(queue.pop(), tasks)
            for worker in _wait(workers):
                index = worker.task
                assert index is not None
                answer = worker.receive()
                output = worker.read_output()
                if answer is None:
                    workers.remove(worker)
                    late = worker.is_late
                    result = service.replace(
                        index, End(worker.stop(), find_last_words(output), late)
                    )
                else:
                    (result,) = answer
                    if queue:
                        worker.give(queue.pop(), tasks)
                    if output and on_output is not None:
                        on_output(index, output)
                results[index] = result
                if on_result is not None:
                    on_result(index, result)
    return [results[index] for index in range(len(tasks))]


class _Worker(Generic[T]):
    """One process, the connection to it, and the task that it is at."""

    def __init__(self, service: Service[T], output: Path, jobs: int):
        context = multiprocessing.get_context("spawn")  # JAX and torch have threads: no fork
        self.connection, other = context.Pipe()
        self.output = output
        self.read = 0
        self.task: int | None = None
        self.limit = service.limit
        self.began: float | None = None  # when it was seen to have begun with its task
        self.process: BaseProcess = context.Process(
            target=_serve, args=(other, service.load, service.arguments, str(output), jobs)
        )
        with _interrupt_ignored(), _path_without(service.hidden):
            self.process.start()
        other.close()  # so that the connection ends with the process

    @property
    def is_late(self) -> bool:
        """Whether its task has taken longer than it may."""
        begun = self.began is not None and self.limit is not None
        return begun and time.monotonic() - cast("float", self.began) > cast("float", self.limit)

    def give(self, index: int, tasks: Sequence[str]) -> None:
        """Gives it a task."""
        self.task = index
        with suppress(OSError):  # it is dead, which the next receive will find
            self.connection.send(tasks[index])

    def receive(self) -> tuple[T] | None:
        """An answer; None if the process is dead, or is to be."""
        if not self.connection.poll():
            return None  # it is late
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.task = self.began = None
        return answer

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
        if not self.is_late:
            self.process.join(5.0)
        for end in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                end()
                self.process.join(5.0)
        return self.process.exitcode


_BEGUN = "begun"  # what a process sends when it has a task in hand


def _wait(workers: Sequence[_Worker[T]]) -> list[_Worker[T]]:
    """The workers that have an answer, are dead, or are late; waits for the first."""
    while True:
        busy = {worker.connection: worker for worker in workers if worker.task is not None}
        limits = [
            worker.began + worker.limit - time.monotonic()
            for worker in busy.values()
            if worker.began is not None and worker.limit is not None
        ]
        timeout = max(0.0, min(limits)) + 0.01 if limits else None
        found: list[_Worker[T]] = []
        for connection in wait(list(busy), timeout):
            worker = busy[cast("Any", connection)]
            try:
                begun = worker.began is None and worker.connection.recv() == _BEGUN
            except (EOFError, OSError):
                begun = False
            if begun:
                worker.began = time.monotonic()
            else:
                found.append(worker)
        found += [worker for worker in busy.values() if worker.is_late and worker not in found]
        if found:
            return found


@contextmanager
def _group() -> Generator[list[_Worker[Any]]]:
    """A list of workers, all of which have ended afterwards, whatever happens."""
    workers: list[_Worker[Any]] = []
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
def _path_without(folders: frozenset[str]) -> Generator[None]:
    """A process that starts in here gets no modules from these folders.

    It adds them when it loads its files. Earlier, a copy.py in one would be taken for Python's.
    """
    before = sys.path[:]
    sys.path[:] = [path for path in before if path not in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def find_last_words(output: str) -> str:
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
    load: Callable[..., Callable[[str], Any]],
    arguments: tuple[Any, ...],
    output: str,
    jobs: int,
) -> None:
    """A worker: does the tasks that it is sent, until there are no more."""
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
    answer = load(*arguments)
    while True:
        try:
            task: str = connection.recv()
        except EOFError:
            return
        connection.send(_BEGUN)
        result = answer(task)
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send((result,))
