"""Activations."""

from __future__ import annotations

from comparisons.cases.atlas._op import Axis, Op, Remark

FIRST = ("vjp", "jvp")
DERIVATIVES = ("vjp", "jvp", "hvp")


def _make_saturation_remark(lost: str, wrong: bool = False) -> Remark:
    """Both frameworks derive the sigmoid from its result."""
    return Remark(
        text=f"Both compute 1 - sigmoid(x), which cancels for large x: {lost} is 0 above 37 at "
        "float64, 17 at float32, 6 at bfloat16.",
        axes=("ordinary",),
        quantities=DERIVATIVES,
        wrong="both" if wrong else None,
        link="https://github.com/pytorch/pytorch/issues/195681",
        repro='import jax\nprint(f"{jax.grad(jax.nn.sigmoid)(40.0):.3g}")  # 0; true: 4.25e-18'
        if wrong
        else "",
    )


def _make_compiled_remark(what: str) -> Remark:
    """What cancels is rounded otherwise in another order."""
    return Remark(
        text=f"{what} cancels, and compiled or in the other mode JAX rounds it in another order.",
        axes=("jit", "modes"),
    )


def _make_quotient_remark(axes: tuple[Axis, ...]) -> Remark:
    return Remark(
        text="Both derive the quotient: x / (1 + |x|) ** 2 is taken from 1 / (1 + |x|), and "
        "cancels as |x| grows.",
        axes=axes,
        quantities=DERIVATIVES,
    )


TANH_CANCELS = Remark(
    text="Both compute 1 + tanh(...), which cancels for negative x: at float32 nothing is left "
    "below about -5.",
    axes=("ordinary",),
    quantities=("value", "vjp", "jvp"),
)

