"""Removable singularities and branches that are not taken."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas._remarks import JAX, WHERE


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
    Op(
        "where(y != 0, x / y, 0)",
        "torch.where(y != 0, x / y, torch.zeros_like(x))",
        "jnp.where(y != 0, x / y, 0.0)",
        args="x y",
        remarks=(
            Remark(
                text="At y = 0 reverse mode multiplies the 0 of the branch that is not taken by infinity"
                " or NaN; divide by where(y != 0, y, 1), too.",
                axes=("modes",),
                wrong="both",
                link=WHERE,
                repro=JAX
                + """f = lambda x, y: jnp.where(y != 0, x / y, 0.0)
print(jax.grad(f, argnums=1)(1.0, 0.0))  # nan; true: 0.0""",
            ),
            Remark(
                text="JAX's derivative by y is -x * y**-2, 0 where y*y overflows.",
                axes=("large",),
                wrong="JAX",
                repro=JAX
                + """x = jnp.float32(1e20)
print(jax.grad(lambda x, y: jnp.where(y != 0, x / y, 0.0), 1)(x, x))  # -0.0; true: -1e-20""",
            ),
        ),
    ),
    Op(
        "x * log(x)",
        "x * torch.log(x)",
        "x * jnp.log(x)",
        "x*log(x)",
        domain=(1e-6, 10),
        remarks=(
            Remark(
                text="At 0 both give NaN, as value and as derivative; of xlogy(x, x) only the value is 0.",
                axes=("edges",),
            ),
            Remark(
                text="At denormal numbers PyTorch's forward mode divides 1 by x, which overflows, and"
                " then multiplies it by x.",
                axes=("modes",),
                dtypes=("float64",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(1e-310, dtype=torch.float64)
_, tangent = torch.func.jvp(lambda x: x * torch.log(x), (x,), (torch.ones_like(x),))
print(f"{tangent.item():.3g}")  # inf; true: -713""",
            ),
            Remark(
                text="The derivative, log(x) + 1, cancels near 1/e, and the modes round it differently.",
                axes=("modes",),
                dtypes=("bfloat16",),
            ),
            Remark(
                text="JAX's forward mode flushes 1/x at the largest number, so that x * 1/x is 0; its"
                " second derivative flushes x**-2, so that 1/x + 1/x - x * x**-2 is twice what it"
                " should be.",
                axes=("large",),
                wrong="JAX",
                repro=JAX
                + """x = jnp.float32(1e20)
print(f"{jax.grad(jax.grad(lambda x: x * jnp.log(x)))(x):.1g}")  # 2e-20; true: 1e-20""",
            ),
        ),
    ),
    Op(
        "sqrt(x * x + y * y)",
        "torch.sqrt(x * x + y * y)",
        "jnp.sqrt(x * x + y * y)",
        "sqrt(x**2 + y**2)",
        args="x y",
        remarks=(
            Remark(
                text="At the origin both give NaN: infinity, of the root, times 0, of the square.",
                axes=("edges",),
            ),
            Remark(
                text="The second derivative is 1/r - x*x/r**3 in both, and cancels where |y| is far below"
                " |x|.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
        ),
    ),
)
