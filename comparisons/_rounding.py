"""The rounding noise that a JAX program makes inside, measured by stochastic arithmetic.

Perturbing the inputs of a function by a last bit does not show what rounding does within it: the
softmax of large logits is saturated whatever the last bit, yet p (1 - p) is 1 minus something
rounded; a gradient that is truly zero is a sum of rounded numbers that should cancel. So the
program is run with every rounded result off by a last bit, up or down at random, a few times, and
the spread of the outputs is the noise that another program for the same function may differ by.

What does not round is left alone: copies, selections, maxima, and sums, products, quotients and
roots that come out exactly, so that counters, masks and grid positions keep their values.

The method is Monte Carlo arithmetic (Parker 1997), as Verificarlo does it for compiled code.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from comparisons._exact import (
    ELEMENTARY,
    EXACT,
    SUMS,
    find_rounded,
    is_coarse,
    is_floating,
    scales_exactly,
    sums_exactly,
)
from functional_ad._program import Program, Step, evaluate, select_floats, trace, walk

Array = Any

# As far off as if their inputs were off, many times, by a last bit.
FACTORED = frozenset(
    """
    cholesky triangular_solve lu qr geqrf geqp3 householder_product eigh eig svd schur hessenberg
    tridiagonal tridiagonal_solve custom_linear_solve fft
    """.split()  # noqa: SIM905
)
# Both frameworks approximate these less well than the others: they were seen up to 60 units in the
# last place apart.
SPECIAL = frozenset(
    """
    erf_inv lgamma digamma polygamma zeta igamma igammac igamma_grad_a random_gamma_grad atanh
    bessel_i0e bessel_i1e regularized_incomplete_beta
    """.split()  # noqa: SIM905
)
# Sums of larger terms, so their error near a root is that of a number of size 1.
ROOTED = frozenset({"lgamma", "digamma"})
RUNNING = frozenset({"cumsum", "cumprod", "cumlogsumexp"})
LOOPS = frozenset({"scan", "while"})

EPS = float(np.finfo(np.float64).eps)
_WINDOWS = 8192  # places in the array of factors that an equation's may start at
# The program runs a handful of times, so compiling it takes longer than running it.
_COMPILE_FAST = {"xla_backend_optimization_level": 0}


def measure_rounding(
    fn: Callable[..., Any], args: tuple[Any, ...], samples: int = 4, size: float = EPS
) -> list[np.ndarray[Any, Any]] | None:
    """How far rounding inside a function moves each element of its outputs.

    PyTorch has no counterpart; ``torch.autograd.gradcheck`` leaves it to a tolerance. A derivative
    is measured by passing the function that computes it.

    Args:
        fn: Takes ``args`` and returns a pytree of arrays.
        args: Pytrees whose floating arrays are float64; the function is run on these.
        samples: How many times it is run with perturbed results.
        size: What each rounded result is off by, relative to it. What comes out is scaled back to
            a last bit of float64, which changes nothing where noise is proportional to roundings;
            a larger size makes little of the jumps at kinks and ties, which are no noise. It is a
            last bit if there are numbers of less than float64 inside, whose last bits are larger.

    Returns:
        For each leaf of the output, in order, the greatest distance of a perturbed result from the
        plain one; infinite where a perturbed one is not finite and the plain one is. None if the
        function cannot be traced.

    Example:
        >>> import jax, numpy as np
        >>> def slope(x):
        ...     return 1 - jax.numpy.tanh(x) ** 2
        >>> [noise] = measure_rounding(slope, (np.array(30.0),))
        >>> bool(1e-16 < noise < 1e-15)  # the true value is 3.5e-26
        True

    Source:
        https://doi.org/10.1109/ARITH.1997.614888
    """
    with jax.enable_x64(True):
        program = trace(fn, args)
        if program is None:
            return None
        if any(_find_units(kind) > 1 for step in walk(program) for kind in step.out_types):
            size = EPS
        floats = [jnp.asarray(leaf) for leaf in select_floats(args)]
        coarse = [is_coarse(np.asarray(leaf)) for leaf in floats]

        def run_traced(floats: list[Any], factors: Any) -> list[Any]:
            noise = _Noise(factors)
            noise.remember(leaf for leaf, few in zip(floats, coarse, strict=True) if few)
            return jax.tree.leaves(evaluate(program, floats, noise.perturb))

        run = jax.jit(run_traced, compiler_options=_COMPILE_FAST)
        length = _WINDOWS + max(_find_sizes(program), default=0)
        plain = [np.asarray(leaf) for leaf in run(floats, np.ones(length))]
        spread = [np.zeros(leaf.shape) for leaf in plain]
        for seed in range(samples):
            signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=length)
            for most, there, here in zip(spread, run(floats, 1 + size * signs), plain, strict=True):
                np.maximum(most, _distance(np.asarray(there), here), out=most)
        return [EPS / size * most for most in spread]


def _find_sizes(program: Program) -> Iterator[int]:
    for step in walk(program):
        for kind in (*step.in_types, *step.out_types):
            yield math.prod(getattr(kind, "shape", ()))


def _distance(there: np.ndarray[Any, Any], here: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if here.dtype.kind not in "fc":
        return (there != here).astype(np.float64)
    with np.errstate(all="ignore"):
        distance = np.abs(there.astype(np.complex128) - here)
    lost = np.where(np.isfinite(here), np.inf, 0.0)
    return np.where(np.isfinite(there) & np.isfinite(here), distance, lost)


class _Noise:
    """One perturbed run: which factors it uses, and which of its values may be exact.

    Looking for exact results costs more than all the rest, so it is done only where they can be
    expected: in what is made of numbers of few bits by elementary operations.
    """

    def __init__(self, factors: Array) -> None:
        self._factors = factors  # 1 plus or minus EPS each, or 1
        self._coarse: dict[int, Any] = {}

    def remember(self, values: Iterable[Any]) -> None:
        """Notes values that are made of numbers of few bits."""
        self._coarse |= {id(value): value for value in values}

    def perturb(self, step: Step, inputs: list[Any]) -> list[Any]:
        """Computes a step, with each rounded result off by its last bit."""
        coarse = all(map(self._may_be_exact, inputs))
        exact = step.op in EXACT or scales_exactly(step.op, inputs)
        if exact or not any(is_floating(kind) for kind in step.out_types):
            outputs = step.run(inputs)
        else:
            terms = _count_terms(step)
            rounded: Any = True
            if coarse and terms and step.op in SUMS:
                rounded = ~sums_exactly(inputs[:2], terms)
            if terms:  # a sum is as far off as if its terms were, which counts if they cancel
                inputs = self._move_all(step, inputs, rounded, 1)
            outputs = step.run(inputs)
            if coarse and not terms:
                rounded = find_rounded(step.op, inputs, outputs[0])
            if step.op in ROOTED:
                [noise] = self._move_all(step, [jnp.ones_like(outputs[0])], True, 1)
                outputs = [outputs[0] + (noise - 1)]
            outputs = self._move_all(step, outputs, rounded)
        if coarse and (exact or step.op in SUMS | ELEMENTARY):
            self.remember(outputs)
        return outputs

    def _may_be_exact(self, value: Any) -> bool:
        if id(value) in self._coarse or not is_floating(value):
            return True
        # Otherwise a constant of the program: that is no tracer.
        return not isinstance(value, Tracer) and is_coarse(np.asarray(value))

    def _move_all(
        self, step: Step, values: list[Any], rounded: Any, position: int = 0
    ) -> list[Any]:
        start = zlib.crc32(repr(step.path).encode())
        scale = _grow(step.op, _count_terms(step))
        looping = any(caller.primitive.name in LOOPS for caller in step.callers)
        return [
            self._move(value, start + index, scale, rounded, looping)
            if is_floating(value) and jnp.size(value)
            else value
            for index, value in enumerate(values, position)
        ]

    def _move(self, value: Any, start: int, scale: float, rounded: Any, looping: bool) -> Any:
        """Multiplies numbers by 1 plus or minus `scale` units in the last place."""
        value = jnp.asarray(value)
        if jnp.iscomplexobj(value):
            real, imag = (
                self._move(part, start + place, scale, rounded, looping)
                for place, part in enumerate((jnp.real(value), jnp.imag(value)))
            )
            return jax.lax.complex(real, imag)
        offset: Any = start % _WINDOWS
        if looping:  # each step of a loop runs the same equations: take the start from the numbers
            mark = jax.lax.bitcast_convert_type(jnp.sum(value, dtype=jnp.float64), jnp.uint64)
            mark = (mark ^ (mark >> 32)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
            offset = ((mark + np.uint64(start)) % np.uint64(_WINDOWS)).astype(jnp.int32)
        factors = jax.lax.dynamic_slice(self._factors, (offset,), (value.size,))
        units = scale * _find_units(value)
        if units != 1:
            factors = 1 + (factors - 1) * units
        moved = value * factors.reshape(value.shape).astype(value.dtype)
        return moved if rounded is True else jnp.where(rounded, moved, value)


def _grow(op: str, terms: int) -> float:
    """How many roundings make an error: log2 for a sum in pairs, more for a running one."""
    if op in SPECIAL:
        return 16.0
    return max(1.0, math.sqrt(terms) / 4 if op in RUNNING else math.log2(max(terms, 1)) / 2)


def _count_terms(step: Step) -> int:
    """How many terms each element of the output is a sum (or product) of; 0 if it is none."""
    params = step.equation.params
    shapes = [kind.shape for kind in step.in_types]
    match step.op:
        case "reduce_sum" | "reduce_prod":
            return math.prod(shapes[0][axis] for axis in params["axes"])
        case "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            return math.prod(shapes[0][axis] for axis in contracted)
        case "cumsum" | "cumprod" | "cumlogsumexp":
            return shapes[0][params["axis"]]
        case "conv_general_dilated":
            features = shapes[1][params["dimension_numbers"].rhs_spec[0]]
            return math.prod(shapes[1]) // max(features, 1)
        case "reduce_window_sum" | "select_and_scatter_add":
            return math.prod(params["window_dimensions"])
        case "scatter-add" | "scatter_add" | "scatter_mul" | "scatter-mul":
            return max(math.prod(shapes[1][:-1]), 1)
        case "fft":
            return math.prod(params["fft_lengths"])
        case op if op in FACTORED:
            return max(shapes[0][-1:], default=1)
        case _:
            return 0


def _find_units(kind: Any) -> float:
    """A last bit of numbers of this dtype, in those of float64."""
    return float(jnp.finfo(kind.dtype).eps) / EPS if is_floating(kind) else 1.0
