"""Maxima, minima and bounds."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

NAN = Remark(
    text="With a NaN PyTorch gives both arguments the whole gradient in reverse mode, and the second"
    " one the whole tangent forward; JAX gives 0.",
    axes=("nonfinite",),
)
TIE = Remark(
    text="At a tie PyTorch gives the whole gradient to the first argument, JAX to the second.",
    axes=("edges", "large", "nonfinite"),
)


def _at_bound(what: str) -> Remark:
    """What JAX passes on."""
    return Remark(
        text=f"At a bound PyTorch passes the whole gradient on, {what}.",
        axes=("edges",),
        quantities=("vjp", "jvp"),
    )


def _pass_nan(expression: str) -> str:
    """Both arguments have the gradient of a NaN."""
    return f"jnp.where((x != x) | (y != y), x + y, {expression})"


OPS = (
    Op(
        "maximum",
        "torch.maximum(x, y)",
        "jnp.maximum(x, y)",
        args="x y",
        torch_like=_pass_nan("jnp.maximum(x, y)"),
        remarks=(NAN,),
        seen_as="max",
        trap="np.isnan(x) | np.isnan(y)",
    ),
    Op(
        "minimum",
        "torch.minimum(x, y)",
        "jnp.minimum(x, y)",
        args="x y",
        torch_like=_pass_nan("jnp.minimum(x, y)"),
        remarks=(NAN,),
        seen_as="min",
        trap="np.isnan(x) | np.isnan(y)",
    ),
    Op(
        "fmax",
        "torch.fmax(x, y)",
        "jnp.fmax(x, y)",
        args="x y",
        torch_like="jnp.where((x >= y) | (y != y), x, y)",
        remarks=(
            TIE,
            Remark(
                text="At a tie PyTorch's reverse mode gives the gradient to x, as x >= y; its forward"
                " mode takes the tangent of y, as x > y is not so.",
                axes=("modes",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(1.0)
_, tangent = torch.func.jvp(lambda x: torch.fmax(x, torch.tensor(1.0)), (x,), (x,))
print(tangent.item())  # 0.0; true: 1.0, as in reverse mode""",
            ),
        ),
    ),
    Op(
        "fmin",
        "torch.fmin(x, y)",
        "jnp.fmin(x, y)",
        args="x y",
        torch_like="jnp.where((x <= y) | (y != y), x, y)",
        remarks=(TIE,),
    ),
    Op("where", "torch.where(x > y, x, y)", "jnp.where(x > y, x, y)", args="x y"),
    Op(
        "clamp(-1, 1)",
        "torch.clamp(x, -1, 1)",
        "jnp.clip(x, -1, 1)",
        kinks=(-1.0, 1.0),
        torch_like="jnp.where((x >= -1) & (x <= 1), x, lax.stop_gradient(jnp.clip(x, -1, 1)))",
        remarks=(_at_bound("jnp.clip half of it"),),
        seen_as="clip",
        trap="(x == y) | (x == z)",
    ),
    Op(
        "clamp(-1, 1), lax",
        "torch.clamp(x, -1, 1)",
        "lax.clamp(x.dtype.type(-1), x, x.dtype.type(1))",
        kinks=(-1.0, 1.0),
        torch_like="jnp.where((x >= -1) & (x <= 1), x, lax.stop_gradient(jnp.clip(x, -1, 1)))",
        remarks=(_at_bound("lax.clamp none"),),
        seen_as="clamp",
        trap="(y == x) | (y == z)",
    ),
    Op(
        "clamp(min=0)",
        "torch.clamp(x, min=0)",
        "jnp.clip(x, 0)",
        kinks=(0.0,),
        torch_like="jnp.where(x >= 0, x, lax.stop_gradient(jnp.clip(x, 0)))",
        remarks=(_at_bound("jnp.clip half of it"),),
    ),
    Op(
        "clamp(min=y)",
        "torch.clamp(x, min=y)",
        "jnp.clip(x, y)",
        args="x y",
        orders=("value", "vjp", "hvp"),
        torch_like="jnp.where((x >= y) | (x != x), x, y)",
        remarks=(
            Remark(
                text="At a tie PyTorch's reverse mode gives x the whole gradient, jnp.clip half to each.",
                axes=("edges", "large", "nonfinite"),
                quantities=("vjp",),
            ),
            Remark(
                text="At a tie PyTorch's forward mode takes the bound's tangent, against reverse mode.",
                axes=("modes",),
                wrong="PyTorch",
                repro="""import torch
x = torch.tensor(1.0)
_, tangent = torch.func.jvp(lambda x: torch.clamp(x, min=torch.tensor(1.0)), (x,), (x,))
print(tangent.item())  # 0.0; true: 1.0, as in reverse mode""",
            ),
        ),
    ),
    Op(
        "maximum(x, 0)",
        "torch.maximum(x, torch.zeros_like(x))",
        "jnp.maximum(x, 0.0)",
        kinks=(0.0,),
        torch_like="jnp.where(x != x, x, jnp.maximum(x, 0.0))",
        remarks=(
            Remark(
                text="At NaN PyTorch passes the gradient on, JAX gives 0; at 0 both halve it.",
                axes=("nonfinite",),
                quantities=("vjp",),
            ),
        ),
    ),
)
