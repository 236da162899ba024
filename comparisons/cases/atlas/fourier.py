"""Fourier transforms."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

# All others here are of complex numbers, which have no bfloat16.
NO_BFLOAT16 = Remark(
    text="Neither has a Fourier transform of bfloat16: both raise, so convert to float32 before.",
    dtypes=("bfloat16",),
)

OPS = (
    *(
        Op(
            f"fft.{name}",
            f"torch.fft.{name}(x)",
            f"jnp.fft.{name}(x)",
            samples={"ordinary": text, "edges: size 1": one},
            remarks=(NO_BFLOAT16,) if name in ("rfft", "rfft2", "rfftn", "ihfft") else (),
        )
        for name, text, one in (
            ("fft", "complex(8)", "complex(1)"),
            ("ifft", "complex(7)", "complex(1)"),
            ("fft2", "complex(4, 6)", "complex(1, 1)"),
            ("ifft2", "complex(4, 5)", "complex(1, 1)"),
            ("fftn", "complex(2, 3, 4)", "complex(1, 1, 1)"),
            ("ifftn", "complex(2, 3, 4)", "complex(1, 1, 1)"),
            ("rfft", "normal(8)", "normal(1)"),
            ("rfft2", "normal(4, 6)", "normal(2, 1)"),
            ("rfftn", "normal(2, 3, 4)", "normal(2, 1)"),
            ("irfft", "complex(5)", "complex(2)"),
            ("irfft2", "complex(4, 4)", "complex(2, 2)"),
            ("irfftn", "complex(2, 3, 3)", "complex(2, 2)"),
            ("hfft", "complex(5)", "complex(2)"),
            ("ihfft", "normal(8)", "normal(1)"),
            ("fftshift", "normal(5)", "normal(1)"),
            ("ifftshift", "normal(5)", "normal(1)"),
        )
    ),
    Op(
        "fft.fft(n=12)",
        "torch.fft.fft(x, 12)",
        "jnp.fft.fft(x, 12)",
        samples={"ordinary": "complex(8)"},
    ),
    Op(
        "fft.fft(norm='ortho')",
        "torch.fft.fft(x, norm='ortho')",
        "jnp.fft.fft(x, norm='ortho')",
        samples={"ordinary": "complex(8)"},
    ),
    Op(
        "fft.irfft(n=7)",
        "torch.fft.irfft(x, 7)",
        "jnp.fft.irfft(x, 7)",
        samples={"ordinary": "complex(4)"},
    ),
)
