"""Axes, orders and paddings; inputs and outputs that are not where PyTorch has them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from comparisons._causes._atlas import say_as_atlas
from comparisons._causes._known import AnyOf, Array, Calls, Details, Inputs, Known, Outputs, Scene
from comparisons._causes._patch import Call

_CONV = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html"
_INTERPOLATE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html"
_LINEAR = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html"
_MOST_INPUTS = 12  # leaves of which one is changed, by the bound on trials
# What a permuted result may differ by from rounding, relative to the greatest element: the sums are
# in another order. A coincidence of two different arrays is not that near.
_SAME = 1e-9


def _change(path: str, how: Any) -> Any:
    return lambda leaves: {path: how(leaves[path])}


def _transpose_weights(scene: Scene) -> Iterator[Details]:
    for path, leaf in _floating(scene):
        if leaf.ndim >= 2 and leaf.shape[-1] == leaf.shape[-2] > 1:
            yield {"path": path, "change": _change(path, lambda w: jnp.swapaxes(w, -1, -2))}


def _swap_inputs(scene: Scene) -> Iterator[Details]:
    for (a, left), (b, right) in itertools.combinations(_floating(scene), 2):
        if left.shape == right.shape and not np.array_equal(left, right):
            yield {
                "path": a,
                "other": b,
                "change": lambda leaves, a=a, b=b: {a: leaves[b], b: leaves[a]},
            }


def _floating(scene: Scene) -> list[tuple[str, Array]]:
    """The floating inputs, those first whose gradients are among what fails."""
    failing = {path for order, path in scene.failing if order == "vjp"}
    leaves = [(path, leaf) for path, leaf in scene.inputs.items() if leaf.dtype.kind in "fV"]
    return sorted(leaves, key=lambda item: item[0] not in failing)[:_MOST_INPUTS]


def _find_ignored(scene: Scene, side: str) -> Iterator[Details]:
    """Inputs that one side alone has no gradient for, or any of them where none was computed."""
    ours, theirs = scene.jax.get("vjp"), scene.torch.get("vjp")
    if side == "torch":
        ours, theirs = theirs, ours
    for path, _ in _floating(scene):
        if ours and theirs and (np.any(ours.get(path, 0)) or not np.any(theirs.get(path, 0))):
            continue
        yield {"path": path, "change": _change(path, lambda leaf: leaf * 0)}
        yield {"path": path, "change": _change(path, lambda leaf: leaf * 0 + 1)}


def _permute_outputs(scene: Scene) -> Iterator[Details]:
    for path, ours, theirs in _failing_values(scene):
        if not 2 <= ours.ndim <= 5 or sorted(ours.shape) != sorted(theirs.shape):
            continue
        for axes in itertools.permutations(range(ours.ndim)):
            moved = np.transpose(ours, axes)
            if axes != tuple(range(ours.ndim)) and _is_same(moved, theirs):
                change = {path: lambda leaf, axes=axes: jnp.transpose(leaf, axes)}
                yield {"axes": axes, "changes": change}


def _flip_outputs(scene: Scene) -> Iterator[Details]:
    for path, ours, theirs in _failing_values(scene):
        for axis in range(ours.ndim):
            if ours.shape == theirs.shape and _is_same(np.flip(ours, axis), theirs):
                yield {
                    "axis": axis,
                    "changes": {path: lambda leaf, axis=axis: jnp.flip(leaf, axis)},
                }


def _squeeze_outputs(scene: Scene) -> Iterator[Details]:
    for path, ours, theirs in _failing_values(scene):
        if ours.shape != theirs.shape and ours.size == theirs.size:
            shape = theirs.shape
            if [n for n in ours.shape if n != 1] == [n for n in shape if n != 1]:
                changes = {path: lambda leaf, shape=shape: jnp.reshape(leaf, shape)}
                yield {"shape": shape, "old": ours.shape, "changes": changes}


def _conjugate_outputs(scene: Scene) -> Iterator[Details]:
    for path, ours, theirs in _failing_values(scene):
        if ours.dtype.kind == "c" and _is_same(np.conj(ours), theirs):
            yield {"changes": {path: jnp.conj}}


def _failing_values(scene: Scene) -> Iterator[tuple[str, Array, Array]]:
    """The failing values; where gradients alone are compared, the values all the same."""
    for order, path, ours, theirs in scene.pairs():
        if order == "value" and ours.size:
            yield path, ours, theirs


def _is_same(ours: Array, theirs: Array) -> bool:
    if ours.shape != theirs.shape:
        return False
    scale = np.max(np.abs(theirs), initial=0)
    return bool(np.all(np.abs(ours - theirs) <= _SAME * scale)) and ours.size > 1


def _flatten_channels_first(call: Call) -> Any:
    order = (0, call.x.ndim - 1, *range(1, call.x.ndim - 1))
    return call.again(jnp.transpose(call.x, order))


def _is_flattening(call: Call) -> bool:
    return call.x.ndim in (3, 4, 5) and jnp.ndim(call.again()) in (1, 2)


def _pads_unevenly(call: Call) -> bool:
    padding = call.get("padding")
    if isinstance(padding, str):
        return padding in ("SAME", "SAME_LOWER")
    return any(low != high for low, high in padding)


def _pad_as_torch(call: Call, padding: Any) -> Any:
    kernel, spatial = _find_kernel(call)
    if padding == "k // 2":
        return call.again(padding=[(k // 2, k // 2) for k in kernel])
    return call.again(padding=[(int(padding),) * 2] * spatial)


def _find_kernel(call: Call) -> tuple[tuple[int, ...], int]:
    """The spatial lengths of a convolution's kernel, and how many there are."""
    shape = call.get("rhs").shape
    numbers = call.get("dimension_numbers")
    spec = getattr(numbers, "rhs_spec", None) or (numbers[1] if numbers else None)
    if spec is None:  # OI and then the spatial ones
        kernel = shape[2:]
    elif isinstance(spec, str):
        kernel = tuple(n for n, axis in zip(shape, spec, strict=True) if axis not in "IO")
    else:
        kernel = tuple(shape[axis] for axis in spec[2:])
    return kernel, len(kernel)


