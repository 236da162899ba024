"""ctc_loss against a sum over all paths, and the forms in which labels and lengths are given."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_ad.torch_semantics import losses

TIMES, CLASSES = 4, 3
SCORES = jax.nn.log_softmax(jnp.array(np.random.default_rng(0).normal(size=(TIMES, 3, CLASSES))))
TARGETS = np.array([[1, 2], [1, 1], [2, 0]])
LENGTHS = np.array([2, 2, 1])
INPUTS = np.array([4, 3, 2])


def collapse(path, blank):
    """What a path reads: repeats are one, then blanks are left out."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def sum_paths(scores, labels, blank):
    """By brute force, in float64."""
    scores = np.asarray(scores, np.float64)
    total = sum(
        np.exp(sum(scores[t, label] for t, label in enumerate(path)))
        for path in itertools.product(range(CLASSES), repeat=len(scores))
        if collapse(path, blank) == tuple(labels)
    )
    return -np.log(total)


def test_it_is_the_sum_over_all_paths():
    loss = losses.ctc_loss(SCORES, TARGETS, INPUTS, LENGTHS, reduction="none")
    expected = [
        sum_paths(SCORES[: INPUTS[i], i], TARGETS[i, : LENGTHS[i]], blank=0) for i in range(3)
    ]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)  # sums of 2 ** 4 float32


def test_the_sum_has_another_blank():
    labels = np.array([0, 1])
    loss = losses.ctc_loss(SCORES[:, 0], labels, [4], [2], blank=2, reduction="sum")
    np.testing.assert_allclose(loss, sum_paths(SCORES[:, 0], labels, blank=2), rtol=1e-5)


@pytest.mark.parametrize("traced", [False, True])
def test_labels_one_after_the_other_are_those_of_rows(traced):
    joined = np.concatenate([row[:n] for row, n in zip(TARGETS, LENGTHS, strict=True)])

    def run(inputs, lengths):
        return losses.ctc_loss(SCORES, joined, inputs, lengths, reduction="none")

    expected = losses.ctc_loss(SCORES, TARGETS, INPUTS, LENGTHS, reduction="none")
    loss = (jax.jit(run) if traced else run)(INPUTS, LENGTHS)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)  # a few float32 roundings


def test_lengths_may_be_lists_and_one_row_needs_no_batch():
    row = losses.ctc_loss(SCORES[:, 0], TARGETS[0], 4, 2, reduction="none")
    batch = losses.ctc_loss(SCORES, TARGETS, [4, 3, 2], (2, 2, 1), reduction="none")
    assert row.shape == ()
    np.testing.assert_allclose(row, batch[0], rtol=1e-6)


def test_what_does_not_count_is_not_looked_at():
    targets = np.array([[1, 2], [1, 1], [2, 99]])
    scores = SCORES.at[INPUTS[2] :, 2].set(jnp.nan)

    def run(scores, targets):
        return losses.ctc_loss(scores, targets, INPUTS, LENGTHS)

    differentiate = jax.jit(jax.value_and_grad(run))
    value, grad = differentiate(SCORES, TARGETS)
    again, other = differentiate(scores, targets)
    assert value == again
    np.testing.assert_array_equal(grad, other)


def test_a_log_probability_of_minus_infinity_has_gradient_0():
    """PyTorch's is NaN."""
    scores = SCORES.at[:, :, 2].set(-jnp.inf)
    targets = np.array([[1, 1], [1, 1], [1, 0]])
    grad = jax.jit(jax.grad(lambda s: losses.ctc_loss(s, targets, [4, 3, 2], LENGTHS)))(scores)
    np.testing.assert_array_equal(grad[..., 2], 0)
    assert np.all(np.isfinite(grad))
