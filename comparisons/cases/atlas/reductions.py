"""Reductions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

TIES = "array([[1., 3., 3.], [2., 2., 2.]])"
WITH_NAN = "array([[1., nan, 3.], [2., 0., 4.]])"
WITH_INF = "array([[1., inf, 3.], [2., -inf, 4.]])"
USUAL = {"ordinary": "normal(3, 4)", "edges: size 1": "array([[2.]])", "nonfinite: NaN": WITH_NAN}

OPS = (
    Op(
        "sum",
        "torch.sum(x)",
        "jnp.sum(x)",
        samples={**USUAL, "edges: empty": "normal(0)", "nonfinite: inf": WITH_INF},
    ),
    Op(
        "sum(dim)",
        "torch.sum(x, 1)",
        "jnp.sum(x, 1)",
        samples={**USUAL, "edges: empty": "normal(3, 0)"},
    ),
    Op("mean", "torch.mean(x)", "jnp.mean(x)", samples={**USUAL, "edges: empty": "normal(0)"}),
    Op("mean(dim)", "torch.mean(x, 1)", "jnp.mean(x, 1)", samples=USUAL),
    Op("nansum", "torch.nansum(x)", "jnp.nansum(x)", samples=USUAL),
    Op(
        "nanmean",
        "torch.nanmean(x)",
        "jnp.nanmean(x)",
        samples={**USUAL, "nonfinite: all NaN": "array([nan, nan])"},
    ),
    Op(
        "prod",
        "torch.prod(x)",
        "jnp.prod(x)",
        samples={
            **USUAL,
            "edges: a zero": "array([2., 0., 3.])",
            "edges: two zeros": "array([2., 0., 0., 3.])",
            "edges: empty": "normal(0)",
        },
    ),
    Op(
        "prod(dim)",
        "torch.prod(x, 1)",
        "jnp.prod(x, 1)",
        samples={
            **USUAL,
            "edges: a zero": "array([[2., 0., 3.]])",
            "edges: two zeros": "array([[2., 0., 0.]])",
        },
    ),
    Op(
        "max",
        "torch.max(x)",
        "jnp.max(x)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
    ),
    Op(
        "max(dim)",
        "torch.max(x, 1).values",
        "jnp.max(x, 1)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
        remarks=(
            Remark(
                text="At a tie torch.max(x, dim) gives one of the equal elements the whole gradient;"
                " JAX gives each its share, as torch.amax does.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        seen_as="reduce_max",
        trap="(np.sum(x == np.max(x, p['axes'], keepdims=True), p['axes']) > 1) & (len(p['axes']) == 1)",
    ),
    Op(
        "min",
        "torch.min(x)",
        "jnp.min(x)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([1., 1., 2.])",
            "nonfinite: NaN": WITH_NAN,
        },
    ),
    Op(
        "min(dim)",
        "torch.min(x, 1).values",
        "jnp.min(x, 1)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([[1., 1., 2.]])",
            "nonfinite: NaN": WITH_NAN,
        },
        remarks=(
            Remark(
                text="At a tie torch.min(x, dim) gives one of the equal elements the whole gradient;"
                " JAX gives each its share, as torch.amin does.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        seen_as="reduce_min",
        trap="(np.sum(x == np.min(x, p['axes'], keepdims=True), p['axes']) > 1) & (len(p['axes']) == 1)",
    ),
    Op(
        "amax",
        "torch.amax(x, 1)",
        "jnp.max(x, 1)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
    ),
    Op(
        "amin",
        "torch.amin(x, 1)",
        "jnp.min(x, 1)",
        samples={
            "ordinary": "distinct(3, 4)",
            "edges: ties": "array([[1., 1., 2.]])",
            "nonfinite: NaN": WITH_NAN,
        },
    ),
    Op(
        "argmax",
        "torch.argmax(x, 1)",
        "jnp.argmax(x, 1)",
        orders=("value",),
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
    ),
    Op(
        "argmin",
        "torch.argmin(x, 1)",
        "jnp.argmin(x, 1)",
        orders=("value",),
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
    ),
    Op(
        "median",
        "torch.median(x)",
        "jnp.median(x)",
        samples={
            "ordinary": "distinct(7)",
            "edges: even count": "distinct(6)",
            "edges: ties": "array([1., 2., 2., 2., 3.])",
            "nonfinite: NaN": "array([1., nan, 2.])",
        },
        torch_like="jnp.sort(x)[(x.size - 1) // 2]",
        seen_as="median",
        trap="x.shape[-1] % 2 == 0",
    ),
    Op(
        "nanmedian",
        "torch.nanmedian(x)",
        "jnp.nanmedian(x)",
        samples={
            "ordinary": "distinct(7)",
            "edges: even count": "distinct(6)",
            "nonfinite: NaN": "array([1., nan, 2., 3.])",
        },
    ),
    Op(
        "quantile",
        "torch.quantile(x, 0.3)",
        "jnp.quantile(x, 0.3)",
        samples={
            "ordinary": "distinct(7)",
            "edges: ties": "array([1., 2., 2., 2., 3.])",
            "nonfinite: NaN": "array([1., nan, 2.])",
        },
    ),
    Op(
        "std",
        "torch.std(x)",
        "jnp.std(x)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: equal values": "array([1., 1., 1.])",
            "edges: size 1": "array([1.])",
        },
        torch_like="jnp.std(x, ddof=1)",
        seen_as="_std",
        trap="x.size > 0",
    ),
    Op(
        "std(correction=0)",
        "torch.std(x, correction=0)",
        "jnp.std(x)",
        samples={"ordinary": "normal(3, 4)", "edges: equal values": "array([1., 1., 1.])"},
        seen_as="_std",
        trap="np.any(np.ptp(x, -1) == 0)",
    ),
    Op(
        "var",
        "torch.var(x)",
        "jnp.var(x)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: equal values": "array([1., 1., 1.])",
            "edges: size 1": "array([1.])",
        },
        torch_like="jnp.var(x, ddof=1)",
        seen_as="_var",
        trap="x.size > 0",
    ),
    Op(
        "var(correction=0)",
        "torch.var(x, correction=0)",
        "jnp.var(x)",
        samples={"ordinary": "normal(3, 4)", "edges: equal values": "array([1., 1., 1.])"},
    ),
    Op(
        "logsumexp",
        "torch.logsumexp(x, 1)",
        "nn.logsumexp(x, 1)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: ties": TIES,
            "nonfinite: -inf": "array([[1., -inf], [-inf, -inf]])",
            "nonfinite: inf": "array([[1., inf]])",
            "large": "array([[1e30, -1e30], [800., 800.]])",
        },
    ),
    Op(
        "all",
        "torch.all(x > 0, 1)",
        "jnp.all(x > 0, 1)",
        orders=("value",),
        samples={"ordinary": "normal(3, 4)", "edges: empty": "normal(2, 0)"},
    ),
    Op(
        "any",
        "torch.any(x > 0, 1)",
        "jnp.any(x > 0, 1)",
        orders=("value",),
        samples={"ordinary": "normal(3, 4)", "edges: empty": "normal(2, 0)"},
    ),
    Op(
        "count_nonzero",
        "torch.count_nonzero(x, 1)",
        "jnp.count_nonzero(x, 1)",
        orders=("value",),
        samples={"ordinary": "normal(3, 4)", "edges: -0": "array([[0., -0., 1.]])"},
    ),
    Op(
        "aminmax",
        "tuple(torch.aminmax(x))",
        "(jnp.min(x), jnp.max(x))",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES},
    ),
    Op(
        "histc",
        "torch.histc(x, 4, -2, 2)",
        "jnp.histogram(x, 4, (-2, 2))[0].astype(x.dtype)",
        orders=("value",),
        samples={"ordinary": "normal(12)", "edges: bounds": "array([-2., 2., 0., 3.])"},
    ),
    Op(
        "bincount",
        "torch.bincount(x, minlength=5)",
        "jnp.bincount(x, length=5)",
        orders=("value",),
        samples={"ordinary": "ints(5, 9)"},
    ),
)
