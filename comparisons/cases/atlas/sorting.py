"""Sorting and searching."""

from __future__ import annotations

from comparisons.cases.atlas._op import TORCH_DOCS, Op, Remark

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
        torch_like="jnp.take_along_axis(x, jnp.argsort(x, 1, descending=True), 1)",
        remarks=(
            Remark(
                text="Equal elements keep their order in PyTorch (up to 16 of them, or with stable=True),"
                " but jnp.sort turns an ascending order round, and theirs with it: the gradient comes to"
                " another of them.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
                link=f"{TORCH_DOCS}torch.sort.html",
            ),
        ),
    ),
    Op(
        "argsort(stable)",
        "torch.argsort(x, dim=1, stable=True)",
        "jnp.argsort(x, 1)",
        orders=("value",),
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "nonfinite: NaN": "array([[2., nan, 1.]])",
        },
    ),
    Op(
        "argsort",
        "torch.argsort(x)",
        "jnp.argsort(x)",
        orders=("value",),
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "edges: 17 equal": "np.ones(17)",
        },
        remarks=(
            Remark(
                text="Of more than 16 elements PyTorch leaves equal ones in any order; JAX's sort is stable."
                " The gradients of torch.sort and jnp.sort go with them.",
                axes=("edges",),
                link=f"{TORCH_DOCS}torch.argsort.html",
            ),
        ),
    ),
    Op(
        "argsort(descending, stable)",
        "torch.argsort(x, dim=1, descending=True, stable=True)",
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
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": TIES,
            "edges: 8 equal": "array([1., 1., 1., 1., 1., 1., 1., 1.])",
        },
        remarks=(
            Remark(
                text="Of equal elements lax.top_k takes the first, PyTorch any that its selection comes to"
                " (of eight the seventh and the sixth); the gradient goes there.",
                axes=("edges",),
                link=f"{TORCH_DOCS}torch.topk.html",
            ),
        ),
    ),
    Op(
        "kthvalue",
        "torch.kthvalue(x, 2).values",
        "jnp.sort(x)[..., 1]",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES},
        torch_like="jnp.take_along_axis(x, jnp.argmax(x == jnp.sort(x)[..., 1:2], -1, keepdims=True), -1)[..., 0]",
        remarks=(
            Remark(
                text="Of equal elements JAX's stable sort gives the gradient to the one that comes k-th,"
                " PyTorch's selection to any of them (here to the first).",
                axes=("edges",),
                quantities=("vjp", "jvp"),
                link=f"{TORCH_DOCS}torch.kthvalue.html",
            ),
        ),
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
