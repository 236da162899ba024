"""Live optimizers and schedulers of PyTorch, translated so that their runs go on in JAX."""

from __future__ import annotations

from comparisons._translation._translated import Translated as Translated
from comparisons._translation._translated import from_torch as from_torch

__all__ = ["Translated", "from_torch"]
