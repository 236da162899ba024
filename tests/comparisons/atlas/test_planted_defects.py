"""Defects planted in one side of a pair: each is found, in its quantity and along its axis."""

import dataclasses
import types

import jax
import pytest
import torch
from jax.custom_derivatives import linear_call

from comparisons._atlas._examine import examine
from comparisons.cases.atlas import OPS, _expressions

NAMED = {op.name: op for op in OPS}
GOOD = ("AGREES", "IDENTICAL")


@dataclasses.dataclass(frozen=True)
class Defect:
    """A pair with a mistake in it.

    Attributes:
        op: The operation's name.
        what: What is wrong.
        jax: JAX's expression; ``FN`` is the right one.
        torch: PyTorch's.
        quantity: Where it shows.
        axis: Where it shows.
        dtype: Where it shows.
        verdict: What the cell becomes there.
        wrong: Who is blamed; empty where nobody knows the truth.
        spares: Quantities and axes that stay as they were.
    """

    op: str
    what: str
    _: dataclasses.KW_ONLY
    jax: str = "FN"
    torch: str = "FN"
    quantity: str = "value"
    axis: str = "ordinary"
    dtype: str = "float64"
    verdict: str = "MISMATCH"
    wrong: str = ""
    spares: tuple[tuple[str, str], ...] = ()

    def plant(self):
        op = NAMED[self.op]
        return dataclasses.replace(
            op, jax=self.jax.replace("FN", op.jax), torch=self.torch.replace("FN", op.torch)
        )


# What the expressions may say beside the frameworks: the identity with a derivative that is a
# thousandth too great in one mode alone, and a zero whose derivative is 1.


def make_wrong_back(x):
    return linear_call(lambda _, x: x, lambda _, g: 1.001 * g, (), x)


@jax.custom_jvp
def make_wrong_forward(x):
    return x


@make_wrong_forward.defjvp
def _push(primals, tangents):
    return primals[0], linear_call(lambda _, t: 1.001 * t, lambda _, g: g, (), tangents[0])


class Identity(torch.autograd.Function):
    """The identity, its derivatives times a factor for each mode."""

    @staticmethod
    def forward(x, back, forward):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.back, ctx.forward = inputs[1:]

    @staticmethod
    def backward(ctx, g):
        return ctx.back * g, None, None

    @staticmethod
    def jvp(ctx, t, *_):
        return ctx.forward * t


WRONG_IN_JAX = types.SimpleNamespace(
    back=make_wrong_back, forward=make_wrong_forward, zero=lambda x: x - jax.lax.stop_gradient(x)
)
WRONG_IN_TORCH = types.SimpleNamespace(
    back=lambda x: Identity.apply(x, 1.001, 1.0),
    forward=lambda x: Identity.apply(x, 1.0, 1.001),
    zero=lambda x: x - x.detach(),
)
BACK, FORWARD = "(lambda x: FN)(wrong.back(x))", "(lambda x: FN)(wrong.forward(x))"
SLOPE = "(lambda x: FN)(x + 1e-3 * wrong.zero(x))"
CURVATURE = "(lambda x: FN)(x + 1e-3 * wrong.zero(x) ** 2)"
NARROW = "FN * (1 if x.dtype in (jnp.float64, np.float64) else 1.0001)"
NARROW_TORCH = "FN * (1 if x.dtype == torch.float64 else 1.0001)"
COMPILED = "FN * (1.0001 if isinstance(x, jax.core.Tracer) else 1)"
TIES = "(jnp.sort(x, 1)[:, -1] == jnp.sort(x, 1)[:, -2])"

