"""A loss of both libraries: its value, its gradients, and products with its second derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from functional_ad.torch_semantics import losses

# The two libraries add in another order, and no number here is the sum of more than 60.
TOLERANCE = 1e-12


def run_ours(loss, args, kwargs, places, seeds):
    """A list of NumPy arrays: value, gradients, products of the Hessian with a vector."""
    arguments = {**dict(enumerate(args)), **kwargs}
    arrays = {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
    static = {k: v for k, v in arguments.items() if k not in arrays}
    # Not each draw has to be compiled anew.
    shapes = [(k, v.shape, str(v.dtype)) for k, v in arrays.items()]
    key = str((loss, shapes, sorted(static.items(), key=str), places, seeds.second))
    with jax.enable_x64(True):
        if key not in COMPILED:
            COMPILED[key] = jax.jit(
                differentiate(loss, static, list(arrays), len(args), places, seeds)
            )
        return [np.asarray(x) for x in COMPILED[key](list(arrays.values()))]


COMPILED = {}
# Compiling is what the tests take their time for, and each program is run a few times only.
FAST = {"xla_backend_optimization_level": 0}


def call(loss, arguments, count):
    named = {k: v for k, v in arguments.items() if not isinstance(k, int)}
    return loss(*(arguments[k] for k in range(count)), **named)


def differentiate(loss, static, keys, count, places, seeds):
    def run(values):
        arrays = dict(zip(keys, values, strict=True))

        def apply(*xs):
            differentiated = dict(zip(places, xs, strict=True))
            return call(loss, static | arrays | differentiated, count)

        def run_once(*xs):
            def project(*xs):
                value = apply(*xs)
                return jnp.sum(value * jnp.asarray(seeds.make(value.shape), value.dtype)), value

            grads, value = jax.grad(project, range(len(xs)), has_aux=True)(*xs)
            return value, grads

        xs = [arrays[place] for place in places]
        if not seeds.second:
            value, grads = run_once(*xs)
            return value, *grads
        vectors = [jnp.asarray(seeds.make(x.shape, i)) for i, x in enumerate(xs)]
        (value, grads), (_, seconds) = jax.jvp(run_once, xs, vectors)
        return value, *grads, *seconds

    return run


def run_torch(loss, args, kwargs, places, seeds):
    """The same of PyTorch."""
    args = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in args]
    kwargs = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    xs = [args[place].requires_grad_() for place in places]
    value = loss(*args, **kwargs)
    cotangent = torch.from_numpy(seeds.make(tuple(value.shape)))
    grads = torch.autograd.grad(
        value, xs, cotangent, create_graph=seeds.second, materialize_grads=True
    )
    found = [value, *grads]
    if seeds.second:
        vectors = [torch.from_numpy(seeds.make(tuple(x.shape), i)) for i, x in enumerate(xs)]
        total = sum((g * v).sum() for g, v in zip(grads, vectors, strict=True))
        if total.requires_grad:
            seconds = torch.autograd.grad(total, xs, materialize_grads=True)
        else:  # no gradient depends on an input
            seconds = [torch.zeros_like(x) for x in xs]
        found += seconds
    return [x.detach().resolve_conj().clone().numpy(force=True) for x in found]


class Seeds:
    """Cotangents and vectors, the same for both sides."""

    def __init__(self, second):
        self.second = second

    def make(self, shape, argument=0):  # of each argument another: what has x - y would cancel
        return np.random.default_rng(argument).normal(size=shape)


def find_differences(ours, theirs, tolerance=TOLERANCE):
    """Where two lists of arrays differ, in words; relative to the greater of 1 and the number."""
    found = []
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            found.append(f"{i}: {a.dtype}{a.shape}, PyTorch {b.dtype}{b.shape}")
            continue
        finite = np.isfinite(b)
        same = np.where(np.isnan(b), np.isnan(a), a == b)
        with np.errstate(invalid="ignore"):
            same |= finite & (np.abs(a - b) <= tolerance * np.maximum(1, np.abs(b)))
        if not np.all(same):
            found.append(f"{i}: {a}, PyTorch {b}")
    return found


@pytest.fixture(scope="session")
def differences():
    """How a loss differs from PyTorch's, in words; an empty list where it does not.

    Args: its name; the arguments, arrays or not; the places of those that are differentiated;
    whether second derivatives are compared; the function that is PyTorch's or ours, if another.
    """

    def compare(
        name,
        args,
        places=(0,),
        *,
        second=True,
        ours=None,
        theirs=None,
        tolerance=TOLERANCE,
        **kwargs,
    ):
        seeds = Seeds(second)
        got = run_ours(ours or getattr(losses, name), args, kwargs, places, seeds)
        expected = run_torch(theirs or getattr(F, name), args, kwargs, places, seeds)
        return find_differences(got, expected, tolerance)

    return compare
