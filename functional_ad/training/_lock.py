"""One run at a time in a run directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Final

from functional_ad.training._errors import CommandError

_LOCK: Final = "lock"


@contextlib.contextmanager
def hold_lock(folder: Path) -> Generator[None]:
    """Keeps other runs out of a folder while the block runs.

    The lock is the operating system's: it is gone with the process, however that ends. The file
    stays, and says whose it was.

    Raises:
        CommandError: Another process has it, or the file cannot be written.
    """
    path = folder / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        message = f"--run-dir: cannot write {str(path)!r} ({error.strerror})"
        raise CommandError(message, status=1) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = read_owner(folder) or "another process"
            message = f"--run-dir: {str(folder)!r} is in use by {owner}"
            raise CommandError(message, status=1) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def read_owner(folder: Path) -> str | None:
    """Reads whose the lock is, or was last; None if that is not known."""
    try:
        return (folder / _LOCK).read_text(errors="replace").strip() or None
    except OSError:
        return None
