"""Complex numbers."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

OPS = (
    Op(
        "complex",
        "torch.complex(x, y)",
        "lax.complex(x, y)",
        args="x y",
        samples={"ordinary": "normal(3), normal(3)"},
        remarks=(
            Remark(
                text="Neither has complex numbers of bfloat16: both raise.", dtypes=("bfloat16",)
            ),
        ),
    ),
    Op("real", "torch.real(x)", "jnp.real(x)", samples={"ordinary": "complex(3)"}),
    Op("imag", "torch.imag(x)", "jnp.imag(x)", samples={"ordinary": "complex(3)"}),
    Op("conj", "torch.conj(x)", "jnp.conj(x)", samples={"ordinary": "complex(3)"}),
    Op(
        "abs, complex",
        "torch.abs(x)",
        "jnp.abs(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
        torch_like="jnp.where(x == 0, 0.0, jnp.abs(jnp.where(x == 0, 1.0, x)))",
        remarks=(
            Remark(
                text="There is no second derivative at 0: PyTorch's is 0, as that of torch.sgn; JAX divides"
                " x by 1 there, and differentiates that.",
                axes=("edges",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "angle, complex",
        "torch.angle(x)",
        "jnp.angle(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
        torch_like="jnp.where(x == 0, 0.0, jnp.angle(jnp.where(x == 0, 1.0, x)))",
        remarks=(
            Remark(
                text="At 0 there is no angle: PyTorch's gradient is 0, JAX's NaN, as that of atan2(0, 0).",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op("angle", "torch.angle(x)", "jnp.angle(x)", samples={"ordinary": "array([1., -2., 3.])"}),
    Op("exp, complex", "torch.exp(x)", "jnp.exp(x)", samples={"ordinary": "complex(3)"}),
    Op(
        "log, complex",
        "torch.log(x)",
        "jnp.log(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
    ),
    Op(
        "sqrt, complex",
        "torch.sqrt(x)",
        "jnp.sqrt(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
        remarks=(
            Remark(
                text="At 0 the derivative is infinite: PyTorch's gradient has an infinite part beside a NaN,"
                " both parts of JAX's are NaN.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op(
        "mul, complex",
        "torch.mul(x, y)",
        "jnp.multiply(x, y)",
        args="x y",
        samples={"ordinary": "complex(3), complex(3)"},
    ),
    Op("tanh, complex", "torch.tanh(x)", "jnp.tanh(x)", samples={"ordinary": "complex(3)"}),
)
