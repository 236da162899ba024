"""Muon: momentum made orthogonal, matrix by matrix (torch.optim.Muon)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad.torch_semantics._arguments import check_choice, check_number
from functional_ad.torch_semantics.optim._composition import (
    add_weight_decay,
    compose,
    require_real,
)
from functional_ad.torch_semantics.optim._hyperparameters import (
    Scalar,
    check_common,
    check_count,
    check_flags,
    check_tuple,
)

# PyTorch's, on every device and whatever the parameters are. The tests put float64 in its place,
# here and there, to see all of the rest to its last digits.
_DTYPE: Final = jnp.bfloat16


class MuonState(NamedTuple):
    """The state of ``muon``, with PyTorch's name.

    Attributes:
        momentum_buffer: The running means of the gradients.
    """

    momentum_buffer: PyTree


def muon(
    lr: optax.ScalarOrSchedule = 1e-3,
    weight_decay: Scalar = 0.1,
    momentum: Scalar = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[Scalar, Scalar, Scalar] = (3.4445, -4.775, 2.0315),
    eps: Scalar = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Moves matrices along their momentum, with all its singular values brought close to 1.

    PyTorch's ``torch.optim.Muon``, for matrices only: train the other leaves with another
    optimizer, e.g. through ``param_groups``. Against ``optax.contrib.muon``: the momentum is a
    running mean without correction of its bias, the matrix is divided by its norm or by ``eps``,
    whichever is greater, and the rate is adjusted for a matrix of rows by columns as PyTorch lays
    it out (outputs by inputs).

    The Newton-Schulz iterations that make the momentum orthogonal are in bfloat16, as PyTorch's
    are, and rounded at the same places: sums of products are taken in float32, and each result is
    rounded once. What is left open is the order in which a product's terms are summed, which both
    libraries choose by shape and device. Now and then it decides a rounding to bfloat16, of which
    five iterations make up to a few hundredths of an entry of order 1. Measured against PyTorch on
    a CPU, of 20 random matrices all were equal bit by bit at 8 x 8, 19 at 16 x 64, and 3 at
    128 x 128, where 3 entries in 10 differed, by at most 0.006; PyTorch's own are 0.007 off the
    result in float64 there. Everything else agrees with PyTorch to 1e-10 over 1,000 steps in
    float64, as the tests show with float64 in bfloat16's place on both sides.

    Args:
        lr: The learning rate: a number that is not negative, a scalar array or an optax schedule.
        weight_decay: How much of a parameter is taken off in a step, times ``lr``; not negative.
        momentum: How much of the running mean is kept, not negative.
        nesterov: Whether to look ahead by Nesterov's rule.
        ns_coefficients: The three coefficients of the iterations' polynomial.
        eps: The smallest norm that a matrix is divided by.
        ns_steps: The number of iterations, 0 to 99.
        adjust_lr_fn: By what the rate is multiplied for a matrix with A rows and B columns:
            "original", or None, for ``sqrt(max(1, A / B))``, "match_rms_adamw" for
            ``0.2 * sqrt(max(A, B))``.

    Returns:
        A gradient transformation. ``MuonState`` is in its state.

    Raises:
        ArgumentError: An option is out of PyTorch's bounds, or, in ``init``, a parameter is no
            matrix.
        LeafTypeError: In ``init``, a parameter is complex.

    Example:
        >>> import jax.numpy as jnp
        >>> optimizer = muon(lr=0.1, weight_decay=0.0)
        >>> params = {"w": jnp.zeros((2, 2)), "frozen": None}
        >>> state = optimizer.init(params)
        >>> grads = {"w": jnp.array([[3.0, 0.0], [0.0, -0.1]]), "frozen": None}
        >>> updates, state = optimizer.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates)["w"])
        [[-0.06875     0.        ]
         [ 0.          0.11328125]]

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html
        https://optax.readthedocs.io/en/latest/api/contrib.html#optax.contrib.muon
    """
    check_common("muon", lr=lr, weight_decay=weight_decay, maximize=False)
    check_number("optim.muon", "momentum", momentum, low=0.0)
    check_flags("optim.muon", nesterov=nesterov)
    coefficients = check_tuple("muon", "ns_coefficients", ns_coefficients, 3)
    for i, coefficient in enumerate(coefficients):
        check_number("optim.muon", f"ns_coefficients[{i}]", coefficient)
    check_number("optim.muon", "eps", eps)
    check_count("muon", "ns_steps", ns_steps, low=0, high=99)
    check_choice("optim.muon", "adjust_lr_fn", adjust_lr_fn, (None, *_RATIOS))
    ratio = _RATIOS[adjust_lr_fn or "original"]

    def init(params: PyTree) -> MuonState:
        _check_matrices(params)
        return MuonState(optax.tree.zeros_like(params))

    def turn(grad: Any, mean: Any) -> Any:
        ahead = momentum * mean + (1 - momentum) * grad if nesterov else mean
        turned = _orthogonalize(ahead, coefficients, ns_steps, eps)
        return ratio(*grad.shape) * turned.astype(grad.dtype)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, MuonState]:
        del params
        means = optax.tree.update_moment(updates, state.momentum_buffer, momentum, 1)
        return jax.tree.map(turn, updates, means), MuonState(means)

    return require_real(
        "muon",
        compose(
            optax.GradientTransformation(init, update),
            add_weight_decay(weight_decay),
            optax.scale_by_learning_rate(lr),
        ),
    )


_RATIOS: Final = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}


def _orthogonalize(matrix: Any, coefficients: Sequence[Any], steps: int, eps: Any) -> Any:
    """The matrix with its singular values brought close to 1."""
    a, b, c = coefficients
    wide = _tree.widen(_DTYPE)

    def multiply(x: Any, y: Any) -> Any:
        return jnp.matmul(x, y, preferred_element_type=wide)

    tall = matrix.shape[0] > matrix.shape[1]
    x = _round(matrix.T if tall else matrix)
    norm = _round(jnp.linalg.norm(x.astype(wide)))
    x = _round(x.astype(wide) / jnp.maximum(norm, jnp.asarray(eps, _DTYPE)).astype(wide))
    for _ in range(steps):
        gram = _round(multiply(x, x.T))
        mixed = _round(c * multiply(gram, gram) + b * gram.astype(wide))
        x = _round(multiply(mixed, x) + a * x.astype(wide))
    return x.T if tall else x


def _round(x: Any) -> Any:
    """As a cast, which XLA may leave out where another leads back."""
    kind = jnp.finfo(_DTYPE)
    return jax.lax.reduce_precision(x, kind.nexp, kind.nmant).astype(_DTYPE)


def _check_matrices(params: PyTree) -> None:
    wrong = [
        _tree.name_leaf(path, leaf)
        for path, leaf in _tree.flatten_paths(params)
        if jnp.ndim(leaf) != 2
    ]
    if wrong:
        raise ArgumentError(
            explain(
                "`functional_ad.torch_semantics.optim.muon` trains matrices only.",
                expected="leaves of 2 dimensions",
                got=wrong,
                fix="Train the others with e.g. `adamw`, in a group of their own.",
            )
        )
