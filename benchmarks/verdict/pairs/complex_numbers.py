"""Complex functions and Fourier transforms."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.verdict.pair import Pair


def _real(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (scale * rng.normal(size=size),)


def _complex(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    a, b = rng.normal(size=(2, size))
    return (scale * (a + 1j * b),)


def _two_complex(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return (*_complex(rng, size, scale), *_complex(rng, size, scale))


def _two_real(rng: np.random.Generator, size: int, scale: float) -> tuple[Any, ...]:
    return scale * rng.normal(size=size), scale * rng.normal(size=size)


PAIRS = (
    Pair(
        name="power spectrum",
        jax=lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2,
        torch=lambda x: torch.fft.rfft(x).abs() ** 2,
        inputs=_real,
        sizes=(32, 100),
        scales=(1.0, 1e3),
        defects={
            "amplitudes": lambda x: jnp.abs(jnp.fft.rfft(x)),
            "divided by the length": lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2 / len(x),
            "orthonormal": lambda x: jnp.abs(jnp.fft.rfft(x, norm="ortho")) ** 2,
        },
    ),
    Pair(
        name="filter by Fourier transform",
        jax=lambda x, h: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(h), len(x)),
        torch=lambda x, h: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(h), len(x)),
        inputs=_two_real,
        sizes=(32, 99),
        defects={
            "correlation": lambda x, h: jnp.fft.irfft(
                jnp.fft.rfft(x) * jnp.conj(jnp.fft.rfft(h)), len(x)
            ),
            "shifted by one": lambda x, h: jnp.roll(
                jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(h), len(x)), 1
            ),
        },
    ),
    Pair(
        name="real part of a Fourier transform",
        jax=lambda x: jnp.real(jnp.fft.fft(x)),
        torch=lambda x: torch.fft.fft(x).real,
        inputs=_real,
        sizes=(32, 100),
        defects={
            "imaginary part": lambda x: jnp.imag(jnp.fft.fft(x)),
            "inverse": lambda x: jnp.real(jnp.fft.ifft(x)),
        },
    ),
    Pair(
        name="complex product",
        jax=lambda a, b: a * b,
        torch=lambda a, b: a * b,
        inputs=_two_complex,
        sizes=(20, 65),
        dtypes=("complex64",),
        defects={"one conjugated": lambda a, b: a * jnp.conj(b)},
    ),
    Pair(
        name="complex exponential",
        jax=jnp.exp,
        torch=torch.exp,
        inputs=_complex,
        sizes=(20, 65),
        dtypes=("complex64",),
        defects={"conjugated": lambda z: jnp.exp(jnp.conj(z))},
    ),
    Pair(
        name="complex tanh",
        jax=jnp.tanh,
        torch=torch.tanh,
        inputs=_complex,
        sizes=(20, 65),
        scales=(0.5,),
        dtypes=("complex64",),
    ),
    Pair(
        name="squared magnitude",
        jax=lambda z: jnp.real(z * jnp.conj(z)),
        torch=lambda z: (z * z.conj()).real,
        inputs=_complex,
        sizes=(20, 65),
        dtypes=("complex64",),
        defects={"square": lambda z: jnp.real(z * z), "magnitude": jnp.abs},
    ),
    Pair(
        name="complex Fourier transform",
        jax=jnp.fft.fft,
        torch=torch.fft.fft,
        inputs=_complex,
        sizes=(32, 100),
        dtypes=("complex64",),
        defects={
            "inverse": jnp.fft.ifft,
            "shifted": lambda z: jnp.fft.fftshift(jnp.fft.fft(z)),
        },
    ),
)
