"""torch.distributed."""

import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from torch.nn.parallel import DistributedDataParallel

import functional_ad
from comparisons.cases.surface._row import (
    Row,
    list_names,
)

W = np.array([[0.6, -0.3], [0.2, 0.9]])
X = np.array([[0.5, -1.5], [2.0, 0.1], [-0.4, 1.3]])


def in_one_process(fn):
    """Runs a function in a process group of this process alone, which needs no network.

    What DDP leaves is collected first: were its reducer the last to hold the group, the group's
    threads would be waited for with the interpreter locked, and they may be waiting for that lock.
    """

    @functools.wraps(fn)
    def run(*args):
        torch.distributed.init_process_group(
            "gloo",
            store=torch.distributed.HashStore(),
            rank=0,
            world_size=1,
        )
        try:
            return fn(*args)
        finally:
            gc.collect()
            torch.distributed.destroy_process_group()

    return run


class Model(torch.nn.Module):
    """A matrix that is used, and one that is not."""

    def __init__(self, weight):
        super().__init__()
        self.used = torch.nn.Parameter(weight.clone())
        self.unused = torch.nn.Parameter(weight.clone())

    def forward(self, x):
        """The loss."""
        return (x @ self.used).sin().sum()


@in_one_process
def no_sync_torch(w, x):
    model = DistributedDataParallel(
        Model(w), find_unused_parameters=True
    )
    with model.no_sync():
        for row in x[:-1]:
            model(row).backward()
    model(x[-1]).backward()  # reduces here
    return model.module.used.grad


def no_sync_jax(w, x):
    def loss(w, rows):
        return jnp.sum(jnp.sin(rows @ w))

    def step(w, x):
        return functional_ad.accumulate_grads(
            loss, len(x), reduction="sum"
        )(w, x)[1]

    return jax.shard_map(
        step,
        mesh=jax.make_mesh(
            (1,), ("data",), axis_types=(AxisType.Auto,)
        ),
        in_specs=(P(), P("data")),
        out_specs=P(),
    )(w, x)


@in_one_process
def unused_torch(w, x):
    model = DistributedDataParallel(
        Model(w), find_unused_parameters=True
    )
    model(x).backward()
    return {
        name: param.grad is not None
        for name, param in (
            model.module.named_parameters()
        )
    }


def unused_jax(w, x):
    def loss(params):
        return jnp.sum(jnp.sin(x @ params["used"]))

    return functional_ad.connected(
        loss, {"used": w, "unused": w}
    )


DDP = "torch.nn.parallel.DistributedDataParallel"
PAGE = f"generated/{DDP}.html"

# Parts of what it does in a step.
OTHERS = list_names(
    f"{DDP}.",
    "join_device join_hook join_process_group gather scatter to_kwargs broadcast_buffers "
    "will_sync_module_buffers",
)

ROWS = (
    Row(
        DDP + ".no_sync",
        "functional_ad.accumulate_grads(loss, num_microbatches) inside jax.shard_map",
        "Summed over the devices once, at the end. DDP averages: divide by their number.",
        no_sync_torch,
        no_sync_jax,
        inputs=(W, X),
        page=f"{PAGE}#{DDP}.no_sync",
        also=(
            "torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync",
        ),
    ),
    Row(
        DDP + "(find_unused_parameters=True)",
        "functional_ad.connected(loss, params)",
        "Unused leaves have zeros, which are summed like the others; who wants to know asks.",
        unused_torch,
        unused_jax,
        inputs=(W, X),
    ),
    Row(
        DDP + ".register_comm_hook",
        "",
        "There are no buckets: the sum over devices is in the program (`jax.lax.psum`), or is the "
        "compiler's from the arrays' shardings.",
        page=f"{PAGE}#{DDP}.register_comm_hook",
    ),
    Row(
        DDP + ".join",
        "",
        "Every device runs the same program on its part; pad the batch, and mask the padding.",
        page=f"{PAGE}#{DDP}.join",
        also=OTHERS,
    ),
    Row(
        "torch.distributed.autograd.backward",
        "",
        "No remote calls: arrays are sharded over devices, and `jax.grad` sees one program.",
        page="rpc.html#distributed-autograd-framework",
        also=(
            "torch.distributed.autograd.context",
            "torch.distributed.autograd.get_gradients",
        ),
    ),
)
