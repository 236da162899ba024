"""Snippets: run in a fresh interpreter, they come to the verdict that they were written for."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import compare
from comparisons._snippet import SnippetError, write_snippet

SCALE = 3.0


def scaled(x):
    return x * SCALE


def scaled_wrong(x):
    return x * (SCALE + 1)


@jax.jit
def jitted(x):
    return jnp.std(x)


batched = jax.vmap(jitted)


class Net(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, factor]))

    def forward(self, x):
        return x @ self.weight.to(x.dtype)


class Multiply:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def twice(self, x):
        return x * self.factor * 2


class Pair(NamedTuple):
    a: object
    b: object


def logged(fn):
    @functools.wraps(fn)
    def inner(*args):
        return fn(*args)

    return inner


def make_comparisons():
    """Name: the functions and the inputs, each with a way of its own of being made."""
    x = np.linspace(0.1, 3.0, 8)
    weight, tensor = jnp.arange(8.0), torch.arange(8.0, requires_grad=True)
    large = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    half = torch.arange(8.0).bfloat16()

    def helper(x):
        return x * 2

    def local_jax(x: "no such name"):
        """Calls another, and itself by recursion."""

        def inner(y):
            return helper(y) + len(large)

        return inner(x) if x.ndim else local_jax(x[None])

    @logged
    def decorated(x, *, power=2):
        return x**power

    first, second = (lambda x: jnp.sin(x)), (lambda x: torch.sin(x + 1e-3))
    return {
        "of frameworks": (jnp.std, torch.std, (x,)),
        "relu": (jax.nn.relu, torch.nn.functional.relu, (x - 1,)),
        "gelu": (jax.nn.gelu, torch.nn.functional.gelu, (x,)),
        "of a module": (scaled, scaled_wrong, (x,)),
        "jitted": (jitted, torch.std, (x,)),
        "a name of a module": (batched, lambda x: torch.std(x, 1), (large,)),
        "lambdas on one line": (first, second, (x,)),
        "closures over arrays": (lambda x: x * weight, lambda x: x * tensor, (x,)),
        "a large array closed over": (
            lambda x: jnp.asarray(large) @ x,
            lambda x: torch.tensor(large, dtype=x.dtype) @ x * 1.001,
            (large[0],),
        ),
        "bfloat16": (lambda x: x * 3, lambda x: x * half.float(), (x,)),
        "local functions": (local_jax, lambda x: helper(x) + 21, (x,)),
        "decorated": (decorated, lambda x: x**3, (x,)),
        "jit of a lambda": (jax.jit(lambda x: x * 2), lambda x: x * 3, (x,)),
        "partials": (
            functools.partial(jnp.std, ddof=1),
            functools.partial(lambda scale, x: torch.std(x) * scale, 1.5),
            (x,),
        ),
        "objects": (Multiply(2.0), Multiply(2.5).twice, (x,)),
        "a torch module": (lambda p, x: x @ p["weight"] + 1, Net(4.0), (large[:, :3],)),
        "a module as an input": (
            lambda net, x: x @ net["weight"] * 2,
            lambda net, x: net(x),
            (Net(3.0), large[:, :3]),
        ),
        "trees": (
            lambda p, n, s: {"y": p["w"][0] * n + p["b"].a},
            lambda p, n, s: {"y": p["w"][0] * n + p["b"].b},
            ({"w": [x, None], "b": Pair(x, x + 1)}, 3, "text"),
        ),
        "numbers that are not": (
            lambda x, y: x * y,
            lambda x, y: x / y,
            (np.array([np.nan, np.inf, -np.inf, -0.0, 0.1], np.float32), float("inf")),
        ),
        "arrays of frameworks": (
            lambda a, b, c: a * b * c,
            lambda a, b, c: a + b + c,
            (jnp.ones(2), torch.ones(2, requires_grad=True), np.float32(0.1)),
        ),
        "a constant": (lambda x: x * 0 + 1, lambda x: x * 0, (x,)),
        "a continued line": (
            lambda x: x
            + 1,
            lambda x: x
            + 2,
            (x,),
        ),
    }  # fmt: skip


COMPARISONS = make_comparisons()

# Runs each snippet as a program of its own would run, and prints what it printed.
DRIVER = """
import contextlib, io, json, pathlib, sys
found = {}
for name, text in json.loads(pathlib.Path(sys.argv[1]).read_text()).items():
    printed = io.StringIO()
    path = list(sys.path)
    with contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), {"__name__": "__main__"})
    sys.path[:] = path
    found[name] = printed.getvalue()
