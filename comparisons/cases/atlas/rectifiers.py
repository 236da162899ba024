"""Rectifiers."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

FIRST = ("vjp", "jvp")
DERIVATIVES = ("vjp", "jvp", "hvp")


def _make_expm1_remark(function: str, truth: str, link: str = "") -> Remark:
    """JAX derives expm1 from its result."""
    return Remark(
        text="JAX's derivative of expm1(x) is expm1(x) + 1: it loses its digits as x falls, and is "
        "0 below -37 at float64, -17 at float32.",
        axes=("ordinary", "edges"),
        quantities=DERIVATIVES,
        wrong="JAX",
        link=link,
        repro="import jax\njax.config.update('jax_enable_x64', True)\n"
        f'print(f"{{jax.grad(jax.nn.{function})(-40.0):.3g}}")  # 0; true: {truth}',
    )


SIDE_AT_0 = Remark(
    text="At 0 PyTorch takes the slope of the negative side, as it tests x > 0; JAX tests x >= 0 "
    "and takes that of the positive side, 1.",
    axes=("edges",),
    quantities=FIRST,
)
SECOND_AT_0 = Remark(
    text="PyTorch's second derivative at 0 is that of the positive side, 0; JAX's is that of the "
    "negative side.",
    axes=("edges",),
    quantities=("hvp",),
)
SHARED_SECOND_AT_0 = Remark(
    text="PyTorch's second derivative at 0 is that of the positive side, 0; JAX's is a quarter of "
    "the negative side's, as its minimum shares the gradient at a tie, once for each derivative.",
    axes=("edges",),
    quantities=("hvp",),
)

OPS = (
    Op(
        "relu",
        "F.relu(x)",
        "nn.relu(x)",
        kinks=(0.0,),
        torch_like="jnp.where(x <= 0, 0.0, x)",
        remarks=(
            Remark(
                text="PyTorch's gradient at NaN is 1, as it stops only where the result is <= 0; "
                "JAX's is 0, as it passes only where x > 0.",
                axes=("nonfinite",),
                quantities=FIRST,
            ),
        ),
    ),
    Op("relu6", "F.relu6(x)", "nn.relu6(x)", kinks=(0.0, 6.0)),
    Op(
        "leaky_relu",
        "F.leaky_relu(x)",
        "nn.leaky_relu(x)",
        kinks=(0.0,),
        torch_like="jnp.where(x > 0, x, 0.01 * x)",
        remarks=(SIDE_AT_0,),
        seen_as="leaky_relu",
        trap="x == 0",
    ),
    Op(
        "prelu",
        "F.prelu(x[None], y)[0]",
        "jnp.where(x >= 0, x, y * x)",
        args="x y",
        kinks=((0.0, 0.25),),
        domain=((-6, 6), (0.01, 1)),
        torch_like="jnp.where(x > 0, x, y * jnp.where(x > 0, 0.0, x))",
        remarks=(
            SIDE_AT_0,
            Remark(
                text="PyTorch's reverse mode takes the slope of the negative side at 0, its forward "
                "mode that of the positive side.",
                axes=("modes",),
                wrong="PyTorch",
                repro="import torch, torch.autograd.forward_ad as forward\n"
                "with forward.dual_level():\n"
                "    x = forward.make_dual(torch.zeros(1), torch.ones(1))\n"
                "    y = torch.nn.functional.prelu(x, torch.full((1,), 0.25))\n"
                '    print(f"{forward.unpack_dual(y).tangent[0]:.3g}")  # 1; true: 0.25',
            ),
            Remark(
                text="With an infinity or NaN the branch that where does not take is NaN in JAX's "
                "gradient, as it is multiplied by 0; and at 0 PyTorch takes the other branch.",
                axes=("nonfinite",),
            ),
        ),
    ),
    Op(
        "rrelu, not training",
        "F.rrelu(x)",
        "nn.leaky_relu(x, 11 / 48)",
        kinks=(0.0,),
        torch_like="jnp.where(x > 0, x, x * (11 / 48))",
        remarks=(SIDE_AT_0,),
    ),
    Op(
        "elu",
        "F.elu(x)",
        "nn.elu(x)",
        "Piecewise((x, x > 0), (expm1(x), True))",
        kinks=(0.0,),
        points=(-40.0,),
        torch_like="jnp.where(x >= 0, x, jnp.expm1(jnp.where(x >= 0, 0.0, x)))",
        remarks=(
            SECOND_AT_0,
            _make_expm1_remark("elu", "4.25e-18", "https://github.com/jax-ml/jax/issues/39795"),
        ),
    ),
    Op(
        "celu",
        "F.celu(x)",
        "nn.celu(x)",
        "Piecewise((x, x > 0), (expm1(x), True))",
        kinks=(0.0,),
        points=(-40.0,),
        torch_like="jnp.where(x >= 0, x, jnp.expm1(jnp.where(x >= 0, 0.0, x)))",
        remarks=(
            SHARED_SECOND_AT_0,
            _make_expm1_remark("celu", "4.25e-18", "https://github.com/jax-ml/jax/issues/39794"),
        ),
    ),
    Op(
        "celu(alpha=2)",
        "F.celu(x, alpha=2.0)",
        "nn.celu(x, 2.0)",
        "Piecewise((x, x > 0), (2*expm1(x/2), True))",
        kinks=(0.0,),
        torch_like="jnp.where(x >= 0, x, 2 * jnp.expm1(jnp.where(x >= 0, 0.0, x) / 2))",
        remarks=(SHARED_SECOND_AT_0,),
    ),
    Op(
        "selu",
        "F.selu(x)",
        "nn.selu(x)",
        "1.0507009873554804934193349852946*Piecewise((x, x > 0), (1.6732632423543772848170429916717*expm1(x), True))",
        kinks=(0.0,),
        torch_like="1.0507009873554805 * jnp.where(x > 0, x, 1.6732632423543773 * "
        "jnp.where(x == 0, x, jnp.expm1(jnp.where(x > 0, 0.0, x))))",
        remarks=(
            SECOND_AT_0,
            _make_expm1_remark("selu", "7.47e-18", "https://github.com/jax-ml/jax/issues/39796"),
        ),
    ),
    Op(
        "hardtanh",
        "F.hardtanh(x)",
        "nn.hard_tanh(x)",
        kinks=(-1.0, 1.0),
        torch_like="jnp.where(jnp.abs(x) < 1, x, lax.stop_gradient(jnp.clip(x, -1, 1)))",
        remarks=(
            Remark(
                text="At -1 and 1 PyTorch's gradient is that outside, 0; JAX's that inside, 1.",
                axes=("edges",),
                quantities=FIRST,
            ),
            Remark(
                text="PyTorch's gradient at NaN is 0, as it passes only where -1 < x < 1; JAX's is "
                "1, as it stops only where x < -1 or x > 1.",
                axes=("nonfinite",),
                quantities=FIRST,
            ),
        ),
        seen_as="hard_tanh",
        trap="np.abs(x) == 1",
    ),
    Op(
        "hardsigmoid",
        "F.hardsigmoid(x)",
        "nn.hard_sigmoid(x)",
        "Piecewise((0, x < -3), (1, x > 3), (x/6 + 1/2, True))",
        kinks=(-3.0, 3.0),
        remarks=(
            Remark(
                text="PyTorch's derivative at float64 is 1/6 rounded to float32: 5e-9 too much.",
                axes=("ordinary", "edges", "denormal"),
                quantities=FIRST,
                dtypes=("float64",),
                wrong="PyTorch",
                repro="import torch\n"
                "x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)\n"
                "(g,) = torch.autograd.grad(torch.nn.functional.hardsigmoid(x), x)\n"
                'print(f"{g:.9f}")  # 0.166666672; true: 0.166666667',
            ),
            Remark(
                text="PyTorch has no second derivative: that of hardsigmoid_backward is not "
                "implemented.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "hardswish",
        "F.hardswish(x)",
        "nn.hard_silu(x)",
        "Piecewise((0, x < -3), (x, x > 3), (x*(x + 3)/6, True))",
        kinks=(-3.0, 3.0),
        torch_like="jnp.where(x <= -3, 0.0, jnp.where(x >= 3, x, jnp.where(jnp.abs(x) < 3, "
        "x, 0 * x) * (x + 3) / 6))",
        remarks=(
            Remark(
                text="PyTorch multiplies x by 6 before it divides by 6: beyond a sixth of the "
                "greatest number it overflows.",
                axes=("large",),
                quantities=("value",),
                wrong="PyTorch",
                repro="import torch\nx = torch.tensor(3e38)\n"
                'print(f"{torch.nn.functional.hardswish(x):.3g}")  # inf; true: 3e+38',
            ),
            Remark(
                text="At an infinity JAX's forward mode multiplies it by the derivative 0 of "
                "hard_sigmoid: NaN; its reverse mode, and PyTorch, give 1 and 0.",
                axes=("nonfinite",),
                quantities=("jvp",),
            ),
            Remark(
                text="The derivative's two terms cancel near -1.5, and at bfloat16 JAX's two modes "
                "round them in another order.",
                axes=("modes",),
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op(
        "hardshrink",
        "F.hardshrink(x)",
        "jnp.where(jnp.abs(x) > 0.5, x, 0.0)",
        kinks=(-0.5, 0.5),
        torch_like="jnp.where(jnp.abs(x) > 0.5, x, 0 * x)",
        remarks=(
            Remark(
                text="PyTorch's function keeps NaN; JAX has none, and where puts 0 for it.",
                axes=("nonfinite",),
                quantities=("value",),
            ),
        ),
    ),
    Op(
        "softshrink",
        "F.softshrink(x)",
        "jnp.sign(x) * jnp.maximum(jnp.abs(x) - 0.5, 0.0)",
        kinks=(-0.5, 0.5),
        torch_like="jnp.where(jnp.abs(x) > 0.5, x - 0.5 * jnp.sign(x), 0 * x)",
        remarks=(
            Remark(
                text="At -0.5 and 0.5 PyTorch's gradient is that inside, 0; jnp.maximum shares it "
                "at a tie, 0.5.",
                axes=("edges",),
                quantities=FIRST,
            ),
            Remark(
                text="PyTorch's gradient at NaN is 0, as it passes only where |x| > 0.5; that of "
                "jnp.maximum is NaN.",
                axes=("nonfinite",),
                quantities=FIRST,
            ),
        ),
    ),
    Op(
        "threshold",
        "F.threshold(x, 0.5, 2.0)",
        "jnp.where(x > 0.5, x, 2.0)",
        kinks=(0.5,),
        torch_like="jnp.where(x <= 0.5, 2.0, x)",
        remarks=(
            Remark(
                text="PyTorch replaces what is <= the threshold, so it keeps NaN with gradient 1; "
                "where keeps what is greater, so NaN is replaced.",
                axes=("nonfinite",),
            ),
        ),
    ),
    Op(
        "sparse_plus",
        "torch.where(x <= -1, 0.0, torch.where(x >= 1, x, (x + 1) ** 2 / 4))",
        "nn.sparse_plus(x)",
        kinks=(-1.0, 1.0),
        remarks=(
            Remark(
                text="Beyond half of the greatest number the branch that is not taken has an "
                "infinite slope: reverse mode multiplies it by 0, NaN; forward mode gives 1.",
                axes=("modes",),
                wrong="both",
                repro="import jax\n"
                'print(f"{jax.grad(jax.nn.sparse_plus)(3e38):.3g}")  # nan; true: 1',
            ),
        ),
    ),
)
