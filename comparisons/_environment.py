"""Where a report was made: versions, devices, precision, threads."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from typing import Any


def describe_environment() -> dict[str, Any]:
    """Whatever of this process may explain a difference in the last bits."""
    from comparisons._backends import jax, torch

    packages = ("functional-ad", "jax", "jaxlib", "torch", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **{package: _find_version(package) for package in packages},
        "platform": platform.platform(),
        **jax.describe(),
        **torch.describe(),
    }


def _find_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
