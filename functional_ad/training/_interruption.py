"""Ctrl-C and SIGTERM: the first lets the interval end, the second does not."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run: Ctrl-C, or SIGTERM.

    Attributes:
        number: The signal.
        status: The exit status that tells so: 130 or 143.
    """

    def __init__(self, number: int, message: str = "interrupted") -> None:
        self.number = number
        self.status = 128 + number
        super().__init__(message)


class Stop:
    """Whether the run is asked to stop.

    Attributes:
        signal: The signal that asks for it; None if none does.
    """

    def __init__(self) -> None:
        self.signal: int | None = None


@contextlib.contextmanager
def end_on_sigterm() -> Generator[None]:
    """Has SIGTERM end the block as Ctrl-C does: files are closed, and the process says so."""
    previous = signal.getsignal(signal.SIGTERM)
    if previous is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def raise_interrupted(number: int, frame: FrameType | None = None) -> None:
    """Ends what runs, with the exit status of the signal."""
    del frame
    raise Interrupted(number)


@contextlib.contextmanager
def watch_signals(say: Callable[[str], None]) -> Generator[Stop]:
    """Takes the first Ctrl-C or SIGTERM for a request to stop, and lets the next one end the block.

    Args:
        say: Called with what the first signal has led to.

    Yields:
        Whether the run is asked to stop: to be looked at after each interval.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise_interrupted(number, frame)
        stop.signal = number
        say("stopping after this interval; once more to stop at once")

    # A signal that the shell has the process ignore, as of a job in the background, stays ignored.
    previous = {
        number: signal.signal(number, handle)
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
