"""At kinks, at the ends of ranges and at infinities a loss is PyTorch's too.

Beside most edges stands what one would write instead: the comparison has to see the difference.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.scipy.special import xlogy

from functional_ad.torch_semantics import losses

INF, NAN = np.inf, np.nan
NONE = {"reduction": "none"}
pytestmark = pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # of kl_div, in PyTorch


def array(*numbers):
    return np.array(numbers, np.float64)


def labels(*numbers):
    return np.array(numbers)


def naive_huber(x, y, reduction, delta):
    d = jnp.abs(x - y)
    return jnp.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))


def naive_bce(p, t, reduction="none"):
    log_p, log_q = jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log1p(-p), -100)
    return (t - 1) * log_q - t * log_p


def naive_ignore(x, t, **_):
    mask = t != -100
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(x, jnp.where(mask, t, 0))
    return jnp.sum(loss * mask) / jnp.maximum(jnp.sum(mask), 1)


def naive_smoothed(x, t, weight, label_smoothing):
    """Smoothed labels, of which each row has the weight of its label."""
    mask = t != -100
    p = optax.losses.smooth_labels(jax.nn.one_hot(t, x.shape[-1]), label_smoothing)
    w = jnp.where(mask, weight[t], 0)
    return jnp.sum(w * optax.losses.softmax_cross_entropy(x, p)) / jnp.sum(w)


def naive_nll(x, t, **_):
    return naive_ignore(x, t)


def naive_gaussian(x, t, v, reduction, eps=1e-6):
    v = jnp.maximum(v, eps)
    return 0.5 * (jnp.log(v) + (x - t) ** 2 / v)


def naive_cosine(x, y, t, reduction):
    cosine = optax.losses.cosine_similarity(x, y)
    return jnp.where(t == 1, 1 - cosine, jnp.maximum(0, cosine))


def naive_triplet(a, p, n, reduction, eps=1e-6, **_):
    near, far = (jnp.linalg.norm(a - x + eps, axis=-1) for x in (p, n))
    return jnp.maximum(0, 1 + near - far)


def naive_multi_margin(x, t, reduction):
    right = jax.nn.one_hot(t, x.shape[-1])
    lead = jnp.sum(x * right, -1, keepdims=True)
    return jnp.sum((1 - right) * jnp.maximum(0, 1 - lead + x), -1) / x.shape[-1]


def naive_ctc(x, t, inputs, lengths, reduction, **_):
    pad = (jnp.arange(x.shape[0])[None] >= inputs[:, None]).astype(x.dtype)
    label_pad = (jnp.arange(t.shape[1])[None] >= lengths[:, None]).astype(x.dtype)
    return optax.losses.ctc_loss(x.transpose(1, 0, 2), pad, t, label_pad)


def naive_kl_div(x, t, reduction):
    return xlogy(t, t) - jnp.where(t == 0, 0, t * x)


def sums(x, t):
    """Of probabilities, where optax has one more convention."""
    return jnp.mean(optax.losses.safe_softmax_cross_entropy(x, t))


class Edge:
    """A call, and what one would write in its place, if that differs."""

    def __init__(self, name, *args, places=(0,), second=False, naive=None, **kwargs):
        self.name, self.args, self.places, self.kwargs = name, args, places, kwargs
        self.second, self.naive = second, naive

    def compare(self, differences, ours=None):
        options = {"places": self.places, "second": self.second, "ours": ours}
        return differences(self.name, self.args, **options, **self.kwargs)


SCORES = np.random.default_rng(0).normal(size=(4, 2, 3))
LOG_P = torch.from_numpy(SCORES).log_softmax(-1).numpy()
BOTH = {"places": (0, 1)}
ALL = {"places": (0, 1, 2)}
ZERO = array([0, 0], [1, 0], [0, 0])

EDGES = {
    "l1: a tie": Edge(
        "l1_loss",
        array(0, 1, 3),
        array(0, 2, 3),
        **BOTH,
        naive=lambda x, y: jnp.mean(abs(x - y)),
        second=True,
    ),
    "l1: NaN and infinity": Edge(
        "l1_loss",
        array(0, NAN, INF, INF),
        array(0, 0, 0, INF),
        **NONE,
        naive=lambda x, y, reduction: (x - y) * jax.lax.stop_gradient(jnp.sign(x - y)),
    ),
    "l1: no numbers": Edge("l1_loss", array(), array()),
    "l1: the weighted mean": Edge(
        "l1_loss",
        array(1, 2),
        array(3, 5),
        **BOTH,
        weight=array(1, 3),
        naive=lambda x, y, weight: jnp.mean(weight * abs(x - y)),
    ),
    "mse: the weighted mean": Edge(
        "mse_loss",
        array(1, 2),
        array(3, 5),
        **BOTH,
        weight=array(1, 3),
        naive=lambda x, y, weight: jnp.mean(weight * (x - y) ** 2),
    ),
    "huber: the weighted mean, which is none": Edge(
        "huber_loss",
        array(1, 2),
        array(3, 5),
        **BOTH,
        weight=array(1, 3),
        naive=lambda x, y, weight: (
            jnp.sum(weight * optax.losses.huber_loss(x, y)) / jnp.sum(weight)
        ),
        second=True,
    ),
    "mse: no dimension": Edge("mse_loss", array(1)[0:1].reshape(()), array(3).reshape(()), **BOTH),
    "smooth l1: at beta": Edge(
        "smooth_l1_loss",
        array(0, 0.5, -0.5, INF, 0.2, 3),
        array(0, 0, 0, 0, 0, 0),
        **NONE,
        **BOTH,
        beta=0.5,
        second=True,
        naive=lambda x, y, reduction, beta: optax.losses.huber_loss(x, y, delta=beta) / beta,
    ),
    "smooth l1: beta 0": Edge("smooth_l1_loss", array(0, 0.5), array(0, 0), **NONE, beta=0),
    "huber: at delta": Edge(
        "huber_loss",
        array(0, 0.5, -0.5, 0.2),
        array(0, 0, 0, 0),
        **NONE,
        **BOTH,
        delta=0.5,
        second=True,
        naive=lambda x, y, reduction, delta: optax.losses.huber_loss(x, y, delta=delta),
    ),
    "huber: NaN and infinity": Edge(
        "huber_loss",
        array(INF, -INF, NAN),
        array(0, 0, 0),
        **NONE,
        delta=0.5,
        naive=naive_huber,
    ),
    "bce: 0 and 1": Edge(
        "binary_cross_entropy",
        array(0, 0, 1, 1, 1e-13, 1 - 1e-14, 0),
        array(0, 1, 0, 1, 1, 0, 0.5),
        **NONE,
        naive=naive_bce,
    ),
    "bce: the second derivative at 0": Edge(
        "binary_cross_entropy", array(0, 0, 1e-13, 0.3), array(0, 1, 1, 0.2), **NONE, second=True
    ),
    "bce: 0 and 1, the target's gradient": Edge(
        "binary_cross_entropy",
        array(0, 1, 1e-13, 0.3),
        array(0, 0, 1, 0.2),
        **NONE,
        **BOTH,
        naive=naive_bce,
    ),
    "bce with logits: infinities": Edge(
        "binary_cross_entropy_with_logits",
        array(INF, INF, -INF, -INF, NAN, 800, -800),
        array(0, 1, 0, 1, 1, 0.5, 0.5),
        **NONE,
        naive=lambda x, y, reduction: optax.losses.sigmoid_binary_cross_entropy(x, y),
    ),
    "bce with logits: infinities, weighted": Edge(
        "binary_cross_entropy_with_logits",
        array(INF, -INF, INF, -INF),
        array(0, 0, 1, 1),
        **NONE,
        pos_weight=array(3, 0.5, 2, 2),
        second=True,
    ),
    "cross entropy: all ignored": Edge(
        "cross_entropy", array([1, 2], [3, 1]), labels(-100, -100), naive=naive_ignore
    ),
    "cross entropy: all ignored, weighted and smoothed": Edge(
        "cross_entropy",
        array([1, 2], [3, 1]),
        labels(-100, -100),
        weight=array(1, 2),
        label_smoothing=0.1,
        second=True,
    ),
    "cross entropy: the weighted mean, smoothed": Edge(
        "cross_entropy",
        array([1, 2, 0], [3, 1, 0], [0, 1, 0]),
        labels(0, 2, -100),
        weight=array(1, 2, 3),
        label_smoothing=0.1,
        naive=naive_smoothed,
    ),
    "cross entropy: an ignored row of NaN": Edge(
        "cross_entropy", array([NAN, -INF], [1, 2]), labels(-100, 1), label_smoothing=0.2
    ),
    "cross entropy: all weights 0": Edge(
        "cross_entropy", array([1, 2], [3, 1]), labels(0, 0), weight=array(0, 2)
    ),
    "cross entropy: a logit of -inf": Edge(
        "cross_entropy", array([1, -INF, 0], [1, -INF, 0]), labels(0, 1), **NONE
    ),
    "cross entropy: a logit of -inf, smoothed": Edge(
        "cross_entropy",
        array([1, -INF, 0], [-INF, 2, 0]),
        labels(0, 1),
        **NONE,
        weight=array(1, 0, 1),
        label_smoothing=0.1,
        second=True,
    ),
    "cross entropy: a logit of -inf with probability 0": Edge(
        "cross_entropy", array([1, -INF, 0]), array([1, 0, 0]), naive=sums
    ),
    "cross entropy: a logit of inf": Edge(
        "cross_entropy",
        array([1, INF, 0], [-INF, -INF, -INF]),
        labels(0, 0),
        **NONE,
        naive=lambda x, t, reduction: optax.losses.softmax_cross_entropy_with_integer_labels(x, t),
    ),
    "cross entropy: large logits": Edge(
        "cross_entropy",
        array([1e9 + 1, 1e9 + 2, 1e9]),
        labels(0),
        naive=lambda x, t: optax.losses.softmax_cross_entropy_with_integer_labels(x, t)[0],
    ),
    "cross entropy: no rows": Edge("cross_entropy", np.zeros((0, 3)), np.zeros(0, int)),
    "cross entropy: no batch": Edge("cross_entropy", array(1, 2, 3), np.array(1)),
    "cross entropy: no batch, probabilities": Edge(
        "cross_entropy",
        array(1, 2, 3),
        array(0.2, 0.5, 0.3),
        **BOTH,
        label_smoothing=0.1,
        second=True,
    ),
    "cross entropy: labels of a byte": Edge(
        "cross_entropy", array([1, 2], [3, 1]), np.array([1, 0], np.uint8), ignore_index=0
    ),
    "linear cross entropy: no batch": Edge(
        "linear_cross_entropy", array(1, 2), array([1, 0], [0, 1], [1, 1]), np.array(2), **BOTH
    ),
    "nll: -inf": Edge(
        "nll_loss",
        array([-INF, 2], [1, INF]),
        labels(0, 1),
        **NONE,
        weight=array(0, 1),
        second=True,
    ),
    "nll: the weighted mean": Edge(
        "nll_loss",
        array([-1, -2], [-3, -1]),
        labels(0, 1),
        weight=array(1, 3),
        naive=lambda x, t, weight: -jnp.mean(weight[t] * x[jnp.arange(2), t]),
    ),
    "nll: all ignored": Edge("nll_loss", array([-1, -2]), labels(-100), naive=naive_nll),
    "kl_div: 0": Edge(
        "kl_div",
        array(-1, -1, -INF, -INF, -2),
        array(0, 0.5, 0, 0.5, -0.3),
        **NONE,
        naive=naive_kl_div,
    ),
    "kl_div: 0, the target's gradient": Edge(
        "kl_div", array(-1, -1), array(0, 0.5), **NONE, **BOTH, second=True
    ),
    "kl_div: log of 0": Edge(
        "kl_div",
        array(-1, -1, -INF, -INF, -2),
        array(0, -0.5, -INF, -0.5, -INF),
        **NONE,
        **BOTH,
        log_target=True,
    ),
    "kl_div: batchmean is of the input's batch": Edge(
        "kl_div",
        array([-1, -2]),
        array([0.5, 0.5], [0.2, 0.8], [0.3, 0.7]),
        **BOTH,
        reduction="batchmean",
        naive=lambda x, t, reduction: jnp.mean(optax.losses.kl_divergence(x, t)),
    ),
    "kl_div: batchmean of no batch": Edge(
        "kl_div", array(-1).reshape(()), array(0.5).reshape(()), reduction="batchmean"
    ),
    "poisson: counts up to 1": Edge(
        "poisson_nll_loss",
        array(1, 0, INF, -INF),
        array(0, 1, 1, 0.5),
        **NONE,
        full=True,
    ),
    "poisson: whole counts": Edge("poisson_nll_loss", array(1, 0), labels(0, 4)),
    "gaussian: variances below eps": Edge(
        "gaussian_nll_loss",
        array(1, 0, 1, 2),
        array(0, 2, 1, 0.5),
        array(0, 1e-7, 0.5, INF),
        **NONE,
        **ALL,
        naive=naive_gaussian,
        second=True,
    ),
    "gaussian: one variance for a dimension": Edge(
        "gaussian_nll_loss", array([1, 0], [1, 2]), array(0, 2), array([0.2, 0.5]), **ALL
    ),
    "hinge embedding: at the margin": Edge(
        "hinge_embedding_loss",
        array(1, 1, 2, 0.5, NAN, INF, -INF, 1),
        array(1, -1, -1, -1, -1, -1, -1, 0.3),
        **NONE,
        naive=lambda x, t, reduction: (
            jnp.where(t == 1, 0, jnp.maximum(0, 1 - x)) + jnp.where(t == -1, 0, x)
        ),
    ),
    "margin ranking: at the margin": Edge(
        "margin_ranking_loss",
        array(1, 0, 1.5),
        array(1, 1, 1),
        array(1, -1, -1),
        **NONE,
        **ALL,
        naive=lambda x, y, t, reduction: jnp.maximum(0, -t * (x - y)),
        second=True,
    ),
    "margin ranking: broadcast": Edge(
        "margin_ranking_loss", array([1, 2]), array([0], [3]), labels([1, -1]), **BOTH
    ),
    "multi margin: at the margin": Edge(
        "multi_margin_loss",
        array([1, 0, 3], [1, 0, -2]),
        labels(0, 0),
        **NONE,
        naive=naive_multi_margin,
    ),
    "multi margin: the weighted mean, which is none": Edge(
        "multi_margin_loss",
        array([1, 0, 3], [1, 0, 2]),
        labels(0, 2),
        weight=array(1, 2, 3),
        naive=lambda x, t, weight: (
            jnp.sum(weight[t] * losses.multi_margin_loss(x, t, reduction="none"))
            / jnp.sum(weight[t])
        ),
    ),
    "multi margin: NaN and infinity": Edge(
        "multi_margin_loss",
        array([1, NAN, 3], [INF, INF, -INF], [1, 2, -INF]),
        labels(0, 0, 0),
        **NONE,
        p=2,
    ),
    "multi margin: one label of one row": Edge(
        "multi_margin_loss", array(1, 0, 3), labels(0), **NONE
    ),
    "multi margin: no dimension": Edge("multi_margin_loss", np.array(1.0), np.array(0)),
    "multilabel margin: labels twice, none, NaN": Edge(
        "multilabel_margin_loss",
        array([1, 0, 3, 0.5], [1, 0, 3, 0.5], [1, 0, 0.5, NAN], [NAN, 0, 0.5, 1]),
        labels([0, 0, -1, 1], [-1, 0, -1, 1], [0, -1, 3, 3], [0, -1, -1, -1]),
        **NONE,
    ),
    "multilabel margin: no dimension": Edge("multilabel_margin_loss", np.array(1.0), np.array(0)),
    "multilabel soft margin: infinities": Edge(
        "multilabel_soft_margin_loss",
        array([1, 0], [-INF, INF], [INF, 1]),
        labels([1, 0], [0, 1], [0, 1]),
        **NONE,
    ),
    "multilabel soft margin: broadcast": Edge(
        "multilabel_soft_margin_loss", array([1, 0]), array([1], [0]), **NONE, **BOTH
    ),
    "triplet: a distance of 0": Edge(
        "triplet_margin_loss",
        *(ZERO, array([0, 0], [0, 1], [3, 4]), array([0, 0], [3, 1], [0, 0])),
        **NONE,
        **ALL,
        eps=0,
        naive=naive_triplet,
    ),
    "triplet: eps": Edge(
        "triplet_margin_loss",
        *(ZERO, array([0, 0], [0, 1], [3, 4]), array([0, 0], [3, 1], [0, 0])),
        **NONE,
        **ALL,
        naive=lambda a, p, n, reduction: optax.losses.triplet_margin_loss(a, p, n),
    ),
    "triplet: at the margin": Edge(
        "triplet_margin_loss",
        *(array([0, 0]), array([1, 0]), array([0, 2])),
        **NONE,
        **ALL,
        eps=0,
        naive=naive_triplet,
        second=True,
    ),
    "triplet: as near by the swap": Edge(
        "triplet_margin_loss",
        *(array([0, 0]), array([1, 0]), array([0.5, 1])),
        **NONE,
        **ALL,
        eps=0,
        margin=3.0,
        swap=True,
        second=True,
    ),
    "triplet: two greatest elements": Edge(
        "triplet_margin_loss",
        *(array([0, 0]), array([1, -1]), array([0.5, 0])),
        **NONE,
        **ALL,
        eps=0,
        p=INF,
    ),
    "triplet: the norm of order 0": Edge(
        "triplet_margin_loss",
        *(array([0, 0]), array([1, -1]), array([0.5, 0])),
        **NONE,
        eps=0,
        p=0,
    ),
    "triplet: a broadcast anchor, no batch": Edge(
        "triplet_margin_loss", array(1, 2), array(2), array(5), **ALL
    ),
    "triplet with a distance: infinity": Edge(
        "triplet_margin_with_distance_loss",
        *(array([INF, 0]), array([1, 0]), array([0, 2])),
        **ALL,
        swap=True,
    ),
    "cosine embedding: zeros": Edge(
        "cosine_embedding_loss",
        array([0, 0], [0, 0], [1, 2]),
        array([0, 2], [0, 0], [2, 1]),
        labels(1, 1, 1),
        **NONE,
        **BOTH,
        naive=naive_cosine,
    ),
    "cosine embedding: at the margin": Edge(
        "cosine_embedding_loss",
        array([1, 0], [1, 1]),
        array([0, 2], [1, 1]),
        array(-1, 0.5),
        **NONE,
        **BOTH,
        naive=naive_cosine,
        second=True,
    ),
    "cosine embedding: broadcast": Edge(
        "cosine_embedding_loss", array([0, 1]), array([0.3, 2], [1, 2]), labels(1), **NONE, **BOTH
    ),
    "ctc: no alignment": Edge(
        "ctc_loss",
        *(LOG_P, labels([1, 1], [1, 2]), labels(2, 3), labels(2, 2)),
        **NONE,
        naive=naive_ctc,
    ),
    "ctc: no alignment, zeroed": Edge(
        "ctc_loss",
        *(LOG_P, labels([1, 1], [1, 2]), labels(2, 3), labels(2, 2)),
        zero_infinity=True,
    ),
    "ctc: no scores, no labels": Edge(
        "ctc_loss",
        *(LOG_P, labels([1, 1], [1, 2]), labels(0, 3), labels(0, 0)),
    ),
    "ctc: no scores for a label": Edge(
        "ctc_loss",
        *(LOG_P, labels([1, 1], [1, 2]), labels(0, 0), labels(0, 1)),
        **NONE,
    ),
    "ctc: what is no log_softmax": Edge(
        "ctc_loss",
        *(SCORES, labels([1, 1], [1, 2]), labels(3, 4), labels(1, 2)),
        **NONE,
        naive=naive_ctc,
    ),
    "ctc: NaN behind the end": Edge(
        "ctc_loss",
        *(np.concatenate([LOG_P, LOG_P * NAN]), labels([1, 1], [1, 2])),
        *(labels(3, 4), labels(1, 2)),
    ),
    "ctc: places for no labels": Edge(
        "ctc_loss", LOG_P, np.zeros((2, 0), int), labels(3, 4), labels(0, 0)
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_the_edge_is_torchs(edge, differences):
    assert EDGES[edge].compare(differences) == []


@pytest.mark.parametrize("edge", [edge for edge in EDGES if EDGES[edge].naive])
def test_the_comparison_sees_what_one_would_write_instead(edge, differences):
    assert EDGES[edge].compare(differences, ours=EDGES[edge].naive) != []
