"""The referee of a pointwise operation: its formula and the formula's derivatives, by mpmath.

The derivatives are SymPy's, and each is checked against mpmath's numerical differentiation of the
formula itself: a referee that disagrees with itself is refused. A number counts once two precisions
agree on it, so that cancellation in the formula costs time and not digits.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import mpmath
import sympy

LAST_DIGITS = 420  # beside 0 numbers of 1e-330 are taken from 1
DIGITS = (30, 50, 80, 160, 320, LAST_DIGITS)  # are tried, until two neighbours agree
AGREED_DIGITS = 24
CHECKED_POINTS = 6
# Of CPU for one number, far from what any takes, so that no machine knows more than another: those
# that end do so within 0.25 s, and two of zeta's at its pole not within 4 s.
SECONDS = 2.0
CHECKED_DIGITS = 12  # mpmath differentiates numerically at 80 digits, with a step of 1e-20
NOTHING = mpmath.mpf(10) ** -30  # what is left of a derivative that is 0

Order = tuple[int, ...]
"""How often a formula is differentiated by each of its arguments."""


class RefereeError(Exception):
    """Two ways to the same derivative give different numbers."""


class TooSlowError(Exception):
    """A formula that mpmath works at for too long, as zeta at its poles at many digits."""


class Truth:
    """A formula as a referee.

    Args:
        formula: In SymPy's words, of the arguments; ``sigmoid``, ``ndtr``, ``lgamma``, ``log1p``,
            ``expm1`` and ``softplus`` are known, too.
        args: The arguments' names.
    """

    def __init__(self, formula: str, args: Sequence[str]) -> None:
        self._symbols = [sympy.Symbol(name, real=True) for name in args]
        known = dict(zip(args, self._symbols, strict=True))
        parse: Any = sympy.sympify
        self._expression: Any = parse(formula, locals={**_NAMES, **known})
        self._functions: dict[Order, Callable[..., Any]] = {}
        self._known: dict[Any, Any] = {}

    def evaluate(self, order: Order, point: Sequence[Any]) -> Any:
        """A derivative at a point of floats or of ``mpf``, as an ``mpf``.

        None where it is not a real number. Infinite where the formula has a pole, and at infinity
        where mpmath knows the limit.

        Raises:
            TooSlowError: It is not known.
        """
        key = (order, *point)  # to it 0.0 is -0.0, as to mpmath
        if key not in self._known:
            try:
                self._known[key] = self._search(order, point)
            except TooSlowError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, TooSlowError):
            raise found
        return found

    def _search(self, order: Order, point: Sequence[Any]) -> Any:
        """The number on which two precisions agree."""
        function = self._get_function(order)
        previous = None
        for digits in DIGITS:
            found = _evaluate(function, point, digits)
            if found is None or mpmath.isinf(found) or not found:
                # Perhaps all digits cancelled, and the number is only very small.
                return _evaluate(function, point, LAST_DIGITS)
            if previous is not None and _agree(found, previous, AGREED_DIGITS):
                return found
            previous = found
        raise TooSlowError  # it would need more digits

    def evaluate_if_known(self, order: Order, point: Sequence[Any]) -> Any:
        """The same, and None where it is not known."""
        try:
            return self.evaluate(order, point)
        except TooSlowError:
            return None

    def check(self, order: Order, points: Sequence[Sequence[float]]) -> None:
        """Holds SymPy's derivative against mpmath's, at some of the points.

        Raises:
            RefereeError: They differ.
        """
        if not any(order):
            return
        chosen = points[:: max(1, len(points) // CHECKED_POINTS)]
        formula = self._get_function((0,) * len(order))
        for point in chosen:
            found = self.evaluate_if_known(order, point)
            if found is None or mpmath.isinf(found):
                continue
            with mpmath.workdps(80):
                try:
                    numbers = tuple(mpmath.mpf(float(x)) for x in point)
                    step = mpmath.mpf(10) ** -20 * max(1, *(abs(x) for x in numbers), 0)
                    other = mpmath.diff(formula, numbers, order, h=step)
                except (ValueError, ZeroDivisionError, TypeError, mpmath.mp.NoConvergence):
                    continue
            other = mpmath.re(other)
            if mpmath.isnan(other) or abs(found - other) < NOTHING:
                continue
            if not _agree(found, other, CHECKED_DIGITS):
                raise RefereeError(
                    f"derivative {order} of {self._expression} at {tuple(map(float, point))}: "
                    f"SymPy's is {mpmath.nstr(found, 15)}, mpmath's {mpmath.nstr(other, 15)}"
                )

    def _get_function(self, order: Order) -> Callable[..., Any]:
        if order not in self._functions:
            expression = self._expression
            for symbol, count in zip(self._symbols, order, strict=True):
                for _ in range(count):
                    expression = sympy.diff(expression, symbol)
            if expression.has(sympy.Derivative, sympy.Subs, sympy.DiracDelta):
                self._functions[order] = self._differentiate_numerically(order)
            else:
                self._functions[order] = sympy.lambdify(
                    self._symbols, expression, [_FUNCTIONS, "mpmath"]
                )
        return self._functions[order]

    def _differentiate_numerically(self, order: Order) -> Callable[..., Any]:
        """Where SymPy has no closed form, e.g. for a derivative by the order of a function."""
        formula = self._get_function((0,) * len(order))
        return lambda *point: mpmath.diff(formula, point, order)


def _evaluate(function: Callable[..., Any], point: Sequence[Any], digits: int) -> Any:
    with mpmath.workdps(digits):
        try:
            with _limited_time():
                found = function(*map(mpmath.mpf, point))
        except (ArithmeticError, ValueError, TypeError, RuntimeError, mpmath.mp.NoConvergence):
            return None  # NotImplementedError and RecursionError are RuntimeErrors
        if not isinstance(found, mpmath.mpf | mpmath.mpc | int):
            return None
        found = mpmath.mpmathify(found)
        if isinstance(found, mpmath.mpc):
            if found.imag != 0:
                return None
            found = found.real
        return None if mpmath.isnan(found) else found


@contextlib.contextmanager
def _limited_time() -> Generator[None]:
    """Ends mpmath after some seconds of CPU; it is Python, so a signal reaches it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _agree(a: Any, b: Any, digits: int) -> bool:
    with mpmath.workdps(LAST_DIGITS):
        tolerance = mpmath.mpf(10) ** -digits
        return abs(a - b) <= tolerance * max(abs(a), abs(b))


