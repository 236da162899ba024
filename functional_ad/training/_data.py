"""The two data sets, and how an epoch is cut into batches of one shape."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float32, Int

from functional_ad.training._config import DataName
from functional_ad.training._errors import MissingExtraError

_TUTORIAL_SEED: Final = 21
_SPLIT_SEED: Final = 0
_DIGITS_TEST_SHARE: Final = 0.2
_DIGITS_MAX_PIXEL: Final = 16


class Examples(NamedTuple):
    """Inputs and targets, example by example along the first axis."""

    inputs: np.ndarray
    targets: np.ndarray


class Dataset(NamedTuple):
    """Examples to train on and, where there are any, examples to test on."""

    train: Examples
    test: Examples | None


class BatchPlan(NamedTuple):
    """Which example stands where in an epoch: ``[batches, width]``, padded to one shape.

    Attributes:
        positions: Positions in the epoch's order; 0 where there is only padding.
        real: False where there is only padding.
        shares: Each batch's share of the epoch's real examples; they add up to 1.
    """

    positions: Int[np.ndarray, "batches width"]
    real: Bool[np.ndarray, "batches width"]
    shares: Float32[np.ndarray, " batches"]


def load_data(name: DataName) -> Dataset:
    """Loads a data set by name.

    Raises:
        MissingExtraError: The digits are asked for and scikit-learn is not installed.
    """
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


def plan_batches(examples: int, batch_size: int, microbatches: int) -> BatchPlan:
    """Cuts an epoch into batches of at most ``batch_size`` examples, all padded to one width.

    The width is the batch size rounded up to a multiple of ``microbatches``. Every example is used
    once; padding is marked, so that means over the real examples are exact.
    """
    batches = -(-examples // batch_size)
    width = -(-batch_size // microbatches) * microbatches
    slot = np.arange(width)[None, :]
    positions = np.arange(batches)[:, None] * batch_size + slot
    real = (slot < batch_size) & (positions < examples)
    return BatchPlan(
        positions=np.where(real, positions, 0),
        real=real,
        # Divided in float64: one batch has a share of exactly 1, and its loss stays as it is.
        shares=(real.sum(axis=1) / examples).astype(np.float32),
    )
