"""What JAX does not document is still what `_compat` takes it for, on the installed version."""

import inspect

import jax
import jax.numpy as jnp
import pytest

from functional_ad import _compat

HERE = __file__


def find_equation(fn, op, *args):
    jaxpr = jax.make_jaxpr(fn)(*args)
    return next(e for e in jaxpr.jaxpr.eqns if e.primitive.name == op)


@pytest.mark.parametrize(("constants", "carry"), [(0, 1), (2, 1), (1, 3), (0, 0)])
def test_scan_counts(constants, carry):
    fixed = [jnp.ones(3) * i for i in range(constants)]

    def run(fixed, start, slices):
        def step(state, x):
            return [s + 1 for s in state], x + sum(c.sum() for c in fixed)

        return jax.lax.scan(step, start, slices)

    equation = find_equation(run, "scan", fixed, [jnp.zeros(())] * carry, jnp.arange(4.0))
    assert _compat.scan_counts(equation) == (constants, carry)


def test_source_frames_are_the_callers_innermost_first():
    def inner(x):
        return jnp.sin(x)

    def outer(x):
        return inner(x)

    frames = _compat.source_frames(find_equation(outer, "sin", 1.0))
    lines = [inspect.getsourcelines(fn)[1] + 1 for fn in (inner, outer)]
    assert frames[:2] == tuple((HERE, line) for line in lines)
    assert not any("/jax/_src/" in file for file, _ in frames)


@pytest.mark.parametrize(("fn", "expected"), [(jnp.var, True), (lambda x: x.sum() * 2, False)])
def test_is_jax_code(fn, expected):
    equation = find_equation(lambda x: jax.jit(fn)(x), "jit", jnp.ones(3))
    body = equation.params["jaxpr"]
    assert _compat.is_jax_code(getattr(body, "jaxpr", body)) is expected
