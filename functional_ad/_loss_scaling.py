"""A loss scaled up so that float16 gradients do not vanish (torch.amp.GradScaler)."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain

_UNSET: Any = object()  # not None, which a tree's map may put in a leaf's place


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["current", "growth_tracker"],
    meta_fields=["growth_factor", "backoff_factor", "growth_interval"],
)
@dataclasses.dataclass(frozen=True)
class LossScale:
    """The scale of a loss in half precision: grown while gradients are finite, else cut back.

    PyTorch's ``torch.amp.GradScaler``, with its arguments and defaults. There it is an object that
    holds the scale, finds the gradients in the optimizer and skips the optimizer's step. Here it is
    a value: ``update`` returns the next one, and whether a step is taken is yours to write, as
    below. It is a pytree, so it can be carried through ``jax.lax.scan`` and saved with the
    parameters. For ``enabled=False`` leave it away.

    bfloat16 has the range of float32 and needs none.

    Args:
        init_scale: The scale to begin with.
        growth_factor: By what to multiply it after ``growth_interval`` finite steps in a row;
            above 1.
        backoff_factor: By what after a step whose gradients are not finite; above 0, below 1.
        growth_interval: How many finite steps in a row let it grow.
        current: The scale as it is, a float32 scalar or a number. Left out, ``init_scale``.
        growth_tracker: How many finite steps there have been in a row, an int32 scalar or an int.
            Left out, 0.

    Raises:
        ArgumentError: An argument is out of these bounds.

    Example:
        >>> def loss(w, x):  # in float16 its gradient, 2e-8, is 0
        ...     return jnp.mean((w.astype(jnp.float16) * x).astype(jnp.float32)) * 2e-4
        >>> def step(state, x):
        ...     w, loss_scale = state
        ...     grad = jax.grad(lambda w: loss_scale.scale(loss(w, x)))(w)
        ...     grad, is_finite = loss_scale.unscale(grad)
        ...     new_w = jnp.where(is_finite, w - 1000.0 * grad, w)  # trees: with jax.tree.map
        ...     return (new_w, loss_scale.update(is_finite)), is_finite
        >>> batches = jnp.array([1e-4, jnp.inf, 1e-4], jnp.float16)
        >>> state = jnp.float32(1.0), LossScale(growth_interval=2)
        >>> (w, loss_scale), taken = jax.lax.scan(step, state, batches)
        >>> print(taken, loss_scale.current)
        [ True False  True] 32768.0

        With ``jax.lax.cond``, the step is not computed when it is not taken:

        >>> is_finite = jnp.bool_(False)
        >>> print(jax.lax.cond(is_finite, lambda w: w - 0.5, lambda w: w, jnp.float32(1.0)))
        1.0

    Source:
        https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling
    """

    init_scale: dataclasses.InitVar[float] = 2.0**16
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000
    current: Any = dataclasses.field(default=_UNSET, kw_only=True)
    growth_tracker: Any = dataclasses.field(default=_UNSET, kw_only=True)

    def __post_init__(self, init_scale: float) -> None:
        """Checks the arguments, and fills the state in where it was left out."""
        _check_number("growth_factor", self.growth_factor, "a number above 1", 1.0, np.inf)
        _check_number("backoff_factor", self.backoff_factor, "between 0 and 1", 0.0, 1.0)
        _check_interval(self.growth_interval)
        if self.current is _UNSET:
            _check_number("init_scale", init_scale, "a positive number", 0.0, np.inf)
            object.__setattr__(self, "current", jnp.asarray(init_scale, jnp.float32))
        if self.growth_tracker is _UNSET:
            object.__setattr__(self, "growth_tracker", jnp.zeros((), jnp.int32))

    def scale(self, loss: PyTree) -> PyTree:
        """Multiplies a loss, or a tree of them, by the scale.

        PyTorch's ``scaler.scale(outputs)``.

        Args:
            loss: Floating-point values; other leaves stay as they are.

        Returns:
            The same tree, in float32 (in float64 and complex dtypes where the loss is).

        Example:
            >>> print(LossScale(1024.0).scale(jnp.float16(100.0)))
            102400.0
        """
        factor = _take_array(self.current, jnp.float32)
        return jax.tree.map(lambda x: _multiply(x, factor), loss)

    def unscale(self, grads: PyTree) -> tuple[PyTree, jax.Array]:
        """Divides gradients by the scale, and says whether all of them are finite.

        PyTorch's ``scaler.unscale_(optimizer)``, which refuses float16 gradients; here they come
        back in float32, since in float16 what was saved would vanish again.

        Args:
            grads: A pytree of gradients. Leaves that are not floating-point or complex, None among
                them, stay as they are.

        Returns:
            ``(grads, is_finite)``: gradients of at least float32, and a boolean scalar. Where some
            are not finite they are returned all the same.

        Example:
            >>> grads, is_finite = LossScale(1024.0).unscale(jnp.array([2.0, 1.0], jnp.float16))
            >>> print(grads, is_finite)
            [0.00195312 0.00097656] True
        """
        inverse = 1 / _take_array(self.current, jnp.float32)
        grads = jax.tree.map(lambda x: _multiply(x, inverse), grads)
        floats = [x for x in jax.tree.leaves(grads) if _tree.is_differentiable(x)]
        flags = [jnp.all(jnp.isfinite(x)) for x in floats]
        return grads, jnp.all(jnp.stack(flags)) if flags else jnp.asarray(True)

    def update(self, is_finite: Any) -> LossScale:
        """Makes the scale for the next step.

        PyTorch's ``scaler.update()``, at the end of a step. As there, the scale does not grow
        beyond what float32 holds. With several optimizers pass ``jnp.all`` of their flags.

        Args:
            is_finite: Whether the gradients were finite, a boolean scalar, as from ``unscale``.

        Returns:
            The next ``LossScale``. Its scale is PyTorch's, bit for bit if the two factors are
            powers of 2, as they are unless given.

        Raises:
            ArgumentError: ``is_finite`` is no boolean scalar.

        Example:
            >>> print(LossScale(1024.0).update(False).current)
            512.0
        """
        _check_flag(is_finite)
        current = _take_array(self.current, jnp.float32)
        successful = _take_array(self.growth_tracker, jnp.int32) + 1
        due = successful == self.growth_interval
        grown = current * self.growth_factor
        grown = jnp.where(due & jnp.isfinite(grown), grown, current)
        return dataclasses.replace(
            self,
            init_scale=1.0,  # asked for, and not looked at where the state is given
            current=jnp.where(is_finite, grown, current * self.backoff_factor),
            growth_tracker=jnp.where(is_finite & ~due, successful, 0),
        )


def _take_array(value: Any, dtype: Any) -> Any:
    """A part of the state, which may have been read back from a file as a number."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value, dtype)