class ndtr(sympy.Function):  # noqa: N801 - a formula's name for it
    """The normal distribution function; SymPy would write erfc as 2 - erfc, and lose its tail."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Its derivative, the density."""
        del argindex
        x: Any = self.args[0]
        return sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)


class lgamma(sympy.Function):  # noqa: N801 - a formula's name for it
    """log |gamma|; the derivative that SymPy takes of that quotes the sign of gamma."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Its derivative."""
        del argindex
        make: Any = sympy.polygamma
        return make(0, self.args[0])


def _evaluate_ndtr(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def _evaluate_lgamma(x: Any) -> Any:
    return mpmath.re(mpmath.loggamma(x))


def _evaluate_polygamma(n: Any, x: Any) -> Any:
    """Below 0 by reflection: mpmath goes up to 0 in steps of 1, which takes forever from afar."""
    if not x < 0:
        return mpmath.polygamma(n, x)
    powers = [mpmath.mpf(0), mpmath.mpf(1)]  # of the cotangent, in its derivative
    for _ in range(int(n)):
        slopes = [k * a for k, a in enumerate(powers)][1:]
        powers = [-a - b for a, b in zip([*slopes, 0, 0], [0, 0, *slopes], strict=True)]
    cotangent = mpmath.polyval(powers[::-1], mpmath.cospi(x) / mpmath.sinpi(x))
    return (-1) ** int(n) * mpmath.polygamma(n, 1 - x) - mpmath.pi ** (n + 1) * cotangent


_FUNCTIONS = {
    "ndtr": _evaluate_ndtr,
    "lgamma": _evaluate_lgamma,
    "polygamma": _evaluate_polygamma,
    "psi": _evaluate_polygamma,
}


def _define(build: Callable[[Any], Any]) -> Any:
    x = sympy.Symbol("x", real=True)
    return sympy.Lambda(x, build(x))


@functools.cache
def _make_names() -> dict[str, Any]:
    return {
        "sigmoid": _define(lambda x: 1 / (1 + sympy.exp(-x))),
        "ndtr": ndtr,
        "lgamma": lgamma,
        "log1p": _define(lambda x: sympy.log(1 + x)),
        "expm1": _define(lambda x: sympy.exp(x) - 1),
        "softplus": _define(lambda x: sympy.log(1 + sympy.exp(x))),
    }


_NAMES = _make_names()
