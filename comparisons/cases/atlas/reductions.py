"""Reductions."""

from __future__ import annotations

from comparisons.cases.atlas._op import TORCH_DOCS, Op, Remark

TIES = "array([[1., 3., 3.], [2., 2., 2.]])"
WITH_NAN = "array([[1., nan, 3.], [2., 0., 4.]])"
WITH_INF = "array([[1., inf, 3.], [2., -inf, 4.]])"
USUAL = {"ordinary": "normal(3, 4)", "edges: size 1": "array([[2.]])", "nonfinite: NaN": WITH_NAN}

# Of the function that JAX compiles for jnp.std: the axes that it reduces.
STD_AXES = (
    "next(e.params['axes'] for c in p['jaxpr'].eqns if 'jaxpr' in c.params"
    " for e in c.params['jaxpr'].eqns if e.primitive.name == 'reduce_sum')"
)


def _say_all_nan(name: str) -> Remark:
    return Remark(
        text=f"With a NaN, JAX's gradient of {name} is NaN everywhere (0 / 0: no element equals NaN);"
        " PyTorch's goes to the NaN.",
        axes=("nonfinite",),
        quantities=("vjp", "jvp"),
    )


def _say_one_of_the_equal(name: str, other: str) -> Remark:
    return Remark(
        text=f"At a tie torch.{name}(x, dim) gives the first of the equal elements the whole gradient;"
        f" JAX gives each its share, as torch.{other} does.",
        axes=("edges",),
        quantities=("vjp", "jvp"),
        link=f"{TORCH_DOCS}torch.{other}.html",
    )


def _say_correction(name: str) -> Remark:
    return Remark(
        text=f"Another default: torch.{name} divides by n - 1 (correction=1), jnp.{name} by n (ddof=0);"
        " of one number that is NaN, and 0.",
        axes=("ordinary", "edges"),
        link=f"{TORCH_DOCS}torch.{name}.html",
    )


