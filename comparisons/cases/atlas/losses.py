"""Losses."""

from __future__ import annotations

from comparisons.cases.atlas._op import TORCH_DOCS, Op, Remark

PAIR = "normal(4, 3), normal(4, 3)"
LOGITS = "normal(4, 3), ints(3, 4)"
LABELS = "optax.softmax_cross_entropy_with_integer_labels(x, i)"
LOGS = "-jnp.mean(y * {log}(x) + (1 - y) * {log}(1 - x))"


def _at_the_margin(what: str) -> tuple[Remark, ...]:
    """Of losses that are 0 beyond a margin: what is chosen at it."""
    text = (
        f"{what} PyTorch's clamp_min passes the whole gradient on, jnp.maximum gives half of it"
        " to each of its equal arguments."
    )
    return (Remark(text=text, axes=("edges",), quantities=("vjp", "jvp")),)


def _no_second(kernel: str, link: str = "") -> tuple[Remark, ...]:
    """Of losses whose derivative PyTorch has as one kernel, which has none itself."""
    return (
        Remark(
            text="PyTorch has no derivative of its backward pass, which forward mode is made of"
            f" here, too: {kernel}_backward is one kernel.",
            quantities=("jvp", "hvp"),
            dtypes=("float64", "float32"),
            link=link,
        ),
        Remark(text=f"PyTorch's {kernel} raises for bfloat16 on a CPU.", dtypes=("bfloat16",)),
    )


AT_THE_BOUND = Remark(
    text="Where the error is the bound itself the second derivative may be anything from 0 to 1:"
    " PyTorch takes 0, that of the outer side, optax's min of two equal numbers a quarter.",
    axes=("edges",),
    quantities=("hvp",),
)

