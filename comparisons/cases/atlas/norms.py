"""Norms and distances."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

ALL_ZERO = "np.all(x == 0, next(e.params['axes'] for e in p['jaxpr'].eqns if 'axes' in e.params))"
"""Of the function that JAX compiles for jnp.linalg.norm: which of the vectors are zeros."""


def _is_zero_at_zero(vectors: str, power: str = "") -> str:
    """The norm of an expression's rows, whose gradient at 0 is 0."""
    ones = "jnp.where(d.any(-1, keepdims=True), d, 1.0)"
    return (
        f"(lambda d: jnp.where(d.any(-1), jnp.linalg.norm({ones}{power}, axis=-1), 0.0))({vectors})"
    )


def _say_nan_at_zero(of: str, why: str, repro: str, power: str = "the root") -> Remark:
    return Remark(
        text=f"{of} JAX's derivatives are NaN: that of {power} of 0 is infinite, and is multiplied by 0."
        f" PyTorch {why} 0, which is between the slopes.",
        axes=("edges",),
        quantities=("vjp", "jvp", "hvp"),
        wrong="JAX",
        link="https://github.com/jax-ml/jax/issues/26248",
        repro=f"import jax, jax.numpy as jnp\n{repro}",
    )


def _say_first_order(name: str) -> Remark:
    return Remark(
        text=f"PyTorch has a gradient of {name} only, not its derivative: forward mode and second"
        " derivatives raise.",
        axes=("ordinary", "edges"),
        quantities=("jvp", "hvp"),
    )


NAN = "  # [nan nan]; true: no derivative, and a subgradient is 0"

