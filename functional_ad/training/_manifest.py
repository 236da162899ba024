"""A checkpoint's manifest: what it is a checkpoint of, and the hashes of its files.

It is written last. A checkpoint without one was being written when the run ended, and one whose
files are not those that it lists is damaged.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np

MANIFEST: Final = "checkpoint.json"
_FORMAT: Final = 1


class Manifest(NamedTuple):
    """What a checkpoint says about itself, as plain data.

    Attributes:
        step: How many updates there had been.
        config: The configuration's fields.
        data: The hash of the data; see `hash_data`.
        versions: The versions that the run's numbers depend on.
        layout: Over which devices and processes the run was spread.
        position: What the run itself wants back, as how far its metrics were written.
        leaves: Each leaf of the state by its path, as ``float32[64,256]``.
        files: Each file by its path in the checkpoint: its size and SHA-256.
    """

    step: int
    config: dict[str, Any]
    data: str
    versions: dict[str, str | None]
    layout: dict[str, Any]
    position: dict[str, Any]
    leaves: dict[str, str]
    files: dict[str, tuple[int, str]]


class DamagedError(Exception):
    """A checkpoint is not whole; the message says what is wrong, beginning with the file.

    Attributes:
        finished: Whether it once was: it has a manifest.
    """

    def __init__(self, message: str, *, finished: bool = True) -> None:
        self.finished = finished
        super().__init__(message)


def write_manifest(checkpoint: Path, manifest: Manifest) -> None:
    """Adds the files that the checkpoint holds to its manifest, and writes that at once."""
    files = {
        path.relative_to(checkpoint).as_posix(): (path.stat().st_size, _hash_file(path))
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file()
    }
    fields = {"format": _FORMAT, **manifest._replace(files=files)._asdict()}
    temporary = checkpoint / f"{MANIFEST}.tmp"
    try:
        temporary.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(checkpoint / MANIFEST)


def read_manifest(checkpoint: Path) -> Manifest:
    """Reads a checkpoint's manifest.

    Raises:
        DamagedError: There is none, or it is none.
    """
    try:
        text = (checkpoint / MANIFEST).read_bytes()
    except FileNotFoundError:
        text = f"{MANIFEST} is missing: the checkpoint was not finished"
        raise DamagedError(text, finished=False) from None
    except OSError as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({error.strerror})") from error
    try:
        fields = json.loads(text)
        version = fields.pop("format")
        if version == _FORMAT:
            manifest = Manifest(**fields)
            files = {name: (int(size), str(sha)) for name, (size, sha) in manifest.files.items()}
            return manifest._replace(step=int(manifest.step), files=files)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DamagedError(f"{MANIFEST} is not what was written") from error
    raise DamagedError(f"{MANIFEST} has format {version!r}; {_FORMAT} is what can be read")


def check_files(checkpoint: Path, manifest: Manifest) -> None:
    """Holds a checkpoint's files against its manifest.

    Raises:
        DamagedError: A file is missing, or is not what was written.
    """
    for name, (size, sha) in manifest.files.items():
        path = checkpoint / name
        try:
            found = path.stat().st_size
            if found != size:
                raise DamagedError(f"{name} has {found} bytes in place of {size}")
            if _hash_file(path) != sha:
                raise DamagedError(f"{name} has other content than was written")
        except FileNotFoundError:
            raise DamagedError(f"{name} is missing") from None
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from error


def hash_data(data: Any) -> str:
    """Hashes a tree of arrays, by dtype, shape and content."""
    digest = hashlib.sha256()
    for leaf in map(np.asarray, jax.tree.leaves(data)):
        digest.update(f"{leaf.dtype}{leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