OPS = (
    Op(
        "l1_loss",
        "F.l1_loss(x, y)",
        "jnp.mean(jnp.abs(x - y))",
        args="x y",
        samples={"ordinary": PAIR, "edges: equal": "array([1., 2.]), array([1., 0.])"},
        torch_like="jnp.mean((x - y) * lax.stop_gradient(jnp.sign(x - y)))",
        remarks=(
            Remark(
                text="Where prediction and target are equal PyTorch's derivative of abs is 0,"
                " JAX's 1, that of the right side.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
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
        torch_like="jnp.mean(jnp.where(abs(x - y) < 1, (x - y) ** 2 / 2, abs(x - y) - 0.5))",
        remarks=(AT_THE_BOUND,),
    ),
    Op(
        "smooth_l1_loss(beta=0.5)",
        "F.smooth_l1_loss(x, y, beta=0.5)",
        "jnp.mean(optax.huber_loss(x, y, delta=0.5)) / 0.5",
        args="x y",
        samples={"ordinary": PAIR},
    ),
    Op(
        "huber_loss",
        "F.huber_loss(x, y, delta=0.5)",
        "jnp.mean(optax.huber_loss(x, y, delta=0.5))",
        args="x y",
        samples={"ordinary": PAIR, "edges: the bound": "array([1., 2.]), array([0.5, 4.])"},
        torch_like="jnp.mean(jnp.where(abs(x - y) < 0.5, (x - y) ** 2 / 2, (abs(x - y) - 0.25) / 2))",
        remarks=(AT_THE_BOUND,),
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
            "large": "array([[1e4, -1e4, 0.]]), array([1])",
            "edges: one class": "array([[2.]]), array([0])",
            "edges: label out of bounds": "array([[1., 2.]]), array([2])",
        },
        remarks=(
            Remark(
                text="A label that is no class raises in PyTorch, but for ignore_index, -100; optax's"
                " loss is NaN there, and -1 is the last class.",
                axes=("edges",),
            ),
        ),
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
        torch_like=f"jnp.sum(jnp.where(i != 0, {LABELS}, 0.0)) / jnp.sum(i != 0)",
        remarks=(
            Remark(
                text="If all labels are ignored both losses are 0 / 0, NaN. PyTorch's gradient is 0"
                " still, as it leaves ignored rows out; a product with a mask gives 0 * inf, NaN.",
                axes=("edges",),
                quantities=("vjp", "hvp"),
                link=TORCH_DOCS + "torch.nn.CrossEntropyLoss.html",
            ),
        ),
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
            "nonfinite: -inf": "array([[1., -inf, 0.]]), array([[0., -inf, 1.]])",
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
        LOGS.format(log="jnp.log"),
        args="x y",
        samples={
            "ordinary": "uniform(0.1, 0.9, 4), uniform(0, 1, 4)",
            "edges: 0 and 1": "array([0., 1.]), array([0., 1.])",
            "edges: 0 and 1, wrong": "array([0., 1.]), array([1., 0.])",
        },
        torch_like="(lambda log: "
        + LOGS.format(log="log")
        + ")(lambda p: jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1.0)), -100.0))",
        remarks=(
            Remark(
                text="PyTorch lets no logarithm be less than -100; the plain formula has 0 * -inf,"
                " NaN, where prediction and target are both 0, and inf where they are opposite.",
                axes=("edges",),
                quantities=("value",),
                link=TORCH_DOCS + "torch.nn.BCELoss.html",
            ),
            Remark(
                text="PyTorch divides by max(x * (1 - x), 1e-12): where prediction and target are both"
                " 0 its gradient is 0, though the slope is 1; the plain formula's is NaN.",
                axes=("edges",),
                quantities=("vjp",),
                wrong="PyTorch",
                repro="import torch\n"
                "import torch.nn.functional as F\n"
                "x = torch.tensor([0.0], requires_grad=True)\n"
                "F.binary_cross_entropy(x, torch.tensor([0.0])).backward()\n"
                'print(f"{x.grad.item():.3g}")  # 0; true: 1',
            ),
            Remark(
                text="In forward mode PyTorch takes the target's derivative log(1 - x) - log(x) without"
                " the limit of -100: it is infinite at 0 and 1, and JAX's NaN.",
                axes=("edges",),
                quantities=("jvp",),
            ),
            Remark(
                text="PyTorch adds 1e-12 to what its second derivatives divide by: they are 3e-12 off"
                " at ordinary points, and some are finite where the true ones are infinite.",
                axes=("edges", "ordinary"),
                quantities=("hvp",),
            ),
        ),
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
        remarks=(
            Remark(
                text="The derivative in a target of 0 is -inf, that of the logarithm. PyTorch gives NaN;"
                " optax's where hides the logarithm from forward mode, and gives NaN in reverse.",
                axes=("edges",),
                quantities=("jvp",),
            ),
        ),
    ),
    Op(
        "kl_div(log_target)",
        "F.kl_div(x, y, reduction='batchmean', log_target=True)",
        "jnp.mean(optax.losses.kl_divergence_with_log_targets(x, y))",
        args="x y",
        samples={"ordinary": PAIR},
    ),
    Op(
        "poisson_nll_loss",
        "F.poisson_nll_loss(x, y)",
        "jnp.mean(jnp.exp(x) - y * x)",
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
        torch_like="(lambda v: jnp.mean(0.5 * (jnp.log(v) + (x - y) ** 2 / v)))(v + lax.stop_gradient(jnp.maximum(v, 1e-6) - v))",
        remarks=(
            Remark(
                text="PyTorch raises a variance below 1e-6 to it under no_grad: in reverse the gradient"
                " passes on, in forward mode it is 0, as that of jnp.maximum.",
                axes=("edges",),
                quantities=("vjp", "hvp"),
            ),
        ),
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
        torch_like="jnp.mean(jnp.where(i == 1, x, jnp.where(x <= 1, 1 - x, 0)))",
        remarks=_at_the_margin("At a distance of the margin"),
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
        torch_like="jnp.mean(jnp.where(-i * (x - y) >= 0, -i * (x - y), 0))",
        remarks=_at_the_margin("Where both are equal, and the margin is 0,"),
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
        remarks=(
            Remark(
                text="PyTorch computes log(1 + exp(-y * x)) as it is written: from y * x = -710 on, at"
                " float32 from -89 on, it is infinite, and its gradient NaN. jax.nn.softplus is not.",
                axes=("large",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/77529",
                repro="import torch\n"
                "import torch.nn.functional as F\n"
                "x = torch.tensor([-100.0])\n"
                'print(f"{F.soft_margin_loss(x, torch.ones(1)).item():.3g}")  # inf; true: 100',
            ),
        ),
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
        remarks=_no_second("multi_margin_loss"),
    ),
    Op(
        "cosine_similarity",
        "F.cosine_similarity(x, y)",
        "optax.cosine_similarity(x, y, epsilon=1e-16)",
        args="x y",
        samples={
            "ordinary": PAIR,
            "edges: a row of zeros": "array([[0., 0.], [1., 2.]]), array([[1., 2.], [2., 1.]])",
        },
        remarks=(
            Remark(
                text="Of a row of zeros PyTorch's second derivative is NaN, that of the norm at 0, though"
                " the norm is replaced by eps there; optax clips the square below the root.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="import torch\n"
                "x = torch.zeros(1, 2, requires_grad=True)\n"
                "y = torch.nn.functional.cosine_similarity(x, torch.ones(1, 2))\n"
                "(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)\n"
                'print(f"{torch.autograd.grad(g.sum(), x)[0][0, 0].item():.3g}")  # nan; true: 0',
            ),
        ),
    ),
    Op(
        "cosine_embedding_loss",
        "F.cosine_embedding_loss(x, y, i)",
        "(lambda c: jnp.mean(jnp.where(i == 1, 1 - c, jnp.maximum(0, c))))(jnp.sum(x * y, 1) / jnp.sqrt((jnp.sum(x * x, 1) + 1e-12) * (jnp.sum(y * y, 1) + 1e-12)))",
        args="x y i",
        samples={"ordinary": "normal(4, 3), normal(4, 3), array([1, -1, 1, -1])"},
    ),
    Op(
        "triplet_margin_loss",
        "F.triplet_margin_loss(x, y, z)",
        "jnp.mean(jnp.maximum(0, jnp.linalg.norm(x - y + 1e-6, axis=-1) - jnp.linalg.norm(x - z + 1e-6, axis=-1) + 1))",
        args="x y z",
        samples={
            "ordinary": "normal(4, 3), normal(4, 3), normal(4, 3)",
            "edges: equal": "array([[1., 2.]]), array([[1., 2.]]), array([[1., 2.]])",
        },
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
        remarks=_no_second("ctc_loss", "https://github.com/pytorch/pytorch/issues/70108"),
    ),
    Op(
        "ctc_loss, by its log-probabilities",
        "F.ctc_loss(x, torch.tensor([[1]]), (2,), (1,), reduction='sum')",
        "-nn.logsumexp(jnp.array([x[0, 0, 1] + x[1, 0, 1], x[0, 0, 0] + x[1, 0, 1], x[0, 0, 1] + x[1, 0, 0]]))",
        samples={"ordinary": "normal(2, 1, 3)"},
        orders=("value", "vjp"),
        remarks=(
            Remark(
                text="PyTorch's gradient is that of log_softmax and ctc_loss together: exp(x) too much"
                " by x itself, which shows if anything else than log_softmax made x.",
                quantities=("vjp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/181534",
                repro="import torch\n"
                "x = torch.zeros(1, 1, 2, requires_grad=True)\n"
                "loss = torch.nn.functional.ctc_loss(x, torch.tensor([[1]]), (1,), (1,))\n"
                "loss.backward()\n"
                'print(f"{x.grad[0, 0, 0].item():.3g}")  # 1; true: 0',
            ),
            Remark(text="PyTorch's ctc_loss raises for bfloat16 on a CPU.", dtypes=("bfloat16",)),
        ),
    ),
)
