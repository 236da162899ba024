"""Norms and distances."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

OPS = (
    Op(
        "norm",
        "torch.norm(x)",
        "jnp.sqrt(jnp.sum(x * x))",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([0., 0.])"},
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
        remarks=(
            Remark(
                text="Of zeros PyTorch's gradient is 0, JAX's NaN; the norm of a vector that jnp.where has"
                " made another one, and 0 in its place, has PyTorch's.",
                axes=("edges",),
                quantities=("vjp",),
            ),
        ),
        seen_as="norm",
        trap="np.any(np.all(x == 0, -1)) if x.ndim > 1 else np.all(x == 0)",
    ),
    Op(
        "vector_norm(ord=1)",
        "linalg.vector_norm(x, 1)",
        "jnp.linalg.norm(x.ravel(), 1)",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([0., 2.])"},
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
    ),
    Op(
        "vector_norm(ord=-inf)",
        "linalg.vector_norm(x, -inf)",
        "jnp.linalg.norm(x.ravel(), -inf)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": "array([2., -2., 3.])"},
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
    ),
    Op(
        "pdist",
        "F.pdist(x)",
        "jnp.linalg.norm(x[:, None] - x[None] + 0.0, axis=-1)[jnp.triu_indices(x.shape[0], 1)]",
        samples={
            "ordinary": "normal(4, 2)",
            "edges: equal rows": "array([[1., 2.], [1., 2.], [0., 0.]])",
        },
    ),
    Op(
        "renorm",
        "torch.renorm(x, 2, 0, 1.0)",
        "x * jnp.where(jnp.linalg.norm(x, axis=1, keepdims=True) > 1, 1 / (jnp.linalg.norm(x, axis=1, keepdims=True) + 1e-7), 1.0)",
        samples={"ordinary": "normal(3, 4)"},
    ),
)
