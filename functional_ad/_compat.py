"""What this library needs of JAX beyond its documented interface; nothing else touches it.

Each entry names the JAX versions it was checked on and the public way that would replace it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn

_JAX = Path(jax.__path__[0])
_is_in_jax = functools.cache(lambda file: Path(file).is_relative_to(_JAX))


def varying_axes(value: Any) -> frozenset[str]:
    """The mesh axes that a value varies over inside ``jax.shard_map``; empty elsewhere.

    Reads ``manual_axis_type`` of the value's abstract type, which JAX shows (``float32[2]{V:d}``)
    but does not document. Checked on JAX 0.10.2 and 0.12.0. Public way: none yet; before 0.10 the
    attribute was called ``vma``.
    """
    kind = value if hasattr(value, "manual_axis_type") else jax.typeof(value)
    return kind.manual_axis_type.varying if kind.manual_axis_type else frozenset()


def scan_counts(equation: JaxprEqn) -> tuple[int, int]:
    """How many of a ``scan`` equation's inputs are constants, and how many the carry.

    Reads the equation's parameters, which JAX shows in a printed jaxpr but does not document: two
    numbers on JAX 0.10, a tree of three parts on 0.12. Checked on JAX 0.10.2 and 0.12.0.
    Public way: none.
    """
    params = equation.params
    if "num_carry" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carry))


def source_frames(equation: JaxprEqn) -> tuple[tuple[str, int], ...]:
    """Files and lines that an equation was traced from, innermost first, without JAX's own.

    Reads the traceback that the equation carries. Of a function that JAX itself compiles, such as
    ``jnp.var``, it may be that of an earlier call, or empty: ``is_jax_code`` tells.
    Checked on JAX 0.10.2 and 0.12.0. Public way: ``jax.extend.source_info_util.summarize``, as soon
    as it gives more than one frame.
    """
    traceback = equation.source_info.traceback
    frames = traceback.frames if traceback else ()
    return tuple((f.file_name, f.line_num) for f in frames if not _is_in_jax(f.file_name))


def is_jax_code(jaxpr: Jaxpr) -> bool:
    """Whether a jaxpr was traced from a function that is written in JAX's own files.

    Reads ``debug_info``, whose class JAX exports but does not document. Checked on JAX 0.10.2 and
    0.12.0. Public way: none.
    """
    return _is_in_jax(jaxpr.debug_info.func_filename or "")


def function_name(jaxpr: Jaxpr) -> str:
    """Name of the function that a jaxpr was traced from, e.g. ``"loss"``; empty if unknown.

    Reads ``debug_info``, whose class JAX exports but does not document. Checked on JAX 0.10.2 and
    0.12.0. Public way: none.
    """
    return jaxpr.debug_info.func_name or ""


def scope_path(equation: JaxprEqn) -> str:
    """The ``jax.named_scope`` blocks that an equation was traced in: ``"encoder/attention"``.

    Transforms are written around the scopes: ``"transpose(jvp(encoder))/attention"``. Inside of a
    compiled function, a loop or the like the path begins anew.

    Reads the name stack that the equation carries. Checked on JAX 0.10.2 and 0.12.0. Public way:
    none; it is what JAX writes into the compiled program's ``op_name``.
    """
    return str(equation.source_info.name_stack)
