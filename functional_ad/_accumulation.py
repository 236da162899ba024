"""Gradients of a large batch, one microbatch at a time (repeated backward, zero_grad, no_sync)."""

from __future__ import annotations

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
from functional_ad._compat import varying_axes
from functional_ad._control import require_grad_enabled
from functional_ad._errors import ArgumentError, MicrobatchError, explain
from functional_ad._gradients import differentiate
from functional_ad._leaves import Where, partition, select_for

Reduction = Literal["mean", "sum"]


class _Sums(NamedTuple):
    """What is carried from one microbatch to the next."""

    loss: Any
    grads: PyTree
    weight: Any  # None unless the microbatches are weighted


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

    Microbatch i of n holds the examples i, i + n, i + 2n, ... With a batch that is sharded over
    devices, each device so keeps its own examples. Inside ``jax.shard_map``, gradients of
    parameters that do not vary over the mesh are summed over it once, after the last microbatch
    (PyTorch's ``DistributedDataParallel.no_sync``), as ``jax.grad`` would once per microbatch.

    Args:
        loss: ``loss(params, microbatch)``, or ``loss(params, microbatch, key)`` if a key is given;
            returns a real scalar, or ``(scalar, aux)`` if ``has_aux``. It is traced once.
        num_microbatches: In how many parts to take the batch. Must divide its leading axis.
        where: The leaves of ``params`` to differentiate, as for ``select``.
        reduction: How ``loss`` reduces over its examples, and so how the parts are put together:
            ``"mean"`` or ``"sum"``.
        weight_fn: With ``"mean"``: gives a microbatch's weight, a real scalar such as its number
            of unmasked tokens. Where ``loss`` is a mean over those, the result is the mean over all
            of the batch's. A microbatch of weight 0 adds nothing even if its loss is NaN; if all
            weights are 0, loss and gradients are 0. Left out, all microbatches weigh the same.
        has_aux: Whether ``loss`` returns a pair of the loss and anything else.
        accum_dtype: In which dtype gradients are summed. None means float32 for float16 and
            bfloat16 gradients, and their own dtype for others.

    Returns:
        A function ``(params, batch, key=None)`` that returns ``(loss, grads)``, or
        ``((loss, aux), grads)``. Each gradient has the shape and dtype of its leaf, None at leaves
        that were not selected. ``aux`` has the microbatches as a new leading axis. Each microbatch
        gets its own of the ``num_microbatches`` keys that ``jax.random.split`` makes of ``key``.

    Raises:
        MicrobatchError: ``num_microbatches`` is not positive or does not divide the batch, leaves
            of the batch have no or different leading axes, or a weight is not a real scalar.
        ArgumentError: ``reduction``, ``weight_fn`` or ``accum_dtype`` is of no use.
        SelectionError, LeafTypeError: As ``select``.
        OutputError: As ``value_and_grad``.
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
        stacked = _split_batch(batch, count)
        keys = None if key is None else jax.random.split(key, count)
        local, mesh_axes = _make_varying(diff, (stacked, keys))

        def contribute(diff: PyTree, stacked: PyTree, index: Any, key: Any) -> tuple[_Sums, Any]:
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
            return _Sums(value, grads, weight), aux

        # Inlined, the jit leaves no trace in the program; it is here so that the loss is traced
        # once, for the types of the sums and for the loop together.
        once = jax.jit(contribute, inline=True)
        first_key = None if keys is None else keys[0]
        types, _ = jax.eval_shape(once, local, stacked, jnp.int32(0), first_key)

        def add(carry: tuple[Any, _Sums], key: Any) -> tuple[tuple[Any, _Sums], Any]:
            index, sums = carry  # counted here: an array of indices would grow with the count
            part, aux = once(local, stacked, index, key)
            added = jax.tree.map(lambda a, b: a + b.astype(a.dtype), sums, _weigh(part, sums))
            return (index + 1, added), aux

        zeros = _Sums(
            _zero(types.loss, _widen(types.loss.dtype, jnp.float32)),
            jax.tree.map(lambda p: jnp.zeros_like(p, _choose_dtype(p, accum)), local),
            None if types.weight is None else _zero(types.weight, jnp.float32),
        )
        (_, sums), aux = lax.scan(add, (jnp.int32(0), zeros), keys, length=count)
        sums = _reduce(sums, count if reduction == "mean" else None)
        if mesh_axes:
            sums = sums._replace(grads=lax.psum(sums.grads, mesh_axes))
        value = sums.loss.astype(types.loss.dtype)
        grads = jax.tree.map(lambda g, p: g.astype(jax.typeof(p).dtype), sums.grads, diff)
        return ((value, aux) if has_aux else value), grads

    return accumulated


def _weigh(part: _Sums, sums: _Sums) -> _Sums:
    """A microbatch's loss and gradients times its weight; zeros, not NaN, where that is 0."""
    if part.weight is None:
        return part
    weight = part.weight.astype(jnp.float32)

    def scale(x: Any, total: Any) -> Any:
        weighted = x.astype(total.dtype) * weight.astype(total.dtype)
        return jnp.where(weight == 0, jnp.zeros_like(weighted), weighted)

    return _Sums(scale(part.loss, sums.loss), jax.tree.map(scale, part.grads, sums.grads), weight)


def _reduce(sums: _Sums, count: int | None) -> _Sums:
    """From sums to means: by the total weight if there are weights, else by ``count``."""
    if count is None:
        return sums
    total = count if sums.weight is None else jnp.where(sums.weight == 0, 1, sums.weight)
    loss, grads = jax.tree.map(
        lambda x: x / jnp.asarray(total, jnp.finfo(x.dtype).dtype), (sums.loss, sums.grads)
    )
    return _Sums(loss, grads, sums.weight)


def _split_batch(batch: PyTree, count: int) -> PyTree:
    """Each leaf with its leading axis as (examples of a microbatch, microbatches)."""
    pairs = _tree.flatten_paths(batch)
    lengths = {np.shape(leaf)[0] for _, leaf in pairs if np.ndim(leaf)}
    if len(lengths) != 1 or not all(np.ndim(leaf) for _, leaf in pairs):
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(...)(params, batch)` needs one leading axis.",
                expected="arrays whose first axis is the same number of examples",
                got=[_tree.name_leaf(path, leaf) for path, leaf in pairs] or "no leaves",
                fix="Close over what is not an example, instead of putting it into `batch`.",
            )
        )
    (length,) = lengths
    if length == 0 or length % count:
        near = " or ".join(map(str, _find_divisors(length, count))) or "a batch with examples"
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(num_microbatches=...)` must divide the batch.",
                expected=f"a divisor of {length}, the length of the leading axis",
                got=str(count),
                fix=f"Choose {near}, or pad the batch and mask the padding with `weight_fn`.",
            )
        )

    def split(leaf: Any) -> Any:
        x = jnp.asarray(leaf)
        return x.reshape(length // count, count, *x.shape[1:])

    return jax.tree.map(split, batch)


def _find_divisors(length: int, count: int) -> list[int]:
    """The divisors of ``length`` next to ``count``, below and above."""
    divisors = [d for d in range(1, length + 1) if length % d == 0]
    below, above = [d for d in divisors if d < count], [d for d in divisors if d > count]
    return below[-1:] + above[:1]


def _make_varying(diff: PyTree, data: PyTree) -> tuple[PyTree, tuple[str, ...]]:
    """Parameters that vary over every mesh axis that the data do, and the axes they did not.

    Inside ``shard_map``, a gradient for parameters that do not vary over an axis is summed over it;
    for parameters made to vary it stays local, so that one sum after the loop is enough.
    """
    data_axes: frozenset[str] = frozenset().union(*map(varying_axes, jax.tree.leaves(data)))
    own_axes: frozenset[str] = frozenset().union(*map(varying_axes, jax.tree.leaves(diff)))
    missing = tuple(sorted(data_axes - own_axes))
    if not missing:
        return diff, ()
    return jax.tree.map(lambda p: lax.pcast(p, missing, to="varying"), diff), missing


def _zero(kind: Any, dtype: Any) -> Any:
    """A scalar zero that varies over the mesh axes that ``kind`` does."""
    zero = jnp.zeros((), dtype)
    axes = tuple(sorted(kind.manual_axis_type.varying)) if kind.manual_axis_type else ()
    return lax.pcast(zero, axes, to="varying") if axes else zero


def _choose_dtype(leaf: Any, accum: Any) -> Any:
    own = jax.typeof(leaf).dtype
    if accum is None:
        return _widen(own, jnp.float32)
    return _widen(accum, jnp.complex64) if _tree.is_complex(leaf) else accum


def _widen(dtype: Any, least: Any) -> Any:
    """The narrowest dtype that holds both, also where the user has made promotion an error."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(dtype, least)


def _check_count(count: int) -> int:
    try:
        number = operator.index(count)
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
    dtype = jnp.dtype(accum_dtype)
    real = jnp.issubdtype(dtype, jnp.floating)
    wide = real and dtype.itemsize > jnp.result_type(float).itemsize  # float32 without x64
    if wide or not real:
        raise ArgumentError(
            explain(
                "`functional_ad.accumulate_grads(accum_dtype=...)` must be a real floating dtype.",
                expected="float32, or float64 with jax_enable_x64 set, or a narrower one",
                got=f"{dtype}" + (", with jax_enable_x64 off" if wide else ""),
                fix="Leave it out for float32 sums of float16 and bfloat16 gradients.",
            )
        )
    return dtype


def _check_weight(weight: Any) -> Any:
    real = not _tree.is_complex(weight)
    if not jax.tree_util.all_leaves([weight]) or np.shape(weight) != () or not real:
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(weight_fn=...)` must return a real scalar.",
                expected="a number, or an array of shape ()",
                got=[_tree.name_leaf(path, leaf) for path, leaf in _tree.flatten_paths(weight)],
                fix="Sum the weights of the microbatch's examples, e.g. `jnp.sum(mask)`.",
            )
        )
    return jnp.asarray(weight, jnp.float32)
