"""Connectionist temporal classification: a sequence of labels against a longer one of scores."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from functional_ad.torch_semantics._arguments import check_choice
from functional_ad.torch_semantics.losses import _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce
from functional_ad.torch_semantics.losses._slopes import give_slopes


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike | Sequence[int],
    target_lengths: ArrayLike | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> jax.Array:
    """The negative log-probability of all alignments of labels with a longer sequence of scores.

    ``torch.nn.functional.ctc_loss``, on the CPU. As there, the gradient in ``log_probs`` is that
    in the logits of which they are the ``log_softmax``, so that through ``log_softmax`` it is the
    right one, and ``log_probs`` that are none have another gradient than the loss has. Where there
    is no alignment the loss is infinite and its gradient NaN, or both are 0.
    ``optax.losses.ctc_loss`` has a large finite number there, and takes logits. Three things
    differ. A log-probability of -inf has the gradient 0, where PyTorch has NaN. Half precision is
    taken. And a label that is out of range raises or makes the loss NaN, where PyTorch reads
    memory that is not its own.

    Args:
        log_probs: Log-probabilities of the labels, ``(T, N, C)`` or ``(T, C)``.
        targets: The labels, integers, none of them ``blank``: ``(N, S)``, or all of them one after
            the other.
        input_lengths: How many of the T scores count, integers, ``(N)``, or ``()`` without N. What
            is too long raises if its value can be seen; traced, it makes the loss NaN.
        target_lengths: How many of the S labels count; likewise. Traced, with labels one after the
            other, each row is computed as if it could have all of them.
        blank: The label that stands for none.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. For the mean, each loss is divided by the
            number of its labels first.
        zero_infinity: Whether a loss that is infinite counts as 0.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> log_probs = jax.nn.log_softmax(jnp.zeros((4, 1, 3)))
        >>> loss = ctc_loss(log_probs, jnp.array([[1, 2]]), [4], [2], reduction="sum")
        >>> print(f"{jnp.exp(-loss) * 3**4:.4f}")  # of 81 paths, 15 read 1, 2
        15.0000

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html
    """
    name = "ctc_loss"
    check_reduction(name, reduction)
    check_choice(f"losses.{name}", "zero_infinity", zero_infinity, (False, True))
    (scores,), dtype = _operands.take_floats(name, {"log_probs": log_probs})
    _operands.check_shape(
        name,
        "log_probs",
        log_probs,
        scores.ndim in (2, 3) and scores.size > 0,
        "(T, N, C) or (T, C), not empty",
        "Reshape it.",
    )
    batched = scores.ndim == 3
    scores = scores if batched else scores[:, None]
    times, batch, classes = scores.shape
    _operands.check_index(name, "blank", blank, 0, classes - 1, "Leave it out for 0.")
    inputs, wrong_inputs = _take_lengths("input_lengths", input_lengths, batch, batched, times)
    rows, lengths, wrong_targets = _take_targets(targets, target_lengths, batch, batched, classes)
    wrong = wrong_inputs | wrong_targets
    loss = _compute(scores, rows, inputs, lengths, wrong, blank, zero_infinity)
    if reduction == "mean":
        loss = loss / jnp.maximum(lengths, 1).astype(loss.dtype)
    return reduce(loss if batched else loss[0], reduction, dtype)


@functools.partial(jax.jit, static_argnames=("blank", "zero_infinity"))
def _compute(
    scores: jax.Array,
    rows: jax.Array,
    inputs: jax.Array,
    lengths: jax.Array,
    wrong: jax.Array,
    blank: int,
    zero_infinity: bool,
) -> jax.Array:
    """The loss of each row. Compiled, since outside of jit a scan would be compiled each time."""
    scores = jnp.where(wrong[None, :, None], jnp.nan, scores)
    inside = jnp.arange(scores.shape[0])[:, None] < inputs[None]
    loss = _sum_alignments(scores, rows, inside, lengths, blank)
    counted = jnp.where(inside[..., None], scores, -jnp.inf)
    # What makes the gradient one in the logits: of the normaliser, which is 1 for each time.
    total = jnp.sum(jnp.exp(counted), (0, 2))
    if zero_infinity:
        return jnp.where(loss == jnp.inf, 0, _add_slope(loss, total, jnp.ones_like(loss)))
    return _add_slope(loss, total, jnp.where(jnp.isfinite(loss), 1.0, jnp.nan))


@give_slopes(lambda loss, total, slope: 1.0, lambda loss, total, slope: slope, lambda *_: 0.0)
def _add_slope(loss: Any, total: Any, slope: Any) -> Any:
    """The loss, whose derivative is its own and a multiple of another's."""
    return loss