print(json.dumps(found))
"""


def write(jax_fn, torch_fn, inputs, folder, stem="a", orders=("value",)):
    return write_snippet(
        jax_fn,
        torch_fn,
        inputs,
        orders,
        "float32",
        folder=lambda: folder,
        stem=stem,
        modules=(sys.modules[__name__],),
    )


def test_a_fresh_interpreter_comes_to_the_same_verdicts(tmp_path):
    snippets, expected = {}, {}
    for number, (name, (jax_fn, torch_fn, inputs)) in enumerate(COMPARISONS.items()):
        orders = ("value", "vjp") if name in ("relu", "trees") else ("value",)
        snippets[name] = write(jax_fn, torch_fn, inputs, tmp_path, f"s{number}", orders)
        case = compare(jax_fn, torch_fn, inputs, orders).cases[0]
        # Reasons have figures in them; those of passes are not printed.
        reasons = [leaf.reason for leaf in case.leaves if leaf.outcome != "pass"]
        expected[name] = str(case.verdict), reasons
    verdicts = {verdict for verdict, _ in expected.values()}
    assert {"MISMATCH", "IDENTICAL"} <= verdicts, "it would prove little if all were the same"
    (tmp_path / "snippets.json").write_text(json.dumps(snippets))
    done = subprocess.run(
        [sys.executable, "-P", "-c", DRIVER, str(tmp_path / "snippets.json")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    for name, printed in json.loads(done.stdout).items():
        words = " ".join(printed.split())
        verdict, reasons = expected[name]
        assert verdict in words, name
        for reason in reasons:
            assert reason in words, f"{name}\n{snippets[name]}\n{printed}"


def test_how_it_reads(tmp_path):
    factor = 2.5
    text = write(lambda x: jnp.std(x) * factor, torch.std, (np.float32([0.1, 2]),), tmp_path)
    assert text == (
        "from __future__ import annotations\n"
        "import comparisons\nimport jax.numpy\nimport numpy\nimport torch\n\n"
        "def make_jax_fn_0():\n"
        "    import jax.numpy as jnp\n"
        "    factor = 2.5\n"
        "    return lambda x: jnp.std(x) * factor\n\n"
        "inputs = (numpy.array([0.1, 2.0], dtype='float32'),)\n"
        "print(comparisons.compare(\n"
        "    make_jax_fn_0(), torch.std, inputs, orders=('value',), dtype='float32'\n"
        "))"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_function_of_a_test_is_imported_from_it(tmp_path):
    text = write(scaled, jitted, (1.0,), tmp_path)
    assert f"{__name__}.scaled, {__name__}.jitted, inputs" in text
    assert f"sys.path[:0] = [{str(Path(__file__).parents[__name__.count('.')])!r}]" in text
    assert "._src" not in write(jax.nn.relu, torch.relu, (1.0,), tmp_path)


def test_large_arrays_are_saved(tmp_path):
    large = np.arange(33.0)
    text = write(jnp.sum, torch.sum, (large, large[:32]), tmp_path)
    assert f"saved_arrays = numpy.load('{tmp_path}/a.npz')\n" in text
    assert "inputs = (saved_arrays['a0'], numpy.array([0.0, 1.0," in text
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["a0"], large)


def make_unknown():
    class Local:
        def __call__(self, x):
            return x

    step = 2
    local = Local()

    def needs_step(x, step=step):
        return x * step

    return {
        "jax_fn is made by .*jax.*, from another function": jax.vmap(lambda x: x),
        "jax_fn is a .*Local, which cannot be pickled": local,
        "jax_fn needs 'step' where it is defined": needs_step,
        "local is a .*Local, which cannot be pickled": lambda x: local(x),
        "jax_fn has no source": eval("lambda x: x"),
    }


@pytest.mark.parametrize(("text", "fn"), make_unknown().items(), ids=range(5))
def test_what_cannot_be_written_is_named(text, fn, tmp_path):
    with pytest.raises(SnippetError, match=text):
        write(fn, torch.sin, (1.0,), tmp_path)
