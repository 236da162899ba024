"""The precision that the JAX side computes at."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from comparisons._causes._known import Known, Program, Scene, Setting
from comparisons._causes._rewrite import Rule, Step

_NARROW = ("float32", "bfloat16", "float16")


def _casts_down(step: Step) -> bool:
    if step.name != "convert_element_type":
        return False
    return jnp.dtype(step.params["new_dtype"]).name in _NARROW


def _cast_none() -> Rule:
    """Leaves floating operands as they are, and widens what meets them: it was traced narrower."""

    def rule(step: Step) -> Any:
        if _casts_down(step) and jnp.issubdtype(jnp.result_type(step.values[0]), jnp.floating):
            return step.values[0]
        return _widen(step)

    return rule


def _widen(step: Step) -> Step:
    floats = [v for v in step.values if jnp.issubdtype(jnp.result_type(v), jnp.floating)]
    if len({jnp.result_type(v) for v in floats}) < 2:
        return step
    widest = jnp.result_type(*floats)
    values = tuple(
        jnp.asarray(v, widest) if jnp.issubdtype(jnp.result_type(v), jnp.floating) else v
        for v in step.values
    )
    return dataclasses.replace(step, values=values)


def _find_casts(scene: Scene) -> list[dict[str, Any]]:
    found = [step.params["new_dtype"] for step in scene.steps if _casts_down(step)]
    return [{"dtype": jnp.dtype(found[0]).name}] if found else []


def _multiplies(scene: Scene) -> bool:
    """Whether there are products, and the default precision is not the full one."""
    setting: Any = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if setting in ("highest", "float32") or (setting is None and jax.default_backend() == "cpu"):
        return False
    return any(step.name in ("dot_general", "conv_general_dilated") for step in scene.steps)


PRECISION: tuple[Known, ...] = (
    Known(
        name="cast",
        title="The JAX side casts to {dtype} on the way, PyTorch's does not.",
        fix="Leave the cast to {dtype} out, or cast in both.",
        source="https://github.com/jax-ml/jax/issues/22688",
        kind="mistake",
        how=Program(lambda dtype: _cast_none(), _find_casts),
    ),
    Known(
        name="matmul-precision",
        title="JAX multiplies matrices at less than full precision, as it does by default on an "
        "accelerator.",
        fix='Write jax.config.update("jax_default_matmul_precision", "highest").',
        source="https://github.com/jax-ml/jax/issues/14022",
        kind="convention",
        how=Setting(lambda: jax.default_matmul_precision("highest"), _multiplies),
        narrow=True,
    ),
)
