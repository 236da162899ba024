"""torch.autograd.profiler."""

import contextlib
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from torch.autograd import profiler

from comparisons.cases.surface._row import (
    Row,
    list_names,
)

X = np.array([0.5, -1.5, 2.0])


@contextlib.contextmanager
def without_log():
    """Kineto writes to the process's stderr, which is the report's, and no setting stops it."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def profile_torch(x):
    with without_log(), profiler.profile() as trace:
        y = x.sin().sum()
    return {
        "y": y,
        "traced": bool(trace.function_events),
    }


def profile_jax(x):
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            y = jnp.sum(jnp.sin(x)).block_until_ready()
        traced = any(Path(folder).rglob("*.xplane.pb"))
    return {"y": y, "traced": traced}


def record_torch(x):
    with (
        without_log(),
        profiler.profile() as trace,
        profiler.record_function("my_step"),
    ):
        y = x.sin().sum()
    names = [
        e.name for e in trace.function_events or ()
    ]
    return {"y": y, "named": "my_step" in names}


def record_jax(x):
    @jax.jit
    def fun(x):
        with jax.named_scope("my_step"):
            return jnp.sum(jnp.sin(x))

    program = fun.lower(x).as_text(debug_info=True)
    return {"y": fun(x), "named": "my_step" in program}


# What reads a trace, or helps to.
OTHERS = list_names(
    "torch.autograd.profiler.",
    "EnforceUnique FunctionEvent KinetoStepTracker MemRecordsAcc load_nvprof "
    "parse_nvprof_trace",
)

ROWS = (
    Row(
        "torch.autograd.profiler.profile",
        "with jax.profiler.trace(folder): ...",
        "Writes a trace for xprof or Perfetto; wait for the result with `block_until_ready`.",
        profile_torch,
        profile_jax,
        inputs=(X,),
        page="autograd.html#torch.autograd.profiler.profile",
    ),
    Row(
        "torch.autograd.profiler.record_function",
        "with jax.named_scope(name): ...",
        "Names the compiled ops; `jax.profiler.TraceAnnotation` names a stretch of Python.",
        record_torch,
        record_jax,
        inputs=(X,),
    ),
    Row(
        "torch.autograd.profiler.emit_nvtx",
        "",
        "XLA emits its own ranges: run the program under Nsight, or use `jax.profiler.trace`.",
        also=("torch.autograd.profiler.emit_itt",),
        page="autograd.html#torch.autograd.profiler.emit_nvtx",
    ),
    Row(
        "torch.autograd.profiler.EventList",
        "",
        "A trace is read with its viewer, not in the program.",
        also=OTHERS,
        page="autograd.html#profiler",
    ),
)
