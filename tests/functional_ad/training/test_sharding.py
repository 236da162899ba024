"""Runs that are spread over the eight devices that conftest.py simulates."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from functional_ad.training import Config, ConfigError
from functional_ad.training._checkpoints import (
    find_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from functional_ad.training._config import NETWORKS
from functional_ad.training._data import Dataset, Examples
from functional_ad.training._kinds import parse_mesh
from functional_ad.training._manifest import Manifest
from functional_ad.training._models import Model
from functional_ad.training._plan import make_plan
from functional_ad.training._programs import Programs, build_programs
from functional_ad.training._sharding import make_layout
from functional_ad.training._state import State, init_state
from functional_ad.training._task import build_task

# Which devices a sum is over, as XLA writes it: by number in JAX 0.10, by the mesh's axes in 0.12.
OVER_ALL = {"{{0,1,2,3,4,5,6,7}}", "mesh['data'=8] {'data'}"}
OVER_DATA = {"{{0,2,4,6},{1,3,5,7}}", "mesh['data'=4,'model'=2] {'data'}"}

EXAMPLES, TEST_EXAMPLES, INPUTS, HIDDEN, CLASSES, BATCH = 44, 9, 6, 16, 4, 16


def init(key):
    first, second = jax.random.split(key)
    return {
        "linear1": {
            "kernel": jax.random.normal(first, (INPUTS, HIDDEN)),
            "bias": jnp.full(HIDDEN, 0.1),
        },
        "linear2": {"kernel": jax.random.normal(second, (HIDDEN, CLASSES)) / 4},
        "scale": jnp.ones(()),
    }


def apply(params, x, key=None):
    hidden = jax.nn.relu(x @ params["linear1"]["kernel"] + params["linear1"]["bias"])
    return params["scale"] * hidden @ params["linear2"]["kernel"]


MODEL = Model(
    init=init,
    apply=apply,
    losses=optax.losses.softmax_cross_entropy_with_integer_labels,
    correct=lambda logits, labels: jnp.argmax(logits, axis=-1) == labels,
)


def make_examples(count, seed):
    random = np.random.RandomState(seed)
    inputs = random.standard_normal((count, INPUTS)).astype(np.float32)
    return Examples(inputs, random.randint(0, CLASSES, count).astype(np.int32))


DATA = Dataset(train=make_examples(EXAMPLES, 1), test=make_examples(TEST_EXAMPLES, 2))


class Ran(NamedTuple):
    """An epoch of three updates, the last one of 12 examples, on a mesh."""

    programs: Programs
    text: str
    state: State
    losses: np.ndarray
    evaluation: tuple


def run(mesh, microbatches, examples=EXAMPLES):
    config = Config.for_model("mlp", batch_size=BATCH, microbatches=microbatches, epochs=1)
    task = build_task(config, 10, MODEL)
    layout = make_layout(mesh, BATCH)
    plan = make_plan(config, examples, devices=1 if layout is None else layout.spread)
    programs = build_programs(task, DATA, layout)
    state, rows = programs.init(), programs.place(plan.take(0, plan.updates))
    compiled = programs.run_interval.lower(state, rows, programs.data).compile()
    state, outcome = compiled(state, rows, programs.data)
    evaluation = programs.evaluate(state.params)
    return Ran(programs, compiled.as_text(), state, np.asarray(outcome.losses), evaluation)


@pytest.fixture(scope="module")
def alone():
    return run(None, 1)


@pytest.fixture(scope="module")
def spread():
    return run("data=4,model=2", 2)


def find_sums(text):
    """The groups of devices over which the program sums, for each all-reduce in it."""
    return re.findall(r" all-reduce\(.*?replica_groups=(.*?)(?:, [a-z_]+=|$)", text, re.MULTILINE)


def assert_close(a, b):
    # Sums of float32 numbers in another order, three updates of AdamW long.
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-6, atol=2e-6)


def assert_same_numbers(ran, alone):
    assert_close(ran.losses, alone.losses)
    jax.tree.map(assert_close, ran.state.params, alone.state.params)
    jax.tree.map(assert_close, ran.evaluation, alone.evaluation)


@pytest.mark.parametrize("microbatches", [1, 4])
def test_a_batch_over_eight_devices_gives_the_same_loss_with_one_sum_an_update(alone, microbatches):
    ran = run("data=8", microbatches)

    assert_same_numbers(ran, alone)
    (sum_of_all,) = find_sums(ran.text)
    assert sum_of_all in OVER_ALL
    assert " all-gather(" not in ran.text
    assert len(ran.state.params["linear1"]["kernel"].sharding.device_set) == 8
    assert ran.state.params["linear1"]["kernel"].is_fully_replicated


def test_batches_without_padding_have_one_sum_an_update_too():
    ran = run("data=8", 1, EXAMPLES // BATCH * BATCH)
    assert len(find_sums(ran.text)) == 1


def test_matrices_over_two_devices_each_give_the_same_loss_with_one_sum_of_gradients(alone, spread):
    assert_same_numbers(spread, alone)
    # The others are of the second layer's outputs, for each microbatch, and of whether the
    # parameters are finite.
    assert sum(group in OVER_DATA for group in find_sums(spread.text)) == 1
    assert " all-gather(" not in spread.text


def test_what_belongs_to_a_parameter_is_where_that_is(spread):
    def spec(leaf):
        return leaf.sharding.spec

    state = spread.state
    for tree in (state.params, state.optimizer[0].mu, state.optimizer[0].nu):
        assert spec(tree["linear1"]["kernel"]) == P(None, "model")
        assert spec(tree["linear1"]["bias"]) == P("model")
        assert spec(tree["linear2"]["kernel"]) == P("model", None)
        assert spec(tree["scale"]) == P()
    assert spec(state.optimizer[0].count) == spec(state.step) == P()
    shards = state.params["linear1"]["kernel"].addressable_shards
    assert {shard.data.shape for shard in shards} == {(INPUTS, HIDDEN // 2)}


def test_a_mesh_with_one_device_along_data_is_left_to_the_compiler(alone):
    assert_same_numbers(run("data=1,model=2", 1), alone)


def test_a_checkpoint_of_one_mesh_is_gone_on_from_on_another(alone, spread, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    manifest = Manifest(0, {}, "", {}, {}, {}, {}, {})
    save_checkpoint(tmp_path / "many", spread.state, manifest, keep=1)
    save_checkpoint(tmp_path / "one", alone.state, manifest, keep=1)

    for folder, saved, other in (("many", spread, alone), ("one", alone, spread)):
        checkpoint, _ = find_checkpoint(tmp_path / folder)
        state = restore_checkpoint(checkpoint, other.programs.like)

        def raw(state):
            return jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))

        for new, old, like in zip(
            raw(state), raw(saved.state), jax.tree.leaves(other.programs.like), strict=True
        ):
            np.testing.assert_array_equal(np.asarray(new), np.asarray(old))
            assert new.sharding.device_set == like.sharding.device_set


@pytest.mark.parametrize(
    ("mesh", "expected", "got"),
    [
        ("data=16", "a mesh of at most 8 devices", "'data=16', of 16"),
        ("data=4,model=4", "a mesh of at most 8 devices", "'data=4,model=4', of 16"),
        (
            "data=5",
            "an axis data that divides the batch size 16: 1 or 2 or 4 or 8 or 16",
            "'data=5'",
        ),
        *(
            (text, "data=N or data=N,model=M, the numbers of devices along each", repr(text))
            for text in ("8", "data", "data=0", "model=2", "data=2,data=2", "data=2,pipe=2", "")
        ),
    ],
)
def test_a_mesh_that_does_not_fit_is_named(mesh, expected, got):
    with pytest.raises(ConfigError) as caught:
        make_layout(mesh, 16)

    assert (caught.value.field, caught.value.expected, caught.value.got) == ("mesh", expected, got)


def test_a_matrix_that_cannot_be_divided_is_named():
    layout = make_layout("data=1,model=3", 16)
    task = build_task(Config.for_model("mlp", batch_size=16), 10, MODEL)

    with pytest.raises(ConfigError) as caught:
        build_programs(task, DATA, layout)

    assert caught.value.expected == "an axis model that divides 16, for linear1/bias of 16"
    assert caught.value.got == "model=3"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_large_matrices_of_every_model_are_spread(name):
    pytest.importorskip("flax")
    task = build_task(Config.for_model(name), 10)
    shapes = jax.eval_shape(lambda: init_state(task))
    shardings = make_layout("data=1,model=2", 32).shard(shapes)

    spread = jax.tree.map(
        lambda leaf, sharding: "model" in sharding.spec, shapes.params, shardings.params
    )
    pairs = [
        (leaf.size, is_spread)
        for leaf, is_spread in zip(
            jax.tree.leaves(shapes.params), jax.tree.leaves(spread), strict=True
        )
    ]
    assert all(is_spread for size, is_spread in pairs if size > 1000)
    share = sum(size for size, is_spread in pairs if is_spread) / sum(size for size, _ in pairs)
    assert share > 0.9


def test_spaces_in_a_mesh_do_not_matter():
    assert parse_mesh("data = 2, model = 4") == {"data": 2, "model": 4}
