"""What this library needs of JAX beyond its documented interface; nothing else touches it.

Each entry names the JAX versions it was checked on and the public way that would replace it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Primitive
from jax.interpreters import ad, batching, mlir

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


def find_unknown_traces() -> list[str]:
    """What the installed JAX has changed in the interface that ``stop_tangents`` is written for.

    Compares the names and parameters of the methods that JAX calls on a trace, its attributes, and
    which of these methods JAX's own traces have. Checked on JAX 0.10.2 and 0.12.0.
    Public way: none.

    Returns:
        What is missing or new; empty on a JAX that is known.
    """
    try:
        core: Any = importlib.import_module("jax._src.core")
        differentiating: Any = importlib.import_module("jax._src.interpreters.ad")
        methods = {
            name: tuple(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(core.Trace, inspect.isfunction)
            if not name.startswith("__")
        }
        methods["bind_with_trace"] = tuple(
            inspect.signature(core.Primitive.bind_with_trace).parameters
        )
        methods["slots"] = tuple(core.Trace.__slots__)
        for trace in (differentiating.JVPTrace, differentiating.LinearizeTrace, core.EvalTrace):
            called = {name for name in dir(trace) if name.startswith("process_")}
            methods |= dict.fromkeys(called - set(methods), ())
        # Entered and left here, so that a change of these two shows too.
        with core.take_current_trace() as trace, core.set_current_trace(trace):
            pass
    except Exception as error:  # whatever it is, it is not the interface that is known
        return [f"{type(error).__name__}: {error}"]
    required, optional = _TRACE_METHODS
    wrong = [
        f"{name}{parameters}"
        for name, parameters in methods.items()
        if (required | optional).get(name) != parameters
    ]
    return sorted(wrong) + [f"no {name}" for name in sorted(required.keys() - methods.keys())]


_CUSTOM = ("self", "primitive", "fun", "jvp", "tracers", "symbolic_zeros")
# By name: the parameters; and those that only the older of the known versions has.
_TRACE_METHODS: tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]] = (
    {
        "slots": ("__weakref__", "_invalidated", "_weakref", "requires_low"),
        "bind_with_trace": ("self", "trace", "args", "avals", "params"),
        "full_raise": ("self", "x"),
        "invalidate": ("self",),
        "is_valid": ("self",),
        "stage_value": ("self", "val"),
        "process_primitive": ("self", "primitive", "tracers", "params"),
        "process_custom_jvp_call": _CUSTOM,
        "process_custom_vjp_call": (
            *("self", "primitive", "fun", "fwd", "bwd", "tracers"),
            *("out_trees", "symbolic_zeros"),
        ),
        "process_shard_map": (),
    },
    {"process_call": ("self", "call_primitive", "f", "tracers", "params")},
)


def current_trace() -> Any:
    """The trace that operations of this thread go to. None if they are computed at once.

    Checked on JAX 0.10.2 and 0.12.0. Public way: none.
    """
    core: Any = importlib.import_module("jax._src.core")
    with core.take_current_trace() as trace:
        return None if isinstance(trace, core.EvalTrace) else trace


def use_trace(trace: Any) -> AbstractContextManager[None]:
    """Sends the operations of this thread to a trace, while the context lasts.

    Checked on JAX 0.10.2 and 0.12.0. Public way: none.
    """
    core: Any = importlib.import_module("jax._src.core")
    return core.set_current_trace(trace)


def stop_tangents(parent: Any, check: Callable[[], None], refuse: Callable[[str], None]) -> Any:
    """A trace that does what another one does, on values without tangents.

    Every traced value goes through ``jax.lax.stop_gradient`` on its way into an operation, so that
    no derivative rule is asked for, and on its way out, since a function that the operation calls
    may have closed over others, and a ``jax.Ref`` may hold some. A ``Ref`` itself has no value that
    could be stopped, so it is not let into an operation that has a body, where what it holds would
    be out of sight.

    Checked on JAX 0.10.2 and 0.12.0, whose interface ``find_unknown_traces`` knows. Public way:
    none; ``jax.lax.stop_gradient`` on every value.

    Args:
        parent: The trace that was current.
        check: Called before each operation; may raise.
        refuse: Raises, for the name of an operation that cannot be passed.
    """
    while hasattr(parent, "unblocked_trace"):  # a block in a block stops nothing more
        parent = parent.unblocked_trace
    return _stopping_trace()(parent, check, refuse)


@functools.cache
def _stopping_trace() -> Any:
    """The class, made when it is first needed: an unknown JAX may have nothing to derive it from.

    Checked on JAX 0.10.2 and 0.12.0. Public way: none.
    """
    core: Any = importlib.import_module("jax._src.core")

    class StoppingTrace(core.Trace):
        def __init__(
            self, parent: Any, check: Callable[[], None], refuse: Callable[[str], None]
        ) -> None:
            super().__init__()
            self.parent_trace = self.unblocked_trace = parent
            self.requires_low = parent.requires_low
            # To what compares trace states, as flax.nnx does before it writes to a variable, the
            # block is where its parent is.
            self._weakref = parent._weakref
            self.check, self.refuse = check, refuse
            # By identity, since tracers have no hash: what need not be stopped again.
            self.stopped: WeakValueDictionary[int, Any] = WeakValueDictionary()

        def stop(self, value: Any) -> Any:
            if not isinstance(value, Tracer) or _is_ref(value):
                return value
            if self.stopped.get(id(value)) is not value:
                dtype = getattr(value, "dtype", None)
                if dtype is not None and jnp.issubdtype(dtype, jnp.inexact):
                    value = jax.lax.stop_gradient(value)
                if isinstance(value, Tracer):
                    self.stopped[id(value)] = value
            return value

        def run(self, compute: Callable[[list[Any]], Any], tracers: Any) -> Any:
            self.check()
            with core.set_current_trace(self.parent_trace):
                outputs = compute([self.stop(tracer) for tracer in tracers])
                if isinstance(outputs, list | tuple):
                    return [self.stop(output) for output in outputs]
                # shard_map's outputs are a tree of another kind than other pytrees.
                return outputs.map(self.stop) if hasattr(outputs, "map") else self.stop(outputs)

        def stage_value(self, val: Any) -> Any:
            return self.run(lambda values: self.parent_trace.stage_value(values[0]), [val])

        def process_primitive(self, primitive: Any, tracers: Any, params: Any, /) -> Any:
            if any(map(_is_traced_ref, tracers)) and _has_body(params):
                self.refuse(primitive.name)
            return self.run(lambda values: primitive.bind(*values, **params), tracers)

        def cur_qdd(self, x: Any) -> Any:
            return self.parent_trace.cur_qdd(x)

    def pass_on(name: str, functions: int) -> Any:
        def process(self: Any, *args: Any, **options: Any) -> Any:
            *called, tracers = args[: functions + 2]
            if any(map(_is_traced_ref, tracers)):
                self.refuse(called[0].name)
            method = getattr(self.parent_trace, name)
            return self.run(
                lambda values: method(*called, values, *args[functions + 2 :], **options), tracers
            )

        return process

    # After the primitive, these have 1, 2 or 3 functions before the values.
    for name, functions in (
        ("process_call", 1),
        ("process_shard_map", 1),
        ("process_custom_jvp_call", 2),
        ("process_custom_vjp_call", 3),
    ):
        setattr(StoppingTrace, name, pass_on(name, functions))
    return StoppingTrace


def _is_ref(value: Any) -> bool:
    """Whether a value is a ``jax.Ref``, traced or not.

    Reads the class of its abstract type. Checked on JAX 0.10.2 and 0.12.0. Public way: none for a
    traced one.
    """
    return hasattr(jax.typeof(value), "inner_aval")


def _is_traced_ref(value: Any) -> bool:
    """Whether a value is a ``jax.Ref`` that might have a tangent.

    Checked on JAX 0.10.2 and 0.12.0. Public way: none.
    """
    return isinstance(value, Tracer) and _is_ref(value)


def _has_body(params: Any) -> bool:
    """Whether the parameters of an operation hold a function.

    Checked on JAX 0.10.2 and 0.12.0. Public way: none.
    """
    return any(
        isinstance(leaf, Jaxpr | ClosedJaxpr)
        for leaf in jax.tree.leaves(
            list(params.values()), is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)
        )
    )
