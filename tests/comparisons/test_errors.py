"""The place that an error names: the user's line, however many wrappers are around it."""

import functools
import re
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import ParityCase
from comparisons._discovery import find_cases
from comparisons._errors import explain_error, find_code
from comparisons._runner import run_case


def explain(jax_fn=jnp.sin, torch_fn=torch.sin, inputs=(3.0,), **more):
    case = ParityCase(name="a", title="", jax=jax_fn, torch=torch_fn, inputs=inputs, **more)
    try:
        run_case(case)
    except Exception as error:
        return explain_error(case, error)
    raise AssertionError("nothing was raised")


def here(fn, offset):
    return f"{__file__}, line {find_code(fn).co_firstlineno + offset}"


def wrong(x):
    return x @ jnp.ones((7, 2))


def wrong_torch(x):
    return x @ torch.ones((7, 2))


class Wrong:
    def __call__(self, x):
        return wrong(x)


class WrongModule(torch.nn.Module):
    def forward(self, x):
        return x @ torch.ones((7, 2))


def logged(fn):
    @functools.wraps(fn)
    def inner(*args):
        return fn(*args)

    return inner


@pytest.mark.parametrize(
    "fn",
    [
        wrong,
        jax.jit(wrong),
        jax.vmap(jax.jit(wrong)),
        lambda x: jax.lax.scan(lambda c, _: (wrong(c), None), x, None, length=2),
        functools.partial(lambda y, x: wrong(x), 3),
        jax.checkpoint(wrong),
        Wrong(),
        Wrong().__call__,
        logged(wrong),
        jax.jit(logged(Wrong())),
    ],
    ids=[
        "plain",
        "jit",
        "vmap",
        "scan",
        "partial",
        "remat",
        "object",
        "method",
        "decorated",
        "all",
    ],
)
def test_through_wrappers_of_jax(fn):
    first, second, *_ = explain(fn, inputs=(np.ones((2, 3)),)).splitlines()
    assert first == f"JAX side, at float32: {here(wrong, 1)}, in wrong"
    assert second.startswith("TypeError: dot_general requires")


@pytest.mark.parametrize(
    ("fn", "place"),
    [
        (wrong_torch, here(wrong_torch, 1)),
        (torch.vmap(wrong_torch), here(wrong_torch, 1)),
        (functools.partial(wrong_torch), here(wrong_torch, 1)),
        (WrongModule(), here(WrongModule.forward, 1)),
        (
            lambda x: torch.func.functional_call(WrongModule(), {}, (x,)),
            here(WrongModule.forward, 1),
        ),
        (torch.func.jacrev(wrong_torch), here(wrong_torch, 1)),
    ],
    ids=["plain", "vmap", "partial", "module", "functional_call", "jacrev"],
)
def test_through_wrappers_of_torch(fn, place):
    # A module's JAX side gets its parameters first.
    text = explain(lambda *args: args[-1], fn, (np.ones((2, 3)),))
    first, second, *_ = text.splitlines()
    assert first.startswith(f"PyTorch side, at float32: {place}, in ")
    assert second.startswith("RuntimeError: ")


def test_a_lambda():
    fn = lambda x: 1 / 0  # noqa: E731
    assert explain(fn) == (
        f"JAX side, at float32: {here(fn, 0)}, in <lambda>\nZeroDivisionError: division by zero"
    )


def test_the_dtype_is_told():
    def only_float32(x):
        if x.dtype != jnp.float32:
            raise AssertionError
        return x

    assert explain(only_float32) == (
        f"JAX side, at float64: {here(only_float32, 2)}, in only_float32\nAssertionError"
    )


def test_in_a_derivative_of_the_users():
    @jax.custom_vjp
    def fn(x):
        return x

    def backward(residual, cotangent):
        raise KeyError("lost")

    fn.defvjp(lambda x: (x, None), backward)
    assert explain(fn, orders=("vjp",)) == (
        f"JAX side, at float32: {here(backward, 1)}, in backward\nKeyError: 'lost'"
    )

    class Fn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("lost")

    place = f"{here(Fn.backward, 2)}, in backward, called from {__file__}"
    text = explain(torch_fn=lambda x: Fn.apply(x), orders=("vjp",))
    assert text.startswith("PyTorch side, at float32: " + place.partition(", called")[0])
    assert text.endswith("\nKeyError: 'lost'")


def test_a_module_that_the_users_file_imports(tmp_path, monkeypatch):
    """The line that raised, and the line of the case's own file that led there."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    helper = tmp_path / "helper_of_errors.py"
    helper.write_text("def norm(x):\n    return x.no_such_method()\n")
    file = tmp_path / "cases_of_errors.py"
    file.write_text(
        textwrap.dedent("""\
        import torch
        from comparisons import ParityCase
        from helper_of_errors import norm

        def loss(x):
            y = x + 1
            return norm(y)

        case = ParityCase(name="a", title="", jax=loss, torch=torch.sin, inputs=(1.0,))
        """)
    )
    (case,) = find_cases([str(file)])
    with pytest.raises(AttributeError) as caught:
        run_case(case)
    first, second = explain_error(case, caught.value).splitlines()
    assert first == (
        f"JAX side, at float32: {helper}, line 2, in norm, called from {file}, line 7, in loss"
    )
    assert "no_such_method" in second


def test_a_function_that_is_installed_is_the_users_own(monkeypatch):
    """As if this file were in site-packages."""
    monkeypatch.setattr("comparisons._errors.is_library_file", lambda name: True)
    assert here(wrong, 1) in explain(wrong)


def test_an_error_of_what_a_function_returns():
    """Raised in our own code: the user is told the function, not our line."""

    def texts(x):
        return {"y": "text"}

    first, second, *_ = explain(texts, orders=("value",)).splitlines()
    place = f"{here(texts, 0)}, texts: in what it returns, or the derivative of it"
    assert first == f"JAX side, at float32: {place}"
    assert second.startswith("TypeError: The JAX side must return")

    def in_place(x):
        y = x.exp()
        y.mul_(2)
        return y

    first, second, *_ = explain(torch_fn=in_place, orders=("vjp",)).splitlines()
    assert first.startswith(f"PyTorch side, at float32: {here(in_place, 0)}, in_place: in what")
    assert "modified by an inplace operation" in second


def test_a_function_of_a_framework_has_its_name():
    first = explain(jnp.matmul, inputs=(np.ones(3), np.ones(4))).splitlines()[0]
    assert first == "JAX side, at float32: matmul"
    first = explain(torch_fn=torch.det).splitlines()[0]
    assert re.fullmatch(r"PyTorch side, at float32: (linalg_)?det", first)


def test_an_error_of_the_inputs_or_of_nothing_compared():
    first, second, *_ = explain(inputs=(np.array([2**40]),)).splitlines()
    assert first.startswith("The comparison: ")
    assert first.endswith("in prepare")
    assert second.startswith("ValueError: `compare(inputs=...)`")
    assert "Nothing was compared" in explain(lambda x: {}, lambda x: {}, orders=("value",))


def test_an_error_that_was_raised_from_the_users():
    """As JAX does where it fails after the user's function has returned."""
    case = ParityCase(name="a", title="", jax=wrong, torch=torch.sin)
    cause = None
    try:
        wrong(jnp.ones(3))
    except TypeError as error:
        cause = error
    outer = RuntimeError("later")
    outer.__cause__ = cause
    outer.add_note("JAX side, at float32")
    assert explain_error(case, outer) == (
        f"JAX side, at float32: {here(wrong, 1)}, in wrong\nRuntimeError: later"
    )
