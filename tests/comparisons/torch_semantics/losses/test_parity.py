"""Every loss is PyTorch's at float64: value, gradients, second derivatives, over its arguments."""

import collections
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # of kl_div, in PyTorch

DEPRECATED = {"size_average", "reduce"}
FORMS = {"cross_entropy": 9, "triplet_margin_loss": 5, "kl_div": 4, "ctc_loss": 4}  # else 3
REDUCTIONS = ("none", "mean", "sum")
# Few, and the same for all, since each operation is compiled anew for each.
SHAPES = ((3, 4), (2, 3, 2))
CLASS_SHAPES = ((3, 4), (2, 3, 2))
HAS_NO_SECOND = {"multi_margin_loss", "multilabel_margin_loss", "ctc_loss"}


class Drawn:
    """A call's form, one of a few that are compiled, and its numbers."""

    def __init__(self, form, seed):
        self.form = form
        self.asked = collections.Counter()
        self.rng = np.random.default_rng(seed)

    def choose(self, *values):
        """Over the forms, each value as often as the others."""
        self.asked[values] += 1
        rng = random.Random(f"{values}{self.asked[values]}")
        order = []
        while len(order) <= self.form:
            order += rng.sample(values, len(values))
        return order[self.form]

    def normal(self, shape):
        return np.asarray(self.rng.normal(size=shape) * self.rng.choice([0.5, 3.0]))

    def uniform(self, shape, low=0.0, high=1.0):
        return np.asarray(self.rng.uniform(low, high, size=shape))

    def positive(self, shape):
        return self.uniform(shape, 0.1, 3.0)

    def signs(self, shape, dtype=np.float64):
        return np.asarray(self.rng.choice([-1, 1], size=shape)).astype(dtype)

    def integers(self, low, high, shape, dtype=np.int64):
        return np.asarray(self.rng.integers(low, high, size=shape)).astype(dtype)

    def maybe(self, make):
        return make() if self.choose(True, False) else None


def regression(d, **more):
    shape = d.choose(*SHAPES)
    return (d.normal(shape), d.normal(shape)), (0, 1), more, shape


def draw_l1(d):
    args, places, more, shape = regression(d)
    return args, places, more | {"weight": d.maybe(lambda: d.positive(shape))}


def draw_smooth_l1(d):
    args, places, more, _ = regression(d, beta=d.choose(0, 0.5, 1.0, 2))
    return args, places, more


def draw_huber(d):
    args, places, more, shape = regression(d, delta=d.choose(0.5, 1.0, 2))
    return args, places, more | {"weight": d.maybe(lambda: d.positive(shape))}


def draw_classes(d, log=False):
    shape = d.choose(*CLASS_SHAPES)
    axis = min(len(shape) - 1, 1)
    classes = shape[axis]
    x = d.normal(shape)
    if log:
        x = torch.log_softmax(torch.from_numpy(x), axis).numpy()
    labels = d.integers(0, classes, shape[:axis] + shape[axis + 1 :])
    ignored = d.choose(-100, 1, -1)
    if ignored < 0:
        labels = np.where(d.uniform(labels.shape) < 0.3, ignored, labels)
    weight = d.maybe(lambda: d.positive(classes))
    return x, labels, {"weight": weight, "ignore_index": ignored}


def draw_nll(d):
    x, labels, more = draw_classes(d, log=True)
    return (x, labels), (0,), more


def draw_cross_entropy(d):
    x, labels, more = draw_classes(d)
    more["label_smoothing"] = d.choose(0.0, 0.1, 1.0)
    if d.choose(True, False):
        return (x, labels), (0,), more
    more["ignore_index"] = -100
    return (x, d.uniform(x.shape)), (0, 1), more


def draw_linear_cross_entropy(d):
    outputs = d.choose((4, 2), (4,))
    x, w, bias = d.normal((3, 5)), d.normal((*outputs, 5)), d.normal(outputs)
    more = {"label_smoothing": d.choose(0.0, 0.1), "linear_bias": d.maybe(lambda: bias)}
    if d.choose(True, False):
        return (x, w, d.uniform((3, *outputs))), (0, 1), more
    more["ignore_index"] = d.choose(None, 2)
    labels = d.integers(0, 4, (3, *outputs[1:]))
    return (x, w, labels), (0, 1), more


def draw_bce(d):
    shape = d.choose(*SHAPES)
    weight = d.maybe(lambda: d.positive(shape[-1:]))
    args = (d.uniform(shape, 0.01, 0.99), d.uniform(shape))
    return args, d.choose((0,), (0, 1)), {"weight": weight}


def draw_bce_with_logits(d):
    shape = d.choose(*SHAPES)
    weight, pos_weight = (d.maybe(lambda: d.positive(shape[-1:])) for _ in range(2))
    more = {"weight": weight, "pos_weight": pos_weight}
    return (d.normal(shape) * 5, d.uniform(shape)), d.choose((0,), (0, 1)), more


def draw_kl_div(d):
    shape = d.choose(*SHAPES)
    x, t = np.log(d.uniform(shape, 0.01, 1)), d.uniform(shape, 0.01, 1)
    log_target = d.choose(True, False)
    reduction = d.choose(*REDUCTIONS, "batchmean")
    more = {"log_target": log_target, "reduction": reduction}
    return (x, np.log(t) if log_target else t), (0, 1), more


def draw_poisson(d):
    shape = d.choose(*SHAPES)
    log_input = d.choose(True, False)
    x = d.normal(shape) if log_input else d.positive(shape)
    more = {"log_input": log_input, "full": d.choose(True, False), "eps": d.choose(1e-8, 1e-3)}
    return (x, d.positive(shape)), (0, 1), more


