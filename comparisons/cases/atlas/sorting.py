"""Sorting and searching."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op

TIES = "array([[1., 3., 3.], [2., 2., 2.]])"

OPS = (
    Op(
        "sort",
        "torch.sort(x, 1).values",
        "jnp.sort(x, 1)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "nonfinite: NaN": "array([[2., nan, 1.]])",
        },
    ),
    Op(
        "sort(descending)",
        "torch.sort(x, 1, descending=True).values",
        "jnp.sort(x, 1, descending=True)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "nonfinite: NaN": "array([[2., nan, 1.]])",
        },
    ),
    Op(
        "argsort(stable)",
        "torch.argsort(x, 1, stable=True)",
        "jnp.argsort(x, 1)",
        orders=("value",),
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "nonfinite: NaN": "array([[2., nan, 1.]])",
        },
    ),
    Op(
        "argsort(descending, stable)",
        "torch.argsort(x, 1, descending=True, stable=True)",
        "jnp.argsort(x, 1, descending=True)",
        orders=("value",),
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES},
    ),
    Op(
        "topk",
        "torch.topk(x, 2).values",
        "lax.top_k(x, 2)[0]",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "nonfinite: NaN": "array([[2., nan, 1.]])",
        },
    ),
    Op(
        "topk, indices",
        "torch.topk(x, 2).indices",
        "lax.top_k(x, 2)[1]",
        orders=("value",),
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES},
    ),
    Op(
        "kthvalue",
        "torch.kthvalue(x, 2).values",
        "jnp.sort(x)[..., 1]",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES},
    ),
    Op("msort", "torch.msort(x)", "jnp.sort(x, 0)", samples={"ordinary": "distinct(3, 4)"}),
    Op(
        "searchsorted",
        "torch.searchsorted(x, y)",
        "jnp.searchsorted(x, y)",
        args="x y",
        orders=("value",),
        samples={
            "ordinary": "array([1., 2., 3.]), normal(4)",
            "edges: equal": "array([1., 2., 2., 3.]), array([2., 0., 4.])",
        },
    ),
    Op(
        "bucketize(right=True)",
        "torch.bucketize(y, x, right=True)",
        "jnp.searchsorted(x, y, side='right')",
        args="x y",
        orders=("value",),
        samples={
            "ordinary": "array([1., 2., 3.]), normal(4)",
            "edges: equal": "array([1., 2., 2., 3.]), array([2., 0., 4.])",
        },
    ),
)
