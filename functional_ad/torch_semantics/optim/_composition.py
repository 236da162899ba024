"""How an optimizer is put together from optax's transforms, and what all of them need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree
from optax.contrib import split_real_and_imaginary

from functional_ad import _tree
from functional_ad._errors import ArgumentError, LeafTypeError, explain


class CountedState(NamedTuple):
    """The state of a transform that depends on the number of steps, and has no count of its own.

    Attributes:
        count: How many steps were made, an int32 scalar.
        inner_state: The state of the transform.
    """

    count: Any
    inner_state: Any


def compose(
    *transforms: optax.GradientTransformation, maximize: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Chains transforms into an optimizer.

    Over ``optax.chain`` it adds what every optimizer of PyTorch does. With ``maximize`` gradients
    are negated first. State and updates keep their dtypes, whatever the dtype of a
    hyperparameter that is an array. And a complex leaf is two real ones (``view_as_real``).

    Raises:
        ArgumentError: In ``update``, the parameters have another structure than the gradients.
    """
    ascent = [optax.scale(-1.0)] if maximize else []
    whole = optax.chain(*ascent, *transforms)
    in_parts = optax.with_extra_args_support(split_real_and_imaginary(whole))

    def init(params: PyTree) -> PyTree:
        return (in_parts if _has_complex(params) else whole).init(params)

    def update(
        updates: PyTree, state: PyTree, params: PyTree | None = None, **extra_args: Any
    ) -> tuple[PyTree, PyTree]:
        check_structure(updates, params)
        transform = in_parts if _has_complex(updates) else whole
        new_updates, new_state = transform.update(updates, state, params, **extra_args)
        return _cast_like(new_updates, updates), _cast_like(new_state, state)

    return optax.GradientTransformationExtraArgs(init, update)


def with_count(
    make: Callable[[Any], optax.GradientTransformation],
) -> optax.GradientTransformation:
    """A transform made anew in each step, from the number of steps before it.

    ``optax.inject_hyperparams`` would round what is scheduled to the parameters' dtype: in
    bfloat16 a beta of 0.999 is 1.
    """

    def init(params: PyTree) -> CountedState:
        return CountedState(jnp.zeros((), jnp.int32), make(0).init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, CountedState]:
        new_updates, inner = make(state.count).update(updates, state.inner_state, params)
        return new_updates, CountedState(optax.safe_increment(state.count), inner)

    return optax.GradientTransformation(init, update)


def with_own_count(
    make: Callable[[Any], optax.GradientTransformation],
) -> optax.GradientTransformation:
    """As ``with_count``, where the state has a field ``count`` already, as Adam's has."""

    def update(updates: PyTree, state: Any, params: PyTree | None = None) -> tuple[PyTree, PyTree]:
        return make(state.count).update(updates, state, params)

    return optax.GradientTransformation(lambda params: make(0).init(params), update)


def evaluate(value: Any, count: Any) -> Any:
    """A hyperparameter as it is in a step: a schedule's value, or the number itself."""
    return value(count) if callable(value) else value


def is_zero(value: Any) -> bool:
    """Whether a hyperparameter is known to be 0, so that what it scales is left out."""
    return isinstance(value, int | float | np.number) and value == 0


def add_weight_decay(weight_decay: Any) -> optax.GradientTransformation:
    """Adds decayed parameters; nothing, which needs no parameters, if the factor is 0."""
    if is_zero(weight_decay):
        return optax.identity()
    return optax.add_decayed_weights(weight_decay)


def get_scalar_dtype(params: PyTree) -> Any:
    """The dtype of a state's scalars: float64 if a parameter is, float32 otherwise.

    PyTorch's follow ``torch.get_default_dtype()``.
    """
    leaves = [leaf for leaf in jax.tree.leaves(params) if _tree.is_differentiable(leaf)]
    wide = any(jnp.finfo(jnp.result_type(leaf)).dtype == np.float64 for leaf in leaves)
    return jnp.float64 if wide else jnp.float32


def require_real(
    function: str, optimizer: optax.GradientTransformationExtraArgs
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that PyTorch's refuses complex parameters for, as it does."""

    def init(params: PyTree) -> PyTree:
        check_real(function, params)
        return optimizer.init(params)

    return optimizer._replace(init=init)


def check_real(function: str, params: PyTree) -> None:
    """Raises unless all parameters are real.

    Raises:
        LeafTypeError: One is complex.
    """
    wrong = [
        _tree.name_leaf(path, leaf)
        for path, leaf in _tree.flatten_paths(params)
        if _tree.is_complex(leaf)
    ]
    if wrong:
        raise LeafTypeError(
            explain(
                f"`functional_ad.torch_semantics.optim.{function}` trains real parameters only.",
                expected="floating-point leaves",
                got=wrong,
                fix="Train the real and the imaginary part as two leaves.",
            )
        )


def check_structure(grads: PyTree, params: PyTree | None) -> None:
    """Checks that parameters and gradients have their leaves in the same places.

    Raises:
        ArgumentError: They do not.
    """
    if params is None or jax.tree.structure(grads) == jax.tree.structure(params):
        return
    raise ArgumentError(
        explain(
            "An optimizer's `update(grads, state, params)` must get one leaf for each gradient.",
            expected=str(jax.tree.structure(grads)),
            got=str(jax.tree.structure(params)),
            fix="Give `init` and `update` the trained half of `functional_ad.partition` only.",
        )
    )


def _has_complex(tree: PyTree) -> bool:
    return any(_tree.is_complex(leaf) for leaf in jax.tree.leaves(tree))


def _cast_like(tree: PyTree, other: PyTree) -> PyTree:
    return jax.tree.map(lambda x, y: jnp.asarray(x).astype(jnp.result_type(y)), tree, other)
