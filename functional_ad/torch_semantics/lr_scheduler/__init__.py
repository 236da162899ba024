"""What torch.optim.lr_scheduler's classes do, as optax schedules.

Each has the name of PyTorch's in lower case, its arguments and its defaults. Where PyTorch takes
the optimizer there is the optimizer's learning rate, `lr`; what comes back is a function of the
number of updates made before that gives the rate of the next one:

    schedule = lr_scheduler.cosine_annealing_lr(0.1, T_max=1000)
    optimizer = optim.sgd(schedule, momentum=0.9)

At float64 (`jax_enable_x64`) the rates are PyTorch's to 1e-12 of the greatest rate, over 1,000
steps; `cosine_annealing_lr` says what its rise adds. At float32 they are PyTorch's, which Python
computes at float64, to 1e-6 of it; `cyclic_lr` and `chained_scheduler` say where not. Schedules of
optax's own are of float32 also at float64 for an optimizer's count, which is an int32: JAX divides
it in float32.

`reduce_lr_on_plateau` depends on what the training measures, and so returns a value that is
updated. PyTorch's `LRScheduler` is the base class of its schedulers, and has no counterpart: here
any function of the count is a schedule, one of optax's too.
"""

from __future__ import annotations

from functional_ad.torch_semantics.lr_scheduler._chain import (
    chained_scheduler as chained_scheduler,
)
from functional_ad.torch_semantics.lr_scheduler._cosines import (
    cosine_annealing_lr as cosine_annealing_lr,
)
from functional_ad.torch_semantics.lr_scheduler._cosines import (
    cosine_annealing_warm_restarts as cosine_annealing_warm_restarts,
)
from functional_ad.torch_semantics.lr_scheduler._cycles import cyclic_lr as cyclic_lr
from functional_ad.torch_semantics.lr_scheduler._cycles import one_cycle_lr as one_cycle_lr
from functional_ad.torch_semantics.lr_scheduler._decays import exponential_lr as exponential_lr
from functional_ad.torch_semantics.lr_scheduler._decays import multi_step_lr as multi_step_lr
from functional_ad.torch_semantics.lr_scheduler._decays import step_lr as step_lr
from functional_ad.torch_semantics.lr_scheduler._lambdas import lambda_lr as lambda_lr
from functional_ad.torch_semantics.lr_scheduler._lambdas import (
    multiplicative_lr as multiplicative_lr,
)
from functional_ad.torch_semantics.lr_scheduler._plateau import (
    ReduceLROnPlateau as ReduceLROnPlateau,
)
from functional_ad.torch_semantics.lr_scheduler._plateau import (
    reduce_lr_on_plateau as reduce_lr_on_plateau,
)
from functional_ad.torch_semantics.lr_scheduler._ramps import constant_lr as constant_lr
from functional_ad.torch_semantics.lr_scheduler._ramps import linear_lr as linear_lr
from functional_ad.torch_semantics.lr_scheduler._ramps import polynomial_lr as polynomial_lr
from functional_ad.torch_semantics.lr_scheduler._schedule import Schedule as Schedule
from functional_ad.torch_semantics.lr_scheduler._sequence import sequential_lr as sequential_lr

__all__ = [
    "ReduceLROnPlateau",
    "Schedule",
    "chained_scheduler",
    "constant_lr",
    "cosine_annealing_lr",
    "cosine_annealing_warm_restarts",
    "cyclic_lr",
    "exponential_lr",
    "lambda_lr",
    "linear_lr",
    "multi_step_lr",
    "multiplicative_lr",
    "one_cycle_lr",
    "polynomial_lr",
    "reduce_lr_on_plateau",
    "sequential_lr",
    "step_lr",
]
