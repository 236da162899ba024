"""A text that every Python ships: its own help topics, as sequences of bytes."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Int32, UInt8

_SPLIT_SEED: Final = 0
_TEST_SHARE: Final = 0.1
_END: Final = 0  # a byte that no topic has: before its first and after its last


def load_topics() -> tuple[list[bytes], list[bytes]]:
    """Loads what ``help("topics")`` knows, split topic by topic into training and test.

    They are the same wherever the same version of Python is.
    """
    from pydoc_data.topics import topics

    names = sorted(topics)
    order = np.random.RandomState(_SPLIT_SEED).permutation(len(names))
    texts = [topics[names[place]].encode() for place in order]
    enough, seen, tests = _TEST_SHARE * sum(map(len, texts)), 0, 0
    while seen < enough:
        seen += len(texts[tests])
        tests += 1
    return texts[tests:], texts[:tests]


def cut(
    documents: list[bytes], context: int
) -> tuple[
    Int32[np.ndarray, "sequences context"],
    Int32[np.ndarray, "sequences context"],
    Bool[np.ndarray, "sequences context"],
]:
    """Cuts documents into sequences, each of one document; the last of each may be padded.

    Returns:
        The tokens; the token that comes after each; which of these are in a document. Each byte of
        a document and its end are predicted once.
    """
    inputs, targets, masks = [], [], []
    for document in documents:
        tokens = np.frombuffer(bytes([_END]) + document + bytes([_END]), np.uint8)
        inputs.append(_fold(tokens[:-1], context))
        targets.append(_fold(tokens[1:], context))
        masks.append(_fold(np.ones(len(tokens) - 1, np.uint8), context))
    tokens, after, mask = (np.concatenate(parts) for parts in (inputs, targets, masks))
    return tokens.astype(np.int32), after.astype(np.int32), mask.astype(np.bool_)


def _fold(values: UInt8[np.ndarray, " tokens"], context: int) -> UInt8[np.ndarray, "rows context"]:
    rows = -(-len(values) // context)
    return np.pad(values, (0, rows * context - len(values))).reshape(rows, context)
