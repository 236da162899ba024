import sys

import numpy as np
import pytest

from functional_ad.training import MissingExtraError
from functional_ad.training._config import TRAINING_EXAMPLES
from functional_ad.training._data import load_data
from functional_ad.training._text import cut, load_topics


def test_tutorial_data_are_what_torch_draws_with_seed_21():
    train, test = load_data("tutorial")

    assert train.inputs.tolist() == [2, 4, 1, 1, 1, 1, 1, 4, 1, 3, 4, 2, 3, 1, 3, 4, 1, 2, 2, 2]
    assert train.targets.tolist() == [2, 3, 3, 1, 3, 1, 3, 1, 4, 1, 4, 1, 1, 2, 2, 3, 2, 3, 3, 3]
    assert train.inputs.dtype == train.targets.dtype == np.float32
    assert test is None
    assert len(train.inputs) == TRAINING_EXAMPLES["tutorial"]


def test_digits_are_split_by_class_and_always_in_the_same_way():
    pytest.importorskip("sklearn")
    train, test = load_data("digits")
    again, _ = load_data("digits")

    assert len(train.inputs) == TRAINING_EXAMPLES["digits"]
    assert len(train.inputs) + len(test.inputs) == 1797
    assert 0 <= train.inputs.min() < train.inputs.max() <= 1
    shares = [np.bincount(part.targets) / len(part.targets) for part in (train, test)]
    # A class has at most one example more on one side than its share: 1 of 360.
    np.testing.assert_allclose(*shares, atol=1 / 360)
    np.testing.assert_array_equal(train.inputs, again.inputs)
    seen = {image.tobytes() for image in train.inputs}
    assert not any(image.tobytes() in seen for image in test.inputs)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)

    text = r"^scikit-learn is not installed: pip install 'functional-ad\[training\]'$"
    with pytest.raises(MissingExtraError, match=text):
        load_data("digits")


def test_text_is_every_help_topic_once_in_training_or_in_test():
    topics = pytest.importorskip("pydoc_data.topics").topics
    train, test = load_topics()

    assert sorted(train + test) == sorted(text.encode() for text in topics.values())
    assert load_topics() == (train, test)
    share = sum(map(len, test)) / sum(map(len, train + test))
    assert 0.1 <= share < 0.3


def test_text_is_cut_so_that_each_byte_and_each_end_is_predicted_once():
    documents = [b"abcdef", b"", b"gh"]
    tokens, after, mask = cut(documents, 4)

    assert tokens.shape == after.shape == mask.shape == (4, 4)
    assert bytes(after[mask].tolist()) == b"abcdef\0" + b"\0" + b"gh\0"
    assert bytes(tokens[mask].tolist()) == b"\0abcdef" + b"\0" + b"\0gh"
    assert not tokens[~mask].any()
