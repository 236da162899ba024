"""State of the process that a user's function may change: put back after every run."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Generator

import numpy as np


@contextlib.contextmanager
def random_states_restored() -> Generator[None]:
    """Puts back the global random states of Python and NumPy: every run starts from the same."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
