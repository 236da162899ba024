"""What this library needs of JAX beyond its documented interface; nothing else touches it.

Each entry names the JAX versions it was checked on and the public way that would replace it.
"""

from __future__ import annotations

from typing import Any

import jax


def varying_axes(value: Any) -> frozenset[str]:
    """The mesh axes that a value varies over inside ``jax.shard_map``; empty elsewhere.

    Reads ``manual_axis_type`` of the value's abstract type, which JAX shows (``float32[2]{V:d}``)
    but does not document. Checked on JAX 0.10.2 and 0.12.0. Public way: none yet; before 0.10 the
    attribute was called ``vma``.
    """
    kind = value if isinstance(value, jax.ShapeDtypeStruct) else jax.typeof(value)
    return kind.manual_axis_type.varying if kind.manual_axis_type else frozenset()