def _sum_alignments(
    scores: jax.Array, rows: jax.Array, inside: jax.Array, lengths: jax.Array, blank: int
) -> jax.Array:
    """The negative log of the sum over all alignments, by the forward recursion.

    Args:
        scores: ``[times, batch, classes]``.
        rows: Labels, ``[batch, places]``.
        inside: Which times count, ``[times, batch]``.
        lengths: How many labels count, ``[batch]``.
        blank: The label that stands for none.

    Returns:
        A number for each row of the batch; infinite where there is no alignment.
    """
    batch, places = rows.shape
    # Each label between two blanks: an alignment moves on by one state, or by two over a blank
    # that parts two different labels.
    states = jnp.full((batch, 2 * places + 1), blank).at[:, 1::2].set(rows)
    can_skip = states != jnp.pad(states, ((0, 0), (2, 0)))[:, : states.shape[1]]
    emitted = jnp.take_along_axis(
        scores,
        jnp.broadcast_to(states, (scores.shape[0], *states.shape)),
        2,
        mode="promise_in_bounds",
    )

    def step(alpha: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        score, counts = now
        before = _shift(alpha, 1), jnp.where(can_skip, _shift(alpha, 2), -jnp.inf)
        return jnp.where(counts[:, None], _add_logs(alpha, *before) + score, alpha), None

    start = jnp.full(states.shape, -jnp.inf, scores.dtype).at[:, 0].set(0)
    alpha, _ = lax.scan(step, start, (emitted, inside))
    last = 2 * lengths[:, None]
    ends = jnp.take_along_axis(alpha, jnp.concatenate([last, jnp.maximum(last - 1, 0)], 1), 1)
    label = jnp.where(lengths > 0, ends[:, 1], -jnp.inf)
    return -_add_logs(ends[:, 0], label)


def _shift(alpha: jax.Array, count: int) -> jax.Array:
    """The states that are some places before."""
    kept = alpha[:, : max(alpha.shape[1] - count, 0)]
    return jnp.pad(kept, ((0, 0), (alpha.shape[1] - kept.shape[1], 0)), constant_values=-jnp.inf)


def _add_logs(*logs: jax.Array) -> jax.Array:
    """The log of the sum of exponentials; where all are 0, the gradient is too."""
    greatest = logs[0]
    for log in logs[1:]:
        greatest = jnp.maximum(greatest, log)
    greatest = lax.stop_gradient(jnp.where(greatest == -jnp.inf, 0, greatest))
    total = sum(jnp.exp(log - greatest) for log in logs)
    empty = total == 0
    return jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1, total)) + greatest)


def _take_lengths(
    name: str, lengths: Any, batch: int, batched: bool, longest: int
) -> tuple[jax.Array, jax.Array]:
    """The lengths, ``[batch]``, and which are out of range."""
    given = np.asarray(lengths) if isinstance(lengths, list | tuple) else lengths
    array, wrong = _operands.take_labels("ctc_loss", name, given, 0, longest)
    _operands.check_shape(
        "ctc_loss",
        name,
        given,
        array.shape == (batch,) or (not batched and array.ndim == 0),
        f"({batch},), one for each row of the batch" + ("" if batched else ", or ()"),
        "Reshape it.",
    )
    return jnp.clip(array.reshape(batch), 0, longest), wrong.reshape(batch)


def _take_targets(
    targets: Any, lengths: Any, batch: int, batched: bool, classes: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The labels, ``[batch, places]``, how many of them count, and which rows are out of range.

    Labels that do not count are 0.
    """
    array, _ = _operands.take_labels("ctc_loss", "targets", targets, -(2**31), 2**31 - 1)
    _operands.check_shape(
        "ctc_loss",
        "targets",
        targets,
        array.ndim == 1 or (array.ndim == 2 and array.shape[0] == batch),
        f"({batch}, S), or all labels one after the other",
        "Reshape it.",
    )
    places = array.shape[-1]
    taken, wrong = _take_lengths("target_lengths", lengths, batch, batched, places)
    if array.ndim == 1:
        known = _operands.read_values(taken)
        if known is not None:
            _operands.check_shape(
                "ctc_loss",
                "targets",
                targets,
                known.sum() == places,
                f"({known.sum()},), the sum of `target_lengths`",
                "Correct one of the two.",
            )
            places = int(known.max(initial=0))
        wrong |= jnp.sum(taken) != array.size
        begins = jnp.cumsum(taken) - taken
        indices = jnp.clip(begins[:, None] + jnp.arange(places)[None], 0, max(array.size - 1, 0))
        array = array[indices] if array.size else jnp.zeros((batch, 0), array.dtype)
    counts = jnp.arange(places)[None] < taken[:, None]
    array = jnp.where(counts, array, 0)
    known, seen = _operands.read_values(array), _operands.read_values(targets)
    if known is not None and seen is not None:
        _operands.check_all(
            "ctc_loss",
            "targets",
            known,
            (known >= 0) & (known < classes),
            f"from 0 to {classes - 1}",
            "Correct it.",
        )
    wrong |= jnp.any((array < 0) | (array >= classes), 1)
    return jnp.clip(array, 0, classes - 1), taken, wrong
