"""Arithmetic and rounding."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas._remarks import WHERE

CHOICES = "https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions"

SIGN = Remark(
    text="PyTorch's sign of NaN is 0, JAX's is NaN.",
    link="https://github.com/pytorch/pytorch/issues/41245",
)


def _no_divisor(name: str) -> Remark:
    """At a divisor of 0, where the value is NaN."""
    return Remark(
        text="At a divisor of 0 the value is NaN, and by the dividend both give 1 in reverse mode"
        " and NaN forward, where the divisor's tangent of 0 is multiplied by x / 0.",
        axes=("modes",),
        wrong="both",
        repro=f"""import jax, jax.numpy as jnp
print(jax.jvp(jnp.{name}, (1.0, 0.0), (1.0, 0.0))[1])  # nan; true: 1.0, as in reverse mode""",
    )


OPS = (
    Op(
        "abs",
        "torch.abs(x)",
        "jnp.abs(x)",
        "Abs(x)",
        kinks=(0.0,),
        torch_like="jnp.where((x == 0) | (x != x), lax.stop_gradient(jnp.abs(x)), jnp.abs(x))",
        remarks=(
            Remark(
                text="At 0 PyTorch takes the middle of the slopes -1 and 1, JAX the right one; at NaN"
                " PyTorch gives 0.",
                link=CHOICES,
            ),
        ),
        seen_as="abs",
        trap="x == 0",
    ),
    Op("neg", "torch.neg(x)", "jnp.negative(x)", "-x"),
    Op("positive", "torch.positive(x)", "jnp.positive(x)", "x"),
    Op(
        "sign",
        "torch.sign(x)",
        "jnp.sign(x)",
        kinks=(0.0,),
        torch_like="jnp.where(x != x, 0.0, jnp.sign(x))",
        remarks=(SIGN,),
        seen_as="sign",
        trap="np.isnan(x)",
    ),
    Op(
        "sgn",
        "torch.sgn(x)",
        "jnp.sign(x)",
        kinks=(0.0,),
        torch_like="jnp.where(x != x, 0.0, jnp.sign(x))",
        remarks=(SIGN,),
    ),
    Op("square", "torch.square(x)", "jnp.square(x)", "x**2", domain=(-1e3, 1e3)),
    Op(
        "sqrt",
        "torch.sqrt(x)",
        "jnp.sqrt(x)",
        "sqrt(x)",
        domain=(1e-6, 1e6),
        remarks=(
            Remark(
                text="At 0 both give an infinite derivative, and NaN once a 0 is multiplied by it:"
                " in sqrt(sum(x**2)), or in a branch that a where does not take.",
                axes=("edges",),
                link=WHERE,
            ),
        ),
        seen_as="sqrt",
        trap="x == 0",
    ),
    Op(
        "rsqrt",
        "torch.rsqrt(x)",
        "lax.rsqrt(x)",
        "1/sqrt(x)",
        domain=(1e-6, 1e6),
        remarks=(
            Remark(
                text="At -0 the value is -inf; PyTorch's derivative, -result**3 / 2, is inf, and"
                " JAX's, -result / x / 2, is -inf, the limit from the right.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op("reciprocal", "torch.reciprocal(x)", "jnp.reciprocal(x)", "1/x", domain=(-50, 50)),
    Op("floor", "torch.floor(x)", "jnp.floor(x)", kinks=(0.0, 1.0, -1.0), points=(1.5, 2.5)),
    Op("ceil", "torch.ceil(x)", "jnp.ceil(x)", kinks=(0.0, 1.0, -1.0), points=(1.5, 2.5)),
    Op("round", "torch.round(x)", "jnp.round(x)", kinks=(0.5, 1.5, 2.5, -0.5)),
    Op(
        "round(decimals=1)",
        "torch.round(x, decimals=1)",
        "jnp.round(x, 1)",
        kinks=(0.25, 0.75, -0.25),
    ),
    Op("trunc", "torch.trunc(x)", "jnp.trunc(x)", kinks=(1.0, -1.0), points=(1.5, -1.5)),
    Op("frac", "torch.frac(x)", "x - jnp.trunc(x)", kinks=(1.0, -1.0), points=(1.5, -1.5)),
    Op("nan_to_num", "torch.nan_to_num(x)", "jnp.nan_to_num(x)"),
    Op("deg2rad", "torch.deg2rad(x)", "jnp.deg2rad(x)", "x*pi/180", domain=(-720, 720)),
    Op("rad2deg", "torch.rad2deg(x)", "jnp.rad2deg(x)", "x*180/pi"),
    Op("add", "torch.add(x, y)", "jnp.add(x, y)", "x + y", args="x y"),
    Op("sub", "torch.sub(x, y)", "jnp.subtract(x, y)", "x - y", args="x y"),
    Op("mul", "torch.mul(x, y)", "jnp.multiply(x, y)", "x*y", args="x y"),
    Op(
        "div",
        "torch.div(x, y)",
        "jnp.divide(x, y)",
        "x/y",
        args="x y",
        points=((0.0, 1e-160), (1e-160, 1e-160)),
        remarks=(
            Remark(
                text="JAX's derivative by the divisor is -x * y**-2: 0 where y*y overflows, infinite"
                " or NaN where it underflows (float32: above 1.8e19, below 1.1e-19). PyTorch divides"
                " twice.",
                axes=("edges", "large", "modes"),
                wrong="JAX",
                link="https://github.com/jax-ml/jax/issues/5039",
                repro="""import jax, jax.numpy as jnp
x, y = jnp.float32(0.0), jnp.float32(1e-20)
print(jax.grad(jnp.divide, argnums=1)(x, y))  # nan; true: 0.0""",
            ),
            Remark(
                text="At y = 0 both give infinite or NaN derivatives; by y, JAX's forward mode is NaN"
                " where reverse mode is infinite: it divides the tangent of x, 0, by 0.",
                axes=("edges", "nonfinite"),
                quantities=("jvp",),
                wrong="JAX",
                repro="""import jax, jax.numpy as jnp
print(jax.jvp(jnp.divide, (1.0, 0.0), (0.0, 1.0))[1])  # nan; true: -inf""",
            ),
        ),
        seen_as="div",
        trap="np.abs(y) < np.sqrt(np.finfo(y.dtype).tiny)",
    ),
    Op(
        "div(rounding_mode='trunc')",
        "torch.div(x, y, rounding_mode='trunc')",
        "jnp.trunc(x / y)",
        args="x y",
    ),
    Op(
        "floor_divide",
        "torch.floor_divide(x, y)",
        "jnp.floor_divide(x, y)",
        args="x y",
        remarks=(
            Remark(
                text="PyTorch raises that the derivative is not implemented; JAX gives 0.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
            ),
        ),
    ),
    Op(
        "fmod",
        "torch.fmod(x, y)",
        "jnp.fmod(x, y)",
        args="x y",
        domain=((-6, 6), (0.5, 4)),
        remarks=(_no_divisor("fmod"),),
    ),
    Op(
        "remainder",
        "torch.remainder(x, y)",
        "jnp.remainder(x, y)",
        args="x y",
        domain=((-6, 6), (0.5, 4)),
        remarks=(
            _no_divisor("remainder"),
            Remark(
                text="By the divisor the derivative is minus the quotient rounded down; that of an"
                " infinite dividend is NaN in PyTorch and infinite in JAX.",
                axes=("nonfinite",),
            ),
        ),
    ),
    Op(
        "hypot",
        "torch.hypot(x, y)",
        "jnp.hypot(x, y)",
        "sqrt(x**2 + y**2)",
        args="x y",
        remarks=(
            Remark(
                text="At the origin PyTorch divides 0 by 0 and gives NaN; JAX gives 0.5 by each"
                " argument, between the slopes -1 and 1, and second derivatives of 0.",
                axes=("edges",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(0.0, requires_grad=True)
(slope,) = torch.autograd.grad(torch.hypot(x, torch.tensor(0.0)), x)
print(slope.item())  # nan; true: any of -1 to 1""",
            ),
            Remark(
                text="At |x| = |y| JAX's second derivatives are 0: it computes with maximum and"
                " minimum, and what these share at a tie is a constant to the next derivative.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="JAX",
                repro="""import jax, jax.numpy as jnp
print(f"{jax.grad(jax.grad(jnp.hypot))(1.0, 1.0):.3g}")  # 0; true: 0.354""",
            ),
            Remark(
                text="JAX differentiates b * sqrt(1 + (a / b)**2). Where b*b overflows, its derivative"
                " by b loses the part of a / b: 1.06 for 0.707; forward by a it underflows to 0.",
                axes=("large", "modes"),
                wrong="JAX",
                repro="""import jax, jax.numpy as jnp
x = jnp.float32(1e20)
print(f"{jax.grad(jnp.hypot)(x, x):.3g}")  # 1.06; true: 0.707""",
            ),
            Remark(
                text="PyTorch's second derivative, 1/r - x*x/r**3, cancels where |y| is far below |x|.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            Remark(
                text="With an infinite argument PyTorch's forward mode gives NaN and JAX's 0; in"
                " reverse mode PyTorch gives 0 by the finite argument and JAX NaN.",
                axes=("nonfinite",),
            ),
        ),
        seen_as="hypot",
        trap="(x == 0) & (y == 0)",
    ),
    Op(
        "copysign",
        "torch.copysign(x, y)",
        "jnp.copysign(x, y)",
        args="x y",
        torch_like="jnp.where(x == 0, lax.stop_gradient(jnp.copysign(x, y)), jnp.copysign(x, y))",
        remarks=(
            Remark(
                text="At x = 0 PyTorch gives 0, the middle of the slopes; JAX gives 1 or -1, y's sign.",
                axes=("edges", "nonfinite"),
                quantities=("vjp", "jvp"),
            ),
            Remark(
                text="PyTorch's derivative is result / x: NaN where x is infinite or NaN. JAX's is 1"
                " or -1, and its second derivative 0.",
                axes=("nonfinite",),
            ),
            Remark(
                text="PyTorch's second derivative at x = 0 is NaN: that of result / x, infinite there,"
                " times the 0 of the mask over it.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(0.0, requires_grad=True)
(slope,) = torch.autograd.grad(torch.copysign(x, torch.tensor(1.0)), x, create_graph=True)
print(torch.autograd.grad(slope, x)[0].item())  # nan; true: 0.0""",
            ),
        ),
    ),
    Op(
        "heaviside",
        "torch.heaviside(x, y)",
        "jnp.heaviside(x, y)",
        args="x y",
        torch_like="jnp.where(x != x, 0.0, jnp.heaviside(x, y))",
        remarks=(
            Remark(
                text="PyTorch raises that the derivative is not implemented; JAX gives 0 by x, and by"
                " y 1 at x = 0 and 0 elsewhere.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
            ),
            Remark(
                text="For x = NaN PyTorch's value is 0, JAX's is NaN.",
                axes=("nonfinite",),
                quantities=("value",),
            ),
        ),
    ),
    Op(
        "nextafter",
        "torch.nextafter(x, y)",
        "jnp.nextafter(x, y)",
        args="x y",
        remarks=(
            Remark(
                text="JAX raises that the derivative is not implemented; PyTorch gives 1 by x, 0 by y.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
            ),
        ),
    ),
    Op(
        "ldexp(x, -2)",
        "torch.ldexp(x, torch.tensor(-2))",
        "jnp.ldexp(x, -2)",
        "x/4",
        remarks=(
            Remark(
                text="PyTorch's derivative by x is 0: it computes 2**-2 among integers. An exponent"
                " of floating point has the right one.",
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/187460",
                repro="""import torch
x = torch.tensor(1.0, requires_grad=True)
print(torch.autograd.grad(torch.ldexp(x, torch.tensor(-2)), x)[0].item())  # 0.0; true: 0.25""",
            ),
            Remark(
                text="At 0 and at infinity JAX's derivative is 1, as it returns x itself there, and"
                " PyTorch's still 0; at denormal numbers JAX's reverse mode gives NaN.",
                axes=("edges", "nonfinite", "denormal", "modes"),
                quantities=("vjp", "jvp"),
                wrong="both",
                repro="""import jax, jax.numpy as jnp
print(jax.grad(lambda x: jnp.ldexp(x, -2))(0.0))  # 1.0; true: 0.25""",
            ),
        ),
    ),
    Op("lerp", "torch.lerp(x, y, 0.25)", "x + 0.25 * (y - x)", "x + (y - x)/4", args="x y"),
    Op(
        "addcmul", "torch.addcmul(x, y, z, value=0.5)", "x + 0.5 * y * z", "x + y*z/2", args="x y z"
    ),
    Op(
        "addcdiv",
        "torch.addcdiv(x, y, z, value=0.5)",
        "x + 0.5 * y / z",
        "x + y/z/2",
        args="x y z",
        domain=((-6, 6), (-6, 6), (0.5, 4)),
        remarks=(
            Remark(
                text="Both round y / z before the sum, which cancels where it is near -x.",
                axes=("ordinary",),
                quantities=("value",),
                dtypes=("float32",),
            ),
        ),
    ),
)
