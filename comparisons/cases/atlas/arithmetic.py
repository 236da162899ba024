"""Arithmetic and rounding."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

CHOICES = "https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions"

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
    Op("sign", "torch.sign(x)", "jnp.sign(x)", kinks=(0.0,), seen_as="sign", trap="np.isnan(x)"),
    Op("sgn", "torch.sgn(x)", "jnp.sign(x)", kinks=(0.0,)),
    Op("square", "torch.square(x)", "jnp.square(x)", "x**2", domain=(-1e3, 1e3)),
    Op("sqrt", "torch.sqrt(x)", "jnp.sqrt(x)", "sqrt(x)", domain=(1e-6, 1e6)),
    Op("rsqrt", "torch.rsqrt(x)", "lax.rsqrt(x)", "1/sqrt(x)", domain=(1e-6, 1e6)),
    Op("reciprocal", "torch.reciprocal(x)", "jnp.reciprocal(x)", "1/x", domain=(-50, 50)),
    Op("floor", "torch.floor(x)", "jnp.floor(x)", kinks=(0.0, 1.0, -1.0), points=(1.5, 2.5)),
    Op("ceil", "torch.ceil(x)", "jnp.ceil(x)", kinks=(0.0, 1.0, -1.0), points=(1.5, 2.5)),
    Op("round", "torch.round(x)", "jnp.round(x)", kinks=(0.5, 1.5, 2.5, -0.5)),
    Op("trunc", "torch.trunc(x)", "jnp.trunc(x)", kinks=(1.0, -1.0), points=(1.5, -1.5)),
    Op("frac", "torch.frac(x)", "x - jnp.trunc(x)", kinks=(1.0, -1.0), points=(1.5, -1.5)),
    Op("nan_to_num", "torch.nan_to_num(x)", "jnp.nan_to_num(x)"),
    Op("deg2rad", "torch.deg2rad(x)", "jnp.deg2rad(x)", "x*pi/180", domain=(-720, 720)),
    Op("rad2deg", "torch.rad2deg(x)", "jnp.rad2deg(x)", "x*180/pi"),
    Op("add", "torch.add(x, y)", "jnp.add(x, y)", "x + y", args="x y"),
    Op("sub", "torch.sub(x, y)", "jnp.subtract(x, y)", "x - y", args="x y"),
    Op("mul", "torch.mul(x, y)", "jnp.multiply(x, y)", "x*y", args="x y"),
    Op("div", "torch.div(x, y)", "jnp.divide(x, y)", "x/y", args="x y"),
    Op(
        "div(rounding_mode='trunc')",
        "torch.div(x, y, rounding_mode='trunc')",
        "jnp.trunc(x / y)",
        args="x y",
    ),
    Op("floor_divide", "torch.floor_divide(x, y)", "jnp.floor_divide(x, y)", args="x y"),
    Op("fmod", "torch.fmod(x, y)", "jnp.fmod(x, y)", args="x y", domain=((-6, 6), (0.5, 4))),
    Op(
        "remainder",
        "torch.remainder(x, y)",
        "jnp.remainder(x, y)",
        args="x y",
        domain=((-6, 6), (0.5, 4)),
    ),
    Op(
        "maximum",
        "torch.maximum(x, y)",
        "jnp.maximum(x, y)",
        args="x y",
        seen_as="max",
        trap="np.isnan(x) | np.isnan(y)",
    ),
    Op(
        "minimum",
        "torch.minimum(x, y)",
        "jnp.minimum(x, y)",
        args="x y",
        seen_as="min",
        trap="np.isnan(x) | np.isnan(y)",
    ),
    Op("fmax", "torch.fmax(x, y)", "jnp.fmax(x, y)", args="x y"),
    Op("fmin", "torch.fmin(x, y)", "jnp.fmin(x, y)", args="x y"),
    Op(
        "hypot",
        "torch.hypot(x, y)",
        "jnp.hypot(x, y)",
        "sqrt(x**2 + y**2)",
        args="x y",
        seen_as="hypot",
        trap="(x == 0) & (y == 0)",
    ),
    Op("copysign", "torch.copysign(x, y)", "jnp.copysign(x, y)", args="x y"),
    Op("heaviside", "torch.heaviside(x, y)", "jnp.heaviside(x, y)", args="x y"),
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
    ),
    Op("where", "torch.where(x > y, x, y)", "jnp.where(x > y, x, y)", args="x y"),
    Op(
        "clamp(-1, 1)",
        "torch.clamp(x, -1, 1)",
        "jnp.clip(x, -1, 1)",
        kinks=(-1.0, 1.0),
        torch_like="jnp.where((x >= -1) & (x <= 1), x, lax.stop_gradient(jnp.clip(x, -1, 1)))",
        remarks=(
            Remark(
                text="At a bound PyTorch passes the whole gradient on, jnp.clip half of it.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        seen_as="clip",
        trap="(x == y) | (x == z)",
    ),
    Op(
        "clamp(-1, 1), lax",
        "torch.clamp(x, -1, 1)",
        "lax.clamp(-1.0, x, 1.0)",
        kinks=(-1.0, 1.0),
        torch_like="jnp.where((x >= -1) & (x <= 1), x, lax.stop_gradient(lax.clamp(-1.0, x, 1.0)))",
        seen_as="clamp",
        trap="(y == x) | (y == z)",
    ),
    Op(
        "clamp(min=0)",
        "torch.clamp(x, min=0)",
        "jnp.clip(x, 0)",
        kinks=(0.0,),
        torch_like="jnp.where(x >= 0, x, lax.stop_gradient(jnp.clip(x, 0)))",
    ),
    Op(
        "maximum(x, 0)",
        "torch.maximum(x, torch.zeros_like(x))",
        "jnp.maximum(x, 0.0)",
        kinks=(0.0,),
    ),
)
