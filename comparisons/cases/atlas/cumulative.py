"""Cumulative operations and differences."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

TIES = "array([[1., 3., 3.], [2., 2., 2.]])"
PAIRS = "array([[1., 3., 3.], [2., 4., 4.]])"
WITH_NAN = "array([[1., nan, 3.], [2., 0., 4.]])"
USUAL = {"ordinary": "normal(3, 4)", "edges: size 1": "array([[2.]])", "nonfinite: NaN": WITH_NAN}


def _say_last(name: str) -> Remark:
    return Remark(
        text=f"At a tie torch.{name} gives the last of the equal elements the whole gradient; JAX"
        " halves it at each step of its scan, as at a tie of jnp.maximum.",
        axes=("edges",),
        quantities=("vjp", "jvp"),
    )


def _say_from_nan_on(name: str) -> Remark:
    return Remark(
        text=f"From a NaN on the gradient goes to the NaN in PyTorch; lax.{name} compares with NaN, and"
        " it goes nowhere.",
        axes=("nonfinite",),
        quantities=("vjp", "jvp"),
    )


def _take_last(cumulative: str) -> str:
    """An expression for what PyTorch's does: the last element that is the extreme up to there."""
    found = f"(x == {cumulative}(x, 1)) | jnp.isnan(x)"
    return (
        f"jnp.take_along_axis(x, lax.cummax(jnp.where({found}, jnp.arange(x.shape[1]), 0), 1), 1)"
    )


def _find_ties(accumulate: str) -> str:
    """A trap: elements that are equal to the extreme of those before them."""
    before = (
        f"{accumulate}.accumulate(np.take(x, range(x.shape[p['axis']] - 1), p['axis']), p['axis'])"
    )
    return f"(np.take(x, range(1, x.shape[p['axis']]), p['axis']) == {before}) & (not p['reverse'])"


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
        remarks=(
            Remark(
                text="The derivative by the NaN itself is made of the others: JAX's is a number there;"
                " PyTorch's is NaN, it divides by the element.",
                axes=("nonfinite",),
                quantities=("vjp", "hvp"),
            ),
        ),
    ),
    Op(
        "cummax",
        "torch.cummax(x, 1).values",
        "lax.cummax(x, 1)",
        samples={"ordinary": "distinct(3, 4)", "edges: ties": PAIRS, "nonfinite: NaN": WITH_NAN},
        torch_like=_take_last("lax.cummax"),
        remarks=(_say_last("cummax"), _say_from_nan_on("cummax")),
        seen_as="cummax",
        trap=_find_ties("np.maximum"),
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
        torch_like=_take_last("lax.cummin"),
        remarks=(_say_last("cummin"), _say_from_nan_on("cummin")),
        seen_as="cummin",
        trap=_find_ties("np.minimum"),
    ),
    Op(
        "logcumsumexp",
        "torch.logcumsumexp(x, 1)",
        "lax.cumlogsumexp(x, 1)",
        samples={
            "ordinary": "normal(3, 4)",
            "edges: ties": TIES,
            "nonfinite: -inf": "array([[-inf, 1., 2.]])",
            "large: apart": "array([[0., 40., 40.]])",
            "large: 1e12": "array([[1e12]])",
        },
        remarks=(
            Remark(
                text="PyTorch's forward mode scales by the greatest of all, not of those up to there, and"
                " adds 1e-13: where a later element is greater by 30, half of the derivative is gone.",
                axes=("large",),
                quantities=("jvp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/196705",
                repro="import torch\n"
                "x, t = torch.tensor([0.0, 40.0]), torch.tensor([1.0, 0.0])\n"
                "pushed = torch.func.jvp(lambda x: torch.logcumsumexp(x, 0), (x,), (t,))[1]\n"
                'print(f"{pushed[0].item():.1g}")  # 4e-05; true: 1',
            ),
            Remark(
                text="PyTorch's backward adds the logarithm of the gradient to the elements: as many"
                " digits are lost as they have before the point, all from 1e8 on in float32.",
                axes=("large",),
                quantities=("vjp", "hvp"),
                wrong="PyTorch",
                repro="import torch\n"
                "x = torch.tensor([1e8], requires_grad=True)\n"
                "(0.3 * torch.logcumsumexp(x, 0)).sum().backward()\n"
                'print(f"{x.grad.item():.3g}")  # 1; true: 0.3',
            ),
            Remark(
                text="After a leading -inf the first result is x[0] itself, with derivative 1 in JAX;"
                " PyTorch subtracts -inf from -inf (NaN in reverse), or adds 1e-13 (0 forward).",
                axes=("nonfinite",),
            ),
        ),
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
