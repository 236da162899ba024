"""Functions in which NaN or infinity begins at a known place, and functions in which it may not.

Each function of ``SOURCES`` has one line that ends in ``# here``: the one to be named. Where the
operation is JAX's own, in a function such as ``jnp.std``, the line is that of the call.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax

ZERO = jnp.array([3.0, 0.0, 2.0])
SIGNED = jnp.array([3.0, -1.0, 2.0])
LARGE = jnp.array([3.0, 200.0, 2.0])
FINE = jnp.array([3.0, 1.0, 2.0])


@dataclasses.dataclass(frozen=True)
class Source:
    """One function and what is to be said of it.

    Attributes:
        fun: The function; its outputs are summed where a scalar is needed.
        args: Its arguments, all differentiated where they are floating.
        ops: Names of the operation that count, JAX's.
        phase: Where it shows: in an output, or in a gradient only.
        iterations: Iterations of the loops around it.
        argument: Path of the argument that has it already.
    """

    fun: Callable
    args: tuple
    ops: frozenset[str]
    phase: str
    iterations: tuple[int, ...]
    argument: str | None

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.fun.__name__

    @property
    def line(self) -> str | None:
        """The line to be named, as ``"file.py:12"``."""
        return find_mark(self.fun)


SOURCES: list[Source] = []
CLEAN: dict[str, tuple[Callable, tuple]] = {}


def find_mark(fun: Callable) -> str | None:
    """The line of a function's code that ends in ``# here``."""
    lines, start = inspect.getsourcelines(fun)
    marked = [start + i for i, line in enumerate(lines) if line.rstrip().endswith("# here")]
    return f"{Path(inspect.getsourcefile(fun)).name}:{marked[0]}" if marked else None


def plant(
    ops: str, *args: object, phase: str = "forward", at: tuple = (), argument: str | None = None
) -> Callable:
    """Adds a function to the sources."""

    def add(fun: Callable) -> Callable:
        SOURCES.append(Source(fun, args, frozenset(ops.split()), phase, at, argument))
        return fun

    return add


def clean(*args: object) -> Callable:
    """Adds a function in which nothing may be blamed."""

    def add(fun: Callable) -> Callable:
        CLEAN[fun.__name__] = (fun, args)
        return fun

    return add


# --- An output is not finite.


@plant("log", ZERO)
def log_of_zero(x):
    y = x * 2
    z = jnp.log(y)  # here
    return jnp.sum(z * 3)


@plant("div", ZERO)
def zero_over_zero(x):
    y = x * 2
    return jnp.sum(x / y)  # here


@plant("sqrt", SIGNED)
def sqrt_of_negative(x):
    return jnp.sum(jnp.sqrt(x))  # here


@plant("exp", LARGE)
def exp_overflows(x):
    e = jnp.exp(x)  # here
    return e / jnp.sum(e)


@plant("log1p", -SIGNED)
def log1p_below(x):
    return jnp.sum(jnp.log1p(x))  # here


@plant("pow", SIGNED)
def fractional_power(x):
    return jnp.sum(x**0.3)  # here


@plant("convert_element_type", LARGE)
def cast_to_half(x):
    y = x * 1000
    h = y.astype(jnp.float16)  # here
    return jnp.sum(h.astype(jnp.float32))


@plant("dot_general", jnp.full((4, 4), 200.0, jnp.float16))
def matmul_in_half(x):
    y = x @ x  # here
    return jnp.sum(y)


@plant("mul square integer_pow", jnp.full(3, 1e20, jnp.bfloat16))
def square_in_bfloat16(x):
    return jnp.sum(x * x)  # here


@plant("acos", SIGNED)
def arccos_outside(x):
    return jnp.sum(jnp.arccos(x / 2))  # here


@plant("sub", ZERO)
def every_score_masked(x):
    scores = jnp.where(x > 100, x, -jnp.inf)
    return jax.nn.softmax(scores)  # here


@plant("div", FINE)
def mean_of_nothing(x):
    keep = x > 10
    return jnp.sum(x * keep) / jnp.sum(keep)  # here


