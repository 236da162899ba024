"""Normalisation layers: epsilons, their place, and running averages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._causes._known import Details, Known, Program, Scene
from comparisons._causes._rewrite import Rule, Step

_LAYER_NORM = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html"
_FLAX_NORM = "https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html"

USUAL = (1e-5, 1e-6, 1e-8, 1e-12, 1e-3, 1e-7, 1e-10)  # the epsilons of both frameworks' defaults
_ADDS_EPSILON = ("add", "max")
_ROOTS = {"sqrt": 0.5, "rsqrt": -0.5}

LARGEST_EPSILON = 0.1  # what does not close the gap is not named anyway


def replace_literals(changes: dict[float, float], names: tuple[str, ...] = ()) -> Rule:
    """Other constants in the program, in equations of those names or in all."""

    def rule(step: Step) -> Step | None:
        if names and step.name not in names:
            return None
        values = list(step.values)
        for i, literal in enumerate(step.literals):
            for old, new in changes.items():
                if literal is not None and is_close(literal, old):
                    values[i] = jnp.asarray(new, jnp.result_type(values[i]))
        return dataclasses.replace(step, values=tuple(values))

    return rule


def is_close(a: float, b: float) -> bool:
    """Whether two constants are the same number, at float32."""
    return math.isclose(a, b, rel_tol=1e-6)


def _find_epsilons(scene: Scene) -> list[float]:
    found = {
        literal
        for step in scene.steps
        if step.name in _ADDS_EPSILON
        for literal in step.literals
        if literal is not None and 1e-13 <= literal <= LARGEST_EPSILON
    }
    return sorted(found)[:3]


def _choose_default(scene: Scene) -> list[Details]:
    return (
        [{"old": 1e-6, "new": 1e-5}]
        if any(is_close(found, 1e-6) for found in _find_epsilons(scene))
        else []
    )


def _choose_epsilon(scene: Scene) -> list[Details]:
    return [
        {"old": old, "new": new}
        for old in _find_epsilons(scene)
        for new in (*USUAL, 0.0)
        if not is_close(old, new) and not (is_close(old, 1e-6) and new == 1e-5)
    ]


def _change_epsilon(old: float, new: float) -> Rule:
    return replace_literals({old: new}, _ADDS_EPSILON)


def _exponent(step: Step | None) -> float | None:
    """1/2 or -1/2 if the step is such a root."""
    if step is None:
        return None
    if step.name == "pow" and step.literals[1] in (0.5, -0.5):
        return step.literals[1]
    return _ROOTS.get(step.name)


def _split_epsilon(step: Step | None) -> tuple[int, int] | None:
    """The places of the other operand and of the epsilon in a sum with one."""
    if step is None or step.name != "add":
        return None
    for i in (0, 1):
        literal = step.literals[i]
        if literal is not None and 1e-13 <= literal <= LARGEST_EPSILON:
            return 1 - i, i
    return None


def _epsilon_out_of_root() -> Rule:
    def rule(step: Step) -> Any:
        exponent, places = _exponent(step), _split_epsilon(step.makers[0] if step.makers else None)
        if exponent is None or places is None:
            return None
        square, epsilon = (step.makers[0].values[i] for i in places)  # type: ignore[union-attr]
        root = jnp.sqrt(square) + epsilon
        return root if exponent > 0 else 1 / root

    return rule


def _epsilon_into_root() -> Rule:
    def rule(step: Step) -> Any:
        places = _split_epsilon(step)
        root = step.makers[places[0]] if places else None
        if places is None or root is None or _exponent(root) != 0.5:
            return None
        return jnp.sqrt(root.values[0] + step.values[places[1]])

    return rule


def _when(rule: Callable[[], Rule], recognise: Callable[[Step], Any]) -> Program:
    """A rule without options, where some equation is one that it answers for."""
    return Program(lambda: rule(), lambda scene: [{}] if any(map(recognise, scene.steps)) else [])


def _has_epsilon_under_root(step: Step) -> bool:
    return _exponent(step) is not None and _split_epsilon(step.makers[0]) is not None


def _has_epsilon_beside_root(step: Step) -> bool:
    places = _split_epsilon(step)
    return places is not None and _exponent(step.makers[places[0]]) == 0.5


def _is_bare_root(step: Step) -> bool:
    return _exponent(step) is not None and _split_epsilon(step.makers[0]) is None


def _choose_missing(scene: Scene) -> list[Details]:
    clips = scene.sites.get("clip-norm-epsilon") or any(map(divides_by_norm, scene.steps))
    if clips or not any(map(_is_bare_root, scene.steps)):  # clipping has an entry of its own
        return []
    return [
        {"new": new, "where": where, "inside": where == "under the root"}
        for where in ("under the root", "beside the root")
        for new in (1e-5, 1e-6, 1e-8, 1e-12)
    ]


def divides_by_norm(step: Step) -> bool:
    """Whether a number is divided by a root that is one number, as in clipping by a norm."""
    if step.name != "div":
        return False
    below = step.makers[1]
    scalars = all(np.shape(value) == () for value in step.values)
    return scalars and below is not None and below.name == "sqrt"


def _add_epsilon(new: float, where: str, inside: bool) -> Rule:
    def rule(step: Step) -> Any:
        if not _is_bare_root(step):
            return None
        root = jnp.sqrt(step.values[0] + new) if inside else jnp.sqrt(step.values[0]) + new
        return root if (_exponent(step) or 0) > 0 else 1 / root

    return rule


def _find_momenta(scene: Scene) -> Iterator[float]:
    """Constants p of products for which 1 - p is one, too: the two weights of an average."""
    found = {
        literal
        for step in scene.steps
        if step.name == "mul"
        for literal in step.literals
        if literal is not None and 0 < literal < 1
    }
    for p in sorted(found, reverse=True):
        if p > 0.5 and any(is_close(1 - p, q) for q in found):
            yield p


def _choose_swap(scene: Scene) -> list[Details]:
    return [
        {"old": f"{p:.6g}", "new": f"{1 - p:.6g}", "changes": {p: 1 - p, 1 - p: p}}
        for p in _find_momenta(scene)
    ]


def _choose_momentum(scene: Scene) -> list[Details]:
    return [
        {"old": f"{p:.6g}", "new": new, "changes": {p: new, 1 - p: 1 - new}}
        for p in _find_momenta(scene)
        for new in (0.9, 0.99)
        if not is_close(p, new)
    ]


def _change_momentum(old: str, new: Any, changes: dict[float, float]) -> Rule:
    return replace_literals(changes, ("mul",))


def _choose_count(scene: Scene) -> list[Details]:
    """Weights of a batch's variance, and the numbers of elements that it may be over."""
    options: dict[tuple[float, int], Details] = {}
    weights = [weight for p in _find_momenta(scene) for weight in (1 - p, p)]
    for step in scene.steps:
        for weight in weights:
            if _is_weighted_variance(step, weight):
                size = max(math.prod(jnp.shape(value)) for value in step.values)
                counts = {leaf.size // size for leaf in scene.inputs.values() if size}
                for count in sorted(counts - {0, 1}):
                    options[weight, count] = {"weight": weight, "count": count}
    return list(options.values())[:8]


def _is_weighted_variance(step: Step, weight: float) -> bool:
    return step.name == "mul" and any(
        literal is not None and is_close(literal, weight) and _comes_from_squares(maker, 8)
        for literal, maker in zip(step.literals, reversed(step.makers), strict=True)
    )


def _comes_from_squares(step: Step | None, depth: int) -> bool:
    if step is None or depth == 0:
        return False
    if step.name in ("square", "integer_pow"):
        return True
    return any(_comes_from_squares(maker, depth - 1) for maker in step.makers)


def _unbias(weight: float, count: int) -> Rule:
    def rule(step: Step) -> Any:
        if not _is_weighted_variance(step, weight):
            return None
        return step.values[0] * step.values[1] * (count / (count - 1))

    return rule


NORMS: tuple[Known, ...] = (
    Known(
        name="norm-epsilon",
        title="The JAX side adds {old:g}, flax's default, where PyTorch's layers have {new:g}.",
        fix="Write epsilon={new:g}.",
        source=_FLAX_NORM,
        kind="convention",
        how=Program(_change_epsilon, _choose_default),
    ),
    Known(
        name="epsilon",
        title="The JAX side adds {old:.3g} where PyTorch has {new:g}.",
        fix="Write {new:g} for the epsilon of {old:.3g}.",
        source=_LAYER_NORM,
        kind="mistake",
        how=Program(_change_epsilon, _choose_epsilon),
    ),
    Known(
        name="epsilon-in-root",
        title="The JAX side adds the epsilon under the square root, PyTorch's outside.",
        fix="Write jnp.sqrt(v) + eps for jnp.sqrt(v + eps).",
        source="https://github.com/google-deepmind/optax/issues/532",
        kind="mistake",
        how=_when(_epsilon_out_of_root, _has_epsilon_under_root),
    ),
    Known(
        name="epsilon-outside-root",
        title="The JAX side adds the epsilon to the square root, PyTorch's under it.",
        fix="Write jnp.sqrt(v + eps) for jnp.sqrt(v) + eps.",
        source=_LAYER_NORM,
        kind="mistake",
        how=_when(_epsilon_into_root, _has_epsilon_beside_root),
    ),
    Known(
        name="epsilon-missing",
        title="PyTorch adds {new:g} {where}, the JAX side nothing.",
        fix="Add {new:g} {where}.",
        source=_LAYER_NORM,
        kind="mistake",
        how=Program(_add_epsilon, _choose_missing),
    ),
    Known(
        name="momentum-meaning",
        title="The running average's momentum weighs the old value in flax, the new one in "
        "PyTorch: {old} there is {new} here.",
        fix="Write {new} * running + {old} * batch.",
        source="https://github.com/pytorch/pytorch/issues/19902",
        kind="convention",
        how=Program(_change_momentum, _choose_swap),
    ),
    Known(
        name="norm-momentum",
        title="The running average keeps {old} of its old value, PyTorch's {new}.",
        fix="Write momentum={new}: flax's default is 0.99, PyTorch's 0.1 is 0.9 in flax.",
        source=_FLAX_NORM,
        kind="convention",
        how=Program(_change_momentum, _choose_momentum),
    ),
    Known(
        name="running-variance",
        title="The running variance takes in the biased one, PyTorch's the unbiased one of "
        "{count} elements.",
        fix="Multiply the batch's variance by {count} / ({count} - 1) in the running average.",
        source="https://github.com/pytorch/pytorch/issues/19902",
        kind="convention",
        how=Program(_unbias, _choose_count),
    ),
)