def _flip_kernel(call: Call) -> Any:
    spec = call.get("dimension_numbers")
    weights = call.get("rhs")
    letters = spec[1] if spec else ("HWIO" if weights.ndim == 4 else "WIO"[-weights.ndim :])
    axes = [i for i, letter in enumerate(letters) if letter not in "IO"]
    return call.again(rhs=jnp.flip(weights, axes))


def _resize_nearest(call: Call) -> Any:
    """Torch's "nearest": the pixel at the floor of the scaled index."""
    image = call.x
    for axis, length in enumerate(call.get("shape")):
        if length != image.shape[axis]:
            index = jnp.arange(length) * image.shape[axis] // length
            image = jnp.take(image, index, axis=axis)
    return image


def _is_method(call: Call, *names: str) -> bool:
    method = call.get("method")
    return str(getattr(method, "name", method)).lower() in names


def _split_in_order(call: Call, order: tuple[int, ...]) -> Any:
    parts = call.again()
    return [parts[i] for i in order]


def _choose_orders(scene: Scene) -> list[Details]:
    threes = [order for order in itertools.permutations(range(3)) if order != (0, 1, 2)]
    fours = [(0, 2, 1, 3), (0, 1, 3, 2), (0, 3, 2, 1), (1, 0, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)]
    return [{"order": order} for order in [(1, 0), *threes, *fours]]


def _splits_evenly(call: Call) -> bool:
    return isinstance(call.get("indices_or_sections"), int)


def _split_if_as_many(call: Call, order: tuple[int, ...]) -> Any:
    if call.get("indices_or_sections") != len(order):
        return call.again()
    return _split_in_order(call, order)


