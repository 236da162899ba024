"""The line search of L-BFGS: a step length that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

# PyTorch lets nobody choose these: its `tolerance_change` does not reach the search.
_DECREASE = 1e-4  # c1, the share of the first slope by which the loss must fall
_CURVATURE = 0.9  # c2, the share of the first slope that may be left
_WIDTH = 1e-9  # how far the ends of a bracket must be apart


class Point(NamedTuple):
    """The loss at one step length along a direction."""

    t: jax.Array
    loss: jax.Array
    grad: PyTree
    slope: Any  # the gradient's product with the direction


class _Search(NamedTuple):
    """What the search knows between two evaluations."""

    t: jax.Array  # where the loss is evaluated next
    evals: jax.Array
    running: jax.Array
    zooming: jax.Array  # whether `first` and `second` enclose what is looked for
    previous: Point
    first: Point
    second: Point
    first_is_low: jax.Array  # which of the two has the lower loss
    stuck: jax.Array  # whether the last length lay too close to an end


def search_wolfe(
    evaluate: Callable[[jax.Array], Point],
    start: Point,
    t: jax.Array,
    length: jax.Array,
    max_iter: jax.Array,
) -> tuple[Point, jax.Array]:
    """Looks for a step length, at the same points and in the same order as PyTorch does.

    PyTorch evaluates once, then looks for a bracket, then narrows it, with a call of the closure
    for each of the three. Here all of it is one loop with one evaluation, so that the loss is
    compiled once.

    Args:
        evaluate: Gives the point at a step length.
        start: The point at length 0.
        t: The length to try first.
        length: The largest magnitude in the direction.
        max_iter: How many evaluations there may be after the first one.

    Returns:
        The lower end of the last bracket, and the number of evaluations.
    """

    def falls_short(new: Point) -> jax.Array:
        return new.loss > start.loss + _DECREASE * new.t * start.slope

    def is_flat(new: Point) -> jax.Array:
        return jnp.abs(new.slope) <= -_CURVATURE * start.slope

    def look(search: _Search) -> _Search:
        new = evaluate(search.t)
        search = jax.lax.cond(search.zooming, narrow, enclose, search, new)
        return propose(search._replace(evals=search.evals + 1))

    def enclose(search: _Search, new: Point) -> _Search:
        """Makes a bracket of the last two points, or goes further."""
        previous = search.previous
        spent = search.evals >= max_iter
        rises = falls_short(new) | ((search.evals > 1) & (new.loss >= previous.loss))
        done = ~spent & ~rises & is_flat(new)
        goes_on = ~spent & ~rises & ~is_flat(new) & ~(new.slope >= 0)
        first = _choose(spent, start, _choose(done, new, previous))
        least, most = new.t + 0.01 * (new.t - previous.t), new.t * 10
        return search._replace(
            t=_interpolate(previous, new, least, most),
            running=~spent & ~done,
            zooming=~goes_on,
            previous=new,
            first=first,
            second=new,
            first_is_low=first.loss <= new.loss,
        )

    def narrow(search: _Search, new: Point) -> _Search:
        """Puts the point in the place of one end of the bracket."""
        low = _choose(search.first_is_low, search.first, search.second)
        high = _choose(search.first_is_low, search.second, search.first)
        worse = falls_short(new) | (new.loss >= low.loss)
        turns = ~is_flat(new) & (new.slope * (high.t - low.t) >= 0)
        high = _choose(worse, new, _choose(turns, low, high))
        low = _choose(worse, low, new)
        first = _choose(search.first_is_low, low, high)
        second = _choose(search.first_is_low, high, low)
        return search._replace(
            running=worse | ~is_flat(new),
            first=first,
            second=second,
            first_is_low=jnp.where(worse, first.loss <= second.loss, search.first_is_low),
        )

    def propose(search: _Search) -> _Search:
        """Within a bracket: chooses a length that is not too close to an end, or stops."""
        first, second, zooming = search.first, search.second, search.zooming
        least, most = jnp.minimum(first.t, second.t), jnp.maximum(first.t, second.t)
        t = _interpolate(first, second, least, most)
        margin = 0.1 * (most - least)
        close = jnp.minimum(most - t, t - least) < margin
        moved = close & (search.stuck | (t >= most) | (t <= least))
        nearer = jnp.abs(t - most) < jnp.abs(t - least)
        t = jnp.where(moved, jnp.where(nearer, most - margin, least + margin), t)
        wide = ~(jnp.abs(second.t - first.t) * length < _WIDTH)
        return search._replace(
            t=jnp.where(zooming, t, search.t),
            running=search.running & (~zooming | (wide & (search.evals <= max_iter))),
            stuck=zooming & close & ~moved,
        )

    no = jnp.zeros((), bool)
    search = _Search(t, jnp.zeros((), jnp.int32), ~no, no, start, start, start, ~no, no)
    search = jax.lax.while_loop(lambda search: search.running, look, search)
    return _choose(search.first_is_low, search.first, search.second), search.evals


def _interpolate(a: Point, b: Point, least: jax.Array, most: jax.Array) -> jax.Array:
    """Where the cubic through two points has its minimum, within bounds."""
    a, b = a._replace(grad=None), b._replace(grad=None)
    left, right = _choose(a.t <= b.t, a, b), _choose(a.t <= b.t, b, a)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    d2_square = d1 * d1 - a.slope * b.slope
    d2 = jnp.sqrt(d2_square)
    share = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    t = jnp.clip(right.t - (right.t - left.t) * share, least, most)
    return jnp.where(d2_square >= 0, t, (least + most) / 2)


def _choose(condition: jax.Array, a: Point, b: Point) -> Point:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
