"""Exponentials, logarithms, powers and trigonometric functions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

JAX = "import jax, jax.numpy as jnp\n"
WHERE = "https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where"
POWER = "Piecewise((0, Eq(x, 0) & (y > 0)), (x**y, True))"  # else 0 * log(0) is not known
LOG1P = "XLA's log1p in float64 is off by up to 126 units from -0.414 to -0.35 on a CPU"
FUSED = Remark(
    text="PyTorch rounds x*x before 1 - x*x, which cancels near |x| = 1; what JAX compiles does not"
    " round in between.",
    axes=("ordinary",),
    dtypes=("float32",),
)
SLEEF = Remark(
    text="PyTorch's vector code overflows at 709.8 (89 in float32), before the function does at"
    " 710.4; single elements are computed otherwise and are right.",
    axes=("edges",),
    wrong="PyTorch",
    link="https://github.com/pytorch/pytorch/issues/48641",
    repro="""import torch
x = torch.full((64,), 710.0, dtype=torch.float64)
print(f"{torch.sinh(x)[0].item():.3g}")  # inf; true: 1.12e+308""",
)


def _logaddexp(name: str, slope: str, square: int) -> tuple[Remark, ...]:
    """What there is to say of it; its base only changes the numbers."""
    return (
        Remark(
            text="JAX's second derivative, p * (1 - p), is lost where p = exp(x - result) rounds to"
            f" 1. PyTorch's squares its denominator: 0 from |x - y| = {square} on in float32.",
            axes=("ordinary",),
            quantities=("hvp",),
        ),
        Remark(
            text="For equal x and y JAX gives 1 to each, not 0.5, from 1e16 on (float32: 1e8): beside"
            " them the result's log(2) is rounded away, and it differentiates by exp(x - result).",
            axes=("large",),
            wrong="JAX",
            repro=JAX
            + f"""x = jnp.float32(1e8)
print(jax.grad(jnp.{name})(x, x))  # 1.0; true: 0.5""",
        ),
        Remark(
            text="PyTorch's second derivative divides an infinite power by its square where |x - y|"
            " is so large that the power overflows: NaN for 0.",
            axes=("large", "nonfinite"),
            quantities=("hvp",),
            wrong="PyTorch",
            link="https://github.com/pytorch/pytorch/issues/196704",
            repro=f"""import torch
x, y = torch.tensor(0.0, requires_grad=True), torch.tensor(1000.0)
(slope,) = torch.autograd.grad(torch.{name}(x, y), x, create_graph=True)
print(torch.autograd.grad(slope, x)[0].item())  # nan; true: 0.0""",
        ),
        Remark(
            text="With an infinite argument JAX takes 0 for infinities and gives the power of x by a"
            " finite x, where the limit, and PyTorch's derivative, is 0; with two JAX gives 1 to"
            " each and PyTorch NaN.",
            axes=("nonfinite",),
            wrong="JAX",
            repro=JAX + f'print(f"{{jax.grad(jnp.{name})(1.0, jnp.inf):.3g}}")  # {slope}; true: 0',
        ),
    )