VALUE, VJP, JVP = ("value", "ordinary"), ("vjp", "ordinary"), ("jvp", "ordinary")
EDGES, LARGE = ("value", "edges"), ("value", "large")
AT_VJP, AT_JVP, AT_HVP = ({"quantity": quantity} for quantity in ("vjp", "jvp", "hvp"))
AT_MODES = {"quantity": "jvp", "axis": "modes"}
AT_EDGES = {"quantity": "vjp", "axis": "edges", "spares": (VALUE, VJP)}
IN_JAX, IN_TORCH, IN_BOTH = ({"wrong": side} for side in ("JAX", "PyTorch", "both"))
LOST = {"verdict": "LESS_ACCURATE"}

FORMULA = (
    Defect("sin", "scale 1 %", jax="FN * 1.01", **IN_JAX),
    Defect("sin", "scale 1e-6", torch="FN * (1 + 1e-6)", **IN_TORCH),
    Defect("exp", "scale 1e-9", jax="FN * (1 + 1e-9)", verdict="APPROXIMATION", **IN_JAX),
    Defect("cos", "both sides alike", jax="FN * 1.01", torch="FN * 1.01", **IN_BOTH),
    Defect("sinh", "sign", torch="-FN", **AT_VJP, **IN_TORCH),
    Defect("elu", "another default", torch="F.elu(x, 0.5)", **IN_TORCH),
    Defect("addcmul", "a dropped term", jax="0.5 * y * z", **IN_JAX),
    Defect("div", "arguments swapped", jax="jnp.divide(y, x)", **IN_JAX),
    Defect("asinh", "VJP alone", jax=BACK, **AT_VJP, **IN_JAX, spares=(VALUE, JVP)),
    Defect("asinh", "VJP alone, against JVP", jax=BACK, **AT_MODES, **IN_JAX),
    Defect("log", "JVP alone", torch=FORWARD, **AT_JVP, **IN_TORCH, spares=(VALUE, VJP)),
    Defect("log", "JVP alone, against VJP", torch=FORWARD, **AT_MODES, **IN_TORCH),
    Defect("erf", "VJP and JVP", jax=SLOPE, **AT_VJP, **IN_JAX, spares=(VALUE,)),
    Defect("erf", "second alone", jax=CURVATURE, **AT_HVP, **IN_JAX, spares=(VALUE, VJP)),
    Defect("atan", "second alone", torch=CURVATURE, **AT_HVP, **IN_TORCH, spares=(VALUE, VJP)),
    Defect(
        "mul",
        "VJP by the second argument",
        torch="(lambda y: FN)(wrong.back(y))",
        **AT_VJP,
        **IN_TORCH,
        spares=(VALUE, JVP),
    ),
    Defect(
        "mul",
        "mixed second alone",
        jax="FN + 1e-3 * wrong.zero(x) * wrong.zero(y)",
        **AT_HVP,
        **IN_JAX,
        spares=(VALUE, VJP),
    ),
    Defect(
        "exp",
        "VJP at 0 alone",
        jax="FN + jnp.where(x == 0, x, 0.0)",
        **AT_EDGES,
        **IN_JAX,
    ),
    Defect(
        "atan",
        "far out alone",
        torch="torch.where(x.abs() > 1e20, 0.0, FN)",
        axis="large",
        **IN_TORCH,
        spares=(VALUE, EDGES),
    ),
    Defect(
        "square",
        "VJP far out alone",
        jax="FN + jnp.where(x > 1e20, x * wrong.zero(x), 0.0)",
        quantity="vjp",
        axis="large",
        **IN_JAX,
        spares=(VALUE, VJP),
    ),
    Defect(
        "cos",
        "at NaN alone",
        jax="jnp.where(jnp.isnan(x), 0.0, FN)",
        axis="nonfinite",
        verdict="NONFINITE",
        spares=(VALUE, EDGES, LARGE),
    ),
    Defect(
        "sigmoid",
        "at infinity alone",
        torch="torch.where(torch.isinf(x), 0.5, FN)",
        axis="nonfinite",
        **IN_TORCH,
        spares=(EDGES, LARGE),
    ),
    Defect("sinh", "float32 alone", jax=NARROW, dtype="float32", **LOST, **IN_JAX),
    Defect(
        "cosh", "VJP in float32", torch=NARROW_TORCH, dtype="float32", **AT_VJP, **LOST, **IN_TORCH
    ),
    Defect("log1p", "cancellation", jax="jnp.log(1 + x)", dtype="float32", **LOST, **IN_JAX),
    Defect(
        "exp2",
        "bfloat16 alone",
        jax="FN * (1.5 if x.dtype == jnp.bfloat16 else 1)",
        dtype="bfloat16",
        **LOST,
        **IN_JAX,
    ),
    Defect("sin", "compiled alone", jax=COMPILED, axis="jit", **IN_JAX, spares=(VALUE,)),
)
NO_FORMULA = (
    Defect("relu6", "another bound", jax="jnp.clip(x, 0.0, 5.0)", **AT_VJP),
    Defect("relu6", "scale 1e-6", torch="FN * (1 + 1e-6)"),
    Defect("fmod", "another sign", jax="jnp.remainder(x, y)"),
    Defect("relu", "2 at the kink", jax="FN + jnp.where(x == 0, 2 * x, 0.0)", **AT_EDGES, **IN_JAX),
    Defect(
        "relu",
        "1 at the kink, which may be chosen",
        torch="FN + torch.where(x == 0, x, 0.0)",
        **AT_EDGES,
        verdict="CONVENTION",
    ),
    Defect("relu6", "VJP alone", jax=BACK, **AT_VJP, **IN_JAX, spares=(VALUE, JVP)),
    Defect("relu6", "VJP alone, against JVP", jax=BACK, **AT_MODES, **IN_JAX),
    Defect("leaky_relu", "VJP and JVP", torch=SLOPE, **AT_VJP, **IN_TORCH, spares=(VALUE,)),
    Defect(
        "leaky_relu", "second alone", torch=CURVATURE, **AT_HVP, **IN_TORCH, spares=(VALUE, VJP)
    ),
    Defect(
        "fmax",
        "JVP by the second argument",
        jax="(lambda y: FN)(wrong.forward(y))",
        **AT_JVP,
        **IN_JAX,
        spares=(VALUE, VJP),
    ),
    Defect(
        "nan_to_num",
        "at NaN alone",
        jax="jnp.nan_to_num(x, nan=1.0)",
        axis="nonfinite",
        spares=(VALUE, EDGES, LARGE),
    ),
    Defect("floor", "at a jump", jax="jnp.ceil(x) - 1", axis="edges", verdict="CONVENTION"),
    Defect("relu6", "float32 alone", jax=NARROW, dtype="float32", **LOST, **IN_JAX),
)
WHOLE = (
    Defect("sum(dim)", "another axis", jax="jnp.sum(x, 0)", verdict="STRUCTURE"),
    Defect("cumsum", "another axis", jax="jnp.cumsum(x, 0)"),
    Defect("cumsum", "an index moved by one", torch="torch.roll(FN, 1, 1)", **AT_VJP),
    Defect("mean(dim)", "a dropped term", jax="jnp.sum(x[:, 1:], 1) / x.shape[1]", **AT_VJP),
    Defect("std(correction=0)", "another default", torch="torch.std(x)"),
    Defect("matmul", "scale 1e-6", jax="FN * (1 + 1e-6)"),
    Defect("matmul", "sign", torch="-FN", **AT_JVP),
    Defect("matmul", "VJP alone", jax=BACK, **AT_VJP, **IN_JAX, spares=(VALUE, JVP)),
    Defect("matmul", "VJP alone, against JVP", jax=BACK, **AT_MODES, **IN_JAX),
    Defect("bmm", "JVP alone", torch=FORWARD, **AT_JVP, **IN_TORCH, spares=(VALUE, VJP)),
    Defect("bmm", "JVP alone, against VJP", torch=FORWARD, **AT_MODES, **IN_TORCH),
    Defect("inv", "VJP and JVP", jax=SLOPE, **AT_VJP, **IN_JAX, spares=(VALUE,)),
    Defect("inv", "second alone", torch=CURVATURE, **AT_HVP, **IN_TORCH, spares=(VALUE, VJP)),
    Defect("layer_norm", "another epsilon", jax="nn.standardize(x, epsilon=1e-6)"),
    Defect("cross_entropy", "a sum for a mean", jax="FN * x.shape[0]", **AT_VJP),
    Defect("mse_loss", "VJP and JVP", torch=SLOPE, **AT_VJP, **IN_TORCH, spares=(VALUE,)),
    Defect("conv2d", "a flipped kernel", torch="(lambda w: FN)(w.flip(-1))"),
    Defect("attention", "a scale", torch="(lambda x: FN)(x * 1.01)"),
    Defect("gather", "an index moved by one", jax="(lambda i: FN)((i + 1) % 4)", **AT_VJP),
    Defect("topk, indices", "an index moved by one", jax="FN + 1"),
    Defect("fft.fft(norm='ortho')", "another scaling", jax="jnp.fft.fft(x)"),
    Defect("logsumexp", "float32 alone", jax=NARROW, dtype="float32", **LOST, **IN_JAX),
    Defect("linear", "compiled alone", jax=COMPILED, axis="jit", **IN_JAX, spares=(VALUE,)),
    Defect(
        "logsumexp",
        "overflow far out",
        jax="jnp.log(jnp.sum(jnp.exp(x), 1))",
        axis="large",
        verdict="NONFINITE",
        spares=(VALUE,),
    ),
    Defect(
        "nansum",
        "at NaN alone",
        jax="jnp.sum(x)",
        axis="nonfinite",
        verdict="NONFINITE",
        spares=(VALUE,),
    ),
    Defect("amax", "2 at a tie", jax=f"FN + 4 * wrong.zero(FN) * {TIES}", **AT_EDGES, **IN_JAX),
    Defect("index_add", "set in place of add", jax="x.at[i].set(y)", axis="edges"),
)


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    monkeypatch.setitem(_expressions.JAX_NAMES, "wrong", WRONG_IN_JAX)
    monkeypatch.setitem(_expressions.TORCH_NAMES, "wrong", WRONG_IN_TORCH)


