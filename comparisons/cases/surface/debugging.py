"""Numerical gradient checking and anomaly detection."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from jax.test_util import check_grads
from torch.autograd.gradcheck import GradcheckError

import functional_ad
from comparisons.cases.surface._row import Row

X = np.array([0.5, -1.5, 2.0])


def wrong_torch():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * x  # should be x.cos()

    return Wrong.apply


def wrong_jax():
    sin = jax.custom_vjp(jnp.sin)
    sin.defvjp(
        lambda x: (jnp.sin(x), x),
        lambda x, grad: (grad * x,),
    )
    return sin


def gradcheck_torch(x):
    x = x.double().requires_grad_()

    def passes(fun):
        return torch.autograd.gradcheck(
            fun, x, raise_exception=False
        )

    return [passes(torch.sin), passes(wrong_torch())]


def gradcheck_jax(x):
    def passes(fun):
        try:
            check_grads(fun, (x,), order=1, modes="rev")
        except AssertionError:
            return False
        return True

    return [passes(jnp.sin), passes(wrong_jax())]


def wrong_second_torch():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * x.detach().cos()

    return Wrong.apply


def wrong_second_jax():
    def backward(x, grad):
        return (grad * jnp.cos(lax.stop_gradient(x)),)

    sin = jax.custom_vjp(jnp.sin)
    sin.defvjp(lambda x: (jnp.sin(x), x), backward)
    return sin


def gradgradcheck_torch(x):
    x = x.double().requires_grad_()

    def passes(fun):
        return torch.autograd.gradgradcheck(
            fun, x, raise_exception=False
        )

    second = wrong_second_torch()
    return [passes(torch.sin), passes(second)]


def gradgradcheck_jax(x):
    def passes(fun):
        try:
            check_grads(fun, (x,), order=2, modes="rev")
        except AssertionError:
            return False
        return True

    second = wrong_second_jax()
    return [passes(jnp.sin), passes(second)]


def error_torch(x):
    x = x.double().requires_grad_()
    try:
        torch.autograd.gradcheck(wrong_torch(), x)
    except GradcheckError:
        return True
    return False


def error_jax(x):
    try:
        check_grads(
            wrong_jax(), (x,), order=1, modes="rev"
        )
    except AssertionError:
        return True
    return False


def gradient_torch(x):
    return torch.gradient(x, spacing=0.5)[0]


def gradient_jax(x):
    return jnp.gradient(x, 0.5)


def detect_torch(x):
    def is_found(fun):
        leaf = x.detach().requires_grad_()
        with torch.autograd.detect_anomaly(
            check_nan=True
        ):
            try:
                fun(leaf).sum().backward()
            except RuntimeError as error:
                return "returned nan" in str(error)
        return False

    with warnings.catch_warnings(action="ignore"):
        # anomaly detection is slow, it says
        return {
            "sqrt(x * 0)": is_found(
                lambda x: (x * 0).sqrt() * 0
            ),
            "sin(x)": is_found(lambda x: x.sin()),
        }


def detect_jax(x):
    def is_found(fun):
        found = functional_ad.first_nonfinite(
            jax.grad(lambda x: jnp.sum(fun(x))), x
        )
        return found is not None

    return {
        "sqrt(x * 0)": is_found(
            lambda x: jnp.sqrt(x * 0) * 0
        ),
        "sin(x)": is_found(jnp.sin),
    }


def set_detect_torch(x):
    with (
        warnings.catch_warnings(action="ignore"),
        torch.autograd.set_detect_anomaly(True),
    ):
        x.requires_grad_()
        try:
            ((x * 0).sqrt() * 0).sum().backward()
        except RuntimeError:
            return True
    return False


def set_detect_jax(x):
    def fun(x):
        return jnp.sum(jnp.sqrt(x * 0) * 0)

    with jax.debug_nans(True):
        try:
            jax.grad(fun)(x)
        except FloatingPointError:
            return True
    return False


GRADCHECK = "generated/torch.autograd.gradcheck."

ROWS = (
    Row(
        "torch.autograd.gradcheck",
        "jax.test_util.check_grads(fun, args, order=1)",
        "Raises, and has tolerances for float32 too; forward mode is checked unless `modes` says.",
        gradcheck_torch,
        gradcheck_jax,
        inputs=(X,),
        also=("torch.autograd.gradcheck.gradcheck",),
        page=GRADCHECK + "gradcheck.html",
    ),
    Row(
        "torch.autograd.gradgradcheck",
        "jax.test_util.check_grads(fun, args, order=2)",
        "The order is an argument.",
        gradgradcheck_torch,
        gradgradcheck_jax,
        inputs=(X,),
        also=(
            "torch.autograd.gradcheck.gradgradcheck",
        ),
        page=GRADCHECK + "gradgradcheck.html",
    ),
    Row(
        "torch.autograd.gradcheck.GradcheckError",
        "jax.test_util.check_grads(fun, args, order=1)",
        "It raises AssertionError.",
        error_torch,
        error_jax,
        inputs=(X,),
        page=GRADCHECK + "GradcheckError.html",
    ),
    Row(
        "torch.autograd.gradcheck.get_numerical_jacobian",
        "",
        "Deprecated in PyTorch; `jax.test_util.check_grads` keeps its differences to itself.",
        also=(
            "torch.autograd.gradcheck.get_analytical_jacobian",
            "torch.autograd.gradcheck.get_numerical_jacobian_wrt_specific_input",
        ),
        page="autograd.html#module-torch.autograd.gradcheck",
    ),
    Row(
        "torch.gradient",
        "jnp.gradient(x, spacing)",
        "Finite differences of samples, in both: no autograd.",
        gradient_torch,
        gradient_jax,
        inputs=(np.array([0.5, -1.5, 2.0, 2.25]),),
    ),
    Row(
        "torch.autograd.detect_anomaly",
        "functional_ad.first_nonfinite(fun, *args)",
        "Returns the op, the line and the scan step where NaN or inf came up; nothing stays on.",
        detect_torch,
        detect_jax,
        inputs=(X,),
        also=(
            "torch.autograd.anomaly_mode.detect_anomaly",
        ),
        page="autograd.html#torch.autograd.detect_anomaly",
    ),
    Row(
        "torch.autograd.set_detect_anomaly",
        "with jax.debug_nans(True): ...",
        "Raises at NaN in what a compiled call gives; for good: `jax_debug_nans` in `jax.config`.",
        set_detect_torch,
        set_detect_jax,
        inputs=(X,),
        also=(
            "torch.autograd.anomaly_mode.set_detect_anomaly",
            *(
                "torch.set_anomaly_enabled",
                "torch.is_anomaly_enabled",
            ),
            "torch.is_anomaly_check_nan_enabled",
        ),
        page="autograd.html#torch.autograd.set_detect_anomaly",
    ),
)