def _power(torch: str, jax: str) -> tuple[Remark, ...]:
    """What there is to say of a power by both arguments."""
    return (
        Remark(
            text="At 0 ** 0.0 JAX's derivative by the base is 0 * 0**-1, NaN; PyTorch's is 0. With an"
            " integer exponent JAX's is 0, too.",
            axes=("edges",),
            wrong="JAX",
            link="https://github.com/jax-ml/jax/pull/16419",
            repro=JAX + f"print(jax.grad(jnp.{jax})(0.0, 0.0))  # nan; true: 0.0",
        ),
        Remark(
            text="By a negative exponent at a base of 0 JAX multiplies log(1) by infinity, NaN for"
            " -inf; PyTorch's sign is wrong at a base of -0.",
            axes=("edges",),
            quantities=("vjp", "jvp"),
            wrong="both",
            repro=JAX + f"print(jax.grad(jnp.{jax}, 1)(0.0, -1.0))  # nan; true: -inf",
        ),
        Remark(
            text="By the exponent the derivative is NaN at a negative base, and forward mode adds it,"
            " times a tangent of 0, to the derivative by the base.",
            axes=("modes",),
            wrong="both",
            repro=JAX + f"print(jax.jvp(jnp.{jax}, (-1.5, 2.0), (1.0, 0.0))[1])  # nan; true: -3.0",
        ),
        Remark(
            text="PyTorch masks the derivative by the exponent to 0 at a base of 0; behind the mask is"
            " 0 * log(0), and second derivatives are NaN.",
            axes=("edges",),
            quantities=("hvp",),
            wrong="PyTorch",
            link="https://github.com/pytorch/pytorch/issues/95180",
            repro=f"""import torch
x, y = (torch.tensor(v, requires_grad=True) for v in (0.0, 1.0))
(slope,) = torch.autograd.grad(torch.{torch}(x, y), y, create_graph=True)
print(torch.autograd.grad(slope, y)[0].item())  # nan; true: 0.0""",
        ),
        Remark(
            text="At a negative base forward mode adds NaN, the derivative by the exponent, times a"
            " tangent of 0; PyTorch masks that at an exponent of 0.",
            axes=("edges",),
            quantities=("hvp",),
            wrong="both",
            repro=JAX
            + f"slope = jax.grad(jnp.{jax})\n"
            + "print(jax.jvp(slope, (-1.0, 0.0), (1.0, 0.0))[1])  # nan; true: 0.0",
        ),
        Remark(
            text="With an infinite argument second derivatives are made of infinities times 0: NaN or"
            " infinite, at other points in PyTorch than in JAX.",
            axes=("nonfinite",),
            quantities=("hvp",),
        ),
    )


def _denormal(expression: str, printed: str, truth: str, *quantities: str) -> Remark:
    """Of a denormal base XLA makes another number."""
    return Remark(
        text="XLA's power on a CPU neither keeps nor flushes a denormal base: it takes it for 2**-1075"
        " or so.",
        axes=("denormal",),
        quantities=quantities,
        wrong="JAX",
        repro=f"""import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
print(f"{{{expression}:.3g}}")  # {printed}; true: {truth}""",
    )


def _doubled(name: str) -> Remark:
    """Of the derivative of a square in the second derivative."""
    return Remark(
        text="At the largest numbers JAX's second derivative multiplies 2 * x, infinite, by 0.",
        axes=("large",),
        quantities=("hvp",),
        wrong="JAX",
        repro=JAX
        + f"""x = jnp.float32(3e38)
print(jax.grad(jax.grad(jnp.{name}))(x))  # nan; true: -0.0""",
    )


def _quotient(expression: str, parts: str, near: str, limit: str) -> tuple[Remark, ...]:
    """What there is to say of a quotient that tends to a number at 0."""
    return (
        Remark(
            text=f"Near 0 the two parts of the derivative cancel, {parts} or what it is made of:"
            " modes, and what is compiled, round them differently.",
            axes=("ordinary", "jit", "modes", "edges"),
            wrong="both",
            repro=JAX + f'print(f"{{jax.grad(lambda x: {expression}){near}',
        ),
        Remark(
            text="Where x*x underflows JAX's derivative, with x**-2, is infinite; what PyTorch divides"
            " twice has cancelled to 0.",
            axes=("edges",),
            wrong="both",
            repro=JAX
            + f"""x = jnp.float32(1e-25)
print(jax.grad(lambda x: {expression})(x))  # -inf; true: {limit}""",
        ),
    )


