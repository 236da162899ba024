"""torch.optim's optimizers as optax gradient transformations."""

from __future__ import annotations

__all__: list[str] = []
