"""The two sides: how a function of each framework is run at a dtype, and what it is asked for.

Each module has a ``name``, ``run(fn, inputs, dtype, orders, seeds)``, ``session(dtype)`` and
``describe()``. ``inputs`` are prepared NumPy trees, already at ``dtype``; a backend makes its own
copies. Whatever a run sets or the function changes (dtypes, the gradient mode, random states,
threads, precision) is put back, also when the function raises.

Gradients of complex inputs are in PyTorch's convention, dL/dx + i dL/dy, on both sides. JAX's own
is the conjugate of it.
"""

from __future__ import annotations

from comparisons._case import Order
from comparisons._trees import Leaves

Outputs = dict[Order, Leaves]
"""What one run of one side gave: a dictionary of leaves for each quantity that was asked for."""
