"""Gradients of a large batch, one microbatch at a time (repeated backward, zero_grad, no_sync)."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._control import require_grad_enabled
from functional_ad._errors import ArgumentError, MicrobatchError, OutputError, explain
from functional_ad._gradients import differentiate
from functional_ad._leaves import Where, partition, select_for
from functional_ad._mesh import make_zero, postpone_sums, sum_over_mesh
from functional_ad._microbatches import split_batch, split_key

Reduction = Literal["mean", "sum"]


class _Sums(NamedTuple):
    """What is carried from one microbatch to the next, weighted and in the dtypes of the sums."""

    loss: Any
    grads: PyTree
    weight: Any  # None unless the microbatches are weighted


class _Contribution(NamedTuple):
    """What one microbatch gives."""

    sums: _Sums
    aux: PyTree
    value: Any  # the loss as it was returned


def accumulate_grads(
    loss: Callable[..., Any],
    num_microbatches: int,
    *,
    where: Where = None,
    reduction: Reduction = "mean",
    weight_fn: Callable[[PyTree], Any] | None = None,
    has_aux: bool = False,
    accum_dtype: DTypeLike | None = None,
) -> Callable[..., tuple[Any, PyTree]]:
    """Makes a function that returns a batch's loss and gradients, one microbatch at a time.

    In PyTorch, ``backward`` adds into ``.grad``: one calls it for each microbatch, with the loss
    divided by their number, and must zero ``.grad`` before the next step. Here the sum is carried
    through one ``jax.lax.scan`` that starts at zero, so there is nothing to zero or to forget. The
    result is that of ``value_and_grad`` on the whole batch, in the memory of one microbatch.

    Microbatch i of n holds the examples i, i + n, i + 2n, ... With a batch that is sharded over its
    examples, each device so keeps its own, if the devices divide a microbatch. Inside
    ``jax.shard_map``, gradients of parameters that do not vary over the mesh are summed over it, as
    by ``jax.grad``, but once: after the last microbatch, not after each (PyTorch's ``no_sync``).
    They are summed, where ``DistributedDataParallel`` averages, and the loss is each device's own.

    Call the result under ``jax.jit``: outside of it, every call traces and compiles anew.

    Args:
        loss: ``loss(params, microbatch)``, or ``loss(params, microbatch, key)`` if a key is given;
            returns a real scalar, or ``(scalar, aux)`` if ``has_aux``. A call traces it once
            (inside ``shard_map`` twice).
        num_microbatches: In how many parts to take the batch. Must divide its leading axis.
        where: The leaves of ``params`` to differentiate, as for ``select``.
        reduction: How ``loss`` reduces over its examples, and so how the parts are put together:
            ``"mean"`` or ``"sum"``.
        weight_fn: With ``"mean"``: gives a microbatch's weight, a real scalar that is not negative,
            such as its number of unmasked tokens. Where ``loss`` is a mean over those, the result
            is the mean over all of the batch's. A microbatch of weight 0 adds nothing even if its
            loss is NaN; if all weights are 0, loss and gradients are 0. Left out, all microbatches
            weigh the same.
        has_aux: Whether ``loss`` returns a pair of the loss and a tree of arrays or numbers.
        accum_dtype: In which dtype gradients are summed, times their weights if there are any. None
            means float32 for narrower gradients, and their own dtype for others.

    Returns:
        A function ``(params, batch, key=None)`` that returns ``(loss, grads)``, or
        ``((loss, aux), grads)``. Each gradient has the shape and dtype of its leaf, None at leaves
        that were not selected. ``aux`` has the microbatches as a new leading axis. Each microbatch
        gets its own of the ``num_microbatches`` keys that ``jax.random.split`` makes of ``key``.

    Raises:
        MicrobatchError: ``num_microbatches`` is not positive or does not divide the batch, leaves
            of the batch are no arrays or have no or different leading axes, or a weight is not a
            real scalar.
        ArgumentError: ``reduction``, ``weight_fn``, ``accum_dtype`` or ``key`` is of no use.
        SelectionError, LeafTypeError: As ``select``.
        OutputError: As ``value_and_grad``; or ``aux`` holds what is no array or number.
        GradModeError: Gradients are off.

    Example:
        >>> x = jnp.arange(12.0)
        >>> mask = x < 5  # the last seven are padding
        >>> def loss(w, batch):
        ...     x, mask = batch
        ...     return jnp.sum(mask * (w * x) ** 2) / jnp.sum(mask)
        >>> step = accumulate_grads(loss, 4, weight_fn=lambda batch: jnp.sum(batch[1]))
        >>> value, grad = step(0.5, (x, mask))
        >>> float(value), float(grad)  # as jax.value_and_grad(loss)(0.5, (x, mask))
        (1.5, 6.0)

    Source:
        https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation
        https://docs.jax.dev/en/latest/_autosummary/jax.lax.scan.html
    """
    count = _check_count(num_microbatches)
    _check_reduction(reduction, weight_fn)
    accum = None if accum_dtype is None else _check_accum_dtype(accum_dtype)

    def accumulated(params: PyTree, batch: PyTree, key: Any = None) -> tuple[Any, PyTree]:
        require_grad_enabled("accumulate_grads")
        mask = select_for("functional_ad.accumulate_grads(where=...)", params, where)
        diff, rest = partition(params, mask)
        stacked = split_batch(batch, count)
        keys = None if key is None else split_key(key, count)

        def contribute(diff: PyTree, stacked: PyTree, index: Any, key: Any) -> _Contribution:
            microbatch = jax.tree.map(
                lambda x: lax.dynamic_index_in_dim(x, index, axis=1, keepdims=False), stacked
            )
            extra = () if key is None else (key,)
            value, grads = differentiate(
                "accumulate_grads",
                lambda params: loss(params, microbatch, *extra),
                diff,
                rest,
                has_aux=has_aux,
            )
            value, aux = value if has_aux else (value, None)
            weight = None if weight_fn is None else _check_weight(weight_fn(microbatch))
            return _Contribution(_weigh(value, grads, weight, accum), _check_aux(aux), value)

        # Inlined, the jit leaves no trace in the program; it is here so that the loss is traced
        # once, for the types of the sums and for the loop together.
        once = jax.jit(contribute, inline=True)
        first = (stacked, jnp.int32(0), None if keys is None else keys[0])
        types = jax.eval_shape(once, diff, *first)
        local, postponed = postpone_sums(diff, types.value)
        if postponed:
            types = jax.eval_shape(once, local, *first)

        def add(carry: tuple[Any, _Sums], key: Any) -> tuple[tuple[Any, _Sums], Any]:
            index, sums = carry  # counted here: an array of indices would grow with the count
            part = once(local, stacked, index, key)
            return (index + 1, jax.tree.map(jnp.add, sums, part.sums)), part.aux

        zeros = jax.tree.map(make_zero, types.sums)
        (_, sums), aux = lax.scan(add, (jnp.int32(0), zeros), keys, length=count)
        sums = _reduce(sums, count if reduction == "mean" else None)
        totals = sum_over_mesh(sums.grads, postponed)
        value = sums.loss.astype(types.value.dtype)
        grads = jax.tree.map(lambda g, p: g.astype(jax.typeof(p).dtype), totals, diff)
        return ((value, aux) if has_aux else value), grads

    return accumulated


def _weigh(loss: Any, grads: PyTree, weight: Any, accum: Any) -> _Sums:
    """A microbatch's part of the sums: zeros, not NaN, where its weight is 0."""

    def scale(x: Any, dtype: Any) -> Any:
        if weight is None:
            return x.astype(dtype)
        weighted = x.astype(dtype) * weight.astype(dtype)
        return jnp.where(weight == 0, jnp.zeros_like(weighted), weighted)

    return _Sums(
        scale(loss, _widen(loss.dtype, jnp.float32)),
        jax.tree.map(lambda g: scale(g, _choose_dtype(g, accum)), grads),
        weight,
    )


def _reduce(sums: _Sums, count: int | None) -> _Sums:
    """From sums to means: by the total weight if there are weights, else by ``count``."""
    if count is None:
        return sums
    total = count if sums.weight is None else jnp.where(sums.weight == 0, 1, sums.weight)
    loss, grads = jax.tree.map(
        lambda x: x / jnp.asarray(total, jnp.finfo(x.dtype).dtype), (sums.loss, sums.grads)
    )
    return _Sums(loss, grads, sums.weight)


def _choose_dtype(leaf: Any, accum: Any) -> Any:
    own = jax.typeof(leaf).dtype
    if accum is None:
        return _widen(own, jnp.float32)
    return _widen(accum, jnp.complex64) if _tree.is_complex(leaf) else accum


def _widen(dtype: Any, least: Any) -> Any:
    """The narrowest dtype that holds both, also where promotion is an error or not defined."""
    if jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < jnp.dtype(least).itemsize:
        return least  # for float8, too, which JAX promotes to nothing
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(dtype, least)


def _check_aux(aux: PyTree) -> PyTree:
    wrong = [
        _tree.name_leaf(path, leaf)
        for path, leaf in _tree.flatten_paths(aux)
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | numbers.Number)
    ]
    if wrong:
        raise OutputError(
            explain(
                "`functional_ad.accumulate_grads(has_aux=True)` stacks what `loss` returns as aux.",
                expected="a tree of arrays and numbers",
                got=wrong,
                fix="Leave it out of `aux`: it is the same for each microbatch.",
            )
        )
    return aux


