"""The JSON form of results: strict JSON, complete, and checked when it is read back.

JSON has no NaN and no infinities, so they are written as the strings "NaN", "Infinity" and
"-Infinity". No number field holds any other string, so reading them back is unambiguous. A complex
number is an object of its two parts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comparisons._results import (
    CaseResult,
    Cause,
    LeafResult,
    PlantedDefect,
    StepCurve,
    Trajectory,
)
from comparisons._verdict import Verdict

SCHEMA = "functional-ad/report/1"

_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode_case(case: CaseResult) -> dict[str, Any]:
    """One case as JSON-ready data, its verdict and its power included."""
    head = {"name": case.name, "title": case.title, "verdict": str(case.verdict)}
    fields = {name: encode(value) for name, value in _fields(case) if name not in head}
    return head | fields | {"power": encode(case.power)}


def encode(value: Any) -> Any:
    """Strict-JSON form of numbers, text, sequences, mappings and leaf results."""
    if isinstance(value, LeafResult | Cause | PlantedDefect | Trajectory | StepCurve):
        return {name: encode(item) for name, item in _fields(value)}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, complex):
        return {"real": encode(value.real), "imag": encode(value.imag)}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return value


def decode_cases(data: Any) -> tuple[CaseResult, ...]:
    """The inverse of ``encode_case`` for a list of cases.

    A case's verdict and power are worked out anew. Fields that release 0.1 did not write may be
    missing.

    Raises:
        ValueError: If something is missing or of the wrong type; the message begins with its
            place, e.g. ``cases[0].leaves[2].max_abs``.
    """
    return tuple(_decode_each(data, "cases", CaseResult))


def _fields(record: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(record, field.name)) for field in dataclasses.fields(record)]


def _decode_each(data: Any, place: str, kind: Callable[..., Any]) -> list[Any]:
    return [
        _decode_record(item, f"{place}[{i}]", kind) for i, item in enumerate(_list(data, place))
    ]


def _decode_record(data: Any, place: str, kind: Any) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{place}: expected an object; got {data!r}")
    known: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            # Annotations are strings in _results.py, so a decoder is found by its type's text.
            known[field.name] = DECODERS[str(field.type)](data[field.name], f"{place}.{field.name}")
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"{place}: the field {field.name!r} is missing")
    return kind(**known)


def _expect(data: Any, place: str, expected: str, types: type | tuple[type, ...]) -> Any:
    if not isinstance(data, types) or (isinstance(data, bool) and types is not bool):
        raise ValueError(f"{place}: expected {expected}; got {data!r}")
    return data


def _list(data: Any, place: str) -> Sequence[Any]:
    return _expect(data, place, "a list", (list, tuple))


def _text(data: Any, place: str) -> str:
    return _expect(data, place, "text", str)


def _int(data: Any, place: str) -> int:
    return _expect(data, place, "an integer", int)


def _bool(data: Any, place: str) -> bool:
    return _expect(data, place, "true or false", bool)


def _number(data: Any, place: str) -> float:
    if isinstance(data, str) and data in _NONFINITE:
        return _NONFINITE[data]
    return _expect(data, place, 'a number, "NaN", "Infinity" or "-Infinity"', (int, float))


def _verdict(data: Any, place: str) -> Verdict:
    if data not in list(Verdict):
        raise ValueError(f"{place}: expected one of {', '.join(Verdict)}; got {data!r}")
    return Verdict(data)


def _values(data: Any, place: str) -> Any:
    if isinstance(data, list | tuple):
        return [_values(item, f"{place}[{i}]") for i, item in enumerate(data)]
    if isinstance(data, Mapping) and set(data) == {"real", "imag"}:
        return complex(*(_number(data[part], f"{place}.{part}") for part in ("real", "imag")))
    return data if data is None or isinstance(data, bool) else _number(data, place)


def _indices(data: Any, place: str) -> tuple[int, ...]:
    return tuple(_int(item, f"{place}[{i}]") for i, item in enumerate(_list(data, place)))


def _texts(data: Any, place: str) -> tuple[str, ...]:
    return tuple(_text(item, f"{place}[{i}]") for i, item in enumerate(_list(data, place)))


def _numbers(data: Any, place: str) -> tuple[float, ...]:
    return tuple(_number(item, f"{place}[{i}]") for i, item in enumerate(_list(data, place)))


def _optional(decode: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda data, place: None if data is None else decode(data, place)


DECODERS: dict[str, Callable[[Any, str], Any]] = {
    "str": _text,
    "float": _number,
    "int": _int,
    "bool": _bool,
    "Verdict": _verdict,
    "Any": _values,
    "tuple[int, ...]": _indices,
    "tuple[str, ...]": _texts,
    "tuple[LeafResult, ...]": lambda data, place: tuple(_decode_each(data, place, LeafResult)),
    "tuple[Cause, ...]": lambda data, place: tuple(_decode_each(data, place, Cause)),
    "tuple[PlantedDefect, ...]": lambda data, place: tuple(
        _decode_each(data, place, PlantedDefect)
    ),
    "str | None": _optional(_text),
    "int | None": _optional(_int),
    "float | None": _optional(_number),
    "tuple[int, ...] | None": _optional(_indices),
    "tuple[float, ...]": _numbers,
    "tuple[StepCurve, ...]": lambda data, place: tuple(_decode_each(data, place, StepCurve)),
    "Trajectory | None": _optional(lambda data, place: _decode_record(data, place, Trajectory)),
}
