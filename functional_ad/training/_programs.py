"""What a run computes with: its compiled programs and its data, on one device or on many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array

from functional_ad.training._data import Dataset, Examples
from functional_ad.training._evaluation import Evaluation, build_evaluation, plan_evaluation
from functional_ad.training._intermediates import build_measure
from functional_ad.training._interval import RunInterval, build_interval
from functional_ad.training._models import Params
from functional_ad.training._plan import Rows
from functional_ad.training._sharding import Layout, build_sharded_gradients
from functional_ad.training._state import State, init_state
from functional_ad.training._task import Task


class Programs(NamedTuple):
    """The programs of a run, each compiled at its first call, and what they are called with.

    Attributes:
        like: The shapes, dtypes and shardings of the state.
        init: Makes the first state.
        run_interval: Runs an interval.
        evaluate: Evaluates parameters on the examples held out; None where there are none.
        measure: Measures gradients of hidden values; gives None unless the configuration asks.
        place: Puts the rows of an interval where they are needed.
        data: The examples, on the devices.
    """

    like: State
    init: Callable[[], State]
    run_interval: RunInterval
    evaluate: Callable[[Params], Evaluation | None]
    measure: Callable[[State, Rows, Examples], dict[str, Array] | None]
    place: Callable[[Rows], Rows]
    data: Examples


def build_programs(task: Task, data: Dataset, layout: Layout | None) -> Programs:
    """Builds the programs of a run.

    Args:
        task: What is trained.
        data: The examples.
        layout: Over which devices the run is spread; None for the default one.
    """
    init = functools.partial(init_state, task)
    shapes = jax.eval_shape(init)
    if layout is None:
        whole: Any = SingleDeviceSharding(jax.local_devices()[0])
        return Programs(
            like=_place_like(shapes, jax.tree.map(lambda _: whole, shapes)),
            init=jax.jit(init),
            run_interval=build_interval(task),
            evaluate=_build_evaluation(task, data.test, layout, {}),
            measure=_build_measure(task, {}),
            place=lambda rows: rows,
            data=jax.tree.map(jnp.asarray, data.train),
        )
    state, whole = layout.shard(shapes), layout.whole
    return Programs(
        like=_place_like(shapes, state),
        init=jax.jit(init, out_shardings=state),
        run_interval=build_interval(
            task,
            build_sharded_gradients(task, layout.mesh),
            in_shardings=(state, layout.rows, whole),
            out_shardings=(state, whole),
        ),
        evaluate=_build_evaluation(
            task, data.test, layout, {"in_shardings": (state.params, layout.rows, whole)}
        ),
        measure=_build_measure(task, {"in_shardings": (state, layout.rows, whole)}),
        place=layout.place,
        data=layout.place_whole(data.train),
    )


def _place_like(shapes: State, shardings: Any) -> State:
    return jax.tree.map(
        lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        shapes,
        shardings,
    )


def _build_evaluation(
    task: Task, test: Examples | None, layout: Layout | None, options: dict[str, Any]
) -> Callable[[Params], Evaluation | None]:
    if test is None:
        return lambda params: None
    devices = 1 if layout is None else layout.spread
    evaluate = build_evaluation(task, **options)
    rows = plan_evaluation(task, len(test.inputs), devices=devices)
    if layout is None:
        examples = jax.tree.map(jnp.asarray, test)
    else:
        rows, examples = layout.place(rows), layout.place_whole(test)
    return lambda params: evaluate(params, rows, examples)


def _build_measure(task: Task, options: dict[str, Any]) -> Callable[..., dict[str, Array] | None]:
    if not task.config.log_intermediates:
        return lambda state, rows, data: None
    return build_measure(task, **options)