@plant("gather", FINE, 7)
def index_out_of_range(x, i):
    return jnp.take(x, i) * 2  # here


@plant("cholesky", jnp.array([[1.0, 2.0], [2.0, 1.0]]))
def not_positive_definite(a):
    factor = jnp.linalg.cholesky(a)  # here
    return jnp.sum(factor**2)


@plant("div", jnp.array([5.0]))
def deviation_of_one(x):
    return jnp.sum((x - x.mean()) ** 2) / (x.size - 1)  # here


@plant("log", jnp.array([0.0, 200.0]))
def log_of_softmax(x):
    p = jax.nn.softmax(x)
    return -jnp.sum(jnp.log(p))  # here


@plant("div", jnp.zeros(3))
def unit_vector_of_zero(x):
    length = jnp.sqrt(jnp.sum(x**2))
    return x / length  # here


@plant("log", ZERO)
def after_a_harmless_one(x):
    safe = jnp.where(x > 0, 1 / x, 0.0)
    return jnp.sum(safe) + jnp.sum(jnp.log(x))  # here


@plant("log", FINE, at=(3,))
def in_a_scan(x):
    def body(carry, t):
        gone = carry - t
        return carry, jnp.log(gone)  # here

    return lax.scan(body, x, jnp.array([0.5, 0.25, 0.75, 1.0, 0.5]))[1]


@plant("sqrt", jnp.array([640.5]), at=(641,))
def in_a_long_scan(x):
    def body(carry, t):
        return carry + jnp.sqrt(x - t), None  # here

    return lax.scan(body, jnp.zeros(1), jnp.arange(1000.0))[0]


@plant("div", FINE, at=(1, 2))
def in_nested_scans(x):
    def inner(carry, t):
        return carry + 1 / t, None  # here

    def outer(carry, row):
        return lax.scan(inner, carry, row)

    table = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0], [1.0, 0.0, 1.0]])
    return lax.scan(outer, x, table)[0]


@plant("log", FINE, at=(1,))
def in_a_reversed_scan(x):
    def body(carry, t):
        return carry * jnp.log(t), None  # here

    return lax.scan(body, x, jnp.array([0.0, 0.0, 2.0, 3.0]), reverse=True)[0]


@plant("mul", LARGE, at=(4,))
def in_a_while(x):
    def body(state):
        i, y = state
        return i + 1, y * y  # here

    return lax.while_loop(lambda state: state[0] < 9, body, (0, x))[1]


@plant("log", jnp.float32(2.5), at=(3,))
def in_a_fori_loop(x):
    def body(i, total):
        return total + jnp.log(x - i)  # here

    return lax.fori_loop(0, 5, body, 0.0)


@plant("rsqrt", ZERO)
def in_a_branch(x):
    def other(y):
        return lax.rsqrt(y)  # here

    return lax.cond(x[0] > 1, other, jnp.sin, x)


@plant("log", jnp.array([[1.0, 2.0], [3.0, 0.0]]))
def under_vmap(x):
    def one(row):
        return jnp.sum(jnp.log(row))  # here

    return jax.vmap(one)(x)


@plant("div", ZERO)
def compiled(x):
    @jax.jit
    def inner(y):
        return jnp.sum(2.0 / y)  # here

    return inner(x)


@plant("log", ZERO)
def checkpointed(x):
    @jax.checkpoint
    def block(y):
        return jnp.tanh(jnp.log(y)) + jnp.log(y)  # here

    return jnp.sum(block(x))


@plant("exp", LARGE)
def in_a_custom_jvp(x):
    @jax.custom_jvp
    def rule(y):
        return jnp.exp(y)  # here

    rule.defjvp(lambda primals, tangents: (rule(*primals), tangents[0]))
    return jnp.sum(rule(x))


@plant("log", ZERO)
def in_a_forward_rule(x):
    @jax.custom_vjp
    def rule(y):
        return y * 2

    def forward(y):
        return jnp.log(y), None  # here

    rule.defvjp(forward, lambda _, g: (g,))
    return jnp.sum(rule(x))