def look(op, defect):
    """The cells of a pair, by quantity and axis, as far as a defect is about them."""
    cells = {(defect.quantity, defect.axis), *defect.spares}
    orders = {quantity for quantity, _ in cells} | ({"vjp"} if defect.axis == "modes" else set())
    axes = {"ordinary" if axis in ("modes", "jit") else axis for _, axis in cells}
    samples = {name: text for name, text in op.samples.items() if name.partition(":")[0] in axes}
    tried = dataclasses.replace(op, samples=samples, orders=tuple(sorted(orders)))
    row = examine(tried, (defect.dtype,))
    assert not row.trouble
    return {(cell.quantity, cell.axis): cell for cell in row.cells}


SOUND = {}


def look_without(defect):
    """The same cells of the pair as the atlas has it."""
    key = (defect.op, defect.quantity, defect.axis, defect.dtype, defect.spares)
    if key not in SOUND:
        SOUND[key] = look(NAMED[defect.op], defect)
    return SOUND[key]


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param(defect, id=f"{kind}: {defect.op}: {defect.what}")
        for kind, defects in (("formula", FORMULA), ("no formula", NO_FORMULA), ("whole", WHOLE))
        for defect in defects
    ],
)
def test_a_planted_defect_is_found(defect):
    place = (defect.quantity, defect.axis)
    before, after = look_without(defect), look(defect.plant(), defect)
    assert before[place].verdict in GOOD
    assert (after[place].verdict, after[place].wrong) == (defect.verdict, defect.wrong)
    for spared in defect.spares:
        assert after[spared].verdict in GOOD, spared
        assert before[spared].verdict in GOOD, spared