def _say_product_at_nan() -> Remark:
    return Remark(
        text="The derivative by the NaN itself is the product of the others: JAX's second one is a"
        " number there, PyTorch's NaN.",
        axes=("nonfinite",),
        quantities=("hvp",),
    )


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
        remarks=(
            Remark(
                text="Of nothing but NaN the mean is 0 / 0: its gradient is NaN in PyTorch (infinity times the"
                " mask), 0 in JAX (jnp.where lets nothing through).",
                axes=("nonfinite",),
                quantities=("vjp",),
            ),
        ),
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
        remarks=(_say_product_at_nan(),),
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
        remarks=(_say_product_at_nan(),),
    ),
    Op(
        "max",
        "torch.max(x)",
        "jnp.max(x)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
        torch_like="jnp.mean(x, where=(x == jnp.max(x)) | jnp.isnan(x))",
        remarks=(_say_all_nan("a maximum"),),
    ),
    Op(
        "max(dim)",
        "torch.max(x, 1).values",
        "jnp.max(x, 1)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": TIES, "nonfinite: NaN": WITH_NAN},
        torch_like="jnp.take_along_axis(x, jnp.argmax(x, 1, keepdims=True), 1)[:, 0]",
        remarks=(_say_one_of_the_equal("max", "amax"), _say_all_nan("a maximum")),
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
        torch_like="jnp.mean(x, where=(x == jnp.min(x)) | jnp.isnan(x))",
        remarks=(_say_all_nan("a minimum"),),
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
        torch_like="jnp.take_along_axis(x, jnp.argmin(x, 1, keepdims=True), 1)[:, 0]",
        remarks=(_say_one_of_the_equal("min", "amin"), _say_all_nan("a minimum")),
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
        torch_like="jnp.mean(x, where=(x == jnp.quantile(x, 0.5, method='lower')) | jnp.isnan(x))",
        remarks=(
            Remark(
                text="Of an even count torch.median takes the lower of the two in the middle,"
                " jnp.median their mean.",
                axes=("edges",),
                quantities=("value", "vjp", "jvp"),
                link=f"{TORCH_DOCS}torch.median.html",
            ),
            Remark(
                text="Among equal elements torch.median without a dim shares the gradient out, as"
                " torch.amax does; JAX gives it to the one that its sort has in the middle.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
            Remark(
                text="With a NaN PyTorch's gradient goes to the NaN, JAX's is 0: jnp.median puts a"
                " constant NaN in.",
                axes=("nonfinite",),
                quantities=("vjp",),
            ),
            Remark(
                text="With a NaN PyTorch's forward mode gives NaN (0 / 0: no element equals NaN), its"
                " reverse mode 1 at the NaN; JAX gives 0 in both.",
                axes=("nonfinite",),
                quantities=("jvp",),
            ),
        ),
        seen_as="median",
        trap="x.size // max(1, p['jaxpr'].out_avals[0].size) % 2 == 0",
    ),
    Op(
        "nanmedian",
        "torch.nanmedian(x)",
        "jnp.nanmedian(x)",
        samples={
            "ordinary": "distinct(7)",
            "edges: even count": "distinct(6)",
            "edges: ties": "array([1., 2., 2., 2., 3.])",
            "nonfinite: NaN": "array([1., nan, 2., 3.])",
        },
        torch_like="jnp.mean(x, where=x == jnp.nanquantile(x, 0.5, method='lower'))",
        remarks=(
            Remark(
                text="Of an even count torch.nanmedian takes the lower of the two in the middle,"
                " jnp.nanmedian their mean.",
                axes=("edges",),
                quantities=("value", "vjp", "jvp"),
                link=f"{TORCH_DOCS}torch.nanmedian.html",
            ),
            Remark(
                text="Among equal elements torch.nanmedian without a dim shares the gradient out; JAX"
                " gives it to the one that its sort has in the middle.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
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
        torch_like="jnp.where(jnp.any(jnp.isnan(x)), jnp.sum(x, where=jnp.isnan(x)), jnp.quantile(x, 0.3))",
        remarks=(
            Remark(
                text="torch.quantile has no bfloat16: it raises.",
                axes=("ordinary",),
                dtypes=("bfloat16",),
                link=f"{TORCH_DOCS}torch.quantile.html",
            ),
            Remark(
                text="With a NaN PyTorch's gradient goes to the NaN (to one of them), JAX's is 0:"
                " jnp.quantile puts a constant NaN in.",
                axes=("nonfinite",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op(
        "std",
        "torch.std(x)",
        "jnp.std(x)",
        samples={"ordinary": "normal(3, 4)", "edges: size 1": "array([1.])"},
        torch_like="jnp.std(x, ddof=1)",
        remarks=(_say_correction("std"),),
        seen_as="_std",
        trap="(x.size == p['jaxpr'].out_avals[0].size) & (y == 0)",  # of one number each
    ),
    Op(
        "std(correction=0)",
        "torch.std(x, correction=0)",
        "jnp.std(x)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: equal values": "array([1., 1., 1.])",
            "edges: size 1": "array([1.])",
        },
        torch_like="(lambda v: jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1.0)), lax.stop_gradient(v)))(jnp.var(x))",
        remarks=(
            Remark(
                text="Of equal values, and of one number, whose std is always 0, JAX's derivatives are NaN:"
                " that of the root of 0 is infinite, and is multiplied by 0. PyTorch masks it, and gives 0.",
                axes=("edges",),
                quantities=("vjp", "jvp", "hvp"),
                wrong="JAX",
                link="https://github.com/jax-ml/jax/issues/11716",
                repro="import jax, jax.numpy as jnp\n"
                "print(jax.grad(jnp.std)(jnp.ones(1)))  # [nan]; true: [0.]",
            ),
        ),
        seen_as="_std",
        trap=f"(np.ptp(x, {STD_AXES}) == 0) & (x.size > y * p['jaxpr'].out_avals[0].size)",
    ),
    Op(
        "var",
        "torch.var(x)",
        "jnp.var(x)",
        samples={"ordinary": "normal(3, 4)", "edges: size 1": "array([1.])"},
        torch_like="jnp.var(x, ddof=1)",
        remarks=(
            _say_correction("var"),
            Remark(
                text="Of one number PyTorch's forward mode gives NaN, as its value; that of"
                " jnp.var(x, ddof=1) gives 0, as jnp.where has put the NaN in.",
                axes=("edges",),
                quantities=("jvp",),
            ),
        ),
        seen_as="_var",
        trap="(x.size == p['jaxpr'].out_avals[0].size) & (y == 0)",
    ),
    Op(
        "var(correction=0)",
        "torch.var(x, correction=0)",
        "jnp.var(x)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: equal values": "array([1., 1., 1.])",
            "edges: size 1": "array([1.])",
        },
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
