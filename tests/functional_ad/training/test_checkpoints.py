"""Checkpoints as files: what is saved comes back bit for bit, and what is not whole is seen."""

import json
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_ad.training import CheckpointError

pytest.importorskip("orbax.checkpoint")

from functional_ad.training._checkpoints import (
    find_checkpoint,
    remove_checkpoints,
    restore_checkpoint,
    save_checkpoint,
    set_aside,
)
from functional_ad.training._manifest import Manifest, hash_data
from functional_ad.training._state import State

MANIFEST = Manifest(
    step=0,
    config={"seed": 7},
    data="d",
    versions={"jax": jax.__version__},
    layout={},
    position={"metrics": 12},
    leaves={},
    files={},
)


def make_state(step, scale=1.0):
    numbers = np.random.RandomState(step).standard_normal((4, 3)).astype(np.float32)
    return State(
        params={"layers": {0: {"w": jnp.asarray(scale * numbers)}}, "b": jnp.float32(-0.0)},
        grads=None,
        optimizer=(
            {"mu": jnp.full((3,), 1.00390625, jnp.bfloat16), "none": jnp.zeros((0, 2))},
            jnp.asarray([True, False]),
        ),
        loss_scale=None,
        plateau=None,
        key=jax.random.key(step),
        step=jnp.int32(step),
    )


def save(folder, *steps, keep=3):
    for step in steps:
        path = save_checkpoint(folder, make_state(step), MANIFEST, keep=keep)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def numbers(state):
    raw = state._replace(key=jax.random.key_data(state.key))
    return [(x.dtype, x.shape, np.asarray(x).tobytes()) for x in jax.tree.leaves(raw)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two checkpoints, to be copied."""
    folder = tmp_path_factory.mktemp("saved")
    save(folder, 2, 5)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def test_a_state_comes_back_bit_for_bit_and_can_be_donated(folder):
    checkpoint, passed_over = find_checkpoint(folder)
    like = jax.eval_shape(lambda: make_state(5))

    state = restore_checkpoint(checkpoint, like)

    assert passed_over == []
    assert checkpoint.path.name == "00000005"
    assert (checkpoint.manifest.step, checkpoint.manifest.position) == (5, {"metrics": 12})
    assert checkpoint.manifest.config == {"seed": 7}
    assert checkpoint.manifest.leaves["params/layers/0/w"] == "float32[4,3]"
    assert numbers(state) == numbers(make_state(5))
    assert jax.tree.structure(state) == jax.tree.structure(make_state(5))
    # A buffer that cannot be donated is a warning, and warnings are errors here.
    jax.jit(lambda state: state, donate_argnums=0)(state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state) if leaf.size)


def test_only_the_newest_are_kept_and_what_is_not_whole_is_not_counted(tmp_path):
    folder = tmp_path / "new"
    save(folder, 1, 2)
    (folder / "00000002/checkpoint.json").unlink()
    save(folder, 3)
    assert names(folder) == ["00000001", "00000003"]

    save(folder, 100_000_000, keep=2)

    assert names(folder) == ["00000003", "100000000"]
    assert find_checkpoint(folder)[0].manifest.step == 100_000_000


def test_a_step_that_is_saved_is_not_saved_again(folder):
    before = (folder / "00000005/checkpoint.json").stat().st_mtime_ns

    save(folder, 5)

    assert (folder / "00000005/checkpoint.json").stat().st_mtime_ns == before


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def change(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path):
    path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def empty(path):
    path.write_bytes(b"")


def change_format(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


@pytest.mark.parametrize(
    ("spoil", "name", "message"),
    [
        (cut, "state/_METADATA", "state/_METADATA has {less} bytes in place of {size}"),
        (change, "state/_METADATA", "state/_METADATA has other content than was written"),
        (change, "state/manifest.ocdbt", "state/manifest.ocdbt has other content than was written"),
        (remove, "state/_METADATA", "state/_METADATA is missing"),
        (make_folder, "checkpoint.json", "checkpoint.json cannot be read (Is a directory)"),
        (remove, "checkpoint.json", "checkpoint.json is missing: the checkpoint was not finished"),
        (empty, "checkpoint.json", "checkpoint.json is not what was written"),
        (cut, "checkpoint.json", "checkpoint.json is not what was written"),
        (
            change_format,
            "checkpoint.json",
            "checkpoint.json has format 2; 1 is what can be read",
        ),
    ],
)
def test_what_is_not_whole_is_passed_over_for_the_one_before(folder, spoil, name, message):
    path = folder / "00000005" / name
    size = path.stat().st_size
    spoil(path)

    checkpoint, ((passed, error),) = find_checkpoint(folder)

    assert checkpoint.manifest.step == 2
    assert passed == folder / "00000005"
    assert str(error) == message.format(size=size, less=size - 2)
    assert error.finished is not (name == "checkpoint.json" and spoil is remove)


def test_what_is_set_aside_makes_room_and_only_damaged_ones_remain(folder):
    (folder / "00000005/checkpoint.json").unlink()
    change(folder / "00000002/state/_METADATA")
    (folder / "00000001").mkdir()

    found, passed_over = find_checkpoint(folder)
    set_aside(passed_over)

    assert found is None
    assert names(folder) == ["00000002.damaged"]
    save(folder, 2)
    assert find_checkpoint(folder)[0].manifest.step == 2
    remove_checkpoints(folder)
    assert names(folder) == ["00000002.damaged"]


def test_a_folder_without_checkpoints_has_none(tmp_path):
    assert find_checkpoint(tmp_path / "none") == (None, [])
    (tmp_path / "notes").mkdir()
    assert find_checkpoint(tmp_path) == (None, [])


def test_a_state_with_other_leaves_is_named(folder):
    checkpoint, _ = find_checkpoint(folder)
    state = make_state(5)
    other = state._replace(params={"b": jnp.zeros(2), "c": jnp.zeros(())})

    with pytest.raises(CheckpointError) as caught:
        restore_checkpoint(checkpoint, other)

    assert str(caught.value) == (
        f"{folder}/00000005 is of a state with other leaves: "
        "params/b: expected float32[2], got float32[]; "
        "params/c: expected float32[], got nothing; "
        "params/layers/0/w: expected nothing, got float32[4,3]"
    )


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(folder, capfd):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for limit in (1000, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(CheckpointError) as caught:
                save(folder, 9)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert str(caught.value) == f"cannot save {folder}/00000009 (File too large)"

    assert find_checkpoint(folder)[0].manifest.step == 5
    assert capfd.readouterr() == ("", "")
    save(folder, 9)
    assert find_checkpoint(folder)[0].manifest.step == 9


def test_the_hash_of_data_depends_on_content_dtype_and_shape():
    x = np.arange(6, dtype=np.float32)
    others = [x + 1, x.astype(np.float64), x.reshape(2, 3), x[::-1]]

    assert hash_data((x, None)) == hash_data((jnp.asarray(x),))
    assert len({hash_data(other) for other in [x, *others]}) == 5
