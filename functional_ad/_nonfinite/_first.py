"""first_nonfinite: where NaN or infinity begins (torch.autograd.detect_anomaly)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr

from functional_ad import _tree
from functional_ad._errors import ArgumentError, explain
from functional_ad._nonfinite._answer import NonFinite, advise, describe_range
from functional_ad._nonfinite._origins import Evaluation
from functional_ad._nonfinite._plan import Key, Origin, Plan
from functional_ad._nonfinite._values import is_finite, is_floating
from functional_ad._program import Step


def first_nonfinite(fun: Callable[..., Any], *args: Any) -> NonFinite | None:
    """Finds the operation in which NaN or infinity begins, in a function and in its gradient.

    PyTorch's ``torch.autograd.detect_anomaly``, which looks at gradients only, for NaN only, and
    raises; ``jax.debug_nans`` raises at the first NaN in compiled code, harmless or not. This one
    says where, and returns: run it on the arguments of a step that went wrong.

    The function is traced and evaluated operation by operation, through compiled, checkpointed and
    mapped functions, loops, conditions and custom rules; then its gradient is: that of the sum of
    all its floating-point outputs, for all floating-point leaves of its arguments. Values that
    it closes over are not differentiated. An operation is to blame if NaN or infinity begins in it:
    not finite, from finite inputs, or NaN from infinite ones; and if this alone, everything else
    that begins repaired, makes an output or a gradient not finite. Of several it is the first one
    in the order of execution. Infinities that are written in the function, such as those of an
    attention mask, are meant, unless they are all that an output's can come from. What begins but
    reaches nothing is reported as harmless, the first of it.

    A whole training step is differentiated too, its optimizer included, and Adam's square root has
    no finite derivative where a gradient is zero. Where only the outputs count, as they do there,
    give it ``functional_ad.no_grad(step)``.

    Args:
        fun: A function of ``args`` that JAX can trace. Its side effects happen, prints excepted. If
            JAX cannot differentiate it, only its outputs are looked at.
        *args: Pytrees. Whatever is not a floating-point array or number is passed as it is.

    Returns:
        What was found; None if nothing begins anywhere.

    Raises:
        ArgumentError: It is called in a function that is being traced, or ``fun`` cannot be traced,
            since Python looks at its numbers.
        PrimitiveError: ``fun`` uses a ``jax.Ref``.

    Example:
        >>> def loss(w):
        ...     return jnp.sum(jnp.where(w > 0, jnp.sqrt(w), 0.0))
        >>> found = first_nonfinite(loss, jnp.array([4.0, 0.0]))
        >>> found.op, found.phase, found.index
        ('sqrt', 'backward', (1,))
        >>> print(found.advice)
        The value is masked by `where`, its derivative is not: 0 * inf is NaN. Put a `where` on the input as well: `where(ok, f(where(ok, x, 1.0)), 0.0)`.

    Source:
        https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection
        https://docs.jax.dev/en/latest/debugging/flags.html
    """  # noqa: E501 - the text as it is printed
    traced = _Traced(fun, args)
    # What is searched for must not be an error before it is found.
    with jax.debug_nans(False), jax.debug_infs(False), jax.disable_jit(False):
        forward = Evaluation(traced.forward, traced.floats)
        culprit, begun, _ = forward.find_culprit()
        if culprit is not None:
            return _report(traced, culprit, "forward")
        if traced.backward is not None:
            backward = Evaluation(traced.backward, traced.floats)
            culprit, derived, reached = backward.find_culprit()
            if culprit is not None:
                if any(reached[: traced.outputs]):  # as by the forward rule of a custom_vjp
                    return _report(traced, culprit, "forward", derived=True)
                return _report_derivative(traced, culprit, forward, begun)
            if not begun and derived:
                return _report(traced, derived[0], "backward", harmless=True)
    return _report(traced, begun[0], "forward", harmless=True) if begun else None


class _Traced:
    """A function's program and its gradient's.

    Attributes:
        forward: From the floating leaves of the arguments to the floating outputs.
        backward: To these and the gradients; None if it cannot be differentiated.
        floats: The floating leaves, and their paths.
        outputs: How many outputs there are.
    """

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...]) -> None:
        pairs = _tree.flatten_paths(args)
        leaves, tree = [leaf for _, leaf in pairs], jax.tree.structure(args)
        self.floats: list[Any] = []
        self.paths: list[str] = []
        self._call: Callable[[list[Any]], list[Any]] = list
        if isinstance(jnp.zeros(()), Tracer) or any(isinstance(leaf, Tracer) for leaf in leaves):
            _refuse_tracers("a traced value")

        def trace(numbers: bool) -> ClosedJaxpr:
            chosen = [
                _tree.is_differentiable(leaf) and (numbers or hasattr(leaf, "dtype"))
                for leaf in leaves
            ]
            self.floats = [jnp.asarray(x) for x, take in zip(leaves, chosen, strict=True) if take]
            self.paths = [path for (path, _), take in zip(pairs, chosen, strict=True) if take]

            def call(floats: list[Any]) -> list[Any]:
                given = iter(floats)
                filled = [
                    next(given) if take else leaf for leaf, take in zip(leaves, chosen, strict=True)
                ]
                outputs = jax.tree.leaves(fun(*jax.tree.unflatten(tree, filled)))
                return [jnp.asarray(x) for x in outputs if _tree.is_differentiable(x)]

            self._call = call
            return jax.make_jaxpr(call)(self.floats)

        try:
            self.forward = trace(numbers=True)
        except jax.errors.JAXTypeError:
            try:  # a Python number may be an option of the function
                self.forward = trace(numbers=False)
            except jax.errors.JAXTypeError as error:
                _refuse_function(error)
        if any(isinstance(constant, Tracer) for constant in self.forward.consts):
            _refuse_tracers("a function that closes over a traced value")
        self.outputs = len(self.forward.out_avals)
        self.backward = self._differentiate()

    def _differentiate(self) -> ClosedJaxpr | None:
        if not self.floats or not self.outputs:
            return None

        def derive(floats: list[Any]) -> Any:
            outputs, pull = jax.vjp(self._call, floats)
            return outputs, pull([jnp.ones_like(output) for output in outputs])

        try:
            return jax.make_jaxpr(derive)(self.floats)
        except Exception:  # the function has been traced, so its derivative is to blame
            return None

    def name_source(self, source: int, program: ClosedJaxpr | None) -> str:
        """Path of the argument that an input of a program is; empty for a constant of it."""
        constants = len(program.consts) if program else 0
        return self.paths[source - constants] if source >= constants else ""


def _report(
    traced: _Traced,
    origin: Origin,
    phase: Literal["forward", "backward"],
    *,
    harmless: bool = False,
    derived: bool = False,
    forward: Step | None = None,
    advice: str | None = None,
    is_value: bool | None = None,
) -> NonFinite:
    program = traced.backward if derived or phase == "backward" else traced.forward
    op, argument, place = "output", None, None
    primitive = op
    if origin.source is not None:
        op = primitive = "argument"
        argument = traced.name_source(origin.source, program)
    elif origin.step is not None:
        primitive = origin.step.op
        op = forward.op if forward else primitive
        place = (forward or origin.step).place
    became = origin.became.imag if math.isfinite(origin.became.real) else origin.became.real
    if advice is None:
        advice = "" if harmless else advise(op, origin)
    return NonFinite(
        op=op,
        value=became,
        line=f"{Path(place[0]).name}:{place[1]}" if place else None,
        file=place[0] if place else None,
        phase=phase,
        iterations=origin.iterations,
        around=origin.around,
        index=origin.index,
        inputs=tuple(describe_range(value) for value in origin.inputs),
        argument=argument,
        harmless=harmless,
        advice=advice,
        primitive=primitive,
        is_value=phase == "forward" if is_value is None else is_value,
    )


def _report_derivative(
    traced: _Traced, origin: Origin, forward: Evaluation, begun: list[Origin]
) -> NonFinite:
    """Says which operation's derivative it is, and whether a `where` masks its value only."""
    if origin.step is None:
        return _report(traced, origin, "backward")
    value = next((other for other in begun if _is_same(origin, other)), None)
    if value is not None and value.step is not None:
        found = value.key, value.step, ~np.isfinite(np.asarray(value.output))
    else:
        found = _find_differentiated(traced, origin, forward)
    if found is None:
        return _report(traced, origin, "backward")
    key, step, where = found
    outputs, _ = forward.run(Plan(poison=(key, where), opened=origin.iterations))
    masked = all(is_finite(value.left) for value in outputs)
    advice = None
    if masked:
        advice = (
            "The value is masked by `where`, its derivative is not: 0 * inf is NaN. Put a `where` "
            "on the input as well: `where(ok, f(where(ok, x, 1.0)), 0.0)`."
        )
    is_value = value is not None
    return _report(traced, origin, "backward", forward=step, advice=advice, is_value=is_value)


