"""torch.optim's optimizers as optax gradient transformations.

Each has the name of PyTorch's in lower case, its arguments and its defaults, and over 1,000 steps
in float64 the same parameters and state to 1e-10. What PyTorch takes beside them chooses an
implementation and not a result (`foreach`, `fused`, `capturable`, `differentiable`), and is not
taken here: the step is as fast as `jax.jit` makes it, and can be differentiated as it is.

    optimizer = optim.adamw(lr=1e-3)
    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = optax.apply_updates(params, updates)

Learning rates may be optax schedules, which count steps from 0. Hyperparameters that are numbers
are checked and can be folded into the program; scalar arrays can be traced. Frozen leaves, None in
the gradients that `functional_ad.value_and_grad(where=...)` gives, have no state and stay None.

A complex leaf is two real ones to an optimizer, as in PyTorch. Its gradient is PyTorch's, too:
the conjugate of `jax.grad`'s.
"""

from __future__ import annotations

from functional_ad.torch_semantics.optim._adadelta import adadelta as adadelta
from functional_ad.torch_semantics.optim._adafactor import adafactor as adafactor
from functional_ad.torch_semantics.optim._adagrad import adagrad as adagrad
from functional_ad.torch_semantics.optim._adam import adam as adam
from functional_ad.torch_semantics.optim._adam import adamw as adamw
from functional_ad.torch_semantics.optim._adamax import adamax as adamax
from functional_ad.torch_semantics.optim._asgd import asgd as asgd
from functional_ad.torch_semantics.optim._lbfgs import ClosureOptimizer as ClosureOptimizer
from functional_ad.torch_semantics.optim._lbfgs import lbfgs as lbfgs
from functional_ad.torch_semantics.optim._muon import muon as muon
from functional_ad.torch_semantics.optim._nadam import nadam as nadam
from functional_ad.torch_semantics.optim._param_groups import param_groups as param_groups
from functional_ad.torch_semantics.optim._radam import radam as radam
from functional_ad.torch_semantics.optim._rmsprop import rmsprop as rmsprop
from functional_ad.torch_semantics.optim._rprop import rprop as rprop
from functional_ad.torch_semantics.optim._sgd import sgd as sgd

__all__ = [
    "ClosureOptimizer",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "asgd",
    "lbfgs",
    "muon",
    "nadam",
    "param_groups",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
]
