"""Gamma functions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

FIRST = ("vjp", "jvp")

# Here a step that the referee can take to the side of a pole is none: it takes too many digits.
FAR_BELOW = (-1e300,)


def _make_far_remark(*quantities: str) -> Remark:
    """JAX's polygamma is Hurwitz's zeta, whose series does not reach far below 0."""
    return Remark(
        text="JAX's polygamma is Hurwitz's zeta, summed for 9 terms and then by a series for large "
        "arguments: below -7 that is used where it does not hold, and below -8 it is far off.",
        axes=("ordinary",),
        quantities=quantities,
        wrong="JAX",
        link="https://github.com/jax-ml/jax/issues/37635",
        repro="import jax\n"
        'print(f"{jax.grad(jax.scipy.special.digamma)(-8.5):.3g}")  # 6.79; true: 9.76',
    )


def _make_trigamma_remark(*quantities: str) -> Remark:
    return Remark(
        text="PyTorch's trigamma goes up by 6 and takes 3 terms of the series: up to 5e-10 off at "
        "float64.",
        axes=("ordinary",),
        quantities=quantities,
        dtypes=("float64",),
        wrong="PyTorch",
        repro="import torch\nx = torch.tensor(3.0, dtype=torch.float64)\n"
        'print(f"{torch.polygamma(1, x):.10f}")  # 0.3949340669; true: 0.3949340668',
    )


def _make_finite_pole_remark(*quantities: str) -> Remark:
    return Remark(
        text="PyTorch's trigamma is finite at the poles below 0, as it divides by sin(pi x), whose "
        "argument is rounded: 1.6e32 at -2; and 13 at -1e30, itself an integer and a pole.",
        axes=("edges", "large"),
        quantities=quantities,
        wrong="PyTorch",
        repro="import torch\nx = torch.tensor(-2.0, dtype=torch.float64)\n"
        'print(f"{torch.polygamma(1, x):.2g}")  # 1.6e+32; true: inf',
    )


def _make_pole_remark(*quantities: str) -> Remark:
    return Remark(
        text="At a pole that changes sign JAX gives NaN, PyTorch an infinity.",
        axes=("edges", "large"),
        quantities=quantities,
        link="https://github.com/jax-ml/jax/issues/37763",
    )


def _make_infinity_remark(*quantities: str) -> Remark:
    return Remark(
        text="At infinity JAX's zeta is NaN, at -infinity infinite or NaN; PyTorch's trigamma is 0 "
        "and NaN there, its zeta 0 and infinite.",
        axes=("nonfinite",),
        quantities=quantities,
    )


def _make_underflow_remark(*quantities: str) -> Remark:
    return Remark(
        text="JAX's zeta(2, x) squares x, whose reciprocal is denormal or 0 from 7e153 on: it gives "
        "0 for about 1 / x.",
        axes=("large",),
        quantities=quantities,
    )


def _make_incomplete_remarks(function: str) -> tuple[Remark, ...]:
    return (
        Remark(
            text=f"PyTorch has no derivative of {function} in its first argument; JAX has no "
            "second one there.",
            axes=("ordinary",),
            quantities=("vjp", "jvp", "hvp"),
        ),
        Remark(
            text="At y = 0 and x = 1 JAX's slope in y multiplies log(0) by 0, NaN, and its forward "
            "mode in x adds 0 times that.",
            axes=("modes",),
            wrong="JAX",
            repro="import jax\nslope = jax.grad(jax.scipy.special.gammainc, 1)\n"
            'print(f"{slope(1.0, 0.0):.3g}")  # nan; true: 1',
        ),
        Remark(
            text="At infinite x PyTorch has all of the mass above y, even if y is NaN; JAX gives "
            "NaN.",
            axes=("nonfinite",),
            quantities=("value",),
        ),
    )


OPS = (
    Op(
        "lgamma",
        "torch.lgamma(x)",
        "jsp.special.gammaln(x)",
        "lgamma(x)",
        domain=(-10, 50),
        points=(-2.0, -2.5, 1e305),
        avoid=FAR_BELOW,
        remarks=(
            Remark(
                text="JAX's Lanczos sum cancels near the roots at 1 and 2: some 200 units are lost "
                "there.",
                axes=("ordinary",),
                quantities=("value",),
            ),
            Remark(
                text="Near the roots of digamma below 0 the terms of its reflection cancel: 50 to "
                "160 units are lost.",
                axes=("ordinary",),
                quantities=FIRST,
            ),
            _make_far_remark("hvp"),
            _make_trigamma_remark("hvp"),
            _make_finite_pole_remark("hvp"),
            _make_pole_remark("vjp", "jvp"),
            _make_infinity_remark("hvp"),
            _make_underflow_remark("hvp"),
        ),
    ),
    Op(
        "digamma",
        "torch.digamma(x)",
        "jsp.special.digamma(x)",
        "digamma(x)",
        domain=(-10, 50),
        points=(-2.0, -2.5),
        avoid=FAR_BELOW,
        torch_like="jnp.where(x < 0, jsp.special.digamma(jnp.where(x < 0, 1 - x, 1.0))"
        " - jnp.pi * jnp.tan(jnp.pi * (0.5 - jnp.where(x < 0, x, 0.5))),"
        " jsp.special.digamma(jnp.where(x < 0, 1.0, x)))",
        seen_as="digamma",
        trap="x < -8",
        remarks=(
            _make_far_remark("vjp", "jvp", "hvp"),
            _make_trigamma_remark("vjp", "jvp"),
            _make_finite_pole_remark("vjp", "jvp"),
            _make_pole_remark("value", "hvp"),
            _make_infinity_remark("vjp", "jvp", "hvp"),
            _make_underflow_remark("vjp", "jvp"),
        ),
    ),
    Op(
        "polygamma(1)",
        "torch.polygamma(1, x)",
        "jsp.special.polygamma(1, x)",
        "polygamma(1, x)",
        domain=(0.01, 50),
        points=(-2.0, -2.5),
        avoid=FAR_BELOW,
        remarks=(
            _make_trigamma_remark("value"),
            _make_finite_pole_remark("value"),
            _make_pole_remark("vjp", "jvp"),
            Remark(
                text="JAX's zeta(2, x) is NaN at infinity, where it tends to 0.",
                axes=("nonfinite",),
                quantities=("value",),
                wrong="JAX",
                repro="import jax\nx = float('inf')\n"
                'print(f"{jax.scipy.special.polygamma(1, x):.3g}")  # nan; true: 0',
            ),
            _make_infinity_remark("vjp", "jvp"),
            _make_underflow_remark("value"),
        ),
    ),
    Op(
        "polygamma(2)",
        "torch.polygamma(2, x)",
        "jsp.special.polygamma(2, x)",
        "polygamma(2, x)",
        domain=(0.01, 50),
        points=(-2.0, -2.5),
        avoid=FAR_BELOW,
        remarks=(_make_pole_remark("value", "hvp"), _make_infinity_remark("value", "hvp")),
    ),
    Op(
        "zeta",
        "special.zeta(x, y)",
        "jsp.special.zeta(x, y)",
        "zeta(x, y)",
        args="x y",
        domain=((1.5, 8), (0.5, 8)),
        avoid=((float("inf"), 0.0),),  # mpmath's number there is that of another limit
        remarks=(
            Remark(
                text="PyTorch has no derivative in the first argument.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
            ),
            Remark(
                text="PyTorch has no zeta for bfloat16 on a CPU.",
                axes=("ordinary",),
                dtypes=("bfloat16",),
            ),
            Remark(
                text="Where x = 0 and y is 0 or below there is no value: PyTorch gives NaN, JAX "
                "infinity.",
                axes=("edges",),
                quantities=("value",),
            ),
            Remark(
                text="For x so large that only the first term of the series is left, JAX's is NaN.",
                axes=("large", "nonfinite"),
                quantities=("value",),
                wrong="JAX",
                repro="import jax\n"
                'print(f"{jax.scipy.special.zeta(1e30, 1.0):.3g}")  # nan; true: 1',
            ),
            Remark(
                text="At x = y = 0 the slope in x, lgamma(y) - log(2 pi) / 2, is infinite: JAX's "
                "reverse mode gives its second half, the forward mode NaN.",
                axes=("modes",),
                wrong="JAX",
                repro="import jax\nslope = jax.grad(jax.scipy.special.zeta)\n"
                'print(f"{slope(0.0, 0.0):.3g}")  # -0.919; true: inf',
            ),
        ),
    ),
    Op(
        "gammainc",
        "special.gammainc(x, y)",
        "jsp.special.gammainc(x, y)",
        "lowergamma(x, y)/gamma(x)",
        args="x y",
        domain=((0.5, 8), (0.1, 12)),
        avoid=((1e300, 1e300), (float("inf"), float("inf"))),
        remarks=(
            *_make_incomplete_remarks("gammainc"),
            Remark(
                text="JAX's factor exp(x log(y) - y - lgamma(x)) rounds its exponent: some 60 "
                "units at float32.",
                axes=("ordinary",),
                quantities=("value",),
                dtypes=("float32",),
            ),
            Remark(
                text="At x = 0 all of the mass is at 0, and JAX gives NaN.",
                axes=("edges",),
                quantities=("value",),
                wrong="JAX",
                repro="import jax\n"
                'print(f"{jax.scipy.special.gammainc(0.0, 0.5):.3g}")  # nan; true: 1',
            ),
        ),
    ),
    Op(
        "gammaincc",
        "special.gammaincc(x, y)",
        "jsp.special.gammaincc(x, y)",
        "uppergamma(x, y)/gamma(x)",
        args="x y",
        domain=((0.5, 8), (0.1, 12)),
        avoid=((1e300, 1e300), (float("inf"), float("inf"))),
        remarks=_make_incomplete_remarks("gammaincc"),
    ),
    Op(
        "multigammaln",
        "torch.mvlgamma(x, 2)",
        "jsp.special.multigammaln(x, 2)",
        "log(pi)/2 + lgamma(x) + lgamma(x - 1/2)",
        domain=(0.6, 30),
        avoid=FAR_BELOW,
        remarks=(
            _make_trigamma_remark("hvp"),
            _make_finite_pole_remark("hvp"),
            _make_pole_remark("vjp", "jvp"),
            _make_infinity_remark("hvp"),
            _make_underflow_remark("hvp"),
        ),
    ),
)
