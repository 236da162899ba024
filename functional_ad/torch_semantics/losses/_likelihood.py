"""Divergence of distributions, and likelihoods under a Poisson or a normal one."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike

from functional_ad.torch_semantics._arguments import check_choice, check_number
from functional_ad.torch_semantics.losses import _operands
from functional_ad.torch_semantics.losses._reduction import check_reduction, reduce


def kl_div(
    input: ArrayLike, target: ArrayLike, *, reduction: str = "mean", log_target: bool = False
) -> jax.Array:
    """The divergence of a distribution from the target's, ``t * (log(t) - input)``.

    ``torch.nn.functional.kl_div``. Of a target of 0 the loss is 0, and its gradient in the target
    NaN, as in PyTorch. ``"mean"`` divides by the number of elements, of which PyTorch warns each
    time: ``"batchmean"`` is the divergence.

    Args:
        input: Log-probabilities.
        target: Probabilities; broadcast with ``input``.
        reduction: ``"none"``, ``"mean"``, ``"sum"``, or ``"batchmean"``: the sum, divided by the
            first dimension of ``input``.
        log_target: Whether ``target`` has log-probabilities.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> log_p, target = jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])
        >>> print(f"{kl_div(log_p, target, reduction='batchmean'):.4f}")
        0.6931

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html
    """
    check_reduction("kl_div", reduction, "batchmean")
    check_choice("losses.kl_div", "log_target", log_target, (False, True))
    (x, t), dtype = _operands.take_floats("kl_div", {"input": input, "target": target})
    batch = x.shape[0] if x.ndim else 1
    x, t = _operands.broadcast("kl_div", input=x, target=t)
    diverge = (
        optax.losses.kl_divergence_with_log_targets if log_target else optax.losses.kl_divergence
    )
    loss = diverge(x, t, axis=())
    if reduction == "batchmean":
        return (jnp.sum(loss) / batch).astype(dtype)
    return reduce(loss, reduction, dtype)


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> jax.Array:
    """The negative log-likelihood of counts, without the part that only they are in.

    ``torch.nn.functional.poisson_nll_loss``, which takes the logarithms of counts that are integers
    in float32 whatever the dtype of ``input``; here they are taken in that dtype.

    Args:
        input: The expected counts, or their logarithms.
        target: The counts, floating-point numbers or integers; broadcast with ``input``.
        log_input: Whether ``input`` has logarithms: the loss is ``exp(input) - target * input``,
            else ``input - target * log(input + eps)``.
        full: Whether to add the part that only the counts are in, by Stirling's formula, for
            counts above 1.
        eps: What is added to ``input`` before its logarithm is taken.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(f"{poisson_nll_loss(jnp.array([0.0, 1.0]), jnp.array([0, 2])):.4f}")
        0.8591

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.poisson_nll_loss.html
    """
    name = "poisson_nll_loss"
    check_reduction(name, reduction)
    check_choice(f"losses.{name}", "log_input", log_input, (True, False))
    check_choice(f"losses.{name}", "full", full, (True, False))
    check_number(f"losses.{name}", "eps", eps)
    given = {"input": input, "target": target}
    (x, t), dtype = _operands.take_floats(name, given, integers=("target",))
    x, t = _operands.broadcast(name, input=x, target=t)
    loss = jnp.exp(x) - t * x if log_input else x - t * jnp.log(x + eps)
    if full:
        stirling = t * jnp.log(t) - t + 0.5 * jnp.log(2 * math.pi * t)
        loss = loss + jnp.where(t <= 1, 0, stirling)
    return reduce(loss, reduction, dtype)


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> jax.Array:
    """The negative log-likelihood of numbers under normal distributions.

    ``torch.nn.functional.gaussian_nll_loss``. As there, a variance below ``eps`` is taken as
    ``eps``, and its gradient is that at ``eps``.

    Args:
        input: The expectations.
        target: The numbers, floating-point numbers or integers; broadcast with ``input``.
        var: The variances: a number, or an array of the shape of ``input``, but for one dimension
            of 1, or but for the last dimension. A negative one raises if its value can be seen;
            traced, it makes the loss NaN.
        full: Whether to add the constant, ``log(2 * pi) / 2``.
        eps: The smallest variance.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        ArgumentError: An argument is of no use.

    Example:
        >>> print(gaussian_nll_loss(jnp.array([0.0, 1.0]), jnp.array([0.0, 3.0]), 1.0))
        1.0

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gaussian_nll_loss.html
    """
    name = "gaussian_nll_loss"
    check_reduction(name, reduction)
    check_choice(f"losses.{name}", "full", full, (True, False))
    check_number(f"losses.{name}", "eps", eps)
    given = {"input": input, "target": target, "var": var}
    (x, t, v), dtype = _operands.take_floats(name, given, integers=("target", "var"))
    known = _operands.read_values(var)
    if known is not None:
        _operands.check_all(
            name, "var", var, ~(known < 0), "at least 0", "Pass variances, e.g. `sigma**2`."
        )
    v = jnp.broadcast_to(v, x.shape) if isinstance(var, float | int) else v
    if v.shape == x.shape[:-1] and v.ndim < x.ndim:
        v = v[..., None]
    unequal = [b for a, b in zip(x.shape, v.shape, strict=False) if a != b]
    _operands.check_shape(
        name,
        "var",
        var,
        v.ndim == x.ndim and unequal in ([], [1]),
        f"{x.shape}, as `input`, or one dimension of it left out at the end or 1",
        "Reshape it.",
    )
    x, t, v = _operands.broadcast(name, input=x, target=t, var=v)
    # The value is bounded, the gradient passes: eps + (v - v), not v + (eps - v), which is rounded.
    v = jnp.where(v < eps, eps + (v - lax.stop_gradient(jnp.where(v < 0, jnp.nan, v))), v)
    loss = 0.5 * (jnp.log(v) + (x - t) ** 2 / v)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce(loss, reduction, dtype)