@plant("sub", jnp.array([3.0, 1e5, 2.0]))
def infinity_minus_infinity(x):
    square = x * x
    big = jnp.where(square > 1e9, jnp.inf, square)
    return jnp.sum(big - big)  # here


# --- The outputs are finite, a gradient is not.


@plant("sqrt", ZERO, phase="backward")
def masked_sqrt(x):
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))  # here


@plant("log", ZERO, phase="backward")
def masked_log(x):
    y = jnp.log(x)  # here
    return jnp.sum(jnp.where(x > 0, y, 0.0))


@plant("div", ZERO, phase="backward")
def masked_division(x):
    y = x[0] / x  # here
    return jnp.sum(jnp.where(x == 0, 0.0, y))


@plant("sqrt", jnp.zeros(3), phase="backward")
def norm_of_zero(x):
    return jnp.linalg.norm(x)  # here


@plant("pow", ZERO, phase="backward")
def root_by_power(x):
    return jnp.sum(x**0.5)  # here


@plant("acos", jnp.array([0.5, 1.0]), phase="backward")
def arccos_of_one(x):
    return jnp.sum(jnp.arccos(x))  # here


@plant("atan2", jnp.zeros(2), jnp.zeros(2), phase="backward")
def angle_of_zero(y, x):
    return jnp.sum(jnp.arctan2(y, x))  # here


@plant("sqrt", jnp.full(3, 2.0), phase="backward")
def deviation_of_constants(x):
    return jnp.std(x)  # here


@plant("sqrt", FINE, phase="backward", at=(3,))
def backward_through_a_scan(x):
    def body(carry, t):
        return carry + jnp.sum(jnp.sqrt(x - t)), None  # here

    return lax.scan(body, 0.0, jnp.array([0.0, 0.5, 0.25, 1.0, 0.75]))[0]


@plant("sqrt", jnp.array([500.0]), phase="backward", at=(500,))
def backward_through_a_long_scan(x):
    def body(carry, t):
        return carry + jnp.sum(jnp.sqrt(jnp.abs(x - t))), None  # here

    return lax.scan(body, 0.0, jnp.arange(1000.0))[0]


@plant("sqrt", ZERO, phase="backward")
def backward_through_remat(x):
    @jax.checkpoint
    def block(y):
        z = jnp.sin(y)
        return jnp.sqrt(z * z)  # here

    return jnp.sum(block(x))


@plant("sqrt", jnp.array([[3.0, 4.0], [0.0, 0.0]]), phase="backward")
def backward_under_vmap(x):
    def one(row):
        return jnp.sqrt(jnp.sum(row**2))  # here

    return jax.vmap(one)(x)


@plant("log", ZERO, phase="backward")
def backward_through_a_branch(x):
    def other(y):
        return jnp.where(y > 0, jnp.log(y), 0.0)  # here

    return jnp.sum(lax.cond(x[0] > 1, other, jnp.sin, x))


@plant("div", ZERO, phase="backward")
def in_a_backward_rule(x):
    @jax.custom_vjp
    def rule(y):
        return y * 2

    def backward(y, g):
        return (g / y,)

    rule.defvjp(lambda y: (y * 2, y), backward)
    return jnp.sum(rule(x))  # here


@plant("div", ZERO, phase="backward")
def in_a_residual(x):
    @jax.custom_vjp
    def rule(y):
        return y * 2

    def forward(y):
        return y * 2, 1 / y  # here

    rule.defvjp(forward, lambda inverse, g: (g * inverse,))
    return jnp.sum(rule(x))


@plant("div", ZERO, phase="backward")
def in_a_tangent_rule(x):
    @jax.custom_jvp
    def rule(y):
        return y * 2

    @rule.defjvp
    def tangent(primals, tangents):
        return rule(*primals), tangents[0] / primals[0]  # here

    return jnp.sum(rule(x))


# --- It was there before.


