"""In float32 and in half precision a loss has PyTorch's dtype, and is as near to the true value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from comparisons import compare
from functional_ad.torch_semantics import losses

pytestmark = pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # of kl_div, in PyTorch

RNG = np.random.default_rng(0)
SHAPE = (4, 3)
X, Y, Z = (RNG.normal(size=SHAPE).astype(np.float16) for _ in range(3))  # exact in float32 too
P, Q = (RNG.uniform(0.1, 0.9, SHAPE).astype(np.float16) for _ in range(2))
LABELS = np.array([0, 2, 1, -100])
SIGNS = np.array([1, -1, -1, 1])
EACH = np.where(X > 0, 1, -1)

# The first argument is differentiated; floating-point arrays get the dtype in question.
CALLS = {
    "binary_cross_entropy": ((P, Q), {}),
    "binary_cross_entropy_with_logits": ((X, Q), {"pos_weight": P[0]}),
    "cosine_embedding_loss": ((X, Y, SIGNS), {}),
    "cross_entropy": ((X, LABELS), {"weight": P[0], "label_smoothing": 0.1}),
    "ctc_loss": ((X[:, None], np.array([[1, 2]]), [4], [2]), {}),
    "gaussian_nll_loss": ((X, Y, P), {"full": True}),
    "hinge_embedding_loss": ((X, EACH), {}),
    "huber_loss": ((X, Y), {"delta": 0.5}),
    "kl_div": ((X, P), {}),
    "l1_loss": ((X, Y), {"weight": P}),
    "linear_cross_entropy": ((X, Y[:3], LABELS), {}),
    "margin_ranking_loss": ((X, Y, EACH), {}),
    "mse_loss": ((X, Y), {}),
    "multi_margin_loss": ((X, LABELS.clip(0)), {}),
    "multilabel_margin_loss": ((X, np.where(X > 0, 1, -1)), {}),
    "multilabel_soft_margin_loss": ((X, Q), {}),
    "nll_loss": ((X, LABELS), {}),
    "poisson_nll_loss": ((X, P), {}),
    "smooth_l1_loss": ((X, Y), {"beta": 0.5}),
    "soft_margin_loss": ((X, EACH), {}),
    "triplet_margin_loss": ((X, Y, Z), {}),
    "triplet_margin_with_distance_loss": ((X, Y, Z), {"swap": True}),
}
# Compiling is what the tests take their time for, and each program is run once.
FAST = {"xla_backend_optimization_level": 0}
NO_HALF = {"multi_margin_loss", "multilabel_margin_loss", "ctc_loss"}  # on a CPU, in PyTorch


def convert(call, dtype, make):
    """The arguments, those that are floating-point rounded to a dtype, as arrays of a library."""

    def convert_one(x):
        if not isinstance(x, np.ndarray):
            return x
        return make(np.asarray(jnp.asarray(x, dtype)) if x.dtype == np.float16 else x)

    args, kwargs = call
    return [convert_one(x) for x in args], {k: convert_one(v) for k, v in kwargs.items()}


def run_ours(loss, call, dtypes):
    """The loss and its gradient at each dtype, compiled together."""

    def run_one(args, kwargs):
        return jax.value_and_grad(lambda x: loss(x, *args[1:], **kwargs))(args[0])

    arguments = [convert(call, dtype, jnp.asarray) for dtype in dtypes]
    firsts = [args[0] for args, _ in arguments]

    def run_all(firsts):
        pairs = zip(firsts, arguments, strict=True)
        return [run_one([x, *args[1:]], kwargs) for x, (args, kwargs) in pairs]

    return jax.jit(run_all, compiler_options=FAST)(firsts)


def run_torch(loss, call, dtype, working):
    """The same of PyTorch, of the arguments as they are in a dtype, in another one."""

    def make(x):
        if x.dtype not in (np.float32, np.float16, jnp.bfloat16):
            return torch.from_numpy(x)
        return torch.from_numpy(x.astype(np.float64)).to(working)

    args, kwargs = convert(call, dtype, make)
    args[0].requires_grad_()
    value = loss(*args, **kwargs)
    value.backward()
    return value.detach(), args[0].grad


def find_worse(ours, name, dtypes):
    """Where a loss has another dtype than PyTorch's, or is farther from the true value."""
    worse = []
    theirs = getattr(F, name)
    for dtype, pair in zip(dtypes, run_ours(ours, CALLS[name], dtypes), strict=True):
        near = run_torch(theirs, CALLS[name], dtype, getattr(torch, dtype))
        exact = run_torch(theirs, CALLS[name], dtype, torch.float64)
        for a, b, true in zip(pair, near, exact, strict=True):
            if f"torch.{a.dtype}" != str(b.dtype):
                worse.append(f"{a.dtype}, not {b.dtype}")
            a, b, true = np.asarray(a, np.float64), b.double().numpy(), true.numpy()
            # A rounding of the result, and one of what it is summed from.
            step = 2 * float(jnp.finfo(dtype).eps) * np.max(np.abs(true))
            if not np.all(np.abs(a - true) <= np.abs(b - true) + step):
                worse.append(f"{dtype}: {a}, PyTorch {b}, true {true}")
    return worse


def list_dtypes(name):
    return ["float32"] if name in NO_HALF else ["float32", "bfloat16", "float16"]


@pytest.mark.parametrize("name", CALLS)
def test_the_dtype_is_torchs_and_the_error_no_greater(name):
    assert find_worse(getattr(losses, name), name, list_dtypes(name)) == []


def test_another_dtype_and_a_greater_error_are_found():
    def widen(x, y, **_):
        return losses.mse_loss(x.astype(jnp.float32), y)

    def narrow(x, y, **_):
        return losses.mse_loss(x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)).astype(x.dtype)

    assert find_worse(widen, "mse_loss", ["float16"]) == ["float32, not torch.float16"]
    (message, *_) = find_worse(narrow, "mse_loss", ["float16"])
    assert message.startswith("float16: ")


def test_each_loss_has_a_call():
    assert set(CALLS) == set(losses.__all__)


def test_the_referee_agrees_at_float32():
    """Of the five that are used most, in one comparison."""

    def make(library):
        return lambda x, y, p, labels: {
            "cross_entropy": library.cross_entropy(x, labels, label_smoothing=0.1),
            "nll": library.nll_loss(y, labels),
            "mse": library.mse_loss(x, y),
            "bce": library.binary_cross_entropy_with_logits(x, p),
            "smooth l1": library.smooth_l1_loss(x, y, beta=0.5),
        }

    inputs = (*(a.astype(np.float32) for a in (X, Y, P)), LABELS)
    (case,) = compare(make(losses), make(F), inputs).cases
    assert len([leaf for leaf in case.leaves if leaf.quantity == "value"]) == 5
    assert case.verdict in ("AGREES", "IDENTICAL")
