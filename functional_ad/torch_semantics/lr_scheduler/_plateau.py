"""A learning rate that is lowered when what is measured gets no better (ReduceLROnPlateau)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_choice, check_integer, check_number

_FUNCTION = "lr_scheduler.reduce_lr_on_plateau"


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["lr", "best", "num_bad_epochs", "cooldown_counter"],
    meta_fields=[
        *("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown"),
        *("min_lr", "eps"),
    ],
)
@dataclasses.dataclass(frozen=True)
class ReduceLROnPlateau:
    """A learning rate with what it takes to know when to lower it, as `reduce_lr_on_plateau` makes.

    It is a pytree, so it can be carried through ``jax.lax.scan`` and saved with the parameters.

    Attributes:
        lr: The learning rate, a floating-point scalar.
        best: The best value measured so far; at first infinity, or minus infinity for ``"max"``.
        num_bad_epochs: How many values in a row were no better, an int32 scalar.
        cooldown_counter: How many steps of the pause after a reduction are left, an int32 scalar.
        mode: Whether less is better, ``"min"``, or more, ``"max"``.
        factor: By what the rate is multiplied.
        patience: How many values may be no better.
        threshold: By how much a value must be better to count.
        threshold_mode: Whether that is ``"rel"``, a share of the best value, or ``"abs"``.
        cooldown: How many steps the pause has.
        min_lr: The least rate.
        eps: A reduction that is not above it is left undone.

    Example:
        >>> plateau = reduce_lr_on_plateau(0.5, patience=0)
        >>> def step(plateau, loss):
        ...     return plateau.step(loss), plateau.lr  # the update is made with plateau.lr
        >>> plateau, rates = jax.lax.scan(step, plateau, jnp.array([3.0, 2.0, 2.0, 1.0]))
        >>> print(rates, plateau.lr, plateau.best)
        [0.5  0.5  0.5  0.05] 0.05 1.0
    """

    lr: Any
    best: Any
    num_bad_epochs: Any
    cooldown_counter: Any
    mode: Literal["min", "max"]
    factor: float
    patience: int
    threshold: float
    threshold_mode: Literal["rel", "abs"]
    cooldown: int
    min_lr: float
    eps: float

    def step(self, metrics: Any) -> ReduceLROnPlateau:
        """Takes a value that was measured into account.

        PyTorch's ``scheduler.step(metrics)``, after an epoch's validation.

        Args:
            metrics: The value, a number or a real scalar array.

        Returns:
            The next ``ReduceLROnPlateau``, with the rate for the next updates.

        Raises:
            ArgumentError: ``metrics`` is no real scalar.

        Example:
            >>> plateau = reduce_lr_on_plateau(0.5, factor=0.5, patience=0, mode="max")
            >>> print(plateau.step(0.7).step(0.6).lr)
            0.25
        """
        _check_metrics(metrics)
        best, lr = _take_float(self.best), _take_float(self.lr)
        current = jnp.asarray(metrics).astype(best.dtype)
        better = self._is_better(current, best)
        bad = jnp.where(better, 0, jnp.asarray(self.num_bad_epochs, jnp.int32) + 1)
        pause = jnp.asarray(self.cooldown_counter, jnp.int32)
        bad = jnp.where(pause > 0, 0, bad)
        pause = jnp.maximum(pause - 1, 0)
        due = bad > self.patience
        reduced = jnp.maximum(lr * self.factor, self.min_lr)
        return dataclasses.replace(
            self,
            lr=jnp.where(due & (lr - reduced > self.eps), reduced, lr),
            best=jnp.where(better, current, best),
            num_bad_epochs=jnp.where(due, 0, bad),
            cooldown_counter=jnp.where(due, self.cooldown, pause),
        )

    def _is_better(self, current: Any, best: Any) -> Any:
        relative, less = self.threshold_mode == "rel", self.mode == "min"
        margin = -self.threshold if less else self.threshold
        bound = best * (1.0 + margin) if relative else best + margin
        return current < bound if less else current > bound


def reduce_lr_on_plateau(
    lr: Any,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> ReduceLROnPlateau:
    """Lowers the rate when what is measured has got no better for some steps.

    PyTorch's ``ReduceLROnPlateau``. There it is an object that overwrites the rate in the
    optimizer; here it is a value with the rate in it, ``lr``, and ``step(metrics)`` returns the
    next one. Make the optimizer with that rate where the update is made, in the jitted step:

        def train_step(params, state, plateau, batch):
            optimizer = optim.sgd(plateau.lr, momentum=0.9)
            ...

    The rate and the best value are of JAX's default floating dtype. In float32 a value that is
    better by the threshold but for a rounding may be judged otherwise than by PyTorch, which
    compares in float64.

    Args:
        lr: The optimizer's learning rate: a number or a scalar array, traced or not.
        mode: Whether less is better, ``"min"``, or more, ``"max"``.
        factor: By what the rate is multiplied, below 1.
        patience: How many values in a row may be no better; at the next one the rate is lowered.
        threshold: By how much a value must be better than the best to count.
        threshold_mode: Whether that is a share of the best value, ``"rel"``, or ``"abs"``.
        cooldown: For how many steps after that none is counted as bad.
        min_lr: The least rate. PyTorch takes a list, too, for groups of parameters: make one of
            these for each.
        eps: A reduction that is not above it is left undone.

    Returns:
        The first ``ReduceLROnPlateau``.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> plateau = reduce_lr_on_plateau(0.5, patience=1)
        >>> for loss in [3.0, 3.0, 3.0]:
        ...     plateau = plateau.step(loss)
        >>> print(plateau.lr)
        0.05

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
    """
    check_number(_FUNCTION, "lr", lr, low=0.0)
    check_choice(_FUNCTION, "mode", mode, ("min", "max"))
    check_number(_FUNCTION, "factor", factor, low=0.0, below=1.0)
    check_integer(_FUNCTION, "patience", patience, low=0)
    check_number(_FUNCTION, "threshold", threshold, low=0.0)
    check_choice(_FUNCTION, "threshold_mode", threshold_mode, ("rel", "abs"))
    check_integer(_FUNCTION, "cooldown", cooldown, low=0)
    check_number(_FUNCTION, "min_lr", min_lr, low=0.0)
    check_number(_FUNCTION, "eps", eps, low=0.0)
    return ReduceLROnPlateau(
        lr=_take_float(lr),
        best=jnp.asarray(np.inf if mode == "min" else -np.inf, float),
        num_bad_epochs=jnp.zeros((), jnp.int32),
        cooldown_counter=jnp.zeros((), jnp.int32),
        mode=mode,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        min_lr=min_lr,
        eps=eps,
    )


def _take_float(value: Any) -> jax.Array:
    """A part of the state, which may have been read back from a file as a number."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value, float)


def _check_metrics(metrics: Any) -> None:
    dtype = jnp.result_type(metrics)
    real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    if real and jnp.shape(metrics) == ():
        return
    raise ArgumentError(
        explain(
            "`functional_ad.torch_semantics.lr_scheduler.ReduceLROnPlateau.step(metrics)` must be "
            "one number.",
            expected="a real number, or an array of shape ()",
            got=_tree.describe(metrics),
            fix="Pass e.g. the mean of the losses.",
        )
    )