def draw_gaussian(d):
    shape = d.choose(*SHAPES)
    variances = {shape, shape[:-1], (*shape[:-1], 1)}
    v = d.uniform(d.choose(*sorted(variances)), 0.0, 0.5)
    more = {"full": d.choose(True, False), "eps": d.choose(1e-6, 0.2)}
    if d.choose(True, False):
        return (d.normal(shape), d.normal(shape), v), (0, 1, 2), more
    return (d.normal(shape), d.normal(shape), 0.3), (0, 1), more


def draw_hinge_embedding(d):
    shape = d.choose(*SHAPES)
    target = d.signs(shape, d.choose(np.float64, np.int64, np.int32))
    return (d.normal(shape), target), (0,), {"margin": d.choose(-0.5, 0.25, 1)}


def draw_margin_ranking(d):
    shape = d.choose(*SHAPES)
    args = (d.normal(shape), d.normal(shape), d.signs(shape))
    return args, (0, 1, 2), {"margin": d.choose(-0.5, 0.25, 1)}


def draw_soft_margin(d):
    shape = d.choose(*SHAPES)
    return (d.normal(shape), d.signs(shape, d.choose(np.float64, np.int64))), (0,), {}


def draw_multi_margin(d):
    shape = (3, 4)
    labels = d.integers(0, shape[-1], shape[:-1])
    weight = d.maybe(lambda: d.positive(shape[-1]))
    more = {"p": d.choose(1, 2), "margin": d.choose(-0.5, 0.25, 1), "weight": weight}
    return (d.normal(shape), labels), (0,), more


def draw_multilabel_margin(d):
    shape = (3, 4)
    return (d.normal(shape), d.integers(-1, shape[-1], shape)), (0,), {}


def draw_multilabel_soft_margin(d):
    shape = d.choose(*CLASS_SHAPES)
    weight = d.maybe(lambda: d.positive(shape[-1]))
    return (d.normal(shape), d.uniform(shape)), (0, 1), {"weight": weight}


def draw_triplet(d):
    shape = d.choose(*CLASS_SHAPES)
    more = {"margin": d.choose(0.5, 5.0), "swap": d.choose(True, False)}
    return tuple(d.normal(shape) for _ in range(3)), (0, 1, 2), more


def draw_triplet_margin(d):
    args, places, more = draw_triplet(d)
    p = d.choose(2, 1, 1.5, float("inf"), -1.0)
    return args, places, more | {"p": p, "eps": d.choose(1e-6, 0)}


def draw_cosine_embedding(d):
    batch = d.choose((), (3,))
    args = d.normal((*batch, 4)), d.normal((*batch, 4)), d.signs(batch)
    return args, (0, 1), {"margin": d.choose(-0.5, 0.25)}


def draw_ctc(d):
    times, batch, classes, places = 7, 3, 4, 3
    scores = torch.from_numpy(d.normal((times, batch, classes)))
    if d.choose(True, False):  # the gradient is not what it is elsewhere
        scores = scores.log_softmax(-1)
    form = d.choose("padded", "one after the other", "no batch", "lists")
    inputs, lengths = d.integers(0, times + 1, batch), d.integers(0, places + 1, batch)
    if form == "one after the other":  # of one shape
        lengths = np.array(d.choose((3, 1, 2), (0, 3, 3)))
    blank = d.choose(0, 2)
    targets = d.integers(0, classes - 1, (batch, places))  # no blanks, PyTorch's gradient is wrong
    targets = np.where(targets >= blank, targets + 1, targets)
    more = {"blank": blank, "zero_infinity": d.choose(True, False)}
    if form == "no batch":
        return (scores[:, 0].numpy(), targets[0], inputs[0:1], np.full(1, places)), (0,), more
    if form == "one after the other":
        targets = np.concatenate([row[:n] for row, n in zip(targets, lengths, strict=True)])
    if form == "lists":
        inputs, lengths = [7, 2, 0], (3, 3, 1)
    return (scores.numpy(), targets, inputs, lengths), (0,), more


DRAW = {
    "binary_cross_entropy": draw_bce,
    "binary_cross_entropy_with_logits": draw_bce_with_logits,
    "cosine_embedding_loss": draw_cosine_embedding,
    "cross_entropy": draw_cross_entropy,
    "ctc_loss": draw_ctc,
    "gaussian_nll_loss": draw_gaussian,
    "hinge_embedding_loss": draw_hinge_embedding,
    "huber_loss": draw_huber,
    "kl_div": draw_kl_div,
    "l1_loss": draw_l1,
    "linear_cross_entropy": draw_linear_cross_entropy,
    "margin_ranking_loss": draw_margin_ranking,
    "mse_loss": draw_l1,
    "multi_margin_loss": draw_multi_margin,
    "multilabel_margin_loss": draw_multilabel_margin,
    "multilabel_soft_margin_loss": draw_multilabel_soft_margin,
    "nll_loss": draw_nll,
    "poisson_nll_loss": draw_poisson,
    "smooth_l1_loss": draw_smooth_l1,
    "soft_margin_loss": draw_soft_margin,
    "triplet_margin_loss": draw_triplet_margin,
    "triplet_margin_with_distance_loss": draw_triplet,
}


@pytest.mark.parametrize("name", DRAW)
@settings(max_examples=20)
@given(data=st.data())
def test_it_is_torchs(name, differences, data):
    form = data.draw(st.integers(0, FORMS.get(name, 3) - 1))
    d = Drawn(form, data.draw(st.integers(0, 2**20)))
    args, places, kwargs = DRAW[name](d)
    kwargs = {"reduction": d.choose(*REDUCTIONS)} | kwargs
    kwargs = {k: v for k, v in kwargs.items() if v is not None}
    second = name not in HAS_NO_SECOND and form % 2 == 0
    assert differences(name, args, places, second=second, **kwargs) == []
