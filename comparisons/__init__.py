"""Runs the same idea in JAX and in PyTorch, and says whether the two compute the same.

Importing this package is cheap; JAX, torch and the rest are imported with the first name used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comparisons._backends.torch_training import torch_training as torch_training
    from comparisons._case import ParityCase as ParityCase
    from comparisons._case import TrainingCase as TrainingCase
    from comparisons._runner import assert_parity as assert_parity
    from comparisons._runner import compare as compare
    from comparisons._trajectory import compare_training as compare_training
    from comparisons._translation import Translated as Translated
    from comparisons._translation import from_torch as from_torch
    from comparisons._verdict import Verdict as Verdict
    from comparisons.report import Report as Report

_HOMES = {
    "ParityCase": "comparisons._case",
    "Report": "comparisons.report",
    "TrainingCase": "comparisons._case",
    "Translated": "comparisons._translation",
    "Verdict": "comparisons._verdict",
    "assert_parity": "comparisons._runner",
    "compare": "comparisons._runner",
    "compare_training": "comparisons._trajectory",
    "from_torch": "comparisons._translation",
    "torch_training": "comparisons._backends.torch_training",
}

__all__ = [
    "ParityCase",
    "Report",
    "TrainingCase",
    "Translated",
    "Verdict",
    "assert_parity",
    "compare",
    "compare_training",
    "from_torch",
    "torch_training",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