def _multiply(leaf: Any, factor: Any) -> Any:
    """In float32 at least: in float16 the default scale is infinite."""
    if not _tree.is_differentiable(leaf):
        return leaf
    wide = jnp.asarray(leaf, _tree.widen(jax.typeof(leaf).dtype))
    return wide * factor.astype(jnp.finfo(wide.dtype).dtype)


def _check_number(name: str, value: Any, expected: str, low: float, high: float) -> None:
    concrete = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if concrete and low < value < high:
        return
    raise ArgumentError(
        explain(
            f"`functional_ad.LossScale({name}=...)` is out of bounds.",
            expected=expected,
            got=_tree.describe_value(value),
            fix="Leave it out for PyTorch's default.",
        )
    )


def _check_interval(value: Any) -> None:
    try:
        if not isinstance(value, bool) and operator.index(value) > 0:
            return
    except TypeError:
        pass
    raise ArgumentError(
        explain(
            "`functional_ad.LossScale(growth_interval=...)` must be a number of steps.",
            expected="an int of at least 1",
            got=_tree.describe_value(value),
            fix="Leave it out for PyTorch's default, 2000.",
        )
    )


def _check_flag(value: Any) -> None:
    boolean = isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == np.bool_
    if boolean and np.shape(value) == ():
        return
    raise ArgumentError(
        explain(
            "`functional_ad.LossScale.update(is_finite)` must be one flag.",
            expected="a bool, or a boolean array of shape ()",
            got=_tree.describe(value) if np.shape(value) else _tree.describe_value(value),
            fix="Pass what `unscale` returns; put several together with `jnp.all`.",
        )
    )
