"""Exponentials and logarithms."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas._remarks import JAX, LOG1P, WHERE


def _logaddexp(name: str, slope: str, power: str, wrongly: str) -> tuple[Remark, ...]:
    """What there is to say of it; its base only changes the numbers."""
    return (
        Remark(
            text="JAX's second derivative, p * (1 - p) with p = exp(x - result), is lost where p is"
            f" near 1. PyTorch's underflows in float32 where its denominator, 1 + {power}, is squared.",
            axes=("ordinary",),
            quantities=("hvp",),
        ),
        Remark(
            text="JAX's derivative is the power of x - result, all rounding for large x: in float32 at"
            f" x = y {wrongly} and from 1.7e7 on 1, to each.",
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
                text=LOG1P + ": Cephes's polynomial, which holds down to -0.293.",
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
        remarks=_logaddexp("logaddexp", "2.72", "exp(y - x)", "0.61 at 5e6, 0.37 at 1e7,"),
    ),
    Op(
        "logaddexp2",
        "torch.logaddexp2(x, y)",
        "jnp.logaddexp2(x, y)",
        "log(2**x + 2**y)/log(2)",
        args="x y",
        domain=(-40, 40),
        remarks=(
            *_logaddexp("logaddexp2", "2", "2**(y - x)", "0.5 up to 1.6e7,"),
            Remark(
                text="JAX's exp2 in bfloat16 rounds log(2) and its product with x to 8 bits.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
                dtypes=("bfloat16",),
            ),
        ),
    ),
)
