"""Losses of scores of classes, of which the right ones should lead by a margin."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from functional_ad.torch_semantics._arguments import check_choice, check_number
from functional_ad.torch_semantics.losses import _kinks, _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """What the right class's score is short of leading each other one's by a margin.

    ``torch.nn.functional.multi_margin_loss``, which takes int64 labels only, and has no second
    derivative. The sum over the classes is divided by their number.
    ``optax.losses.multiclass_hinge_loss`` has the greatest in place of the sum.

    Args:
        input: Scores of the classes, ``(C)`` or ``(N, C)``.
        target: The right classes, integers, ``()`` or ``(N)``. One that is out of range raises if
            its value can be seen; traced, it makes the loss NaN.
        p: The power of what is short, 1 or 2.
        margin: By how much to lead.
        weight: A weight for each class, ``(C)``: that of the right one counts.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean is divided by the number of
            losses, also if they are weighted.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(f"{multi_margin_loss(jnp.array([[1.0, 0.5, 3.0]]), jnp.array([0])):.4f}")
        1.1667

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multi_margin_loss.html
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction)
    check_number(f"losses.{name}", "margin", margin)
    check_choice(f"losses.{name}", "p", int(p) if p in (1, 2) else p, (1, 2))
    given = {"input": input} | ({} if weight is None else {"weight": weight})
    (x, *weights), dtype = _operands.take_floats(name, given)
    rows = _take_rows(name, input, x)
    classes = rows.shape[1]
    labels, wrong = _operands.take_labels(name, "target", target, 0, classes - 1)
    fits = labels.shape == x.shape[:-1] or (x.ndim < 2 and labels.shape == (1,))
    _operands.check_shape(
        name,
        "target",
        target,
        fits,
        f"{x.shape[:-1]}, as `input` without its classes",
        "Reshape it.",
    )
    index = jnp.clip(labels, 0, classes - 1).reshape(-1)
    right = index[:, None] == jnp.arange(classes)[None]
    lead = jnp.take_along_axis(rows, index[:, None], 1, mode="promise_in_bounds")
    short = _kinks.positive_part(margin - lead + rows, ~right)
    loss = jnp.sum(short if p == 1 else short * short, 1)
    if weights:
        _operands.check_shape(
            name,
            "weight",
            weight,
            weights[0].shape == (classes,),
            f"({classes},): one for each class",
            "Reshape it.",
        )
        loss = loss * weights[0][index]
    loss = loss.reshape(labels.shape) / jnp.where(wrong, jnp.nan, classes)
    return reduce(loss, reduction, dtype)


def multilabel_margin_loss(
    input: ArrayLike, target: ArrayLike, *, reduction: str = "mean"
) -> jax.Array:
    """What each right class's score is short of leading each wrong one's by 1.

    ``torch.nn.functional.multilabel_margin_loss``, which takes int64 labels only, and has no
    second derivative. The sum over all pairs is divided by the number of classes.

    Args:
        input: Scores of the classes, ``(C)`` or ``(N, C)``.
        target: Of the shape of ``input``: the right classes, integers, and after the last of them
            -1; what is behind it does not count. A class that is out of range raises if its value
            can be seen, also behind a -1; traced, it makes the loss NaN.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> loss = multilabel_margin_loss(jnp.array([1.0, 0.5, 3.0]), jnp.array([0, 2, -1]))
        >>> print(f"{loss:.4f}")
        0.1667

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_margin_loss.html
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    (x,), dtype = _operands.take_floats(name, {"input": input})
    rows = _take_rows(name, input, x)
    classes = rows.shape[1]
    labels, wrong = _operands.take_labels(name, "target", target, -1, classes - 1)
    fits = labels.shape == x.shape or (x.ndim == 0 and labels.shape == (1,))
    fits = fits or (x.shape == (1,) and labels.shape == ())
    _operands.check_shape(
        name, "target", target, fits, f"{x.shape}, the shape of `input`", "Fill it up with -1."
    )
    labels = labels.reshape(rows.shape)
    counts = jnp.cumprod(labels >= 0, 1) > 0
    index = jnp.clip(labels, 0, classes - 1)
    # [rows, places in the target, classes]
    named = (index[:, :, None] == jnp.arange(classes)[None, None]) & counts[:, :, None]
    wrong_class = ~jnp.any(named, 1, keepdims=True)
    lead = jnp.take_along_axis(rows, index, 1, mode="promise_in_bounds")
    short = _kinks.positive_part(
        1 - lead[:, :, None] + rows[:, None, :], counts[:, :, None] & wrong_class
    )
    wrong = jnp.any(wrong.reshape(rows.shape), 1)
    loss = jnp.sum(short, (1, 2)) / jnp.where(wrong, jnp.nan, classes)
    return reduce(loss.reshape(x.shape[:-1]), reduction, dtype)


def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> jax.Array:
    """The mean over the classes of the binary cross entropy of each.

    ``torch.nn.functional.multilabel_soft_margin_loss``.

    Args:
        input: Logits of the classes, ``(C)`` or ``(..., C)``.
        target: 1 for the classes that are right, else 0; floating-point numbers or integers,
            broadcast with ``input``.
        weight: A weight for each class, or an array to be broadcast with ``input``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss; of the shape of ``input`` without the classes if it is not reduced.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> loss = multilabel_soft_margin_loss(jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]]))
        >>> print(f"{loss:.4f}")
        0.6931

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_soft_margin_loss.html
    """
    name = "multilabel_soft_margin_loss"
    check_reduction(name, reduction)
    given = {"input": input, "target": target} | ({} if weight is None else {"weight": weight})
    (x, t, *weights), dtype = _operands.take_floats(name, given, integers=("target",))
    _operands.check_shape(name, "input", input, x.ndim >= 1, "(C) or (..., C)", "Reshape it.")
    axis, classes = x.ndim - 1, x.shape[-1]
    x, t = _operands.broadcast(name, input=x, target=t)
    loss = optax.losses.sigmoid_binary_cross_entropy(x, t)
    if weights:
        loss, w = _operands.broadcast(name, input=loss, weight=weights[0])
        loss = loss * w
    return reduce(jnp.sum(loss, axis) / classes, reduction, dtype)


def _take_rows(function: str, input: Any, x: jax.Array) -> jax.Array:
    """The scores as ``[rows, classes]``."""
    _operands.check_shape(
        function,
        "input",
        input,
        x.ndim <= 2 and x.shape[-1:] != (0,),
        "(C) or (N, C), with C of at least 1",
        "Reshape it.",
    )
    return x.reshape(-1, x.shape[-1] if x.ndim else 1)
