"""How numbers, shapes and indices are written in every report for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from comparisons._results import LeafResult

ABSENT = "–"


def format_measure(value: complex | None) -> str:
    """Three significant digits, without padding: ``1.19e-7``; what was not measured is a dash.

    Example:
        >>> [format_measure(x) for x in (1.1920929e-07, 12.0, 0.0, -0.0, float("nan"), None)]
        ['1.19e-7', '12', '0', '0', 'NaN', '–']
    """
    if value is None:
        return ABSENT
    if isinstance(value, complex):
        return _join_parts(format_measure(value.real), format_measure(value.imag))
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    mantissa, e, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def format_value(value: Any, dtype: str) -> str:
    """The shortest text that reads back as the same number at ``dtype``.

    Example:
        >>> format_value(4.574587821960449, "float32"), format_value(True, "bool")
        ('4.574588', 'True')
    """
    if isinstance(value, complex):
        part = {"complex64": "float32", "complex128": "float64"}.get(dtype, "-")
        return _join_parts(format_value(value.real, part), format_value(value.imag, part))
    if isinstance(value, float) and math.isfinite(value):
        try:
            with np.errstate(over="ignore"):
                narrow = np.dtype(dtype).type(value)
        except TypeError:  # a dtype that NumPy does not have, or "-"
            return repr(value)
        if isinstance(narrow, np.floating) and float(narrow) == value:
            return str(narrow)
        return repr(value)
    return format_measure(value) if isinstance(value, float) else str(value)


def _join_parts(real: str, imag: str) -> str:
    return f"{real}{'' if imag.startswith('-') else '+'}{imag}j"


def format_index(index: tuple[int, ...] | None) -> str:
    """An index or a shape as Python writes a tuple; a dash for None."""
    return ABSENT if index is None else str(tuple(index))


def name_leaf(leaf: LeafResult) -> str:
    """Quantity and path of a leaf, as reports name it."""
    return escape_controls(f"{leaf.quantity} {leaf.path or '(output)'}")


def walk_values(values: Any, index: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Index and value of every element of nested lists.

    Example:
        >>> list(walk_values([[1, 2], [3]]))
        [((0, 0), 1), ((0, 1), 2), ((1, 0), 3)]
    """
    if isinstance(values, list | tuple):
        for i, item in enumerate(values):
            yield from walk_values(item, (*index, i))
    else:
        yield index, values


def escape_controls(text: str) -> str:
    r"""Text with control characters made visible, so that none reaches a terminal or a browser.

    Example:
        >>> escape_controls("a\x1b[31mb\n\tc")
        'a\\x1b[31mb\n\tc'
    """
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else _escape_control(c) for c in text)


def _escape_control(character: str) -> str:
    # isprintable is also False for spaces other than " ", and for what joins emoji and scripts.
    if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0:
        return f"\\x{ord(character):02x}"
    if character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
        return f"\\u{ord(character):04x}"  # they reorder what is shown of a source
    return character
