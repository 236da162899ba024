"""Powers."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas._remarks import JAX

POWER = "Piecewise((0, Eq(x, 0) & (y > 0)), (x**y, True))"  # else 0 * log(0) is not known


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


OPS = (
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
                " power is that of IEEE 754: inf for both, and a derivative of 0 at -inf.",
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
)
