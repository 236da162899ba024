"""What remarks of several families share."""

from __future__ import annotations

JAX = "import jax, jax.numpy as jnp\n"  # the first line of a reproduction
WHERE = "https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where"
LOG1P = "XLA's float64 log1p on a CPU is off by up to 130 units from -0.414 to -0.37"
