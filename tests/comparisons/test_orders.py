"""Every order at every working dtype: right pairs pass, and each kind of wrong derivative is seen.

No tolerance is set here: the referee decides.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import ParityCase, Verdict, compare
from comparisons._suite import run_cases

ORDERS = ("value", "vjp", "jvp", "hvp")
RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)
Z = X + 1j * RNG.normal(size=X.shape)


def verdicts(report):
    return {(leaf.quantity, leaf.path): leaf.verdict for leaf in report.cases[0].leaves}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_all_orders_agree_at_each_dtype(dtype):
    report = compare(
        lambda x, w, b: {"loss": jnp.mean(jnp.tanh(x @ w + b) ** 2), "logits": x @ w},
        lambda x, w, b: {"loss": (torch.tanh(x @ w + b) ** 2).mean(), "logits": x @ w},
        (X, W, B),
        ORDERS,
        dtype,
    )
    assert set(verdicts(report)) == {
        *((order, path) for order in ("value", "jvp") for path in ("loss", "logits")),
        *((order, path) for order in ("vjp", "hvp") for path in ("0", "1", "2")),
    }
    assert {v.outcome for v in verdicts(report).values()} == {"pass"}, str(report)
    assert {leaf.dtype for leaf in report.cases[0].leaves} == {dtype}


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_complex_gradients_are_in_pytorchs_convention(dtype):
    """JAX's own are the conjugates: were they compared as they come, nothing would agree."""
    report = compare(
        lambda z, w: jnp.tanh(z @ w) * jnp.abs(z[:, :3]) ** 2,
        lambda z, w: torch.tanh(z @ w) * torch.abs(z[:, :3]) ** 2,
        (0.3 * Z, W + 0j),
        ORDERS,
        dtype,
    )
    assert {v.outcome for v in verdicts(report).values()} == {"pass"}, str(report)
    off = compare(lambda z: jnp.conj(z) ** 2 * 1.001, lambda z: z**2, (Z,), ORDERS, dtype)
    assert {v.outcome for v in verdicts(off).values()} == {"fail"}


def with_rules(jvp_factor=1.0, vjp_factor=1.0):
    """sin with its derivative off by a factor in one mode; second order follows the jvp's."""

    @jax.custom_jvp
    def fun(x):
        return jnp.sin(x)

    @fun.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return jnp.sin(x), jvp_factor * jnp.cos(x) * t

    @jax.custom_vjp
    def reverse(x):
        return jnp.sin(x)

    reverse.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (vjp_factor * ct * jnp.cos(x),))
    return fun if vjp_factor == 1.0 else reverse


def test_a_wrong_forward_mode_is_seen_in_the_jvp():
    report = compare(with_rules(jvp_factor=1.01), torch.sin, (X,), ("value", "jvp"))
    assert verdicts(report) == {("value", ""): Verdict.AGREES, ("jvp", ""): Verdict.MISMATCH}


def test_a_wrong_second_derivative_is_seen_in_the_hvp_only():
    @jax.custom_jvp
    def cosine(x):
        return jnp.cos(x)

    cosine.defjvp(lambda p, t: (jnp.cos(p[0]), -1.001 * jnp.sin(p[0]) * t[0]))

    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda p, t: (jnp.sin(p[0]), cosine(p[0]) * t[0]))
    found = verdicts(compare(sine, torch.sin, (X,), ORDERS))
    assert found.pop(("hvp", "0")) is Verdict.MISMATCH
    assert {v.outcome for v in found.values()} == {"pass"}


def test_a_custom_vjp_has_a_second_order_though_no_forward_mode():
    found = verdicts(compare(with_rules(vjp_factor=1.5), torch.sin, (X,), ("vjp", "hvp")))
    assert set(found.values()) == {Verdict.MISMATCH}
    right = with_rules(vjp_factor=1.0 + 0.0)
    assert compare(right, torch.sin, (X,), ("vjp", "hvp")).ok


def test_where_pytorch_has_no_forward_mode_the_jvp_is_had_by_reverse_mode_twice():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    report = compare(lambda x: x * x, Square.apply, (X,), ("value", "jvp"))
    assert report.ok, str(report)
    off = compare(lambda x: x * x * 1.001, Square.apply, (X,), ("jvp",))
    assert off.verdict is Verdict.MISMATCH


def test_a_warning_of_the_users_function_is_shown_once():
    def theirs(x):
        warnings.warn("old", UserWarning, stacklevel=1)
        return torch.sin(x)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        assert compare(jnp.sin, theirs, (X,), ("value", "vjp", "jvp", "hvp")).ok
    assert [str(warning.message) for warning in shown] == ["old"]


@pytest.mark.parametrize("order", ["vjp", "jvp", "hvp"])
def test_nothing_to_differentiate_is_an_error(order):
    with pytest.raises(ValueError, match=f"Nothing was compared as '{order}'"):
        compare(lambda i: i + 1, lambda i: i + 1, (np.arange(3),), ("value", order))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
        self.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x):
        return torch.tanh(self.layers(x)) * self.frozen


def apply_net(numbers, x, *, eps=1e-5):
    linear, norm = numbers["layers"]["0"], numbers["layers"]["1"]
    h = x @ linear["weight"].T + linear["bias"]
    h = (h - h.mean(0)) / jnp.sqrt(h.var(0) + eps) * norm["weight"] + norm["bias"]
    return jnp.tanh(h) * numbers["frozen"]


def test_a_modules_parameters_have_their_gradients_compared_by_name():
    net = Net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    report = compare(apply_net, net, (X,), ORDERS)
    found = verdicts(report)
    assert {path for order, path in found if order == "vjp"} == {
        "0/layers/0/weight",
        "0/layers/0/bias",
        "0/layers/1/weight",
        "0/layers/1/bias",
        "1",
    }
    # BatchNorm takes the mean away, so the bias before it has no gradient.
    assert found[("vjp", "0/layers/0/bias")] is Verdict.NO_SIGNAL
    assert report.ok, str(report)
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "running statistics too"
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_module_among_the_inputs_is_one_like_any_other():
    def theirs(scale, given):
        return scale * given["net"](given["x"])

    def ours(scale, given):
        return scale * apply_net(given["net"], given["x"])

    inputs = (2.0, {"net": Net(), "x": X})
    assert compare(ours, theirs, inputs).ok
    off = verdicts(compare(lambda s, g: ours(s, g) * 1.001, theirs, inputs))
    assert off[("vjp", "1/net/layers/1/weight")] is Verdict.MISMATCH


def test_a_pair_converts_the_parameters_and_the_gradients_go_back_through_it():
    def convert(numbers):
        linear, norm = numbers["layers"]["0"], numbers["layers"]["1"]
        return {"kernel": linear["weight"].T, "bias": linear["bias"], "norm": norm}

    def apply(params, x):
        h = x @ params["kernel"] + params["bias"]
        h = (h - h.mean(0)) / jnp.sqrt(h.var(0) + 1e-5)
        return jnp.tanh(h * params["norm"]["weight"] + params["norm"]["bias"])

    case = ParityCase(
        name="pair", title="", jax=(convert, apply), torch=Net(), inputs=(X,), orders=("vjp",)
    )
    (result,) = run_cases([case]).cases
    weight = next(leaf for leaf in result.leaves if leaf.path == "0/layers/0/weight")
    assert weight.shape == (3, 4), "PyTorch's layout"
    assert weight.verdict.outcome == "pass"
    assert "def apply(params, x)" in result.jax_source
    assert "class Net(torch.nn.Module)" in result.torch_source
