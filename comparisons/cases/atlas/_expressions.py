"""An operation's expressions as functions, with the names that they are written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import jax.scipy.linalg  # pyright: ignore[reportUnusedImport]
import jax.scipy.special  # pyright: ignore[reportUnusedImport]
import numpy as np
import optax
import torch
import torch.nn.functional as F
from jax import lax, nn
from torch import linalg, special

from comparisons.cases.atlas._op import Op

TORCH_NAMES = {
    "torch": torch,
    "F": F,
    "special": special,
    "linalg": linalg,
    "inf": float("inf"),
    "nan": float("nan"),
}
JAX_NAMES = {
    "jax": jax,
    "jnp": jnp,
    "lax": lax,
    "nn": nn,
    "jsp": jsp,
    "np": np,
    "optax": optax,
    "inf": float("inf"),
    "nan": float("nan"),
}


def make_torch(op: Op) -> Callable[..., Any]:
    """The PyTorch expression as a function of the arguments."""
    return _make_function(op.args, op.torch, TORCH_NAMES)


def make_jax(op: Op) -> Callable[..., Any]:
    """The JAX expression as a function of the arguments."""
    return _make_function(op.args, op.jax, JAX_NAMES)


def make_torch_like(op: Op) -> Callable[..., Any]:
    """The JAX expression that does as PyTorch does, as a function of the arguments."""
    return _make_function(op.args, op.torch_like, JAX_NAMES)


def _make_function(args: str, expression: str, names: dict[str, Any]) -> Callable[..., Any]:
    head = ", ".join(args.split())
    code = compile(f"lambda {head}: {expression}", f"<{expression}>", "eval")
    return eval(code, dict(names))  # the text is the project's own data
