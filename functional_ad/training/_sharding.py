"""How a run is spread over devices: the mesh, where arrays are, and one sum per update.

The mesh has an axis ``data``, over which a batch's examples are spread, and may have an axis
``model``, over which large matrices are. Loss and gradients are computed in ``jax.shard_map`` over
``data``: they stay each device's own until all microbatches are done, and then are summed over the
devices once. What is spread over ``model`` is left to the compiler.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from typing import Any, Final, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from functional_ad import LossScale
from functional_ad.training._errors import ConfigError
from functional_ad.training._gradients import Batch, Gradients, build_gradients, count_real
from functional_ad.training._kinds import Mesh as MeshOption
from functional_ad.training._kinds import parse_mesh
from functional_ad.training._models import Params
from functional_ad.training._plan import Rows
from functional_ad.training._state import State
from functional_ad.training._task import Task

COLUMNS: Final = PartitionSpec(None, "model")
ROWS: Final = PartitionSpec("model", None)
VECTOR: Final = PartitionSpec("model")
CHANNELS: Final = PartitionSpec(None, None, None, "model")

RULES: Final[tuple[tuple[str, PartitionSpec], ...]] = (
    # The first of two layers gives each device some of its outputs, the second takes them as some
    # of its inputs: nothing is exchanged in between.
    ("layers/*[02468]/kernel", COLUMNS),
    ("layers/*[02468]/bias", VECTOR),
    ("layers/*[13579]/kernel", ROWS),
    ("conv?/kernel", CHANNELS),
    ("conv?/bias", VECTOR),
    ("*in_proj/kernel", COLUMNS),
    ("*in_proj/bias", VECTOR),
    ("*out_proj/kernel", ROWS),
    ("*linear1/kernel", COLUMNS),
    ("*linear1/bias", VECTOR),
    ("*linear2/kernel", ROWS),
    ("*_embedding/embedding", COLUMNS),
    ("head/kernel", ROWS),
)
"""Which parameters are spread over the axis ``model``, and along which of their axes.

A pattern is a glob for a parameter's path; the first that matches counts. All others are whole on
each device.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of a run are.

    Attributes:
        mesh: The devices.
    """

    mesh: Mesh

    @property
    def spread(self) -> int:
        """Over how many devices a batch's examples are spread."""
        return self.mesh.shape["data"]

    @property
    def whole(self) -> NamedSharding:
        """Of what is whole on each device: the data, and what is told after an interval."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def rows(self) -> NamedSharding:
        """Of the rows of an interval's updates: each device has those of its examples."""
        return NamedSharding(self.mesh, PartitionSpec(None, "data"))

    def place(self, rows: Rows) -> Rows:
        """Puts rows onto the devices. Each process gives what its own devices need."""
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(x.shape, self.rows, lambda part: x[part]), rows
        )

    def place_whole(self, tree: PyTree) -> PyTree:
        """Puts arrays onto every device whole. Each process has them all."""
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(x.shape, self.whole, lambda part: x[part]),
            jax.tree.map(np.asarray, tree),
        )

    def shard(self, state: State) -> State:
        """Says where each leaf of the state is: what belongs to a parameter is where that is.

        Args:
            state: The state, or its shapes.

        Raises:
            ConfigError: An axis of a parameter cannot be divided by the mesh's.
        """
        params = _name_leaves(state.params)
        specs = {name: self._choose(name, leaf) for name, leaf in params.items()}

        def find(path: Any, leaf: Any) -> NamedSharding:
            name = _write(path)
            owner = [
                own
                for own, param in params.items()
                if name.endswith(f"/{own}") and param.shape == leaf.shape
            ]
            # The longest: "a/b" is of the parameter "a/b" and not of "b".
            spec = specs[max(owner, key=len)] if owner else PartitionSpec()
            return NamedSharding(self.mesh, spec)

        return cast(State, jax.tree_util.tree_map_with_path(find, state))

    def _choose(self, name: str, leaf: Any) -> PartitionSpec:
        if self.mesh.shape.get("model", 1) == 1:
            return PartitionSpec()
        for pattern, spec in RULES:
            if fnmatch.fnmatchcase(name, pattern) and len(spec) == len(leaf.shape):
                _check_divides(name, leaf, spec, self.mesh.shape["model"])
                return spec
        return PartitionSpec()


