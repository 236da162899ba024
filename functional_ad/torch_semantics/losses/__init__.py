"""torch.nn.functional's losses as functions of JAX arrays."""

from __future__ import annotations

__all__: list[str] = []
