"""The two sides: how a function of each framework is run at a dtype, values and gradients.

Each module has a ``name``, ``run(fn, inputs, dtype, orders)`` (PyTorch's also takes the number of a
``probe``, whose cotangents are off by a last bit) and ``describe()``. ``inputs`` are
prepared NumPy trees, already at ``dtype``; a backend makes its own copies. What it sets for a run
(dtypes, the gradient mode, torch's random state and threads) it puts back, also when the function
raises.
"""

from __future__ import annotations

from comparisons._case import Order
from comparisons._trees import Leaves

Outputs = dict[Order, Leaves]
"""What one run of one side gave: the values, and each further quantity that was asked for."""