def make_layout(text: str | None, batch_size: int) -> Layout | None:
    """Makes the mesh that a configuration asks for.

    Args:
        text: As ``"data=4,model=2"``. None: with several processes, all devices along ``data``.
        batch_size: How many examples there are in a batch.

    Returns:
        The layout; None where there is one device to use and no mesh was asked for.

    Raises:
        ConfigError: There is no such mesh, or it does not fit the devices or the batch.
    """
    if text is None:
        if jax.process_count() == 1:
            return None
        text = f"data={jax.device_count()}"
    sizes = parse_mesh(MeshOption().check("mesh", text)) or {}
    needed, devices = math.prod(sizes.values()), jax.devices()
    several = jax.process_count() > 1
    if needed > len(devices) or (several and needed != len(devices)):
        rule = "a mesh of all" if several else "a mesh of at most"
        expected = f"{rule} {len(devices)} devices"
        raise ConfigError("mesh", expected=expected, got=f"{text!r}, of {needed}")
    data = sizes["data"]
    if batch_size % data:
        divisors = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
        expected = f"an axis data that divides the batch size {batch_size}: {' or '.join(divisors)}"
        raise ConfigError("mesh", expected=expected, got=f"{text!r}")
    kinds = (AxisType.Auto,) * len(sizes)
    names, shape = tuple(sizes), tuple(sizes.values())
    return Layout(jax.make_mesh(shape, names, kinds, devices=devices[:needed]))


def build_sharded_gradients(task: Task, mesh: Mesh) -> Gradients:
    """Builds `build_gradients` for a batch that is spread over the axis ``data`` of a mesh.

    The mean over the batch is that of what the devices have, by its weights, in one sum over them.
    Dropout is drawn anew on each device: it is not that of another mesh.
    """
    if mesh.shape["data"] == 1:
        return build_gradients(task)  # what is on each device is all, and there is nothing to sum
    local_gradients = build_gradients(task)

    def gradients(
        params: Params, batch: Batch, key: Any, step: Any, loss_scale: LossScale | None
    ) -> tuple[Array, Params]:
        # Varying over the devices, so that a device's gradients are of its own examples alone.
        local = jax.tree.map(lambda leaf: lax.pcast(leaf, "data", to="varying"), params)
        key = jax.random.fold_in(key, lax.axis_index("data"))
        loss, grads = local_gradients(local, batch, key, step, loss_scale)
        weight = count_real(batch)
        sums = jax.tree.map(lambda x: x * weight.astype(x.dtype), (loss, grads))
        if batch.mask is None:  # a count that is the same everywhere needs no sum of its own
            (loss, grads), total = lax.psum(sums, "data"), weight * lax.axis_size("data")
        else:
            (loss, grads), total = lax.psum((sums, weight), "data")
        total = jnp.maximum(total, 1)
        return jax.tree.map(lambda x: x / total.astype(x.dtype), (loss, grads))

    whole, spread = PartitionSpec(), PartitionSpec("data")
    return jax.shard_map(
        gradients,
        mesh=mesh,
        in_specs=(whole, spread, whole, whole, whole),
        out_specs=whole,
        axis_names={"data"},
    )


def _check_divides(name: str, leaf: Any, spec: PartitionSpec, size: int) -> None:
    for length, axis in zip(leaf.shape, spec, strict=True):
        if axis == "model" and length % size:
            shape = "x".join(map(str, leaf.shape))
            expected = f"an axis model that divides {length}, for {name} of {shape}"
            raise ConfigError("mesh", expected=expected, got=f"model={size}")


def _name_leaves(tree: PyTree) -> dict[str, Any]:
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_write(path): leaf for path, leaf in pairs}


def _write(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