def _is_same(origin: Origin, other: Origin) -> bool:
    """Whether an origin of the gradient's program is one that the function's own program has."""
    if origin.step is None or other.step is None:
        return False
    return (
        (origin.step.op, origin.step.place) == (other.step.op, other.step.place)
        and (origin.iterations, origin.index) == (other.iterations, other.index)
        and [describe_range(value) for value in origin.inputs]
        == [describe_range(value) for value in other.inputs]
    )


def _find_differentiated(
    traced: _Traced, origin: Origin, forward: Evaluation
) -> tuple[Key, Step, Any] | None:
    """The last operation on the origin's line whose own derivative is not finite there."""
    found: list[tuple[Key, Step, Any]] = []
    assert origin.step is not None
    line = origin.step.place
    if line is None:
        return None

    def look(step: Step, key: Key, inputs: list[Any]) -> None:
        floats = [i for i, value in enumerate(inputs) if is_floating(value)]
        if step.place != line or not floats:
            return

        def run(*chosen: Any) -> list[Any]:
            given = dict(zip(floats, chosen, strict=True))
            outputs = step.run([given.get(i, value) for i, value in enumerate(inputs)])
            return [output for output in outputs if is_floating(output)]

        try:
            outputs, pull = jax.vjp(run, *[jnp.asarray(inputs[i]) for i in floats])
            grads = pull([jnp.ones_like(output) for output in outputs])
        except Exception:  # an operation without a derivative has none that is not finite
            return
        bad = [~np.isfinite(np.asarray(grad)) for grad in grads]
        if any(b.any() for b in bad):
            found.append((key, step, next(b for b in bad if b.any())))

    forward.run(Plan(watch=look, opened=origin.iterations))
    return found[-1] if found else None


def _refuse_tracers(got: str) -> None:
    raise ArgumentError(
        explain(
            "`functional_ad.first_nonfinite` must be called on values, outside of `jax.jit` and "
            "other transforms.",
            expected="arrays and numbers",
            got=got,
            fix="Call it from Python with the arguments of the step; `fun` itself may be jitted.",
        )
    )


def _refuse_function(error: Exception) -> None:
    raise ArgumentError(
        explain(
            "`functional_ad.first_nonfinite(fun)` must get a function that JAX can trace.",
            expected="a function that `jax.jit` takes",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            fix="Use `jax.lax.cond` or `jnp.where` where Python looks at a number, or pass that "
            "number as an int or a string.",
        )
    ) from error
