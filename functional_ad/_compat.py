"""What this library needs of JAX beyond its documented interface; nothing else touches it.

Each entry names the JAX versions it was checked on and the public way that would replace it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Primitive
from jax.interpreters import ad, batching, mlir

_JAX = Path(jax.__path__[0])
_is_in_jax = functools.cache(lambda file: Path(file).is_relative_to(_JAX))


def varying_axes(value: Any) -> frozenset[str]:
    """The mesh axes that a value varies over inside ``jax.shard_map``; empty elsewhere.

    Reads ``manual_axis_type`` of the value's abstract type, which JAX shows (``float32[2]{V:d}``)
    but does not document. Checked on JAX 0.10.2 and 0.12.0. Public way: none yet; before 0.10 the
    attribute was called ``vma``.
    """
    kind = value if isinstance(value, jax.ShapeDtypeStruct) else jax.typeof(value)
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


def pull_only(
    pull: Callable[[list[Any], list[Any]], list[Any]],
    constants: Sequence[Any],
    tangents: Sequence[Any],
    refuse: Callable[[], NoReturn],
) -> list[Any]:
    """Tangents of which only the way back is known: ``pull(constants, cotangents)``.

    ``pull`` gives a cotangent for each tangent, of its shape and dtype; what computes the tangents
    themselves calls ``refuse``. ``jax.custom_vjp`` is this too, but its error in forward mode does
    not say whose it is, and ``jax.custom_derivatives.linear_call`` cannot be batched.

    Uses ``jax.interpreters``, which JAX documents but counts as internal.
    Checked on JAX 0.10.2 and 0.12.0. Public way: ``linear_call``, as soon as it can be batched.
    """
    count = len(constants)
    return _pull_only.bind(*constants, *tangents, pull=pull, refuse=refuse, count=count)


def _make_pull_only() -> Primitive:
    """Makes the primitive of ``pull_only``, with the rules for going back and for batches.

    Checked on JAX 0.10.2 and 0.12.0. Public way: as for ``pull_only``.
    """
    primitive = Primitive("pull_only")
    primitive.multiple_results = True

    def fail(*_: Any, refuse: Callable[[], NoReturn], **__: Any) -> NoReturn:
        refuse()

    def transpose(cts: Any, *args: Any, pull: Any, refuse: Any, count: int) -> list[Any]:
        del refuse
        pulled = pull(list(args[:count]), [ad.instantiate_zeros(ct) for ct in cts])
        return [*[None] * count, *pulled]

    def batch(args: Any, axes: Any, *, pull: Any, refuse: Any, count: int) -> tuple[Any, Any]:
        size = next(x.shape[a] for x, a in zip(args, axes, strict=True) if a is not None)
        tangents = [
            batching.bdim_at_front(x, axis, size)
            for x, axis in zip(args[count:], axes[count:], strict=True)
        ]
        batched = jax.vmap(pull, in_axes=(list(axes[:count]), 0), axis_size=size)
        return pull_only(batched, args[:count], tangents, refuse), [0] * len(tangents)

    primitive.def_impl(fail)
    primitive.def_abstract_eval(lambda *avals, count, **_: list(avals[count:]))
    mlir.register_lowering(primitive, fail)
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batch
    return primitive


_pull_only = _make_pull_only()
