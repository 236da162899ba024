"""Special functions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

FIRST = ("vjp", "jvp")
DERIVATIVES = ("vjp", "jvp", "hvp")

EXPONENT_ROUNDED = Remark(
    text="In the tail the square in the exponent is rounded before exp magnifies that: up to 150 "
    "units at 12 standard deviations.",
    axes=("ordinary",),
)
MEAN_CANCELS = Remark(
    text="Both derive a scaled Bessel function as a difference of two, which cancels as |x| grows: "
    "by x for the first derivative, by x ** 2 for the second.",
    axes=("ordinary",),
    quantities=DERIVATIVES,
)


def _make_missing_remark(who: str, function: str, *quantities: str) -> Remark:
    return Remark(
        text=f"{who} no {function} for bfloat16 on a CPU.", axes=("ordinary",), dtypes=("bfloat16",)
    )


def _make_forward_nan_remark(function: str, logarithm: str, at: str) -> Remark:
    """A function that is 0 at x = 0 whatever y is."""
    return Remark(
        text=f"JAX's forward mode in y adds {logarithm} times a tangent of 0, which is NaN {at}; "
        "its reverse mode does not.",
        axes=("edges", "nonfinite", "modes"),
        quantities=("jvp",),
        wrong="JAX",
        repro=f"import jax\nfrom jax.scipy.special import {function}\n"
        f"_, slope = jax.jvp(lambda y: {function}(1.0, y), (float('inf'),), (1.0,))\n"
        'print(f"{slope:.3g}")  # nan; true: 0',
    )


def _make_masked_remark(function: str, pole: float) -> Remark:
    return Remark(
        text=f"PyTorch masks the slope in x where x is 0 and y is {pole:.0f} or below: 0 in place "
        "of -inf; its forward mode gives NaN.",
        axes=("edges", "modes"),
        quantities=FIRST,
        wrong="PyTorch",
        repro="import torch\nx = torch.tensor(0.0, requires_grad=True)\n"
        f"y = torch.special.{function}(x, torch.tensor({pole}))\n"
        'print(f"{torch.autograd.grad(y, x)[0]:.3g}")  # 0; true: -inf',
    )


def _make_square_remark(what: str) -> Remark:
    return Remark(
        text=f"{what}: the second derivative's 1e-300 becomes 0 or is doubled.",
        axes=("large",),
        quantities=("hvp",),
    )


OPS = (
    Op("erf", "torch.erf(x)", "jsp.special.erf(x)", "erf(x)"),
    Op(
        "erfc",
        "torch.erfc(x)",
        "jsp.special.erfc(x)",
        "erfc(x)",
        domain=(-6, 10),
        points=(26.0, 27.0, -6.0),
        remarks=(
            Remark(
                text="JAX flushes exp(-x ** 2) to 0 where it is denormal, before x multiplies it: "
                "at float32 the second derivative is 0 from 9.35 on.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            Remark(
                text="Both square x at bfloat16, and exp magnifies what that rounds.",
                axes=("ordinary",),
                quantities=FIRST,
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op("erfinv", "torch.erfinv(x)", "jsp.special.erfinv(x)", "erfinv(x)", domain=(-1, 1)),
    Op(
        "i0",
        "torch.i0(x)",
        "jsp.special.i0(x)",
        "besseli(0, x)",
        domain=(-80, 80),
        points=(700.0,),
        torch_like="jsp.special.i0e(x) * jnp.exp(x * jnp.sign(x))",
        remarks=(
            Remark(
                text="JAX's is exp(|x|) i0e(x), and its abs has slope 1 at 0: so has i0, and its "
                "second derivative is 1 too much.",
                axes=("edges",),
                quantities=DERIVATIVES,
                wrong="JAX",
                link="https://github.com/jax-ml/jax/pull/40640",
                repro="import jax\n"
                'print(f"{jax.grad(jax.scipy.special.i0)(0.0):.3g}")  # 1; true: 0',
            ),
            Remark(
                text="JAX derives the product exp(|x|) i0e(x), whose two terms cancel near 0.",
                axes=("ordinary", "jit"),
                quantities=FIRST,
            ),
            Remark(
                text="JAX derives the product exp(|x|) i0e(x) as infinity times a difference: NaN "
                "where the value overflows, from 710 on, at float32 from 89 on.",
                axes=("large",),
                quantities=FIRST,
                wrong="JAX",
                repro="import jax\n"
                'print(f"{jax.grad(jax.scipy.special.i0)(100.0):.3g}")  # nan; true: inf',
            ),
            Remark(
                text="PyTorch's i1 has the slope 0.5 wherever |x| is not above rounding, at NaN, "
                "too.",
                axes=("nonfinite",),
                quantities=("hvp",),
            ),
            _make_missing_remark("PyTorch has", "second derivative", "hvp"),
        ),
        seen_as="i0",
        trap="x == 0",
    ),
    Op(
        "i0e",
        "special.i0e(x)",
        "jsp.special.i0e(x)",
        "besseli(0, x)*exp(-Abs(x))",
        domain=(-80, 80),
        points=(700.0,),
        remarks=(MEAN_CANCELS, _make_missing_remark("PyTorch has", "second derivative", "hvp")),
    ),
    Op(
        "i1",
        "special.i1(x)",
        "jsp.special.i1(x)",
        "besseli(1, x)",
        domain=(-80, 80),
        points=(700.0,),
        torch_like="jsp.special.i1e(x) * jnp.exp(x * jnp.sign(x))",
        remarks=(
            Remark(
                text="Both derive i1 as i0(x) - i1(x) / x or its like, whose own derivative "
                "cancels near 0: half of the digits are gone at 1e-4.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            Remark(
                text="JAX's is exp(|x|) i1e(x), and its abs has slope 1 at 0: so has the first "
                "derivative.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="JAX",
                repro="import jax\nslope = jax.grad(jax.scipy.special.i1)\n"
                'print(f"{jax.grad(slope)(0.0):.3g}")  # 1; true: 0',
            ),
            Remark(
                text="PyTorch's i1 has the slope 0.5 wherever |x| is not above rounding, at NaN, "
                "too.",
                axes=("nonfinite",),
                quantities=DERIVATIVES,
            ),
            _make_missing_remark("PyTorch has", "derivative", *DERIVATIVES),
        ),
    ),
    Op(
        "i1e",
        "special.i1e(x)",
        "jsp.special.i1e(x)",
        "besseli(1, x)*exp(-Abs(x))",
        domain=(-80, 80),
        points=(700.0,),
        remarks=(MEAN_CANCELS, _make_missing_remark("PyTorch has", "derivative", *DERIVATIVES)),
    ),
    Op(
        "bessel_j0",
        "special.bessel_j0(x)",
        "jsp.special.bessel_jn(x, v=0, n_iter=80)[0]",
        "besselj(0, x)",
        domain=(0.1, 20),
        orders=("value",),
        remarks=(
            Remark(
                text="PyTorch's rational approximations are good for float32: 1e-8 off just below "
                "5, 4e-7 just above, 1e-11 at 12.",
                axes=("ordinary",),
                dtypes=("float64",),
                wrong="PyTorch",
                repro="import torch\nx = torch.tensor(5.5, dtype=torch.float64)\n"
                'print(f"{torch.special.bessel_j0(x):.7f}")  # -0.0068440; true: -0.0068439',
            ),
            Remark(
                text="JAX's recurrence from order 80 downwards overflows at float32 for x below "
                "14: NaN; with the 50 orders that are its default for x below 3.",
                axes=("ordinary",),
                dtypes=("float32",),
                wrong="JAX",
                repro="import jax, jax.numpy as jnp\n"
                "y = jax.scipy.special.bessel_jn(jnp.array([1.0]), v=0)\n"
                'print(f"{y[0, 0]:.3g}")  # nan; true: 0.765',
            ),
            Remark(
                text="JAX's recurrence divides by x: NaN at 0.",
                axes=("edges",),
                wrong="JAX",
                repro="import jax, jax.numpy as jnp\n"
                "y = jax.scipy.special.bessel_jn(jnp.array([0.0]), v=0)\n"
                'print(f"{y[0, 0]:.3g}")  # nan; true: 1',
            ),
            Remark(
                text="JAX's recurrence holds for x below its number of orders, and means nothing "
                "beyond; PyTorch's phase x - pi / 4 is rounded, to x from 1e17 on.",
                axes=("large",),
                wrong="both",
                repro="import torch\nx = torch.tensor(1e30, dtype=torch.float64)\n"
                'print(f"{torch.special.bessel_j0(x):.2g}")  # -8e-16; true: -5.6e-16',
            ),
            _make_missing_remark("PyTorch has", "kernel"),
        ),
    ),
    Op(
        "ndtr",
        "special.ndtr(x)",
        "jsp.special.ndtr(x)",
        "ndtr(x)",
        domain=(-12, 6),
        points=(-37.0, -38.0, 8.0),
        remarks=(
            Remark(
                text="PyTorch computes 1 + erf(x / sqrt(2)), which cancels for negative x: 0 below "
                "-8.3 at float64, -5.6 at float32.",
                axes=("ordinary", "edges"),
                quantities=("value",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/187806",
                repro="import torch\nx = torch.tensor(-10.0, dtype=torch.float64)\n"
                'print(f"{torch.special.ndtr(x):.3g}")  # 0; true: 7.62e-24',
            ),
            EXPONENT_ROUNDED,
            _make_missing_remark("JAX has", "ndtr"),
        ),
    ),
    Op(
        "ndtri",
        "special.ndtri(x)",
        "jsp.special.ndtri(x)",
        "sqrt(2)*erfinv(2*x - 1)",
        domain=(1e-5, 0.99999),
        points=(0.02425,),
        remarks=(
            Remark(
                text="JAX differentiates its rational approximation: the second derivative loses "
                "up to 300 units before its seam at 1 - exp(-2).",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            Remark(
                text="At 0 and 1 JAX puts in the infinite value, whose slope is 0 in place of "
                "infinity.",
                axes=("edges",),
                quantities=DERIVATIVES,
                wrong="JAX",
                repro="import jax\n"
                'print(f"{jax.grad(jax.scipy.special.ndtri)(0.0):.3g}")  # 0; true: inf',
            ),
            _make_missing_remark("Both have", "ndtri"),
        ),
    ),
    Op(
        "log_ndtr",
        "special.log_ndtr(x)",
        "jsp.special.log_ndtr(x)",
        "log(ndtr(x))",
        domain=(-30, 6),
        points=(-37.0, -1e5),
        remarks=(
            Remark(
                text="JAX takes the logarithm of a number near 1 up to x = 8 (5 at float32): of "
                "what is left at 7.9, 3 % is wrong.",
                axes=("ordinary",),
                quantities=("value",),
                wrong="JAX",
                repro="import jax\njax.config.update('jax_enable_x64', True)\n"
                'print(f"{jax.scipy.special.log_ndtr(7.9):.2e}")  # -1.44e-15; true: -1.39e-15',
            ),
            Remark(
                text="Below -20 (-10 at float32) JAX takes 3 terms of the asymptotic series: the "
                "slope is 4e-9 off at -20, the second derivative 1e-6.",
                axes=("ordinary",),
                quantities=DERIVATIVES,
                dtypes=("float64",),
                wrong="JAX",
                repro="import jax\njax.config.update('jax_enable_x64', True)\n"
                "slope = jax.grad(jax.scipy.special.log_ndtr)(-20.1)\n"
                'print(f"{slope:.8f}")  # 20.14950803; true: 20.14950795',
            ),
            Remark(
                text="Both derive log_ndtr as exp(-x ** 2 / 2 - log_ndtr(x)): the exponent's terms "
                "cancel as x falls, and the second derivative's by x ** 2 more.",
                axes=("ordinary", "edges"),
                quantities=DERIVATIVES,
                wrong="both",
                repro="import jax\njax.config.update('jax_enable_x64', True)\n"
                "second = jax.grad(jax.grad(jax.scipy.special.log_ndtr))(-1e5)\n"
                'print(f"{abs(second) > 2}")  # True; true: False',
            ),
            Remark(
                text="Where x ** 2 fills all digits nothing is left of the exponent: JAX's slope "
                "is 1, PyTorch's infinite.",
                axes=("large",),
                quantities=DERIVATIVES,
                wrong="both",
                repro="import jax\njax.config.update('jax_enable_x64', True)\n"
                "slope = jax.grad(jax.scipy.special.log_ndtr)(-1e30)\n"
                'print(f"{slope:.3g}")  # 1; true: 1e+30',
            ),
            _make_missing_remark("Both have", "log_ndtr"),
        ),
    ),
    Op(
        "entr",
        "special.entr(x)",
        "jsp.special.entr(x)",
        "-x*log(x)",
        domain=(1e-6, 50),
        remarks=(
            Remark(
                text="Below 0 the value is -inf: PyTorch's slope is NaN there, and its second "
                "derivative -1 / x; JAX's are NaN in reverse mode and 0 forward, which contradict "
                "each other.",
                axes=("edges", "large", "nonfinite", "modes"),
                quantities=("jvp", "hvp"),
                wrong="JAX",
                repro="import jax\n"
                'print(f"{jax.grad(jax.scipy.special.entr)(-1.0):.3g}")  # nan; true: 0, as forward',
            ),
        ),
    ),
    Op(
        "logit",
        "torch.logit(x)",
        "jsp.special.logit(x)",
        "log(x/(1 - x))",
        domain=(1e-6, 0.999999),
        torch_like="jnp.where((x < 0) | (x > 1), "
        "x * jnp.where((x < 0) | (x > 1), jnp.nan, 1.0), "
        "jsp.special.logit(jnp.where((x < 0) | (x > 1), 0.5, x)))",
        remarks=(
            Remark(
                text="Below 0 and above 1, where the value is NaN, PyTorch's gradient is NaN, too; "
                "JAX's is 1 / (x (1 - x)).",
                axes=("edges", "large", "nonfinite"),
                quantities=DERIVATIVES,
            ),
            Remark(
                text="At 0 and 1 PyTorch's second derivative is infinity times 0, NaN; JAX's is "
                "infinite.",
                axes=("edges",),
                quantities=("hvp",),
            ),
            Remark(
                text="Near 0.5 the second derivative is a small difference, and PyTorch's loses "
                "some 90 units.",
                axes=("ordinary",),
                quantities=("hvp",),
                dtypes=("float32",),
            ),
        ),
        seen_as="logit",
        trap="(x < 0) | (x > 1)",
    ),
    Op(
        "expit",
        "special.expit(x)",
        "jsp.special.expit(x)",
        "sigmoid(x)",
        domain=(-40, 40),
        points=(-800.0, 800.0),
        remarks=(
            Remark(
                text="Both derive it as s (1 - s), which cancels for large x: 0 above 37 at "
                "float64, 17 at float32, 6 at bfloat16; and 1 - 2 s near 0.",
                axes=("ordinary",),
                quantities=DERIVATIVES,
                link="https://github.com/pytorch/pytorch/issues/195681",
            ),
        ),
    ),
    Op(
        "xlogy",
        "torch.xlogy(x, y)",
        "jsp.special.xlogy(x, y)",
        "x*log(y)",
        args="x y",
        domain=((-6, 6), (0.01, 50)),
        torch_like="jnp.where((x == 0) & (y <= 0), 0.0, "
        "jsp.special.xlogy(x, jnp.where((x == 0) & (y <= 0), 1.0, y)))",
        remarks=(
            _make_masked_remark("xlogy", 0.0),
            _make_forward_nan_remark("xlogy", "log(y)", "where y is 0, below 0 or infinite"),
            _make_square_remark("JAX squares y, which overflows"),
        ),
        seen_as="xlogy",
        trap="(x == 0) & (y <= 0)",
    ),
    Op(
        "xlog1py",
        "special.xlog1py(x, y)",
        "jsp.special.xlog1py(x, y)",
        "x*log(1 + y)",
        args="x y",
        domain=((-6, 6), (-0.9, 50)),
        torch_like="jnp.where((x == 0) & (y <= -1), 0.0, "
        "jsp.special.xlog1py(x, jnp.where((x == 0) & (y <= -1), 0.0, y)))",
        remarks=(
            _make_masked_remark("xlog1py", -1.0),
            _make_forward_nan_remark("xlog1py", "log1p(y)", "where y is -1, below -1 or infinite"),
            _make_square_remark("JAX squares 1 + y, which overflows"),
        ),
        seen_as="xlog1py",
        trap="(x == 0) & (y <= -1)",
    ),
    Op(
        "xlogy(x, x)",
        "torch.xlogy(x, x)",
        "jsp.special.xlogy(x, x)",
        "x*log(x)",
        domain=(1e-6, 50),
        remarks=(
            Remark(
                text="JAX's reverse mode divides by y before it multiplies by x: near the greatest "
                "number 1 / y is denormal, flushed to 0, and the slope 1 too small.",
                axes=("large", "modes"),
                quantities=FIRST,
                wrong="JAX",
                repro="import jax\nfrom jax.scipy.special import xlogy\n"
                'print(f"{jax.grad(lambda x: xlogy(x, x))(3e38):.3g}")  # 88.6; true: 89.6',
            ),
            _make_square_remark("JAX squares x, which overflows"),
        ),
    ),
)
