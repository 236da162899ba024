"""The functions of ``_nonfinite_sources`` in PyTorch, where PyTorch has the same; same marks."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

TWINS: dict = {}


def twin(fun):
    TWINS[fun.__name__] = fun
    return fun


def convert(tree):
    """Arrays as tensors that require a gradient, if they are floating-point."""
    if isinstance(tree, dict):
        return {name: convert(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [convert(value) for value in tree]
    if not hasattr(tree, "dtype"):
        return tree
    half = str(tree.dtype) == "bfloat16"
    tensor = torch.tensor(np.asarray(tree, np.float32) if half else np.asarray(tree))
    tensor = tensor.bfloat16() if half else tensor
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


@twin
def log_of_zero(x):
    y = x * 2
    z = torch.log(y)  # here
    return torch.sum(z * 3)


@twin
def zero_over_zero(x):
    y = x * 2
    return torch.sum(x / y)  # here


@twin
def sqrt_of_negative(x):
    return torch.sum(torch.sqrt(x))  # here


@twin
def exp_overflows(x):
    e = torch.exp(x)  # here
    return e / torch.sum(e)


@twin
def log1p_below(x):
    return torch.sum(torch.log1p(x))  # here


@twin
def fractional_power(x):
    return torch.sum(x**0.3)  # here


@twin
def cast_to_half(x):
    y = x * 1000
    h = y.to(torch.float16)  # here
    return torch.sum(h.float())


@twin
def matmul_in_half(x):
    y = x @ x  # here
    return torch.sum(y)


@twin
def square_in_bfloat16(x):
    return torch.sum(x * x)  # here


@twin
def arccos_outside(x):
    return torch.sum(torch.arccos(x / 2))  # here


@twin
def every_score_masked(x):
    scores = torch.where(x > 100, x, -torch.inf)
    return torch.softmax(scores, 0)  # here


@twin
def mean_of_nothing(x):
    keep = x > 10
    return torch.sum(x * keep) / torch.sum(keep)  # here


@twin
def deviation_of_one(x):
    return torch.sum((x - x.mean()) ** 2) / (x.numel() - 1)  # here


@twin
def log_of_softmax(x):
    p = torch.softmax(x, 0)
    return -torch.sum(torch.log(p))  # here


@twin
def unit_vector_of_zero(x):
    length = torch.sqrt(torch.sum(x**2))
    return x / length  # here


@twin
def after_a_harmless_one(x):
    safe = torch.where(x > 0, 1 / x, 0.0)
    return torch.sum(safe) + torch.sum(torch.log(x))  # here


@twin
def in_a_scan(x):
    outputs = []
    for t in (0.5, 0.25, 0.75, 1.0, 0.5):
        gone = x - t
        outputs.append(torch.log(gone))  # here
    return torch.stack(outputs)


@twin
def in_a_long_scan(x):
    carry = torch.zeros(1)
    for t in range(1000):
        carry = carry + torch.sqrt(x - t)  # here
    return carry


@twin
def in_nested_scans(x):
    for row in ([1.0, 2.0, 3.0], [4.0, 5.0, 0.0], [1.0, 0.0, 1.0]):
        for t in torch.tensor(row):
            x = x + 1 / t  # here
    return x


@twin
def in_a_reversed_scan(x):
    for t in torch.tensor([3.0, 2.0, 0.0, 0.0]):
        x = x * torch.log(t)  # here
    return x


@twin
def in_a_while(x):
    i = 0
    while i < 9:
        i, x = i + 1, x * x  # here
    return x


@twin
def in_a_fori_loop(x):
    total = 0.0
    for i in range(5):
        total = total + torch.log(x - i)  # here
    return total


@twin
def in_a_branch(x):
    return torch.rsqrt(x) if x[0] > 1 else torch.sin(x)  # here


@twin
def under_vmap(x):
    def one(row):
        return torch.sum(torch.log(row))  # here

    return torch.func.vmap(one)(x)


@twin
def compiled(x):
    return torch.sum(2.0 / x)  # here


@twin
def checkpointed(x):
    def block(y):
        return torch.tanh(torch.log(y)) + torch.log(y)  # here

    return torch.sum(checkpoint(block, x, use_reentrant=False))


class _Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return torch.exp(y)  # here

    @staticmethod
    def backward(ctx, g):
        return g


@twin
def in_a_custom_jvp(x):
    return torch.sum(_Exp.apply(x))


class _Log(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return torch.log(y)  # here

    @staticmethod
    def backward(ctx, g):
        return g


@twin
def in_a_forward_rule(x):
    return torch.sum(_Log.apply(x))


@twin
def infinity_minus_infinity(x):
    square = x * x
    big = torch.where(square > 1e9, torch.inf, square)
    return torch.sum(big - big)  # here


@twin
def masked_sqrt(x):
    return torch.sum(torch.where(x > 0, torch.sqrt(x), 0.0))  # here


@twin
def masked_log(x):
    y = torch.log(x)  # here
    return torch.sum(torch.where(x > 0, y, 0.0))


@twin
def masked_division(x):
    y = x[0] / x  # here
    return torch.sum(torch.where(x == 0, 0.0, y))


@twin
def norm_of_zero(x):
    return torch.sqrt(torch.sum(x**2))  # here


@twin
def root_by_power(x):
    return torch.sum(x**0.5)  # here


@twin
def arccos_of_one(x):
    return torch.sum(torch.arccos(x))  # here


@twin
def angle_of_zero(y, x):
    return torch.sum(torch.arctan2(y, x))  # here


@twin
def deviation_of_constants(x):
    return torch.std(x, correction=0)  # here


@twin
def backward_through_a_scan(x):
    total = 0.0
    for t in (0.0, 0.5, 0.25, 1.0, 0.75):
        total = total + torch.sum(torch.sqrt(x - t))  # here
    return total


@twin
def backward_through_a_long_scan(x):
    total = 0.0
    for t in range(1000):
        total = total + torch.sum(torch.sqrt(torch.abs(x - t)))  # here
    return total


@twin
def backward_through_remat(x):
    def block(y):
        z = torch.sin(y)
        return torch.sqrt(z * z)  # here

    return torch.sum(checkpoint(block, x, use_reentrant=False))


@twin
def backward_under_vmap(x):
    def one(row):
        return torch.sqrt(torch.sum(row**2))  # here

    return torch.func.vmap(one)(x)


@twin
def backward_through_a_branch(x):
    if x[0] > 1:
        return torch.sum(torch.where(x > 0, torch.log(x), 0.0))  # here
    return torch.sum(torch.sin(x))


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        ctx.save_for_backward(y)
        return y * 2

    @staticmethod
    def backward(ctx, g):
        return g / ctx.saved_tensors[0]


@twin
def in_a_backward_rule(x):
    return torch.sum(_Backward.apply(x))  # here


class _Residual(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        ctx.save_for_backward(1 / y)  # here
        return y * 2

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


@twin
def in_a_residual(x):
    return torch.sum(_Residual.apply(x))


@twin
def nan_in_the_parameters(params, x):
    return torch.sum(params["w"] * 2 + params["b"]) + torch.sum(x)


@twin
def infinity_in_the_batch(w, batch):
    return torch.sum(w * batch[0])