def _check_count(count: int) -> int:
    try:
        number = 0 if isinstance(count, bool) else operator.index(count)
    except TypeError:
        number = 0
    if number < 1:
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(num_microbatches=...)` must be a positive int.",
                expected="1 or more",
                got=_tree.describe_value(count),
                fix="To take the batch whole, pass 1.",
            )
        )
    return number


def _check_reduction(reduction: str, weight_fn: object) -> None:
    if reduction not in get_args(Reduction):
        raise ArgumentError(
            explain(
                "`functional_ad.accumulate_grads(reduction=...)` must say how `loss` reduces.",
                expected=" or ".join(map(repr, get_args(Reduction))),
                got=_tree.describe_value(reduction),
                fix="If `loss` averages over its examples, pass 'mean'.",
            )
        )
    if weight_fn is not None and (reduction == "sum" or not callable(weight_fn)):
        raise ArgumentError(
            explain(
                "`functional_ad.accumulate_grads(weight_fn=...)` must be a function, for means.",
                expected="a function of a microbatch, with reduction='mean'",
                got=f"{_tree.describe_value(weight_fn)} with reduction={reduction!r}",
                fix="A sum needs no weights: leave `weight_fn` out, or return means from `loss`.",
            )
        )


def _check_accum_dtype(accum_dtype: DTypeLike) -> Any:
    try:
        dtype = jnp.dtype(accum_dtype)
    except TypeError:
        dtype = None
    real = dtype is not None and jnp.issubdtype(dtype, jnp.floating)
    widest = jnp.result_type(float).itemsize  # float32 without jax_enable_x64
    if dtype is None or not real or dtype.itemsize > widest:
        off = ", with jax_enable_x64 off" if real and widest < 8 else ""
        raise ArgumentError(
            explain(
                "`functional_ad.accumulate_grads(accum_dtype=...)` must be a real floating dtype.",
                expected="float32, or float64 with jax_enable_x64 set, or a narrower one",
                got=f"{_tree.describe_value(accum_dtype) if dtype is None else dtype}{off}",
                fix="Leave it out for float32 sums of float16 and bfloat16 gradients.",
            )
        )
    return dtype


def _check_weight(weight: Any) -> Any:
    """The weight as an array of at least float32."""
    kinds = (jnp.bool_, jnp.integer, jnp.floating)
    dtype = getattr(weight, "dtype", type(weight))
    number = isinstance(weight, bool | int | float | np.generic | jax.Array | np.ndarray)
    if not number or np.shape(weight) or not any(jnp.issubdtype(dtype, k) for k in kinds):
        pairs = _tree.flatten_paths(weight, _tree.is_none)
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(weight_fn=...)` must return a real scalar.",
                expected="a number, or an array of shape ()",
                got=[_tree.name_leaf(path, leaf) for path, leaf in pairs],
                fix="Sum the weights of the microbatch's examples, e.g. `jnp.sum(mask)`.",
            )
        )
    array = jnp.asarray(weight)
    return array.astype(_widen(array.dtype, jnp.float32))
