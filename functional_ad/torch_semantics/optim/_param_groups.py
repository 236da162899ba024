"""Options for each group of parameters (the param_groups of torch.optim)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

import jax
import optax
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, SelectionError, explain
from functional_ad._leaves import select_for
from functional_ad.torch_semantics.optim._composition import check_structure

_FUNCTION: Final = "functional_ad.torch_semantics.optim.param_groups"
_UNTRAINED: Final = "untrained"


def param_groups(
    make: Callable[..., optax.GradientTransformation],
    groups: Sequence[Mapping[str, Any]],
    **defaults: Any,
) -> optax.GradientTransformationExtraArgs:
    """One optimizer with other options for some of the parameters.

    PyTorch's ``torch.optim.SGD([{"params": ..., "lr": ...}, ...], lr=...)``. A group names its
    parameters by ``where``, as ``functional_ad.select`` takes it, and says which options differ
    from the defaults. As in PyTorch, a parameter in no group is not trained: its update is zero,
    and there is no state for it.

    Args:
        make: An optimizer of this package, e.g. ``adamw``.
        groups: For each group a mapping of ``"where"`` and of options of ``make``.
        **defaults: Options for the groups that do not give them.

    Returns:
        A gradient transformation. Its state is ``optax.PartitionState``, the groups' states by
        their number: ``state.inner_states["0"].inner_state``.

    Raises:
        ArgumentError: There is no group, one lacks ``where``, an option is unknown or out of
            PyTorch's bounds, or ``make`` is ``lbfgs``, which PyTorch takes no groups for either.
        SelectionError: In ``init``, a leaf is in two groups, or a pattern matches no leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> from functional_ad.torch_semantics.optim import sgd
        >>> optimizer = param_groups(
        ...     sgd,
        ...     [{"where": "*/bias", "weight_decay": 0.0}, {"where": "*/weight", "lr": 1.0}],
        ...     lr=0.1,
        ...     weight_decay=0.5,
        ... )
        >>> params = {"layer": {"weight": jnp.ones(2), "bias": jnp.ones(2)}, "scale": jnp.ones(2)}
        >>> state = optimizer.init(params)
        >>> updates, state = optimizer.update(params, state, params)  # gradients of 1
        >>> print(updates["layer"]["weight"], updates["layer"]["bias"], updates["scale"])
        [-1.5 -1.5] [-0.1 -0.1] [0. 0.]

    Source:
        https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
    """
    _check_groups(make, groups, defaults)
    wheres = [group["where"] for group in groups]
    transforms: dict[Hashable, optax.GradientTransformation] = {_UNTRAINED: optax.set_to_zero()}
    for number, group in enumerate(groups):
        options = {name: value for name, value in group.items() if name != "where"}
        transforms[str(number)] = make(**{**defaults, **options})

    def init(params: PyTree) -> PyTree:
        return optax.partition(transforms, _label(params, wheres)).init(params)

    def update(
        updates: PyTree, state: PyTree, params: PyTree | None = None, **extra_args: Any
    ) -> tuple[PyTree, PyTree]:
        check_structure(updates, params)
        labels = _label(updates if params is None else params, wheres)
        whole = optax.partition(transforms, labels)
        return whole.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(init, update)


def _label(tree: PyTree, wheres: Sequence[Any]) -> PyTree:
    """The number of its group at each leaf, as a string."""
    pairs = _tree.flatten_paths(tree)
    masks = [
        jax.tree.leaves(select_for(f"{_FUNCTION}(groups[{number}]['where'])", tree, where))
        for number, where in enumerate(wheres)
    ]
    labels: list[str] = []
    twice: list[str] = []
    for place, (path, _) in enumerate(pairs):
        hits = [str(number) for number, mask in enumerate(masks) if mask[place]]
        labels.append(hits[0] if hits else _UNTRAINED)
        if len(hits) > 1:
            twice.append(f"{path!r} in the groups {' and '.join(hits)}")
    if twice:
        raise SelectionError(
            explain(
                f"`{_FUNCTION}(groups=...)` must have a parameter in one group only.",
                expected="groups that share no leaf",
                got=twice,
                fix="Narrow one group's `where`, e.g. to a list of paths.",
            )
        )
    return jax.tree.unflatten(jax.tree.structure(tree), labels)


def _check_groups(make: Any, groups: Any, defaults: Mapping[str, Any]) -> None:
    listed = isinstance(groups, Sequence) and all(isinstance(g, Mapping) for g in groups)
    if not listed or not groups:
        raise ArgumentError(
            explain(
                f"`{_FUNCTION}(groups=...)` must be a list of groups.",
                expected='a list of mappings, at least one, each with "where"',
                got="an empty list" if listed else _tree.describe_value(groups),
                fix='Write e.g. `[{"where": "*/bias", "weight_decay": 0.0}]`.',
            )
        )
    function = getattr(make, "__name__", repr(make))
    if function == "lbfgs":
        raise ArgumentError(
            explain(
                f"`{_FUNCTION}(make=...)` must treat each parameter by itself.",
                expected="e.g. `adamw`",
                got="`lbfgs`, whose steps are one for all parameters",
                fix="Give `lbfgs` the trained half of `functional_ad.partition`.",
            )
        )
    known = list(inspect.signature(make).parameters)
    for place, options in [("**defaults", defaults), *enumerate(groups)]:
        name = place if isinstance(place, str) else f"groups[{place}]"
        if not isinstance(place, str) and "where" not in options:
            raise ArgumentError(
                explain(
                    f"`{_FUNCTION}({name})` must say which parameters it has.",
                    expected='a mapping with "where": a path, a glob, a list of them, a predicate',
                    got=f"only {', '.join(map(repr, options)) or 'an empty mapping'}",
                    fix='Write `"where": None` for all parameters.',
                )
            )
        unknown = [key for key in options if key not in known and key != "where"]
        if unknown or (isinstance(place, str) and "where" in options):
            raise ArgumentError(
                explain(
                    f"`{_FUNCTION}({name})` has an option that `{function}` does not take.",
                    expected=", ".join(known),
                    got=", ".join(map(repr, unknown or ["where"])),
                    fix="Write it as PyTorch does; `foreach` and its like have no use here.",
                )
            )
