"""``python -m comparisons``: errors to a line and a status."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line and exits.

    Exit status: 0 nothing failed; 1 a case failed, or the report could not be written; 2 bad
    arguments, or a package is missing; 130 interrupted.
    """
    try:
        # Here and not above: what they need may be missing, and is slow to import.
        from comparisons._cli import CommandError, run_command

        try:
            sys.exit(run_command())
        except CommandError as error:
            _exit(str(error), 2)
    except ModuleNotFoundError as error:
        _exit(f"{error.name} is not installed: pip install 'functional-ad[compare]'", 2)
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except BrokenPipeError:
        # Whoever read the output has enough of it. Python would complain again at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _exit(f"cannot write the report: {error.strerror}", 1)


def _exit(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"comparisons: {'' if status == 130 else 'error: '}{message}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
