"""Attention and recurrent cells."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

SCALED = "F.scaled_dot_product_attention"
ATTENTION = "x y z"
HEADS = "normal(1, 2, 3, 4), normal(1, 2, 5, 4), normal(1, 2, 5, 4)"
SCORES = "jnp.einsum('bhqd,bhkd->bhqk', x, y) / 2.0"

NO_SECOND = Remark(
    text="PyTorch's kernel for a CPU has no forward mode and no second derivative; within"
    " torch.nn.attention.sdpa_kernel(SDPBackend.MATH) it has both.",
    quantities=("jvp", "hvp"),
    link="https://github.com/pytorch/pytorch/issues/128971",
)
IN_FLOAT32 = Remark(
    text="jax.nn.dot_product_attention computes its softmax in float32 whatever its arguments are:"
    " at float64 half of the digits are lost. nn.softmax of the scores, times the values, keeps them.",
    axes=("ordinary", "jit", "modes"),
    dtypes=("float64",),
    wrong="JAX",
    link="https://github.com/jax-ml/jax/pull/21371",
    repro="import jax\n"
    'jax.config.update("jax_enable_x64", True)\n'
    "q, k = jax.numpy.ones((1, 1, 1, 1)), jax.numpy.array([0.0, 1.0]).reshape(1, 2, 1, 1)\n"
    "found = jax.nn.dot_product_attention(q, k, k)[0, 0, 0, 0]\n"
    'print(f"{abs(found - 0.7310585786300049) > 1e-9}")  # True; true: False',
)


OPS = (
    Op(
        "attention",
        f"{SCALED}(x, y, z)",
        f"nn.softmax({SCORES}) @ z",
        args=ATTENTION,
        samples={"ordinary": HEADS},
        remarks=(NO_SECOND,),
    ),
    Op(
        "attention, jax.nn's",
        f"{SCALED}(x, y, z)",
        "nn.dot_product_attention(x.swapaxes(1, 2), y.swapaxes(1, 2), z.swapaxes(1, 2)).swapaxes(1, 2)",
        args=ATTENTION,
        samples={"ordinary": HEADS},
        remarks=(NO_SECOND, IN_FLOAT32),
    ),
    Op(
        "attention(is_causal)",
        f"{SCALED}(x, y, z, is_causal=True)",
        "nn.dot_product_attention(x.swapaxes(1, 2), y.swapaxes(1, 2), z.swapaxes(1, 2), is_causal=True).swapaxes(1, 2)",
        args=ATTENTION,
        samples={"ordinary": "normal(1, 2, 4, 4), normal(1, 2, 4, 4), normal(1, 2, 4, 4)"},
        remarks=(NO_SECOND, IN_FLOAT32),
    ),
    Op(
        "attention, a masked row",
        f"{SCALED}(x, y, z, attn_mask=torch.zeros(3, 5, dtype=torch.bool))",
        "nn.dot_product_attention(x.swapaxes(1, 2), y.swapaxes(1, 2), z.swapaxes(1, 2), mask=jnp.zeros((1, 1, 3, 5), bool)).swapaxes(1, 2)",
        args=ATTENTION,
        samples={"edges: all masked": HEADS},
        torch_like=f"(lambda mask: jnp.where(mask, nn.softmax(jnp.where(mask, {SCORES}, -1e30)), 0.0) @ z)(jnp.zeros((3, 5), bool))",
        remarks=(
            NO_SECOND,
            Remark(
                text="A query that may see no key gets 0 from PyTorch since 2.5, and no gradient; in JAX"
                " it sees all keys alike, as all scores are the same large negative number.",
                axes=("edges",),
                quantities=("value", "vjp"),
                link="https://github.com/pytorch/pytorch/pull/131060",
            ),
        ),
    ),
    Op(
        "rnn_cell",
        "torch.rnn_tanh_cell(x, h, w, u, b, b)",
        "jnp.tanh(x @ w.T + h @ u.T + 2 * b)",
        args="x h w u b",
        samples={"ordinary": "normal(2, 3), normal(2, 4), normal(4, 3), normal(4, 4), normal(4)"},
        torch_page="torch.nn.RNNCell",
    ),
    Op(
        "gru_cell",
        "torch.gru_cell(x, h, w, u, b, c)",
        "(lambda g, k: (lambda r, z, n: (1 - z) * n + z * h)(nn.sigmoid(g[0] + k[0]), nn.sigmoid(g[1] + k[1]), jnp.tanh(g[2] + nn.sigmoid(g[0] + k[0]) * k[2])))(jnp.split(x @ w.T + b, 3, 1), jnp.split(h @ u.T + c, 3, 1))",
        args="x h w u b c",
        samples={
            "ordinary": "normal(2, 3), normal(2, 4), normal(12, 3), normal(12, 4), normal(12), normal(12)"
        },
        torch_page="torch.nn.GRUCell",
    ),
    Op(
        "lstm_cell",
        "torch.lstm_cell(x, (h, c), w, u, b, b)",
        "(lambda i, f, g, o: (lambda n: (nn.sigmoid(o) * jnp.tanh(n), n))(nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)))(*jnp.split(x @ w.T + h @ u.T + 2 * b, 4, 1))",
        args="x h c w u b",
        samples={
            "ordinary": "normal(2, 3), normal(2, 4), normal(2, 4), normal(16, 3), normal(16, 4), normal(16)"
        },
        torch_page="torch.nn.LSTMCell",
    ),
)
