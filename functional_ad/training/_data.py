"""The data sets."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import numpy as np

from functional_ad.training._errors import MissingExtraError
from functional_ad.training._text import cut, load_topics

_TUTORIAL_SEED: Final = 21
_SPLIT_SEED: Final = 0
_DIGITS_TEST_SHARE: Final = 0.2
_DIGITS_MAX_PIXEL: Final = 16


class Examples(NamedTuple):
    """Inputs and targets, example by example along the first axis.

    Attributes:
        inputs: What the model is given.
        targets: What it should say.
        mask: Of sequences: which of their tokens count. None where examples count as a whole.
    """

    inputs: Any
    targets: Any
    mask: Any = None


class Dataset(NamedTuple):
    """Examples to train on and, where there are any, examples to test on."""

    train: Examples
    test: Examples | None


def load_data(name: str, context: int | None = None) -> Dataset:
    """Loads a data set by name.

    Args:
        name: ``"tutorial"``, ``"digits"`` or ``"text"``.
        context: Of the text: how many bytes there are in a sequence.

    Raises:
        MissingExtraError: The digits are asked for and scikit-learn is not installed.
    """
    if name == "text":
        assert context is not None
        train, test = load_topics()
        return Dataset(Examples(*cut(train, context)), Examples(*cut(test, context)))
    return _load_tutorial() if name == "tutorial" else _load_digits()


def _load_tutorial() -> Dataset:
    """Makes the tutorial's x and y, exactly what torch draws after ``torch.manual_seed(21)``.

    torch's CPU generator is MT19937, as NumPy's RandomState is, and its ``randint(1, 5)`` is
    ``raw % 4 + 1`` of the 32-bit outputs.
    """
    raw = np.random.RandomState(_TUTORIAL_SEED).randint(0, 2**32, size=40, dtype=np.uint32)
    values = (raw % 4 + 1).astype(np.float32)
    return Dataset(train=Examples(values[:20], values[20:]), test=None)


def _load_digits() -> Dataset:
    """Loads scikit-learn's 1797 digits, 8 x 8 pixels, split once and for all, class by class."""
    try:
        # The stubs of scikit-learn are partial, so its functions are taken as they come.
        from sklearn import datasets as untyped_datasets
        from sklearn import model_selection as untyped_selection
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise MissingExtraError("scikit-learn") from error
    datasets, selection = cast(Any, untyped_datasets), cast(Any, untyped_selection)

    pixels, labels = datasets.load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = selection.train_test_split(
        (pixels / _DIGITS_MAX_PIXEL).astype(np.float32),
        labels.astype(np.int32),
        test_size=_DIGITS_TEST_SHARE,
        random_state=_SPLIT_SEED,
        stratify=labels,
    )
    return Dataset(train=Examples(train_x, train_y), test=Examples(test_x, test_y))
