"""``python -m functional_ad.training``, ``functional-ad-train``: errors to a line and a status."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Final, NoReturn

from functional_ad.training._errors import (
    INSTALL,
    CheckpointError,
    CommandError,
    ConfigError,
    DivergedError,
    MissingExtraError,
)
from functional_ad.training._interruption import Interrupted, end_on_sigterm

_PROGRAM: Final = "functional-ad-train"


def main() -> NoReturn:
    """Runs the command line and exits.

    Exit status: 0 finished; 1 failed: diverged, output or a checkpoint that cannot be written, a
    checkpoint of another run, another process lost; 2 bad arguments, or a package is missing; 130
    and 143 interrupted, by Ctrl-C and by SIGTERM.
    """
    try:
        with end_on_sigterm():
            _run()
    except CommandError as error:
        _exit(str(error), error.status)
    except ConfigError as error:  # known only when the data and the model are there
        _exit(error.as_option, 2)
    except MissingExtraError as error:
        _exit(str(error), 2)
    except ModuleNotFoundError as error:
        _exit(f"{error.name} is not installed: {INSTALL}", 2)
    except DivergedError as error:
        more = "" if error.found is None else f"\n{error.found}"
        _exit(f"{error}{more}", 1)
    except CheckpointError as error:
        _exit(str(error), 1)
    except Interrupted as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        _leave(error.status)
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted\n")
        _leave(130)
    except BrokenPipeError:
        # Whoever read the output has enough of it. Python would complain again at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(1)
    except OSError as error:
        _exit(f"{error.filename or 'cannot write the output'}: {error.strerror}", 1)
    except Exception as error:
        if not _is_one_of_many():
            raise
        from functional_ad.training._processes import find_loss

        lost = find_loss(error)
        if lost is not None:
            _exit(lost, 1)
        traceback.print_exc()
        _leave(1)
    sys.exit(0)


def _run() -> None:
    # Here and not above: typer may be missing, and it is slow to import.
    from functional_ad.training._cli import parse_command

    command = parse_command()
    if command is not None:
        from functional_ad.training._run import run_command

        run_command(command)


def _exit(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"{_PROGRAM}: error: {message}\n")
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Exits; at once if there are other processes, for which JAX would wait at its exit."""
    if _is_one_of_many():
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _is_one_of_many() -> bool:
    jax = sys.modules.get("jax")  # it may not be installed, nor needed so far
    return jax is not None and jax.distributed.is_initialized()


if __name__ == "__main__":
    main()
