"""What a loss says of an argument that it cannot use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import losses

X = jnp.ones((2, 3))
LABELS = jnp.array([0, 2])
SCORES = jnp.zeros((4, 2, 3))
TARGETS = jnp.array([[1, 2], [2, 1]])
LENGTHS = jnp.array([2, 2])
INPUTS = jnp.array([4, 3])
WRONG_SHAPE = "has another shape than the loss needs"
OUT_OF_RANGE = "has a value that is out of range"
WRONG_DTYPE = "has a dtype that the loss is not defined for"
OUT_OF_BOUNDS = "is out of bounds"

# The loss, what it is given, the argument that is named, the rule, what came.
CASES = [
    ("l1_loss", (X, X), {"reduction": "avg"}, "reduction", "is unknown", "'avg' (str)"),
    ("mse_loss", (X, X), {"reduction": "batchmean"}, "reduction", "is unknown", "'batchmean'"),
    ("kl_div", (X, X), {"reduction": None}, "reduction", "is unknown", "None"),
    ("mse_loss", (X, jnp.ones((2, 2))), {}, "target", WRONG_SHAPE, "target: float32[2,2]"),
    ("mse_loss", (X, X), {"weight": jnp.ones(3)}, "weight", WRONG_SHAPE, "float32[3]"),
    ("mse_loss", (LABELS, LABELS), {}, "input", WRONG_DTYPE, "int32[2]"),
    ("l1_loss", (X + 1j, X), {}, "input", WRONG_DTYPE, "complex64[2,3]"),
    ("l1_loss", ([1.0], X), {}, "input", WRONG_DTYPE, "list"),
    ("l1_loss", (X, X > 0), {}, "target", WRONG_DTYPE, "bool[2,3]"),
    ("huber_loss", (X, X), {"delta": 0.0}, "delta", OUT_OF_BOUNDS, "0.0"),
    ("smooth_l1_loss", (X, X), {"beta": -1}, "beta", OUT_OF_BOUNDS, "-1"),
    ("cross_entropy", (X, jnp.array([0, 3])), {}, "target", OUT_OF_RANGE, "3 at [1] of int32[2]"),
    ("cross_entropy", (X, np.array([-1, 0])), {}, "target", OUT_OF_RANGE, "-1 at [0] of int64[2]"),
    ("cross_entropy", (X[0], 7), {}, "target", OUT_OF_RANGE, "7 of int"),
    ("cross_entropy", (X, jnp.ones(2)), {}, "target", "must have integers", "float32[2]"),
    ("cross_entropy", (X, X.astype(int)), {}, "target", WRONG_DTYPE, "int32[2,3]"),
    ("cross_entropy", (X, LABELS[:1]), {}, "target", WRONG_SHAPE, "int32[1]"),
    ("cross_entropy", (X[0, 0], X[0, 0]), {}, "input", WRONG_SHAPE, "float32[]"),
    ("cross_entropy", (X, LABELS), {"weight": X}, "weight", WRONG_SHAPE, "float32[2,3]"),
    ("cross_entropy", (X, X), {"weight": X[0, :2]}, "weight", WRONG_SHAPE, "float32[2]"),
    ("cross_entropy", (X, X), {"ignore_index": 1}, "ignore_index", "is for labels", "1 (int)"),
    ("cross_entropy", (X, LABELS), {"ignore_index": 1.5}, "ignore_index", "a label", "1.5"),
    ("cross_entropy", (X, LABELS), {"label_smoothing": 2}, "label_smoothing", "bounds", "2 (int)"),
    ("nll_loss", (X, LABELS), {"ignore_index": None}, "ignore_index", "a label", "None"),
    ("nll_loss", (X, LABELS + 1), {}, "target", OUT_OF_RANGE, "3 at [1]"),
    ("linear_cross_entropy", (X[None], X, LABELS), {}, "input", WRONG_SHAPE, "float32[1,2,3]"),
    ("linear_cross_entropy", (X, X.T, LABELS), {}, "linear_weight", WRONG_SHAPE, "float32[3,2]"),
    (
        "linear_cross_entropy",
        (X, X, LABELS),
        {"linear_bias": X[0]},
        "linear_bias",
        WRONG_SHAPE,
        "float32[3]",
    ),
    (
        "linear_cross_entropy",
        (X, X, jnp.ones((2, 2))),
        {"ignore_index": 0},
        "ignore_index",
        "is for labels",
        "0 (int)",
    ),
    (
        "binary_cross_entropy",
        (2 * X, X),
        {},
        "input",
        OUT_OF_RANGE,
        "2.0 at [0, 0] of float32[2,3]",
    ),
    ("binary_cross_entropy", (X, X * jnp.nan), {}, "target", OUT_OF_RANGE, "nan at [0, 0]"),
    ("binary_cross_entropy", (X, LABELS), {}, "target", WRONG_DTYPE, "int32[2]"),
    ("binary_cross_entropy", (X, X[0]), {}, "target", WRONG_SHAPE, "float32[3]"),
    ("binary_cross_entropy", (X, X, LABELS * 1.0), {}, "weight", WRONG_SHAPE, "float32[2]"),
    (
        "binary_cross_entropy_with_logits",
        (X, X),
        {"pos_weight": jnp.ones((1, 2, 3))},
        "pos_weight",
        WRONG_SHAPE,
        "float32[1,2,3]",
    ),
    ("kl_div", (X, LABELS), {}, "target", WRONG_DTYPE, "int32[2]"),
    ("kl_div", (X, X), {"log_target": 1}, "log_target", "is unknown", "1 (int)"),
    ("poisson_nll_loss", (X, X[:, :2]), {}, "target", WRONG_SHAPE, "target: float32[2,2]"),
    ("poisson_nll_loss", (X, X), {"full": "yes"}, "full", "is unknown", "'yes' (str)"),
    ("gaussian_nll_loss", (X, X, -X), {}, "var", OUT_OF_RANGE, "-1.0 at [0, 0]"),
    ("gaussian_nll_loss", (X, X, -1.0), {}, "var", OUT_OF_RANGE, "-1.0 of float"),
    ("gaussian_nll_loss", (X, X, X[0]), {}, "var", WRONG_SHAPE, "float32[3]"),
    ("gaussian_nll_loss", (X, X, X), {"eps": "small"}, "eps", OUT_OF_BOUNDS, "'small' (str)"),
    ("hinge_embedding_loss", (X, X), {"margin": None}, "margin", OUT_OF_BOUNDS, "None"),
    ("margin_ranking_loss", (X, X[0], X), {}, "input2", WRONG_SHAPE, "float32[3]"),
    ("soft_margin_loss", (X[0], X), {}, "target", WRONG_SHAPE, "float32[2,3]"),
    ("multi_margin_loss", (X, LABELS + 1), {}, "target", OUT_OF_RANGE, "3 at [1]"),
    ("multi_margin_loss", (X, LABELS), {"p": 3}, "p", "is unknown", "3 (int)"),
    ("multi_margin_loss", (X, LABELS), {"weight": X}, "weight", WRONG_SHAPE, "float32[2,3]"),
    ("multi_margin_loss", (X, LABELS[:1]), {}, "target", WRONG_SHAPE, "int32[1]"),
    ("multi_margin_loss", (SCORES, LABELS), {}, "input", WRONG_SHAPE, "float32[4,2,3]"),
    ("multilabel_margin_loss", (X[:, :2], TARGETS), {}, "target", OUT_OF_RANGE, "2 at [0, 1]"),
    ("multilabel_margin_loss", (X, LABELS), {}, "target", WRONG_SHAPE, "int32[2]"),
    ("multilabel_soft_margin_loss", (X[0, 0], X), {}, "input", WRONG_SHAPE, "float32[]"),
    ("triplet_margin_loss", (X, X, X[0]), {}, "negative", WRONG_SHAPE, "float32[3]"),
    ("triplet_margin_loss", (X, X, X), {"margin": 0}, "margin", OUT_OF_BOUNDS, "0 (int)"),
    ("triplet_margin_loss", (X, X, X[:, :2]), {}, "negative", WRONG_SHAPE, "float32[2,2]"),
    (
        "triplet_margin_with_distance_loss",
        (X, X, X),
        {"distance_function": "l2"},
        "distance_function",
        "must be a function",
        "'l2' (str)",
    ),
    ("cosine_embedding_loss", (X, X, 1), {}, "input1", WRONG_SHAPE, "float32[2,3]"),
    ("cosine_embedding_loss", (X, X, X), {}, "target", WRONG_SHAPE, "float32[2,3]"),
    (
        "ctc_loss",
        (SCORES, TARGETS + 1, INPUTS, LENGTHS),
        {},
        "targets",
        OUT_OF_RANGE,
        "3 at [0, 1]",
    ),
    ("ctc_loss", (SCORES, TARGETS, INPUTS + 1, LENGTHS), {}, "input_lengths", OUT_OF_RANGE, "5 at"),
    ("ctc_loss", (SCORES, TARGETS, INPUTS, [3, 2]), {}, "target_lengths", OUT_OF_RANGE, "3 at [0]"),
    ("ctc_loss", (SCORES, TARGETS, [4], LENGTHS), {}, "input_lengths", WRONG_SHAPE, "int64[1]"),
    ("ctc_loss", (SCORES, TARGETS[0], INPUTS, LENGTHS), {}, "targets", WRONG_SHAPE, "int32[2]"),
    ("ctc_loss", (SCORES, TARGETS.T[None], INPUTS, LENGTHS), {}, "targets", WRONG_SHAPE, "[1,2,2]"),
    ("ctc_loss", (SCORES[:0], TARGETS, INPUTS, LENGTHS), {}, "log_probs", WRONG_SHAPE, "[0,2,3]"),
    ("ctc_loss", (SCORES, TARGETS, INPUTS, LENGTHS, 3), {}, "blank", "a label", "3 (int)"),
    (
        "ctc_loss",
        (SCORES, TARGETS, INPUTS, LENGTHS),
        {"zero_infinity": 0},
        "zero_infinity",
        "is unknown",
        "0 (int)",
    ),
]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "argument", "rule", "got"),
    CASES,
    ids=[f"{case[0]}-{case[3]}-{i}" for i, case in enumerate(CASES)],
)
def test_it_names_the_argument_and_what_came(name, args, kwargs, argument, rule, got):
    with pytest.raises(fad.ArgumentError) as caught:
        getattr(losses, name)(*args, **kwargs)
    first, expected, *rest, fix = str(caught.value).splitlines()
    assert first.startswith(f"`functional_ad.torch_semantics.losses.{name}({argument}=...)` ")
    assert rule in first
    assert expected.startswith("  expected: ")
    assert rest[0].startswith("  got:      ")
    assert got in "\n".join(rest)
    assert fix.endswith(".")


def test_a_label_that_is_out_of_range():
    with pytest.raises(fad.ArgumentError) as caught:
        losses.cross_entropy(X, jnp.array([0, 3]))
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.losses.cross_entropy(target=...)` has a value that is out "
        "of range.\n"
        "  expected: from 0 to 2, or `ignore_index`, -100\n"
        "  got:      3 at [1] of int32[2]\n"
        "Correct it, or mask it out."
    )


def test_shapes_that_do_not_go_together():
    with pytest.raises(fad.ArgumentError) as caught:
        losses.kl_div(X, jnp.ones(2))
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.losses.kl_div(target=...)` has another shape than the loss "
        "needs.\n"
        "  expected: a shape that can be broadcast with `input`\n"
        "  got:      input: float32[2,3]\n"
        "            target: float32[2]\n"
        "Reshape one of them."
    )


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"])
def test_a_regression_of_two_shapes_warns_as_pytorch_does(name):
    with pytest.warns(
        UserWarning, match="has another shape than `input`, and is broadcast"
    ) as caught:
        value = getattr(losses, name)(jnp.zeros((2, 1)), jnp.zeros(3), reduction="none")
    assert value.shape == (2, 3)
    assert "  got:      float32[3]\n" in str(caught[0].message)
    assert caught[0].filename == __file__


# What PyTorch raises for by its value, and what cannot be seen under jit.
TRACED = {
    "cross_entropy": (lambda t: losses.cross_entropy(X, t), LABELS + 1),
    "cross_entropy below": (lambda t: losses.cross_entropy(X, t), LABELS - 1),
    "cross_entropy smoothed": (
        lambda t: losses.cross_entropy(X, t, label_smoothing=0.1),
        LABELS + 1,
    ),
    "nll_loss": (lambda t: losses.nll_loss(X, t), LABELS + 1),
    "multi_margin_loss": (lambda t: losses.multi_margin_loss(X, t), LABELS - 1),
    "multilabel_margin_loss": (
        lambda t: losses.multilabel_margin_loss(X[:, :2], t),
        jnp.array([[0, -1], [1, 2]]),
    ),
    "binary_cross_entropy": (lambda p: losses.binary_cross_entropy(p, X), 2 * X),
    "binary_cross_entropy's target": (lambda t: losses.binary_cross_entropy(X / 2, t), -X),
    "gaussian_nll_loss": (lambda v: losses.gaussian_nll_loss(X, X, v), -X),
    "ctc_loss": (lambda t: losses.ctc_loss(SCORES, t, INPUTS, LENGTHS), TARGETS + 1),
    "ctc_loss's lengths": (lambda n: losses.ctc_loss(SCORES, TARGETS, n, LENGTHS), INPUTS + 1),
    "ctc_loss's labels": (
        lambda n: losses.ctc_loss(SCORES, TARGETS.reshape(-1), INPUTS, n),
        LENGTHS - 1,
    ),
}


@pytest.mark.parametrize("name", TRACED)
def test_what_is_out_of_range_makes_a_loss_nan_where_it_is_traced(name):
    loss, wrong = TRACED[name]
    with pytest.raises(fad.ArgumentError):
        loss(wrong)
    assert np.isnan(jax.jit(loss)(wrong))
