"""The text of what of a live PyTorch object cannot be translated."""

from __future__ import annotations

from collections.abc import Iterable

from functional_ad._errors import explain


def refuse(rule: str, *, expected: str, got: str | Iterable[str], fix: str) -> ValueError:
    """The exception to raise, with the project's one shape of text.

    Args:
        rule: What of ``from_torch`` does not hold, a sentence that goes on from its name.
        expected: What would have been right.
        got: What came; several lines if several places are wrong.
        fix: One thing to do, a sentence.

    Returns:
        The exception.
    """
    return ValueError(
        explain(f"`comparisons.from_torch` {rule}", expected=expected, got=got, fix=fix)
    )


def name_class(value: object) -> str:
    """The name of an object's class with its module."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def is_of(value: object, package: str, names: Iterable[str]) -> bool:
    """Whether an object is of one of PyTorch's own classes, and not of one derived from it.

    By name, since this must not import torch.
    """
    module = f"{type(value).__module__}."
    return module.startswith(f"{package}.") and type(value).__name__ in names
