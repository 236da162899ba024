"""Several processes in one run, on one host or on many: how they join, and how they end.

A process that dies ends the others. They learn of it from the collective operation that it is
missing in, at once; or, if its host is gone without a word, within `HEARTBEAT_SECONDS`. JAX then
aborts: that is made one line here, with the exit status 1.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np

from functional_ad.training._errors import CommandError
from functional_ad.training._execution import AUTO, Execution

HEARTBEAT_SECONDS: Final = 30
"""How long a process may be silent before the others take it for dead (100 by default in JAX)."""

JOIN_SECONDS: Final = 60
"""How long a process waits for the others at the start (300 by default in JAX)."""

_LOST: Final = "another process of this run has ended or cannot be reached"
_AGAIN: Final = "; to go on from the last checkpoint, start each of them again with its own command"
# What the libraries say where a process is missing: gloo on CPUs, NCCL on GPUs, JAX's service.
_SIGNS: Final = re.compile(
    r"gloo|nccl|coordination.?service|heartbeat|connection (reset|closed)|socket closed", re.I
)

_lost: str = _LOST  # with what is to be done
_last_words: bytes = b""  # what an abort is told as
_keep_alive: list[Any] = []  # ctypes holds no reference to what it hands to C


def join_processes(execution: Execution, program: str) -> None:
    """Joins the other processes of the run: to be called before JAX computes anything.

    What the libraries below print goes to ``process-N.log`` in the run directory.

    Raises:
        CommandError: The address cannot be used.
    """
    global _lost
    folder = None if execution.run_dir is None else Path(execution.run_dir)
    log = Path(os.devnull) if folder is None else folder / f"process-{os.getpid()}.log"
    where = "" if folder is None else f" (details are in {folder}/process-*.log)"
    _lost = _LOST if folder is None else f"{_LOST}{_AGAIN}{where}"
    divert_output(log)
    address = execution.coordinator
    _say_on_abort(
        f"{program}: error: --coordinator: not all processes have joined at {address} within "
        f"{JOIN_SECONDS} s{where}\n"
    )
    # Its handler of SIGTERM would take the place of ours.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address=None if address == AUTO else address,
            # By default JAX listens on all of the host's addresses.
            coordinator_bind_address=address if _is_loopback(address) else None,
            num_processes=execution.num_processes,
            process_id=execution.process_id,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise CommandError(
            f"--coordinator: cannot use {address} ({text}){where}", status=1
        ) from error
    if folder is not None:
        log.rename(folder / f"process-{jax.process_index()}.log")
    _say_on_abort(f"{program}: error: {_lost}\n")


def _is_loopback(address: str | None) -> bool:
    return bool(re.match(r"(127\.|localhost:|\[::1\]:)", address or ""))


def find_loss(error: BaseException) -> str | None:
    """Says that a process was lost, if that is what an error comes from."""
    link: BaseException | None = error
    while link is not None:
        if _SIGNS.search(str(link)):
            return _lost
        link = link.__cause__ or link.__context__
    return None


def require_agreement(facts: Any) -> None:
    """Checks that all processes were told the same: data that JSON can write.

    Raises:
        CommandError: Another process was told otherwise than process 0.
    """
    from jax.experimental import multihost_utils

    digest = sha256(json.dumps(facts, sort_keys=True, default=str).encode()).digest()
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    different = [i for i, other in enumerate(digests) if (other != digests[0]).any()]
    if different:
        numbers = " and ".join(map(str, different))
        what = "configuration, data, versions or run directory"
        text = f"process {numbers} has another {what} than process 0"
        raise CommandError(text, status=2)


def share_number(number: int) -> int:
    """Gives all processes the number of process 0."""
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def share_largest(number: int) -> int:
    """Gives all processes the largest of their numbers."""
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def divert_output(log: Path) -> None:
    """Sends what is printed to file descriptors 1 and 2 to a file; not what Python prints."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        stream.flush()
        copy = os.dup(number)
        os.dup2(descriptor, number)
        options = {"encoding": stream.encoding, "errors": stream.errors}
        setattr(sys, name, os.fdopen(copy, "w", buffering=1, **options))
    os.close(descriptor)


def _say_on_abort(message: str) -> None:
    """Has an abort in native code print a line and exit with status 1."""
    global _last_words
    _last_words = message.encode()
    if _keep_alive:
        return
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    stderr = sys.stderr.fileno()

    def handle(number: int) -> None:
        # JAX logs why and calls abort(), in a thread of its own: nothing after this would run.
        os.write(stderr, _last_words)
        os._exit(1)

    handler = kind(handle)
    _keep_alive.append(handler)
    library = ctypes.CDLL(None)
    library.signal.argtypes = [ctypes.c_int, kind]
    library.signal(signal.SIGABRT, handler)