OPS = (
    Op(
        "gelu",
        "F.gelu(x)",
        "nn.gelu(x, approximate=False)",
        "x*ndtr(x)",
        domain=(-12, 6),
        points=(-38.0, -1e3),
        remarks=(
            Remark(
                text="PyTorch computes 1 + erf(x / sqrt(2)), which cancels for negative x: the "
                "value is 0 below -8.3 at float64, -5.6 at float32.",
                axes=("ordinary",),
                quantities=("value", "vjp", "jvp"),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/187806",
                repro="import torch\nx = torch.tensor(-9.0, dtype=torch.float64)\n"
                'print(f"{torch.nn.functional.gelu(x):.3g}")  # -0; true: -1.02e-18',
            ),
            Remark(
                text="JAX squares a rounded x / sqrt(2) in the exponent: in the tail 100 to 200 "
                "units are lost.",
                axes=("ordinary",),
            ),
            Remark(
                text="PyTorch's second derivative multiplies x * x by the density: infinity times "
                "0 is NaN from 1.4e154 on, at float32 from 1.9e19 on.",
                axes=("large",),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="import torch\nx = torch.tensor(1e20, requires_grad=True)\n"
                "y = torch.nn.functional.gelu(x)\n"
                "(g,) = torch.autograd.grad(y, x, create_graph=True)\n"
                'print(f"{torch.autograd.grad(g, x)[0]:.3g}")  # nan; true: 0',
            ),
        ),
    ),
    Op(
        "gelu(approximate='tanh')",
        "F.gelu(x, approximate='tanh')",
        "nn.gelu(x)",
        "x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
        points=(-1e3, 1e160),
        remarks=(
            TANH_CANCELS,
            Remark(
                text="Both derive tanh from its result, and 1 - tanh ** 2 cancels at both ends: at "
                "float32 JAX's second derivative is 0 beyond 5, PyTorch's loses digits.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            _make_compiled_remark("1 + tanh(...)"),
        ),
    ),
    Op(
        "gelu, each with its default",
        "F.gelu(x)",
        "nn.gelu(x)",
        domain=(-3, 3),
        torch_like="nn.gelu(x, approximate=False)",
        remarks=(
            Remark(
                text="PyTorch's default is the exact function; JAX's is the approximation by tanh, "
                "up to 5e-4 off, whose slope multiplies 0 by x ** 2: NaN once that overflows.",
                axes=("ordinary", "edges", "large"),
                link="https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html",
            ),
            _make_compiled_remark("1 + tanh(...)"),
        ),
    ),
    Op(
        "silu",
        "F.silu(x)",
        "nn.silu(x)",
        "x*sigmoid(x)",
        domain=(-40, 40),
        points=(-800.0,),
        remarks=(_make_saturation_remark("the second derivative"),),
    ),
    Op(
        "mish",
        "F.mish(x)",
        "nn.mish(x)",
        "x*tanh(softplus(x))",
        domain=(-40, 40),
        points=(-800.0, 20.5, 800.0),
        remarks=(
            Remark(
                text="Both derive tanh from its result: 1 - tanh ** 2 cancels for large x, and the "
                "second derivative is 0 above 20 at float64, about 9 at float32.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
            Remark(
                text="JAX's 1 - tanh ** 2 cancels for large x, and x multiplies what is lost: about 130 "
                "units near 20.",
                axes=("ordinary",),
                quantities=FIRST,
                dtypes=("float64",),
            ),
            Remark(
                text="PyTorch's second derivative is NaN where exp(x) overflows: above 88.7 at "
                "float32, 709.8 at float64.",
                axes=("edges", "large"),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="import torch\nx = torch.tensor(100.0, requires_grad=True)\n"
                "y = torch.nn.functional.mish(x)\n"
                "(g,) = torch.autograd.grad(y, x, create_graph=True)\n"
                'print(f"{torch.autograd.grad(g, x)[0]:.3g}")  # nan; true: 0',
            ),
        ),
    ),
    Op(
        "sigmoid",
        "torch.sigmoid(x)",
        "nn.sigmoid(x)",
        "sigmoid(x)",
        domain=(-40, 40),
        points=(-800.0, 800.0, 37.0),
        remarks=(
            _make_saturation_remark("the derivative", wrong=True),
            Remark(
                text="Near 0 the second derivative's 1 - 2 sigmoid(x) cancels: at bfloat16 nothing "
                "is left.",
                axes=("ordinary",),
                quantities=("hvp",),
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op(
        "logsigmoid",
        "F.logsigmoid(x)",
        "nn.log_sigmoid(x)",
        "-softplus(-x)",
        domain=(-40, 40),
        points=(-800.0, 800.0),
        remarks=(
            Remark(
                text="Each takes a sigmoid from 1: PyTorch's second derivative is lost above 37 at "
                "float64 (17 at float32), JAX's below -37 (-17).",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "softplus",
        "F.softplus(x)",
        "nn.softplus(x)",
        "softplus(x)",
        domain=(-40, 40),
        points=(20.0, 20.5, 800.0, -800.0),
        torch_like="jnp.where(x > 20, x, nn.softplus(jnp.where(x > 20, 0.0, x)))",
        remarks=(
            Remark(
                text="Above its threshold of 20 PyTorch returns x: the value and the derivatives "
                "are up to 2e-9 off, and the second derivative is 0, at 20 itself, too.",
                axes=("ordinary", "edges"),
                dtypes=("float64",),
                link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html",
            ),
            Remark(
                text="JAX's derivative is exp(x - softplus(x)), whose exponent cancels for large "
                "x: the second derivative is 0 from 15 on at float32, 37 at float64; PyTorch's above 20.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "softplus(beta=2)",
        "F.softplus(x, beta=2.0)",
        "nn.softplus(2 * x) / 2",
        "softplus(2*x)/2",
        domain=(-20, 9),
        avoid=(1.7976931348623157e308,),
        remarks=(
            Remark(
                text="JAX's derivative is exp(2 x - softplus(2 x)), whose exponent cancels for "
                "large x; PyTorch takes a sigmoid from 1, which loses less.",
                axes=("ordinary",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "softsign",
        "F.softsign(x)",
        "nn.soft_sign(x)",
        "x/(1 + Abs(x))",
        domain=(-50, 50),
        kinks=(0.0,),
        torch_like="x / (1 + x * jnp.sign(x))",
        remarks=(
            Remark(
                text="The second derivative jumps from 2 to -2 at 0: PyTorch's is 0 there, as its "
                "abs has slope 0 at 0; JAX's is -2, as its abs has slope 1.",
                axes=("edges",),
                quantities=("hvp",),
            ),
            _make_quotient_remark(("ordinary", "large", "modes")),
        ),
    ),
    Op(
        "tanhshrink",
        "F.tanhshrink(x)",
        "x - jnp.tanh(x)",
        "x - tanh(x)",
        remarks=(
            Remark(
                text="Both take tanh(x) from x, and 1 - tanh(x) ** 2 from 1: near 0 all digits "
                "cancel, and far from 0 those of the second derivative.",
                axes=("ordinary",),
            ),
            _make_compiled_remark("x - tanh(x)"),
        ),
    ),
    Op(
        "squareplus",
        "(x + torch.sqrt(x * x + 4)) / 2",
        "nn.squareplus(x)",
        "(x + sqrt(x**2 + 4))/2",
        domain=(-50, 50),
        torch_page="torch.sqrt",
        remarks=(
            Remark(
                text="Both compute x + sqrt(x ** 2 + 4), which cancels for negative x, its "
                "derivative likewise, and the second derivative at both ends.",
                axes=("ordinary", "jit", "modes", "large"),
            ),
            Remark(
                text="x ** 2 overflows from 1.4e154 on, at float32 from 1.9e19 on: the root's slope "
                "is then 0 and the gradient half of what it should be, or NaN near the end.",
                axes=("large", "modes"),
                quantities=FIRST,
                wrong="both",
                repro="import jax\n"
                'print(f"{jax.grad(jax.nn.squareplus)(1e20):.3g}")  # 0.5; true: 1',
            ),
        ),
    ),
    Op(
        "glu",
        "F.glu(x)",
        "nn.glu(x)",
        samples={"ordinary": "normal(3, 8)", "edges: large": "array([[800., -800., 800., -800.]])"},
        remarks=(
            Remark(
                text="PyTorch has no forward mode at bfloat16 on a CPU: its kernel glu_jvp is not "
                "implemented there.",
                axes=("ordinary",),
                quantities=("jvp",),
                dtypes=("bfloat16",),
            ),
        ),
    ),
    Op(
        "softmax",
        "F.softmax(x, -1)",
        "nn.softmax(x)",
        samples={
            "ordinary": "normal(3, 5)",
            "edges: equal": "array([1., 1., 1.])",
            "edges: size 1": "array([2.])",
            "nonfinite: -inf": "array([1., -inf, 2.])",
            "nonfinite: all -inf": "array([-inf, -inf])",
            "nonfinite: inf": "array([1., inf])",
            "large": "array([800., -800., 1e30])",
        },
    ),
    Op(
        "log_softmax",
        "F.log_softmax(x, -1)",
        "nn.log_softmax(x)",
        samples={
            "ordinary": "normal(3, 5)",
            "edges: size 1": "array([2.])",
            "nonfinite: -inf": "array([1., -inf, 2.])",
            "nonfinite: all -inf": "array([-inf, -inf])",
            "nonfinite: inf": "array([1., inf])",
            "large": "array([800., -800., 1e30])",
        },
    ),
    Op(
        "softmin",
        "F.softmin(x, -1)",
        "nn.softmax(-x)",
        samples={"ordinary": "normal(3, 5)", "large": "array([800., -800.])"},
    ),
    Op(
        "normalize",
        "F.normalize(x, dim=-1)",
        "x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)",
        samples={
            "ordinary": "normal(3, 5)",
            "edges: a row of zeros": "array([[0., 0.], [3., 4.]])",
        },
        torch_like="x / jnp.sqrt(jnp.maximum(jnp.sum(x * x, -1, keepdims=True), 1e-24))",
        remarks=(
            Remark(
                text="In a row of zeros PyTorch's norm has gradient 0, so that x / 1e-12 is left; "
                "JAX's has NaN, which maximum multiplies by 0.",
                axes=("edges",),
                quantities=FIRST,
            ),
        ),
    ),
)
