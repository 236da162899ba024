"""torch.optim.lr_scheduler's schedules as optax schedules."""

from __future__ import annotations

__all__: list[str] = []
