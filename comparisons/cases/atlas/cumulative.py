"""Cumulative operations and differences."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op

TIES = "array([[1., 3., 3.], [2., 2., 2.]])"
WITH_NAN = "array([[1., nan, 3.], [2., 0., 4.]])"
USUAL = {"ordinary": "normal(3, 4)", "edges: size 1": "array([[2.]])", "nonfinite: NaN": WITH_NAN}

OPS = (
    Op(
        "cumsum",
        "torch.cumsum(x, 1)",
        "jnp.cumsum(x, 1)",
        samples={**USUAL, "edges: empty": "normal(2, 0)"},
    ),
    Op(
        "cumprod",
        "torch.cumprod(x, 1)",
        "jnp.cumprod(x, 1)",
        samples={
            **USUAL,
            "edges: a zero": "array([[2., 0., 3.]])",
            "edges: two zeros": "array([[2., 0., 0., 3.]])",
        },
    ),
    Op(
        "cummax",
        "torch.cummax(x, 1).values",
        "lax.cummax(x, 1)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
    ),
    Op(
        "cummin",
        "torch.cummin(x, 1).values",
        "lax.cummin(x, 1)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([[2., 1., 1.]])",
            "nonfinite: NaN": WITH_NAN,
        },
    ),
    Op(
        "logcumsumexp",
        "torch.logcumsumexp(x, 1)",
        "lax.cumlogsumexp(x, 1)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: ties": TIES,
            "nonfinite: -inf": "array([[-inf, 1., 2.]])",
            "large": "array([[800., -800., 1e30]])",
        },
    ),
    Op("diff", "torch.diff(x)", "jnp.diff(x)", samples=USUAL),
    Op("trapezoid", "torch.trapezoid(x, dx=0.5)", "jnp.trapezoid(x, dx=0.5)", samples=USUAL),
    Op(
        "cumulative_trapezoid",
        "torch.cumulative_trapezoid(x)",
        "jnp.cumsum((x[..., 1:] + x[..., :-1]) / 2, -1)",
        samples={"ordinary": "normal(3, 4)"},
    ),
)
