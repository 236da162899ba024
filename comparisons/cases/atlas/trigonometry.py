"""Trigonometric and hyperbolic functions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas._remarks import JAX, LOG1P

FUSED = Remark(
    text="PyTorch rounds x*x before 1 - x*x, which cancels near |x| = 1; what JAX compiles does not"
    " round in between.",
    axes=("ordinary",),
    dtypes=("float32",),
)
SLEEF = Remark(
    text="PyTorch's vector code overflows with exp(x), from 709.8 on, before the function does at"
    " 710.5; a few elements only are computed otherwise, and are right.",
    axes=("edges",),
    wrong="PyTorch",
    link="https://github.com/pytorch/pytorch/issues/48641",
    repro="""import torch
x = torch.full((64,), 710.0, dtype=torch.float64)
print(f"{torch.sinh(x)[0].item():.3g}")  # inf; true: 1.12e+308""",
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


OPS = (
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
                text="x*x + y*y overflows, and JAX multiplies its inverse square, 0, by infinity; the"
                " first derivative is 0 in both there (float32: from 1.3e19 on), and wrong.",
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
)