OPS = (
    Op(
        "exp",
        "torch.exp(x)",
        "jnp.exp(x)",
        "exp(x)",
        domain=(-80, 80),
        points=(709.0, 710.0, -745.0),
    ),
    Op(
        "exp2",
        "torch.exp2(x)",
        "jnp.exp2(x)",
        "2**x",
        domain=(-100, 100),
        points=(1023.0, 1024.0),
        remarks=(
            Remark(
                text="JAX computes exp(x * log(2)): whole powers of 2 are not exact, and 2**1024 is"
                " just below overflow.",
                axes=("edges",),
                quantities=("value",),
                wrong="JAX",
                repro="""import jax.numpy as jnp
print(jnp.exp2(jnp.float32(100.0)) == 2.0**100)  # False; true: True""",
            ),
            Remark(
                text="PyTorch multiplies the value, which has overflowed, by log(2); JAX's value has"
                " not, by its rounding.",
                axes=("edges",),
                quantities=("vjp", "jvp", "hvp"),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(1024.0, dtype=torch.float64, requires_grad=True)
print(f"{torch.autograd.grad(torch.exp2(x), x)[0].item():.3g}")  # inf; true: 1.25e+308""",
            ),
            Remark(
                text="In bfloat16 JAX rounds log(2), and its product with x, to 8 bits before exp:"
                " 2**93.5 is 27 % too small.",
                axes=("ordinary",),
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op(
        "expm1",
        "torch.expm1(x)",
        "jnp.expm1(x)",
        "expm1(x)",
        domain=(-20, 20),
        points=(710.0, -40.0),
        remarks=(
            Remark(
                text="Both take result + 1 for the derivative: exp(x) beside 1, of which nothing is"
                " left below -37 (float32: -17.4).",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
                wrong="both",
                link="https://github.com/jax-ml/jax/issues/39794",
                repro=JAX + "print(jax.grad(jnp.expm1)(-20.0))  # 0.0; true: 2.06e-09",
            ),
        ),
    ),
    Op(
        "log",
        "torch.log(x)",
        "jnp.log(x)",
        "log(x)",
        domain=(1e-6, 1e6),
        remarks=(
            Remark(
                text="At 0 both give -inf and an infinite derivative, and NaN once a 0 is multiplied"
                " by them: in x * log(x), or in a branch that a where does not take.",
                axes=("edges",),
                link=WHERE,
            ),
        ),
        seen_as="log",
        trap="x == 0",
    ),
    Op("log2", "torch.log2(x)", "jnp.log2(x)", "log(x)/log(2)", domain=(1e-6, 1e6)),
    Op("log10", "torch.log10(x)", "jnp.log10(x)", "log(x)/log(10)", domain=(1e-6, 1e6)),
    Op(
        "log1p",
        "torch.log1p(x)",
        "jnp.log1p(x)",
        "log1p(x)",
        domain=(-0.999, 2),
        remarks=(
            Remark(
                text=LOG1P + ": a polynomial that is used too far out.",
                axes=("ordinary",),
                quantities=("value",),
                dtypes=("float64",),
            ),
        ),
    ),
    Op(
        "logaddexp",
        "torch.logaddexp(x, y)",
        "jnp.logaddexp(x, y)",
        "log(exp(x) + exp(y))",
        args="x y",
        domain=(-40, 40),
        remarks=_logaddexp("logaddexp", "2.72", 44),
    ),
    Op(
        "logaddexp2",
        "torch.logaddexp2(x, y)",
        "jnp.logaddexp2(x, y)",
        "log(2**x + 2**y)/log(2)",
        args="x y",
        domain=(-40, 40),
        remarks=(
            *_logaddexp("logaddexp2", "2", 64),
            Remark(
                text="JAX's exp2 in bfloat16 rounds log(2) and its product with x to 8 bits.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op(
        "pow",
        "torch.pow(x, y)",
        "jnp.power(x, y)",
        POWER,
        args="x y",
        domain=((0.01, 10), (-4, 4)),
        points=((0.0, 2.0), (-1.5, 2.0), (-1.5, 3.0), (0.0, 0.5)),
        torch_like="jnp.power(jnp.where((x == 0) & (y == 0), 1.0, x), y)",
        remarks=_power("pow", "power"),
    ),
    Op(
        "float_power",
        "torch.float_power(x, y).to(x.dtype)",
        "jnp.float_power(x, y)",
        POWER,
        args="x y",
        domain=((0.01, 10), (-4, 4)),
        torch_like="jnp.float_power(jnp.where((x == 0) & (y == 0), 1.0, x), y)",
        remarks=_power("float_power", "float_power"),
    ),
    Op(
        "x ** 2", "x ** 2", "x ** 2", "x**2", torch_page="torch.pow", jax_page="jax.lax.integer_pow"
    ),
    Op(
        "x ** 3", "x ** 3", "x ** 3", "x**3", torch_page="torch.pow", jax_page="jax.lax.integer_pow"
    ),
    Op(
        "x ** -1",
        "x ** -1",
        "x ** -1",
        "1/x",
        torch_page="torch.pow",
        jax_page="jax.lax.integer_pow",
    ),
    Op("x ** 0", "x ** 0", "x ** 0", torch_page="torch.pow", jax_page="jax.lax.integer_pow"),
    Op(
        "x ** 0.0",
        "x ** 0.0",
        "x ** 0.0",
        domain=(0.01, 6),
        torch_like="x ** 0",
        remarks=(
            Remark(
                text="JAX computes 0 * x**-1: NaN at 0. With the integer, x ** 0, it gives PyTorch's 0.",
                axes=("edges",),
                wrong="JAX",
                link="https://github.com/jax-ml/jax/pull/16419",
                repro=JAX + "print(jax.grad(lambda x: x**0.0)(0.0))  # nan; true: 0.0",
            ),
            Remark(
                text="At NaN, where the value is 1, PyTorch's derivative is 0 and JAX's NaN.",
                axes=("nonfinite",),
            ),
        ),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
        seen_as="pow",
        trap="(x == 0) & (y == 0)",
    ),
    Op(
        "x ** 0.5",
        "x ** 0.5",
        "x ** 0.5",
        "sqrt(x)",
        domain=(1e-6, 1e6),
        torch_like="jnp.sqrt(x)",
        remarks=(
            Remark(
                text="PyTorch computes a square root: NaN at -inf and a derivative of -inf at -0. JAX's"
                " power is that of IEEE 754: inf at both.",
                axes=("edges", "nonfinite"),
            ),
            _denormal("jnp.power(jnp.float64(1e-310), 0.5)", "1.57e-162", "1e-155"),
        ),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "x ** 1.5",
        "x ** 1.5",
        "x ** 1.5",
        "x**(3/2)",
        domain=(1e-6, 1e3),
        remarks=(
            Remark(
                text="The derivatives are powers of 0.5 and -0.5: PyTorch's are square roots, NaN at"
                " -inf and -inf at -0, JAX's those of IEEE 754, infinite or 0.",
                axes=("edges", "nonfinite"),
                quantities=("vjp", "jvp", "hvp"),
            ),
            _denormal(
                "jax.grad(lambda x: x**1.5)(1e-310)", "2.36e-162", "1.5e-155", "vjp", "jvp", "hvp"
            ),
        ),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "x ** 2.0",
        "x ** 2.0",
        "x ** 2.0",
        "x**2",
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "x ** 1.0",
        "x ** 1.0",
        "x ** 1.0",
        "x",
        torch_like="x ** 1",
        remarks=(
            Remark(
                text="JAX differentiates 1.0 * x**0.0 and gets 0 * x**-1: NaN at 0 and at NaN. With the"
                " integer, x ** 1, it gives PyTorch's 0.",
                axes=("edges", "nonfinite"),
                quantities=("hvp",),
                wrong="JAX",
                repro=JAX + "print(jax.grad(jax.grad(lambda x: x**1.0))(0.0))  # nan; true: 0.0",
            ),
        ),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "2 ** x",
        "2.0 ** x",
        "2.0 ** x",
        "2**x",
        domain=(-100, 100),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "0 ** x",
        "torch.pow(0.0, x)",
        "jnp.power(0.0, x)",
        domain=(0.01, 6),
        remarks=(
            Remark(
                text="PyTorch's second derivative is NaN for x >= 0: 0 * log(0) behind a mask; JAX takes"
                " log(1) for log(0), and gets 0.",
                quantities=("hvp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/95180",
                repro="""import torch
x = torch.tensor(1.0, requires_grad=True)
(slope,) = torch.autograd.grad(torch.pow(0.0, x), x, create_graph=True)
print(torch.autograd.grad(slope, x)[0].item())  # nan; true: 0.0""",
            ),
            Remark(
                text="For x < 0, where the value is infinite, PyTorch gives result * log(0), -inf, and"
                " JAX result * log(1), NaN.",
                axes=("edges", "nonfinite", "denormal", "large"),
                quantities=("vjp", "jvp", "hvp"),
            ),
        ),
    ),
    Op(
        "x ** x",
        "x ** x",
        "x ** x",
        "x**x",
        domain=(0.01, 6),
        torch_like="jnp.where(x == 0, 1.0, x) ** jnp.where(x == 0, 1.0, x)",
        remarks=(
            Remark(
                text="At 0, where the slope tends to -inf, PyTorch masks both parts of the derivative to"
                " 0; JAX's part by the base is 0 * 0**-1, NaN.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
            Remark(
                text="At the largest number, where the value has overflowed, JAX's second derivative is"
                " NaN.",
                axes=("large",),
                quantities=("hvp",),
                wrong="JAX",
                repro=JAX
                + """x = jnp.finfo(jnp.float32).max
print(jax.jvp(jax.grad(lambda x: x**x), (x,), (jnp.ones_like(x),))[1])  # nan; true: inf""",
            ),
        ),
        torch_page="torch.pow",
        jax_page="jax.numpy.power",
    ),
    Op(
        "sqrt(x * x)",
        "torch.sqrt(x * x)",
        "jnp.sqrt(x * x)",
        "Abs(x)",
        kinks=(0.0,),
        remarks=(
            Remark(
                text="The second derivative is 1/|x| - x*x/|x|**3 in both: not 0, but what rounding"
                " leaves of it, some 1e-16 / |x|.",
                axes=("ordinary", "large"),
                quantities=("hvp",),
                wrong="both",
                repro="""import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
print(jax.grad(jax.grad(lambda x: jnp.sqrt(x * x)))(-0.0712890625) == 0)  # False; true: True""",
            ),
            Remark(
                text="Where x*x overflows both give 0 in reverse mode and NaN forward.",
                axes=("modes",),
                wrong="both",
                repro=JAX
                + "print(jax.grad(lambda x: jnp.sqrt(x * x))(jnp.float32(1e20)))  # 0.0; true: 1.0",
            ),
        ),
    ),
    Op("sin", "torch.sin(x)", "jnp.sin(x)", "sin(x)", domain=(-100, 100), points=(1e22,)),
    Op("cos", "torch.cos(x)", "jnp.cos(x)", "cos(x)", domain=(-100, 100), points=(1e22,)),
    Op(
        "tan",
        "torch.tan(x)",
        "jnp.tan(x)",
        "tan(x)",
        domain=(-100, 100),
        points=(1.5707963267948966,),
    ),
    Op("asin", "torch.asin(x)", "jnp.arcsin(x)", "asin(x)", domain=(-1, 1)),
    Op("acos", "torch.acos(x)", "jnp.arccos(x)", "acos(x)", domain=(-1, 1), remarks=(FUSED,)),
    Op(
        "atan",
        "torch.atan(x)",
        "jnp.arctan(x)",
        "atan(x)",
        domain=(-50, 50),
        remarks=(_doubled("arctan"),),
    ),
    Op(
        "atan2",
        "torch.atan2(x, y)",
        "jnp.arctan2(x, y)",
        "atan2(x, y)",
        args="x y",
        torch_like="jnp.where((x == 0) & (y == 0), lax.stop_gradient(jnp.arctan2(x, y)),"
        " jnp.arctan2(x, jnp.where((x == 0) & (y == 0), 1.0, y)))",
        remarks=(
            Remark(
                text="The origin has no derivative: beside it, along both axes, it is 0. PyTorch masks"
                " it to 0, JAX divides 0 by 0.",
                axes=("edges",),
                wrong="JAX",
                repro=JAX
                + "print(jax.grad(jnp.arctan2)(0.0, 0.0))  # nan; true: 0.0 on both sides",
            ),
            Remark(
                text="PyTorch masks the origin in reverse mode only.",
                axes=("modes",),
                wrong="PyTorch",
                repro="""import torch
x, one = torch.tensor(0.0), torch.tensor(1.0)
_, tangent = torch.func.jvp(torch.atan2, (x, x), (one, one))
print(tangent.item())  # nan; true: 0.0, as in reverse mode""",
            ),
            Remark(
                text="x*x + y*y overflows, and JAX multiplies its inverse square, 0, by infinity. The"
                " first derivative is 0 there in both: so it is in float32 from 1.3e19 on.",
                axes=("large",),
                quantities=("hvp",),
                wrong="JAX",
                repro=JAX
                + """x = jnp.float32(3e38)
print(jax.grad(jax.grad(jnp.arctan2))(x, x))  # nan; true: -0.0""",
            ),
            Remark(
                text="The mixed derivative is x*x - y*y over a square, which cancels near |x| = |y|.",
                axes=("ordinary",),
                quantities=("hvp",),
                dtypes=("float32", "bfloat16"),
            ),
        ),
        seen_as="atan2",
        trap="(x == 0) & (y == 0)",
    ),
    Op(
        "sinh",
        "torch.sinh(x)",
        "jnp.sinh(x)",
        "sinh(x)",
        domain=(-80, 80),
        points=(710.0,),
        remarks=(SLEEF,),
    ),
    Op(
        "cosh",
        "torch.cosh(x)",
        "jnp.cosh(x)",
        "cosh(x)",
        domain=(-80, 80),
        points=(710.0,),
        remarks=(SLEEF,),
    ),
    Op(
        "tanh",
        "torch.tanh(x)",
        "jnp.tanh(x)",
        "tanh(x)",
        domain=(-9, 9),
        points=(19.0, -19.0, 25.0),
        remarks=(
            Remark(
                text="Both make the derivative of the result t, PyTorch 1 - t*t and JAX (1 + t)*(1 - t):"
                " in the tails 1 - t has few digits, and none beyond 19 (float32: 9).",
                axes=("ordinary", "edges"),
                quantities=("vjp", "jvp", "hvp"),
                wrong="both",
                link="https://github.com/jax-ml/jax/issues/40343",
                repro=JAX
                + """x = jnp.float32(10.0)
print(f"{jax.grad(jnp.tanh)(x):.3g}")  # 0; true: 8.24e-09""",
            ),
            Remark(
                text="Compiled as a whole JAX rounds (1 + t)*(1 - t) otherwise than step by step.",
                axes=("jit",),
            ),
        ),
    ),
    Op("asinh", "torch.asinh(x)", "jnp.arcsinh(x)", "asinh(x)", domain=(-1e4, 1e4)),
    Op(
        "acosh",
        "torch.acosh(x)",
        "jnp.arccosh(x)",
        "acosh(x)",
        domain=(1.0001, 1e4),
        remarks=(_doubled("arccosh"),),
    ),
    Op(
        "atanh",
        "torch.atanh(x)",
        "jnp.arctanh(x)",
        "atanh(x)",
        domain=(-1, 1),
        remarks=(
            Remark(
                text=LOG1P + ", and atanh is made of it.",
                axes=("ordinary",),
                quantities=("value",),
                dtypes=("float64",),
            ),
            FUSED,
            Remark(
                text="JAX's derivative is 1/(1 + x) * 1/(1 - x); the derivatives of the two, of opposite"
                " signs, cancel near 0, and at 1 and -1 are inf - inf.",
                axes=("ordinary", "edges"),
                quantities=("hvp",),
                wrong="JAX",
                repro=JAX + "print(jax.grad(jax.grad(jnp.arctanh))(1.0))  # nan; true: inf",
            ),
            Remark(
                text="PyTorch's second derivative is 2 * x / (1 - x*x)**2, inf / inf at the largest"
                " numbers, far out of the domain.",
                axes=("large", "nonfinite"),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(3e38, requires_grad=True)
(slope,) = torch.autograd.grad(torch.atanh(x), x, create_graph=True)
print(torch.autograd.grad(slope, x)[0].item())  # nan; true: 0.0, by the formula""",
            ),
        ),
    ),
    Op(
        "sinc",
        "torch.sinc(x)",
        "jnp.sinc(x)",
        # sin(pi*x)/(pi*x), without cancellation at 0
        "Piecewise((hyper([], [3/2], -(pi*x)**2/4), Abs(x) < 1), (sin(pi*x)/(pi*x), True))",
        domain=(-10, 10),
        points=(1e-8, 1e-160),
        remarks=(
            Remark(
                text="Both round pi * x before the sine, of which few digits are left near the zeros.",
                axes=("ordinary",),
                quantities=("value",),
            ),
            *_quotient(
                "jnp.sinc(x)",
                "cos(pi*x)/x - sin(pi*x)/(pi*x*x)",
                '(1e-5):.3g}")  # -0.00614; true: -3.29e-05',
                "-3.29e-25",
            ),
            Remark(
                text="At 0 PyTorch masks the derivative to 0, and the second, of 0 / 0 behind the mask,"
                " is NaN.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/196703",
                repro="""import torch
x = torch.tensor(0.0, requires_grad=True)
(slope,) = torch.autograd.grad(torch.sinc(x), x, create_graph=True)
print(torch.autograd.grad(slope, x)[0].item())  # nan; true: -3.29""",
            ),
            Remark(
                text="For large x nothing is left of the sine and cosine of the rounded pi * x; PyTorch's"
                " derivative is 0 where x*x overflows.",
                axes=("large",),
                wrong="both",
                repro=JAX + 'print(f"{jax.grad(jnp.sinc)(1e8):.2g}")  # 2.1e-09; true: 1e-08',
            ),
        ),
    ),
    Op(
        "where(x > 0, sqrt(x), 0)",
        "torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x))",
        "jnp.where(x > 0, jnp.sqrt(x), 0.0)",
        kinks=(0.0,),
        remarks=(
            Remark(
                text="For x <= 0 reverse mode multiplies the 0 of the branch that is not taken by the"
                " NaN or infinity of its derivative; forward mode selects.",
                axes=("modes",),
                wrong="both",
                link=WHERE,
                repro=JAX
                + "print(jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0))(-1.0))  # nan; true: 0.0",
            ),
        ),
    ),
    Op(
        "where(x != 0, sin(x)/x, 1)",
        "torch.where(x != 0, torch.sin(x) / x, torch.ones_like(x))",
        "jnp.where(x != 0, jnp.sin(x) / x, 1.0)",
        "hyper([], [3/2], -x**2/4)",  # sin(x)/x, without cancellation at 0
        points=(1e-160,),
        remarks=(
            *_quotient(
                "jnp.where(x != 0, jnp.sin(x) / x, 1.0)",
                "cos(x)/x - sin(x)/x**2",
                '(1e-4):.3g}")  # -0.000977; true: -3.33e-05',
                "-3.33e-26",
            ),
            Remark(
                text="At 0 reverse mode multiplies the 0 of the branch that is not taken by NaN.",
                axes=("modes",),
                wrong="both",
                link=WHERE,
                repro=JAX
                + """f = lambda x: jnp.where(x != 0, jnp.sin(x) / x, 1.0)
print(jax.grad(f)(0.0))  # nan; true: 0.0""",
            ),
        ),
    ),
    Op(
        "expm1(x) / x",
        "torch.expm1(x) / x",
        "jnp.expm1(x) / x",
        "2*exp(x/2)*sinh(x/2)/x",  # the same, without cancellation at 0
        points=(1e-160,),
        remarks=_quotient(
            "jnp.expm1(x) / x",
            "exp(x)/x - expm1(x)/x**2",
            '(1e-5):.3g}")  # 0.492; true: 0.5',
            "0.5",
        ),
    ),
    Op(
        "log(x + 1) - log(x)",
        "torch.log(x + 1) - torch.log(x)",
        "jnp.log(x + 1) - jnp.log(x)",
        "log(1 + 1/x)",
        domain=(1e-3, 1e6),
        remarks=(
            Remark(
                text="The logarithms, and the derivatives 1/(x + 1) and 1/x, cancel for large x, in both;"
                " log1p(1 / x) does not.",
                axes=("ordinary",),
            ),
        ),
    ),
)
