"""Checkpoints: the state, written by orbax, in folders named by the step and sealed by a manifest.

    checkpoints/00000450/state/            the state's arrays, as orbax writes them
    checkpoints/00000450/checkpoint.json   the manifest: written last

With several processes each calls these functions, and each writes its own part of the arrays;
process 0 does the rest. The folder is one that all of them see.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from functional_ad.training._errors import CheckpointError, MissingExtraError
from functional_ad.training._manifest import (
    MANIFEST,
    DamagedError,
    Manifest,
    check_files,
    read_manifest,
    write_manifest,
)
from functional_ad.training._state import State

_STATE: Final = "state"


class Checkpoint(NamedTuple):
    """A checkpoint that is whole."""

    path: Path
    manifest: Manifest


class PassedOver(NamedTuple):
    """A checkpoint that is not whole, and what is wrong with it."""

    path: Path
    error: DamagedError


def save_checkpoint(folder: Path, state: State, manifest: Manifest, *, keep: int) -> Path:
    """Saves the state, and removes all but the newest checkpoints.

    A checkpoint of that step that is there already is left as it is: the same run's is the same.

    Args:
        folder: Where checkpoints are. It is made if it is not there.
        state: The state.
        manifest: What the checkpoint says about itself; its step, leaves and files are filled in.
        keep: How many checkpoints to keep.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: It cannot be written. Those before it are as they were.
    """
    step = int(state.step)
    path = folder / _name(step)
    if (path / MANIFEST).exists():
        return path
    leaves = _name_leaves(state)
    types = {name: _describe(leaf) for name, leaf in leaves.items()}
    try:
        if jax.process_index() == 0:
            _remove(path)
            path.mkdir(parents=True)
        _write_state(path / _STATE, leaves)
        if jax.process_index() == 0:
            write_manifest(path, manifest._replace(step=step, leaves=types))
    except OSError as error:
        with contextlib.suppress(OSError):
            _remove(path)
        raise CheckpointError(f"cannot save {path} ({error.strerror})") from error
    if jax.process_index() == 0:
        _remove_old(folder, keep)
    return path


def find_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[PassedOver]]:
    """Finds the newest checkpoint that is whole, reading all of its files.

    Returns:
        The checkpoint, None if there is none; and those that are newer and not whole.
    """
    passed_over: list[PassedOver] = []
    for path in reversed(_list_checkpoints(folder)):
        try:
            manifest = read_manifest(path)
            check_files(path, manifest)
        except DamagedError as error:
            passed_over.append(PassedOver(path, error))
        else:
            return Checkpoint(path, manifest), passed_over
    return None, passed_over


def open_checkpoint(folder: Path, step: int) -> Checkpoint:
    """Opens the checkpoint of a step, which is known to be whole."""
    path = folder / _name(step)
    return Checkpoint(path, read_manifest(path))


def set_aside(passed_over: list[PassedOver]) -> None:
    """Makes room for the checkpoints that the run will make again.

    What was not finished is removed; what was, and is damaged, is renamed: ``00000450.damaged``.
    """
    for path, error in passed_over:
        if error.finished:
            damaged = path.with_suffix(".damaged")
            _remove(damaged)
            path.rename(damaged)
        else:
            _remove(path)


def remove_checkpoints(folder: Path) -> None:
    """Removes all checkpoints, those that are not whole among them."""
    for path in _list_checkpoints(folder):
        _remove(path)


def restore_checkpoint(checkpoint: Checkpoint, like: State) -> State:
    """Restores the state.

    Args:
        checkpoint: The checkpoint.
        like: A state, or one of ``jax.ShapeDtypeStruct``, with the tree, shapes, dtypes and
            shardings to restore to. The shardings may be others than those that were saved.

    Returns:
        The state, bit for bit.

    Raises:
        CheckpointError: The checkpoint is of a state with other leaves, or cannot be read.
    """
    names = _name_leaves(like)
    expected = {name: _describe(leaf) for name, leaf in names.items()}
    saved = checkpoint.manifest.leaves
    wrong = [
        f"{name}: expected {expected.get(name, 'nothing')}, got {saved.get(name, 'nothing')}"
        for name in sorted({*expected, *saved})
        if expected.get(name) != saved.get(name)
    ]
    if wrong:
        shown = wrong[:8] + ([f"and {len(wrong) - 8} more"] if len(wrong) > 8 else [])
        text = f"{checkpoint.path} is of a state with other leaves: {'; '.join(shown)}"
        raise CheckpointError(text)
    try:
        restored = _read_state(checkpoint.path / _STATE, names)
    except OSError as error:
        raise CheckpointError(f"cannot read {checkpoint.path} ({error.strerror})") from error
    leaves = [
        restored[name] if name in restored else jnp.zeros(leaf.shape, leaf.dtype)
        for name, leaf in names.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _name(step: int) -> str:
    return f"{step:08d}"


def _name_leaves(state: State) -> dict[str, Any]:
    pairs, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in pairs}


def _describe(leaf: Any) -> str:
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, whole or not, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if re.fullmatch(r"\d{8,}", path.name)]
    return sorted(found, key=lambda path: int(path.name))


def _remove_old(folder: Path, keep: int) -> None:
    *older, newest = _list_checkpoints(folder)
    whole = [path for path in older if (path / MANIFEST).exists()]
    kept = {newest, *whole[max(0, len(whole) - (keep - 1)) :]}
    for path in older:
        if path not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    """Removes a checkpoint, the manifest first: what is left of it is never taken for whole."""
    if path.exists():
        (path / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(path)


def _write_state(path: Path, leaves: dict[str, Any]) -> None:
    # Orbax takes no array of size 0. There is nothing in it to be saved.
    arrays = {name: leaf for name, leaf in leaves.items() if leaf.size}
    with _open_orbax() as (ocp, checkpointer):
        checkpointer.save(path.absolute(), args=ocp.args.StandardSave(arrays))


def _read_state(path: Path, leaves: dict[str, Any]) -> dict[str, Any]:
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for name, leaf in leaves.items()
        if leaf.size
    }
    with _open_orbax() as (ocp, checkpointer):
        return checkpointer.restore(path.absolute(), args=ocp.args.StandardRestore(wanted))


@contextlib.contextmanager
def _open_orbax() -> Generator[tuple[Any, Any]]:
    """Opens what saves and restores. What goes wrong on the disk is one OSError, and no more."""
    try:
        import orbax.checkpoint as ocp
    except ModuleNotFoundError as error:
        raise MissingExtraError("orbax-checkpoint") from error
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_ignore_closed_loop, hook)
    with _mute_loggers():
        try:
            with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
                yield ocp, checkpointer
        except Exception as error:
            _finalize(error)  # and the hook stays
            code = re.search(r"os_error_code='(\d+)'", str(error))  # as TensorStore writes it
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
    sys.unraisablehook = hook


def _ignore_closed_loop(hook: Callable[[Any], object], unraisable: Any) -> None:
    """Ignores that TensorStore's threads finish what they had begun in a loop that is closed."""
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)


@contextlib.contextmanager
def _mute_loggers() -> Generator[None]:
    """Keeps quiet what orbax's threads log of an error that is raised as well."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _finalize(error: BaseException) -> None:
    """Lets go of what a failed operation of orbax has left: coroutines, which would warn."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    gc.collect()
    sys.unraisablehook = hook
