"""Losses."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op

PAIR = "normal(4, 3), normal(4, 3)"
LOGITS = "normal(4, 3), ints(3, 4)"
LABELS = "optax.softmax_cross_entropy_with_integer_labels(x, i)"

OPS = (
    Op(
        "l1_loss",
        "F.l1_loss(x, y)",
        "jnp.mean(jnp.abs(x - y))",
        args="x y",
        samples={"ordinary": PAIR, "edges: equal": "array([1., 2.]), array([1., 0.])"},
        torch_like="jnp.mean((x - y) * lax.stop_gradient(jnp.sign(x - y)))",
    ),
    Op(
        "mse_loss",
        "F.mse_loss(x, y)",
        "jnp.mean(optax.squared_error(x, y))",
        args="x y",
        samples={"ordinary": PAIR},
    ),
    Op(
        "smooth_l1_loss",
        "F.smooth_l1_loss(x, y)",
        "jnp.mean(optax.huber_loss(x, y))",
        args="x y",
        samples={"ordinary": PAIR, "edges: the bound": "array([1., 2.]), array([0., 4.])"},
    ),
    Op(
        "smooth_l1_loss(beta=0.5)",
        "F.smooth_l1_loss(x, y, beta=0.5)",
        "jnp.mean(optax.huber_loss(x, y, 0.5)) / 0.5",
        args="x y",
        samples={"ordinary": PAIR},
    ),
    Op(
        "huber_loss",
        "F.huber_loss(x, y, delta=0.5)",
        "jnp.mean(optax.huber_loss(x, y, 0.5))",
        args="x y",
        samples={"ordinary": PAIR, "edges: the bound": "array([1., 2.]), array([0.5, 4.])"},
    ),
    Op(
        "cross_entropy",
        "F.cross_entropy(x, i.long())",
        f"jnp.mean({LABELS})",
        args="x i",
        samples={
            "ordinary": LOGITS,
            "nonfinite: -inf": "array([[1., -inf, 0.]]), array([0])",
            "nonfinite: -inf at the label": "array([[1., -inf, 0.]]), array([1])",
            "edges: one class": "array([[2.]]), array([0])",
            "edges: label out of bounds": "array([[1., 2.]]), array([2])",
        },
    ),
    Op(
        "cross_entropy(ignore_index)",
        "F.cross_entropy(x, i.long(), ignore_index=0)",
        f"jnp.sum({LABELS} * (i != 0)) / jnp.sum(i != 0)",
        args="x i",
        samples={
            "ordinary": "normal(4, 3), array([0, 1, 2, 1])",
            "edges: all ignored": "normal(2, 3), array([0, 0])",
        },
    ),
    Op(
        "cross_entropy(label_smoothing)",
        "F.cross_entropy(x, i.long(), label_smoothing=0.1)",
        "jnp.mean(optax.softmax_cross_entropy(x, optax.smooth_labels(nn.one_hot(i, 3, dtype=x.dtype), 0.1)))",
        args="x i",
        samples={"ordinary": LOGITS},
    ),
    Op(
        "cross_entropy, probabilities",
        "F.cross_entropy(x, F.softmax(y, -1))",
        "jnp.mean(optax.softmax_cross_entropy(x, nn.softmax(y)))",
        args="x y",
        samples={
            "ordinary": PAIR,
            "nonfinite: -inf": "array([[1., -inf, 0.]]), array([[1., -inf, 0.]])",
        },
    ),
    Op(
        "nll_loss",
        "F.nll_loss(x, i.long())",
        "-jnp.mean(jnp.take_along_axis(x, i[:, None], 1))",
        args="x i",
        samples={"ordinary": LOGITS},
    ),
    Op(
        "binary_cross_entropy",
        "F.binary_cross_entropy(x, y)",
        "-jnp.mean(y * jnp.log(x) + (1 - y) * jnp.log(1 - x))",
        args="x y",
        samples={
            "ordinary": "uniform(0.1, 0.9, 4), uniform(0, 1, 4)",
            "edges: 0 and 1": "array([0., 1.]), array([0., 1.])",
            "edges: 0 and 1, wrong": "array([0., 1.]), array([1., 0.])",
        },
    ),
    Op(
        "binary_cross_entropy_with_logits",
        "F.binary_cross_entropy_with_logits(x, y)",
        "jnp.mean(optax.sigmoid_binary_cross_entropy(x, y))",
        args="x y",
        samples={
            "ordinary": "normal(5), uniform(0, 1, 5)",
            "large": "array([800., -800.]), array([0., 1.])",
        },
    ),
    Op(
        "kl_div(batchmean)",
        "F.kl_div(x, y, reduction='batchmean')",
        "jnp.mean(optax.kl_divergence(x, y))",
        args="x y",
        samples={
            "ordinary": "normal(4, 3), uniform(0.1, 0.9, 4, 3)",
            "edges: probability 0": "array([[-1., -1.]]), array([[0., 1.]])",
        },
    ),
    Op(
        "kl_div(log_target)",
        "F.kl_div(x, y, reduction='batchmean', log_target=True)",
        "jnp.mean(optax.kl_divergence_with_log_targets(x, y))",
        args="x y",
        samples={"ordinary": PAIR},
    ),
    Op(
        "poisson_nll_loss",
        "F.poisson_nll_loss(x, y)",
        "jnp.mean(optax.poisson_nll_loss(x, y))",
        args="x y",
        samples={"ordinary": "normal(5), uniform(0, 4, 5)"},
    ),
    Op(
        "gaussian_nll_loss",
        "F.gaussian_nll_loss(x, y, v)",
        "jnp.mean(0.5 * (jnp.log(jnp.maximum(v, 1e-6)) + (x - y) ** 2 / jnp.maximum(v, 1e-6)))",
        args="x y v",
        samples={
            "ordinary": "normal(5), normal(5), uniform(0.5, 2, 5)",
            "edges: variance 0": "array([1.]), array([2.]), array([0.])",
        },
        jax_page="jax.numpy.maximum",
    ),
    Op(
        "hinge_embedding_loss",
        "F.hinge_embedding_loss(x, i)",
        "jnp.mean(jnp.where(i == 1, x, jnp.maximum(0, 1 - x)))",
        args="x i",
        samples={
            "ordinary": "normal(4), array([1, -1, 1, -1])",
            "edges: the margin": "array([1.]), array([-1])",
        },
        jax_page="jax.numpy.maximum",
    ),
    Op(
        "margin_ranking_loss",
        "F.margin_ranking_loss(x, y, i)",
        "jnp.mean(jnp.maximum(0, -i * (x - y)))",
        args="x y i",
        samples={
            "ordinary": "normal(4), normal(4), array([1, -1, 1, -1])",
            "edges: equal": "array([1.]), array([1.]), array([1])",
        },
        jax_page="jax.numpy.maximum",
    ),
    Op(
        "soft_margin_loss",
        "F.soft_margin_loss(x, i)",
        "jnp.mean(nn.softplus(-i * x))",
        args="x i",
        samples={
            "ordinary": "normal(4), array([1, -1, 1, -1])",
            "large": "array([800., -800.]), array([1, 1])",
        },
    ),
    Op(
        "multilabel_soft_margin_loss",
        "F.multilabel_soft_margin_loss(x, y)",
        "jnp.mean(optax.sigmoid_binary_cross_entropy(x, y))",
        args="x y",
        samples={"ordinary": "normal(4, 3), uniform(0, 1, 4, 3)"},
    ),
    Op(
        "multi_margin_loss",
        "F.multi_margin_loss(x, i.long())",
        "jnp.mean(jnp.sum(jnp.maximum(0, 1 - jnp.take_along_axis(x, i[:, None], 1) + x) * (1 - nn.one_hot(i, x.shape[1], dtype=x.dtype)), 1) / x.shape[1])",
        args="x i",
        samples={"ordinary": LOGITS},
        jax_page="jax.numpy.maximum",
    ),
    Op(
        "cosine_similarity",
        "F.cosine_similarity(x, y)",
        "optax.cosine_similarity(x, y, epsilon=1e-8)",
        args="x y",
        samples={
            "ordinary": PAIR,
            "edges: a row of zeros": "array([[0., 0.], [1., 2.]]), array([[1., 2.], [1., 2.]])",
        },
    ),
    Op(
        "cosine_embedding_loss",
        "F.cosine_embedding_loss(x, y, i)",
        "jnp.mean(jnp.where(i == 1, 1 - optax.cosine_similarity(x, y, epsilon=1e-12), jnp.maximum(0, optax.cosine_similarity(x, y, epsilon=1e-12))))",
        args="x y i",
        samples={"ordinary": "normal(4, 3), normal(4, 3), array([1, -1, 1, -1])"},
    ),
    Op(
        "triplet_margin_loss",
        "F.triplet_margin_loss(x, y, z)",
        "jnp.mean(jnp.maximum(0, jnp.linalg.norm(x - y + 1e-6, axis=-1) - jnp.linalg.norm(x - z + 1e-6, axis=-1) + 1))",
        args="x y z",
        samples={"ordinary": "normal(4, 3), normal(4, 3), normal(4, 3)"},
    ),
    Op(
        "pairwise_distance",
        "F.pairwise_distance(x, y)",
        "jnp.linalg.norm(x - y + 1e-6, axis=-1)",
        args="x y",
        samples={"ordinary": PAIR, "edges: equal": "array([[1., 2.]]), array([[1., 2.]])"},
    ),
    Op(
        "ctc_loss",
        "F.ctc_loss(F.log_softmax(x, -1), torch.tensor([[1, 2]]), (5,), (2,), reduction='sum')",
        "jnp.sum(optax.ctc_loss(x.transpose(1, 0, 2), jnp.zeros((1, 5)), jnp.array([[1, 2]]), jnp.zeros((1, 2))))",
        samples={"ordinary": "normal(5, 1, 4)"},
    ),
)