@plant("argument", {"w": jnp.array([1.0, jnp.nan]), "b": jnp.ones(2)}, FINE, argument="0/w")
def nan_in_the_parameters(params, x):
    return jnp.sum(params["w"] * 2 + params["b"]) + jnp.sum(x)


@plant("argument", FINE, [jnp.array([jnp.inf, 1.0, 2.0])], argument="1/0")
def infinity_in_the_batch(w, batch):
    return jnp.sum(w * batch[0])


# --- Nothing is to be blamed.


@clean(FINE)
def smooth(x):
    return jnp.sum(jnp.sin(x) * jnp.exp(-(x**2)))


@clean(FINE)
def masked_attention(x):
    scores = jnp.where(jnp.tri(3, dtype=bool), jnp.outer(x, x), -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ x


@clean(FINE, jnp.array([0.0, -jnp.inf, 0.0]))
def mask_as_an_argument(x, mask):
    return jax.nn.softmax(x + mask) @ x


@clean(ZERO)
def two_wheres(x):
    safe = jnp.where(x > 0, x, 1.0)
    return jnp.sum(jnp.where(x > 0, jnp.log(safe), 0.0))


@clean(ZERO)
def constant_log(x):
    return jnp.sum(jnp.where(x > 0, jnp.log(lax.stop_gradient(x)), 0.0) * x)


@clean(FINE)
def maximum_from_minus_infinity(x):
    return jnp.max(x, initial=-jnp.inf) + jnp.min(x, initial=jnp.inf)


@clean(ZERO)
def x_log_y(x):
    return jnp.sum(jax.scipy.special.xlogy(x, jnp.maximum(x, 1e-6)))


@clean(jnp.array([0.0, 0.5]))
def entropy_of_certainty(x):
    return jnp.sum(lax.stop_gradient(jax.scipy.special.xlogy(x, x)) * x)


@clean(1000 * FINE)
def log_sum_exp(x):
    return jax.nn.logsumexp(x) + jnp.sum(jax.nn.log_softmax(-x))


@clean(FINE)
def log_sum_exp_of_masked(x):
    return jax.nn.logsumexp(x, where=x > 1.5)


@clean(FINE)
def log_add_exp(x):
    return jnp.sum(jnp.logaddexp(x, -jnp.inf))


@clean(100 * SIGNED)
def saturated(x):
    return jnp.sum(jax.nn.sigmoid(x) + jax.nn.softplus(x) + jnp.tanh(x) + jax.nn.gelu(x))


@clean(FINE)
def running_maximum(x):
    def body(carry, t):
        high, total = carry
        new = jnp.maximum(high, t)
        return (new, total * jnp.exp(high - new) + jnp.exp(t - new)), None

    high, total = lax.scan(body, (-jnp.inf, 0.0), x)[0]
    return high + jnp.log(total)


@clean(jnp.zeros((2, 4)))
def layer_norm_of_constants(x):
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-6)


@clean(jnp.array([1.0, jnp.nan, 3.0]))
def without_the_missing(x):
    return jnp.nanmean(x)


@clean(ZERO)
def guarded_norm(x):
    square = jnp.sum((x * 0) ** 2)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


@clean(jnp.arange(4))
def integers_only(x):
    return x * 2


@clean(FINE)
def never_taken(x):
    return lax.cond(x[0] > 1, jnp.sin, lambda y: jnp.log(y * 0), x)


@clean(LARGE)
def replaced(x):
    return jnp.sum(jnp.nan_to_num(lax.stop_gradient(jnp.exp(x)), posinf=0.0) * x)


@clean(ZERO)
def compared(x):
    return jnp.sum(jnp.where(lax.stop_gradient(1 / x) > 0.4, x, -x))


@clean(FINE.astype(jnp.bfloat16))
def in_bfloat16(x):
    return jnp.sum(jax.nn.softmax(x) * x)


@clean(ZERO)
def harmless_in_a_scan(x):
    def body(carry, t):
        return carry + jnp.where(t > 0, jnp.log(t), 0.0), None

    return lax.scan(body, x, jnp.array([0.0, 1.0, 2.0, 0.0] * 5))[0]
