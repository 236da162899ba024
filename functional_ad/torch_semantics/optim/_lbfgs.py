"""L-BFGS, whose step evaluates the loss itself (torch.optim.LBFGS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from functional_ad import _tree
from functional_ad._control import require_grad_enabled
from functional_ad._gradients import differentiate
from functional_ad._leaves import combine, partition, select_for
from functional_ad.torch_semantics._arguments import check_choice, check_number
from functional_ad.torch_semantics.optim._composition import check_real, evaluate
from functional_ad.torch_semantics.optim._curvature import (
    begin_curvature,
    find_direction,
    remember_step,
)
from functional_ad.torch_semantics.optim._hyperparameters import check_count, check_scheduled
from functional_ad.torch_semantics.optim._lbfgs_state import LBFGSState
from functional_ad.torch_semantics.optim._wolfe import Point, search_wolfe

_NAME = "torch_semantics.optim.lbfgs"


class ClosureOptimizer(NamedTuple):
    """An optimizer that evaluates the loss itself, as a pair of pure functions.

    PyTorch's ``optimizer.step(closure)``. Where an ``optax.GradientTransformation`` has ``update``,
    which is given gradients, this has ``step``, which is given the loss as a function.

    Attributes:
        init: Makes the state, of the parameters.
        step: Makes a step: ``step(fun, params, state)`` returns ``(params, state, loss)``.

    Example:
        >>> optimizer = lbfgs()
        >>> isinstance(optimizer, ClosureOptimizer)
        True
    """

    init: Callable[[PyTree], Any]
    step: Callable[[Callable[[PyTree], Any], PyTree, Any], tuple[PyTree, Any, jax.Array]]


class _Place(NamedTuple):
    """Where an iteration leads, and what is known there."""

    params: PyTree
    loss: jax.Array
    grad: PyTree
    t: jax.Array
    evals: jax.Array  # how many evaluations it took to come there


class _Iteration(NamedTuple):
    """What one iteration hands to the next."""

    place: _Place
    state: LBFGSState
    number: jax.Array
    evals: jax.Array
    running: jax.Array


def lbfgs(
    lr: optax.ScalarOrSchedule = 1,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: Any = 1e-7,
    tolerance_change: Any = 1e-9,
    history_size: int = 100,
    line_search_fn: str | None = None,
) -> ClosureOptimizer:
    """L-BFGS: steps along the gradient times an approximate inverse of the Hessian.

    PyTorch's ``torch.optim.LBFGS``. There ``step`` takes a closure that computes the loss and fills
    ``.grad``, and calls it as often as it needs to. Here it takes the loss as a function of the
    parameters, and is itself a pure function: one call makes up to ``max_iter`` iterations, in a
    ``jax.lax.while_loop``, and can be jitted, scanned, mapped with ``jax.vmap``, and given donated
    buffers. Data come in by a closure, as below. Nothing is flattened: directions and pairs are
    trees like the parameters, sharded as they are.

    Its control flow is PyTorch's, with the same evaluations at the same points in the same order,
    whatever ends a call: the two tolerances, the two maxima, or a direction that does not descend.
    In float64 one iteration differs by rounding only: begun from PyTorch's state, 1,000 steps agree
    to 1e-10 without a line search; with one, 4 in 1,000 differ by up to 1e-8, where its
    interpolation takes a difference of losses that are nearly equal. What iterations make of that
    depends on the loss: on least squares both stayed within 1e-10, in Rosenbrock's valley within
    1e-5, and where steps of a given length do not settle there is no bound. In float32 PyTorch
    computes with losses in double precision, here they are float32.

    Against ``optax.lbfgs``, which is a gradient transformation with one iteration per ``update``:
    the first step is scaled by the gradient's 1-norm and not its 2-norm; a pair whose product is
    1e-10 or less is left out, where optax keeps negative curvature; the line search interpolates
    otherwise and evaluates at other points; and ``step`` stops by itself. The figures of optax's
    defaults differ as well (``memory_size=10``, a line search).

    As in PyTorch, parameters must be real, and there are no groups of them: to train some leaves
    only, close over the others. Leaves that are not floating-point, None among them, stay as they
    are. Memory is taken for ``history_size`` pairs from the start, where PyTorch's grows: 2 x 100
    times the parameters by default.

    Args:
        lr: The step length without a line search, and the one that a line search tries first: a
            number that is not negative, a scalar array or an optax schedule, which counts calls of
            ``step``. The first of all iterations multiplies it by 1 over the gradient's 1-norm, if
            that is below 1.
        max_iter: How many iterations a call makes at most.
        max_eval: After how many evaluations of the loss a call makes no further iteration. None
            means a quarter more than ``max_iter``.
        tolerance_grad: The gradient's largest magnitude at which a call ends.
        tolerance_change: The largest magnitude of a step, or the change of the loss, at which it
            ends.
        history_size: How many pairs are kept.
        line_search_fn: "strong_wolfe", or None for steps of length ``lr``.

    Returns:
        ``ClosureOptimizer(init, step)``. The loss that ``step`` returns is, as PyTorch's, that of
        the parameters it was given.

    Raises:
        ArgumentError: An option is out of bounds.
        LeafTypeError: In ``init`` or ``step``, a parameter is complex.
        OutputError: In ``step``, the loss is not a real scalar.
        SelectionError: In ``init`` or ``step``, no parameter is floating-point.
        GradModeError: In ``step``, gradients are off.

    Example:
        >>> import functools, jax, jax.numpy as jnp
        >>> optimizer = lbfgs(line_search_fn="strong_wolfe")
        >>> def loss(params, x, y):
        ...     return jnp.mean((x @ params["w"] - y) ** 2)
        >>> @functools.partial(jax.jit, donate_argnums=(0, 1))
        ... def step(params, state, x, y):
        ...     return optimizer.step(lambda params: loss(params, x, y), params, state)
        >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> params = {"w": jnp.zeros(2)}
        >>> state = optimizer.init(params)
        >>> params, state, before = step(params, state, x, jnp.array([1.0, 3.0, 5.0]))
        >>> print(before.round(2), params["w"].round(3), state.func_evals)
        11.67 [1. 2.] 5

    Source:
        https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
        https://optax.readthedocs.io/en/latest/api/optimizers.html#optax.lbfgs
    """
    check_scheduled("optim.lbfgs", "lr", lr, low=0.0)
    check_count("lbfgs", "max_iter", max_iter, low=1)
    if max_eval is not None:
        check_count("lbfgs", "max_eval", max_eval, low=1)
    check_number("optim.lbfgs", "tolerance_grad", tolerance_grad)
    check_number("optim.lbfgs", "tolerance_change", tolerance_change)
    check_count("lbfgs", "history_size", history_size, low=1)
    check_choice("optim.lbfgs", "line_search_fn", line_search_fn, (None, "strong_wolfe"))
    most_evals = max_iter * 5 // 4 if max_eval is None else max_eval

    def init(params: PyTree) -> LBFGSState:
        diff, _ = _split(params)
        dtype = _find_dtype(diff)
        return LBFGSState(  # each an array of its own: a buffer can be donated only once
            count=jnp.zeros((), jnp.int32),
            func_evals=jnp.zeros((), jnp.int32),
            n_iter=jnp.zeros((), jnp.int32),
            d=optax.tree.zeros_like(diff, dtype),
            t=jnp.zeros((), dtype),
            prev_flat_grad=optax.tree.zeros_like(diff, dtype),
            prev_loss=jnp.zeros((), dtype),
            curvature=begin_curvature(diff, history_size, dtype),
        )

    def step(
        fun: Callable[[PyTree], Any], params: PyTree, state: LBFGSState
    ) -> tuple[PyTree, LBFGSState, jax.Array]:
        require_grad_enabled(_NAME)
        diff, rest = _split(params)
        dtype = state.t.dtype
        rate = jnp.asarray(evaluate(lr, state.count), dtype)

        def look(params: PyTree, t: jax.Array, evals: Any) -> tuple[_Place, jax.Array]:
            loss, grad = differentiate(_NAME, fun, params, rest, has_aux=False)
            grad = optax.tree.cast(grad, dtype)
            return _Place(params, loss.astype(dtype), grad, t, jnp.int32(evals)), loss

        def go(place: _Place, d: PyTree, slope: Any, number: Any, evals: Any) -> _Place:
            """Moves by the step length, and evaluates if there is an iteration to come."""
            del slope, evals
            there = _move(place.params, place.t, d)
            stays = place._replace(params=there, evals=jnp.int32(0))
            return jax.lax.cond(
                number < max_iter, lambda: look(there, place.t, 1)[0], lambda: stays
            )

        def search(place: _Place, d: PyTree, slope: Any, number: Any, evals: Any) -> _Place:
            """Looks for a step length, and moves by it."""
            del number

            def look_along(t: jax.Array) -> Point:
                there, _ = look(_move(place.params, t, d), t, 1)
                return Point(t, there.loss, there.grad, optax.tree.vdot(there.grad, d))

            start = Point(jnp.zeros_like(place.t), place.loss, place.grad, slope)
            length = optax.tree.norm(d, jnp.inf)
            found, tries = search_wolfe(look_along, start, place.t, length, most_evals - evals)
            there = _move(place.params, found.t, d)
            return _Place(there, found.loss, found.grad, found.t, tries)

        def iterate(last: _Iteration) -> _Iteration:
            place, state, number = last.place, last.state, last.number + 1
            change = optax.tree.sub(place.grad, state.prev_flat_grad)
            curvature = remember_step(state.curvature, change, optax.tree.scale(state.t, state.d))
            d = find_direction(curvature, place.grad)
            # The first state has no step, so that its pair does not count: d is minus the gradient.
            inverse = 1 / optax.tree.norm(place.grad, 1)
            first = jnp.where(inverse < 1, inverse, 1) * rate
            start = place._replace(t=jnp.where(state.n_iter == 0, first, rate), evals=jnp.int32(0))
            slope = optax.tree.vdot(place.grad, d)
            level = slope > -tolerance_change
            descend = go if line_search_fn is None else search
            new = jax.lax.cond(  # the pairs are not among the operands, which it would copy
                level, lambda start, *_: start, descend, start, d, slope, number, last.evals
            )
            evals = last.evals + new.evals
            still = optax.tree.norm(optax.tree.scale(new.t, d), jnp.inf) <= tolerance_change
            same = jnp.abs(new.loss - place.loss) < tolerance_change
            spent = (number == max_iter) | (evals >= most_evals)
            state = state._replace(
                func_evals=state.func_evals + new.evals,
                n_iter=state.n_iter + 1,
                d=d,
                t=new.t,
                prev_flat_grad=place.grad,
                prev_loss=place.loss,
                curvature=curvature,
            )
            done = level | spent | is_optimal(new) | still | same
            return _Iteration(new, state, number, evals, ~done)

        def is_optimal(place: _Place) -> jax.Array:
            return optax.tree.norm(place.grad, jnp.inf) <= tolerance_grad

        place, loss = look(diff, state.t, 1)
        state = state._replace(count=state.count + 1, func_evals=state.func_evals + 1)
        last = _Iteration(place, state, jnp.int32(0), place.evals, ~is_optimal(place))
        last = jax.lax.while_loop(lambda last: last.running, iterate, last)
        return combine(last.place.params, rest), last.state, loss

    return ClosureOptimizer(init, step)


def _move(params: PyTree, t: jax.Array, d: PyTree) -> PyTree:
    return jax.tree.map(lambda x, y: (x.astype(y.dtype) + t * y).astype(x.dtype), params, d)


def _split(params: PyTree) -> tuple[PyTree, PyTree]:
    """The leaves that are trained, as arrays with dtypes of their own, and the others."""
    diff, rest = partition(params, select_for(f"functional_ad.{_NAME}(params)", params, None))
    check_real("lbfgs", diff)
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), diff), rest


def _find_dtype(diff: PyTree) -> Any:
    """The widest dtype of the parameters, which PyTorch's flat vectors have; at least float32."""
    dtypes = (np.dtype(leaf.dtype) for leaf in jax.tree.leaves(diff))
    return _tree.widen(max(dtypes, key=lambda dtype: dtype.itemsize))
