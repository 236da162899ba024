"""Complex numbers."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op

OPS = (
    Op(
        "complex",
        "torch.complex(x, y)",
        "lax.complex(x, y)",
        args="x y",
        samples={"ordinary": "normal(3), normal(3)"},
    ),
    Op("real", "torch.real(x)", "jnp.real(x)", samples={"ordinary": "complex(3)"}),
    Op("imag", "torch.imag(x)", "jnp.imag(x)", samples={"ordinary": "complex(3)"}),
    Op("conj", "torch.conj(x)", "jnp.conj(x)", samples={"ordinary": "complex(3)"}),
    Op(
        "abs, complex",
        "torch.abs(x)",
        "jnp.abs(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
    ),
    Op(
        "angle, complex",
        "torch.angle(x)",
        "jnp.angle(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
    ),
    Op("angle", "torch.angle(x)", "jnp.angle(x)", samples={"ordinary": "array([1., -2., 3.])"}),
    Op("exp, complex", "torch.exp(x)", "jnp.exp(x)", samples={"ordinary": "complex(3)"}),
    Op("log, complex", "torch.log(x)", "jnp.log(x)", samples={"ordinary": "complex(3)"}),
    Op(
        "sqrt, complex",
        "torch.sqrt(x)",
        "jnp.sqrt(x)",
        samples={"ordinary": "complex(3)", "edges: zero": "array([0j, 1 + 1j])"},
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