LAYOUT: tuple[Known, ...] = (
    Known(
        name="conv-padding",
        title='"SAME" pads more at the end than at the beginning, PyTorch both alike.',
        fix="Write padding=[(k // 2, k // 2)] * 2 for a kernel of length k.",
        source="https://github.com/google/flax/issues/2993",
        kind="convention",
        how=Calls(
            ("jax.lax.conv_general_dilated", "jax.lax.conv"),
            lambda call: _pad_as_torch(call, "k // 2"),
            when=_pads_unevenly,
        ),
    ),
    Known(
        name="conv-padding-missing",
        title="PyTorch's convolution has padding={padding}, the JAX side another.",
        fix="Write padding=[({padding}, {padding})] * 2.",
        source=_CONV,
        kind="mistake",
        how=Calls(
            ("jax.lax.conv_general_dilated", "jax.lax.conv"),
            _pad_as_torch,
            when=lambda call: not _pads_unevenly(call),
            options=({"padding": 1}, {"padding": 0}, {"padding": 2}, {"padding": 3}),
        ),
    ),
    Known(
        name="conv-transpose-flip",
        title="jax.lax.conv_transpose does not flip its kernel, PyTorch's ConvTranspose does.",
        fix="Flip the kernel's spatial axes, or write transpose_kernel=True.",
        source="https://github.com/jax-ml/jax/issues/11252",
        kind="convention",
        how=Calls(
            ("jax.lax.conv_transpose",),
            _flip_kernel,
            when=lambda call: not call.get("transpose_kernel"),
        ),
    ),
    Known(
        name="convolve-flip",
        title="jnp.convolve flips its second argument, PyTorch's convolutions correlate.",
        fix="Write jnp.convolve(x, w[::-1]).",
        source=_CONV,
        kind="convention",
        how=Calls(
            ("jax.numpy.convolve",),
            lambda call: call.again(call.x, jnp.flip(call.get("v"))),
        ),
    ),
    Known(
        name="resize-antialias",
        **say_as_atlas("interpolate(bilinear), down", "ordinary"),
        kind="convention",
        rows=("interpolate(bilinear), down",),
        how=Calls(
            ("jax.image.resize",),
            lambda call: call.again(antialias=False),
            when=lambda call: bool(call.get("antialias")),
        ),
    ),
    Known(
        name="resize-nearest",
        **say_as_atlas("interpolate(nearest), down", "ordinary"),
        kind="convention",
        rows=("interpolate(nearest), down",),
        how=Calls(
            ("jax.image.resize",), _resize_nearest, when=lambda call: _is_method(call, "nearest")
        ),
    ),
    Known(
        name="weight-transposed",
        title="Input {path} is used the other way round.",
        fix="Write x @ w.T for a weight of PyTorch's shape (out, in): transpose input {path}.",
        source=_LINEAR,
        kind="mistake",
        how=Inputs(_transpose_weights),
    ),
    Known(
        name="flatten-order",
        title="Flattening (N, H, W, C) gives another order than PyTorch's (N, C, H, W).",
        fix="Write jnp.moveaxis(x, -1, 1) before the reshape.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.flatten.html",
        kind="mistake",
        how=Calls(
            ("jax.numpy.reshape", "jax.numpy.ravel"), _flatten_channels_first, when=_is_flattening
        ),
    ),
    Known(
        name="split-order",
        title="The parts of a split are taken in another order than PyTorch's, e.g. the gates of "
        "an LSTM.",
        fix="Take the parts in the order {order}.",
        source="https://github.com/google/flax/issues/3746",
        kind="mistake",
        how=Calls(
            ("jax.numpy.split",), _split_if_as_many, when=_splits_evenly, options=_choose_orders
        ),
    ),
    Known(
        name="input-unused",
        title="The JAX side makes no use of input {path}.",
        fix="Use input {path}, e.g. add the bias.",
        source=_LINEAR,
        kind="mistake",
        how=Inputs(lambda scene: _find_ignored(scene, "jax"), side="torch"),
    ),
    Known(
        name="input-unused-by-torch",
        title="PyTorch's side makes no use of input {path}.",
        fix="Leave input {path} out, e.g. the bias of a layer with bias=False.",
        source=_LINEAR,
        kind="mistake",
        how=Inputs(lambda scene: _find_ignored(scene, "torch")),
    ),
    Known(
        name="inputs-swapped",
        title="Inputs {path} and {other} are in each other's place.",
        fix="Swap inputs {path} and {other}.",
        source=_LINEAR,
        kind="mistake",
        how=Inputs(_swap_inputs),
    ),
    Known(
        name="output-axes",
        title="The result has its axes in another order than PyTorch's, e.g. NHWC for NCHW.",
        fix="Write jnp.transpose(y, {axes}).",
        source=_CONV,
        kind="mistake",
        how=Outputs(_permute_outputs),
    ),
    Known(
        name="output-shape",
        title="The result has the shape {old}, PyTorch's {shape}.",
        fix="Write jnp.reshape(y, {shape}), or keepdims as PyTorch has it.",
        source="https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html",
        kind="mistake",
        how=Outputs(_squeeze_outputs),
    ),
    Known(
        name="output-order",
        title="The result is in the reverse order of PyTorch's.",
        fix="Write jnp.flip(y, {axis}).",
        source="https://docs.pytorch.org/docs/stable/generated/torch.flip.html",
        kind="mistake",
        how=Outputs(_flip_outputs),
    ),
    Known(
        name="complex-conjugate",
        title="The gradient of a complex number in JAX is the conjugate of PyTorch's.",
        fix="Write jnp.conj(gradient).",
        source="https://github.com/jax-ml/jax/issues/4891",
        kind="mistake",
        how=AnyOf(
            (
                Outputs(_conjugate_outputs),
                Calls(("jax.numpy.imag",), lambda call: -call.again()),
            )
        ),
    ),
)
