"""How a batch and a PRNG key are split into microbatches, and what cannot be."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._errors import ArgumentError, MicrobatchError, explain


def split_batch(batch: PyTree, count: int) -> PyTree:
    """Each leaf with its leading axis as (examples of a microbatch, microbatches)."""
    pairs = _tree.flatten_paths(batch)
    lengths = {np.shape(leaf)[0] for _, leaf in pairs if np.ndim(leaf)}
    if len(lengths) != 1 or not all(_is_array(leaf) and np.ndim(leaf) for _, leaf in pairs):
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

    for path, leaf in pairs:
        _check_sharding(path, leaf, length, count)

    def split(leaf: Any) -> Any:
        x = jnp.asarray(leaf)
        return x.reshape(length // count, count, *x.shape[1:])

    return jax.tree.map(split, batch)


def _is_array(leaf: Any) -> bool:
    """Numbers, booleans or PRNG keys in an array that is a value: neither a list nor a Ref."""
    kinds = (jnp.number, jnp.bool_, jax.dtypes.prng_key)
    return isinstance(leaf, jax.Array | np.ndarray) and any(
        jnp.issubdtype(leaf.dtype, kind) for kind in kinds
    )


def _check_sharding(path: str, leaf: Any, length: int, count: int) -> None:
    """On an explicit mesh, each device must get the same number of a microbatch's examples."""
    sharding = jax.typeof(leaf).sharding
    axes = sharding.spec[0] if sharding.spec else None
    names = (axes,) if isinstance(axes, str) else axes or ()
    devices = math.prod(sharding.mesh.shape[name] for name in names)
    if length // count % devices:
        raise MicrobatchError(
            explain(
                "`functional_ad.accumulate_grads(num_microbatches=...)` must leave each device the "
                "same number of examples.",
                expected=f"microbatches of a multiple of {devices} examples, since the batch is "
                f"sharded over the mesh's {', '.join(map(repr, names))}",
                got=f"{_tree.name_leaf(path, leaf)} in {count} microbatches of {length // count}",
                fix=f"Choose at most {max(length // devices, 1)} microbatches, or a larger batch.",
            )
        )


def _find_divisors(length: int, count: int) -> list[int]:
    """The divisors of ``length`` next to ``count``, below and above."""
    divisors = [d for d in range(1, length + 1) if length % d == 0]
    below, above = [d for d in divisors if d < count], [d for d in divisors if d > count]
    return below[-1:] + above[:1]


def split_key(key: Any, count: int) -> Any:
    """One key for each microbatch."""
    try:
        return jax.random.split(key, count)
    except (TypeError, ValueError):
        raise ArgumentError(
            explain(
                "`functional_ad.accumulate_grads(...)(params, batch, key)` needs one PRNG key.",
                expected="what `jax.random.key(seed)` returns",
                got=_tree.describe(key),
                fix="Pass `jax.random.key(0)`; it is split, so that each microbatch gets its own.",
            )
        ) from None