OPS = (
    Op(
        "norm",
        "torch.norm(x)",
        "jnp.sqrt(jnp.sum(x * x))",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([0., 0.])"},
        torch_like=_is_zero_at_zero("x.ravel()"),
        remarks=(
            _say_nan_at_zero(
                "Of zeros",
                "masks it, and gives",
                "norm = lambda x: jnp.sqrt(jnp.sum(x * x))\nprint(jax.grad(norm)(jnp.zeros(2)))"
                + NAN,
            ),
        ),
    ),
    Op(
        "vector_norm",
        "linalg.vector_norm(x)",
        "jnp.linalg.norm(x.ravel())",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: zeros": "array([0., 0.])",
            "nonfinite: inf": "array([1., inf])",
            "large": "array([1e200, 1e200])",
        },
        torch_like=_is_zero_at_zero("x.ravel()"),
        remarks=(
            _say_nan_at_zero(
                "Of zeros",
                "masks it, and gives",
                "print(jax.grad(jnp.linalg.norm)(jnp.zeros(2)))" + NAN,
            ),
        ),
        seen_as="norm",
        trap=f"{ALL_ZERO} & ('sqrt' in str(p['jaxpr']))",
    ),
    Op(
        "vector_norm(ord=1)",
        "linalg.vector_norm(x, 1)",
        "jnp.linalg.norm(x.ravel(), 1)",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([0., 2.])"},
        torch_like="jnp.sum(x * jnp.sign(x))",
        remarks=(
            Remark(
                text="At an element that is 0 PyTorch's gradient is 0 (torch.sign), JAX's 1: its abs takes"
                " the side of x >= 0.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        seen_as="norm",
        trap="(x == 0) & all(e.primitive.name in ('abs', 'reduce_sum') for e in p['jaxpr'].eqns)",
    ),
    Op(
        "vector_norm(ord=3)",
        "linalg.vector_norm(x, 3)",
        "jnp.linalg.norm(x.ravel(), 3)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: zeros": "array([0., 0.])",
            "edges: a zero": "array([0., 2.])",
        },
        torch_like=_is_zero_at_zero("x.ravel()", ", 3"),
        remarks=(
            _say_nan_at_zero(
                "Of zeros",
                "masks it, and gives",
                "print(jax.grad(lambda x: jnp.linalg.norm(x, 3))(jnp.zeros(2)))" + NAN,
                "the third root",
            ),
        ),
        seen_as="norm",
        trap=f"{ALL_ZERO} & ('pow' in str(p['jaxpr']))",
    ),
    Op(
        "vector_norm(ord=inf)",
        "linalg.vector_norm(x, inf)",
        "jnp.linalg.norm(x.ravel(), inf)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([2., -2., 1.])",
            "edges: zeros": "array([0., 0.])",
        },
        torch_like="jnp.max(x * jnp.sign(x))",
        remarks=(
            Remark(
                text="Of zeros PyTorch's gradient is 0 (torch.sign); JAX's abs has derivative 1 at 0, each"
                " element gets its share of that, and half of it at the tie with the 0 that jnp starts from.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        seen_as="norm",
        trap=f"{ALL_ZERO} & ('reduce_max' in str(p['jaxpr']))",
    ),
    Op(
        "vector_norm(ord=-inf)",
        "linalg.vector_norm(x, -inf)",
        "jnp.linalg.norm(x.ravel(), -inf)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([2., -2., 3.])",
            "edges: a zero": "array([2., 0., 3.])",
        },
        torch_like="jnp.min(x * jnp.sign(x))",
        remarks=(
            Remark(
                text="Where the least is 0 PyTorch's gradient is 0 (torch.sign), JAX's 1: its abs takes the"
                " side of x >= 0.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op(
        "vector_norm(ord=0)",
        "linalg.vector_norm(x, 0)",
        "jnp.linalg.norm(x.ravel(), 0)",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([0., 2.])"},
    ),
    Op(
        "matrix_norm",
        "linalg.matrix_norm(x)",
        "jnp.linalg.norm(x)",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([[0., 0.], [0., 0.]])"},
        torch_like=_is_zero_at_zero("x.ravel()"),
        remarks=(
            _say_nan_at_zero(
                "Of zeros",
                "masks it, and gives",
                "print(jax.grad(jnp.linalg.norm)(jnp.zeros((1, 2))))"
                "  # [[nan nan]]; true: no derivative, and a subgradient is 0",
            ),
        ),
    ),
    Op(
        "dist",
        "torch.dist(x, y)",
        "jnp.linalg.norm((x - y).ravel())",
        args="x y",
        samples={
            "ordinary": "normal(3, 4), normal(3, 4)",
            "edges: equal": "array([1., 2.]), array([1., 2.])",
        },
        torch_like=_is_zero_at_zero("(x - y).ravel()"),
        remarks=(
            _say_nan_at_zero(
                "Of equal arrays",
                "masks it, and gives",
                "x = jnp.array([1.0, 2.0])\nprint(jax.grad(lambda y: jnp.linalg.norm(x - y))(x))"
                + NAN,
            ),
        ),
    ),
    Op(
        "cdist",
        "torch.cdist(x, y, compute_mode='donot_use_mm_for_euclid_dist')",
        "jnp.linalg.norm(x[:, None] - y[None], axis=-1)",
        args="x y",
        samples={
            "ordinary": "normal(3, 2), normal(4, 2)",
            "edges: equal rows": "array([[1., 2.]]), array([[1., 2.], [0., 0.]])",
        },
        torch_like=_is_zero_at_zero("x[:, None] - y"),
        remarks=(
            _say_nan_at_zero(
                "Of equal rows",
                "looks for them, and gives",
                "x = jnp.array([1.0, 2.0])\nprint(jax.grad(lambda y: jnp.linalg.norm(x - y))(x))"
                + NAN,
            ),
            _say_first_order("cdist"),
            Remark(text="torch.cdist has no bfloat16: it raises.", dtypes=("bfloat16",)),
        ),
    ),
    Op(
        "pdist",
        "F.pdist(x)",
        "jnp.linalg.norm(jnp.subtract(*x[jnp.array(jnp.triu_indices(x.shape[0], 1))]), axis=-1)",
        samples={
            "ordinary": "normal(4, 2)",
            "edges: equal rows": "array([[1., 2.], [1., 2.], [0., 0.]])",
        },
        torch_like=_is_zero_at_zero("jnp.subtract(*x[jnp.array(jnp.triu_indices(x.shape[0], 1))])"),
        remarks=(
            _say_nan_at_zero(
                "Of equal rows",
                "looks for them, and gives",
                "norm = lambda x: jnp.linalg.norm(x[0] - x[1])\n"
                "print(jax.grad(norm)(jnp.ones((2, 1))).ravel())" + NAN,
            ),
            _say_first_order("pdist"),
            Remark(text="F.pdist has no bfloat16: it raises.", dtypes=("bfloat16",)),
        ),
    ),
    Op(
        "renorm",
        "torch.renorm(x, 2, 0, 1.0)",
        "x * jnp.where(jnp.linalg.norm(x, axis=1, keepdims=True) > 1, 1 / (jnp.linalg.norm(x, axis=1, keepdims=True) + 1e-7), 1.0)",
        samples={"ordinary": "normal(3, 4)"},
    ),
)
