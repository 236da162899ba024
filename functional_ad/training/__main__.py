"""``python -m functional_ad.training``, ``functional-ad-train``: errors to a line and a status."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from functional_ad.training._errors import (
    INSTALL,
    CommandError,
    DivergedError,
    MissingExtraError,
)

_PROGRAM: Final = "functional-ad-train"


def main() -> NoReturn:
    """Runs the command line and exits.

    Exit status: 0 finished; 1 failed: diverged, output that cannot be written; 2 bad arguments, or
    a package is missing; 130 interrupted.
    """
    try:
        _run()
    except CommandError as error:
        _exit(str(error), error.status)
    except MissingExtraError as error:
        _exit(str(error), 2)
    except ModuleNotFoundError as error:
        _exit(f"{error.name} is not installed: {INSTALL}", 2)
    except DivergedError as error:
        _exit(str(error), 1)
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has enough of it. Python would complain again at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _exit(f"{error.filename or 'cannot write the output'}: {error.strerror}", 1)
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
    sys.exit(status)


if __name__ == "__main__":
    main()
