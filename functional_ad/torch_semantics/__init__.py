"""What torch.optim, its lr_scheduler and torch.nn.functional's losses do, for JAX and optax.

Three packages with PyTorch's names, arguments, defaults and order of operations:

- `optim`: optimizers, as optax gradient transformations;
- `lr_scheduler`: learning rates, as optax schedules;
- `losses`: losses, as functions.
"""

from __future__ import annotations

from functional_ad.torch_semantics import losses as losses
from functional_ad.torch_semantics import lr_scheduler as lr_scheduler
from functional_ad.torch_semantics import optim as optim

__all__ = ["losses", "lr_scheduler", "optim"]
