"""What a comparison cannot show is said, and only that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import functional_ad
from comparisons._backends import jax as jax_side
from comparisons._case import ParityCase
from comparisons._discovery import find_cases
from comparisons._results import LeafResult
from comparisons._trial import Trial
from comparisons._vacuity import find_short_counts, find_vacuity
from comparisons._verdict import Verdict
from functional_ad._program import trace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 4)).astype(np.float32)
W = RNG.normal(size=(4, 4)).astype(np.float32)
B = RNG.normal(size=4).astype(np.float32)


def look(case):
    trial = Trial(case, case.dtype)
    with jax_side.session(case.dtype):
        arguments = jax_side.from_numpy(trial.inputs)
    leaves = trial.judge()
    return find_vacuity(arguments, [trial.evidence[order] for order in case.orders], leaves)


def look_at(jax_fn, torch_fn, inputs, orders=("value",)):
    return look(
        ParityCase(
            name="case", title="case", jax=jax_fn, torch=torch_fn, inputs=inputs, orders=orders
        )
    )


def add_three(x, w, b):
    return x @ w + b


ZEROS = "is all zeros: that it is missing, or has a wrong sign or factor, would not be seen."
CONSTANT = "has one value everywhere: a wrong order, axis or transposition of it would not be seen."
SYMMETRIC = "is a symmetric matrix: a transposition of it would not be seen."
SINGLE = "has one element: a wrong axis, order or reduction of it would not be seen."


def rows(axis):
    return f"is the same along axis {axis}: a wrong order or reduction along it would not be seen."


@pytest.mark.parametrize(
    ("inputs", "notes"),
    [
        ((X, W, B), ()),
        ((X, W, 0 * B), (f"Input '2' {ZEROS}",)),
        ((X, W, 0 * B + 3), (f"Input '2' {CONSTANT}",)),
        ((X, W + W.T, B), (f"Input '1' {SYMMETRIC}",)),
        ((X, np.eye(4), B), (f"Input '1' {SYMMETRIC}",)),
        ((np.tile(X[:1], (4, 1)), W, B), (f"Input '0' {rows(0)}",)),
        ((np.tile(X[:, :1], (1, 4)), W, B), (f"Input '0' {rows(1)}",)),
        ((X, W, B[:1]), (f"Input '2' {SINGLE}",)),
        ((X, W, 1.0), ()),  # a number is one on purpose
        ((X, W, 0.0), ()),
        ((X, W, np.arange(4)), ()),
        ((X, W, np.array([1, 1, 1, 1])), (f"Input '2' {CONSTANT}",)),
        ((X, W, np.array([True] * 4)), (f"Input '2' {CONSTANT}",)),
        ((np.ones((4, 4)), W, 0 * B), (f"Input '0' {CONSTANT}", f"Input '2' {ZEROS}")),
        ((X, W, 3), ()),
    ],
    ids=[
        *"random zeros constant symmetric identity rows columns single one zero".split(),  # noqa: SIM905
        *"labels one-label mask two number".split(),  # noqa: SIM905
    ],
)
def test_patterns_in_the_inputs(inputs, notes):
    assert look_at(add_three, add_three, inputs) == notes


@pytest.mark.parametrize("orders", [("value", "vjp"), ("value", "jvp")])
def test_a_derivative_shows_what_the_value_hides(orders):
    assert look_at(jax.nn.relu, torch.relu, (0 * B - 1,), orders) != ()

    def square(x, w, b):
        return (x @ w + b) ** 2

    for inputs in ((X, W + W.T, B), (X, W, 0 * B), (X, W, 0 * B + 3)):
        assert look_at(square, square, inputs) != ()
        assert look_at(square, square, inputs, orders) == ()


def test_a_gradient_with_the_same_pattern_shows_nothing_more():
    """A sum's gradient is all ones whatever the order, and a quadratic form's symmetric."""
    assert look_at(jnp.sum, torch.sum, (np.ones(5),), ("value", "vjp")) == (
        f"Input '0' {CONSTANT}",
    )

    def trace(w):
        return (w * w.T).sum()

    assert look_at(trace, trace, (W + W.T,), ("value", "vjp")) == (f"Input '0' {SYMMETRIC}",)
    assert look_at(trace, trace, (W,), ("value", "vjp")) == ()


def test_paths_are_those_of_the_trees():
    def apply(params, x):
        return x @ params["w"] + params["b"]

    notes = look_at(apply, apply, ({"w": W, "b": 0 * B}, X))
    assert notes == (f"Input '0/b' {ZEROS}",)


def test_nan_everywhere():
    notes = look_at(jnp.log, torch.log, (-abs(B) - 1,))
    assert notes == ("The output is NaN on both sides: nothing else about it is compared.",)
    some = np.array([-1.0, 2.0, 3.0])
    assert look_at(jnp.log, torch.log, (some,)) == ()


def test_outputs_and_gradients_that_are_zero():
    orders = ("value", "vjp")

    def jax_fn(x, y):
        return {"a": jax.nn.relu(x - 10), "b": y * 2.0}

    def torch_fn(x, y):
        return {"a": torch.relu(x - 10), "b": y * 2.0}

    assert look_at(jax_fn, torch_fn, (B, B[::-1].copy()), orders) == (
        "The output 'a' is zero on both sides: a wrong factor or sign would not be seen.",
        "The gradient of '0' is zero on both sides: a wrong factor or sign would not be seen.",
    )


def test_one_side_that_is_not_zero_is_no_vacuity():
    assert look_at(lambda x: x * 0.0, lambda x: x * 1.0, (B,)) == ()


def test_a_number_that_is_zero_needs_no_note():
    assert look_at(lambda x: x.sum() * 0.0, lambda x: x.sum() * 0.0, (B,)) == ()


def test_a_gradient_that_is_noise():
    leaf = LeafResult(path="0/b", quantity="vjp", verdict=Verdict.NO_SIGNAL, reason="")
    assert find_vacuity((), (), (leaf,)) == (
        "The gradient of '0/b' is rounding noise: what comes out does not depend on this input, so "
        "that nothing about it is compared.",
    )


def test_the_gradient_before_a_normalisation_is_noise():
    """A loss that does not depend on what is added before it."""

    def jax_loss(x, b):
        return jnp.sum(jax.nn.softmax(x @ W + b[:1]) ** 2)

    def torch_loss(x, b):
        return torch.softmax(x @ torch.tensor(W, dtype=x.dtype) + b[:1], -1).pow(2).sum()

    notes = look_at(jax_loss, torch_loss, (X, B[:2]), ("value", "vjp"))
    assert any(note.startswith("The gradient of '1' is rounding noise") for note in notes)


def adam(xp, w, grad):
    """Adam's first step, with the gradient times a factor that cannot be seen."""
    return w - 1e-3 * grad / (xp.sqrt(grad**2) + 1e-8)


ADAM = (
    "Output '' is input '0' plus or minus 0.001 in every element, as after a first step of Adam: "
    "a wrong factor in the gradient would not be seen. Compare the gradients, or more steps."
)


def test_a_first_step_of_adam():
    notes = look_at(lambda w, g: adam(jnp, w, g), lambda w, g: adam(torch, w, 1000 * g), (W, X))
    assert notes == (ADAM,)


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        (lambda w, g: w - 1e-3 * g, (W, X)),
        (lambda w, g: w + 1.0, (W, X)),
        (lambda w, g: w * 1.0, (W, X)),
        (lambda w, g: -w, (np.sign(W), X)),
        (lambda w, g: w[:2] - 1e-3 * g[:2] / abs(g[:2]), (W, X)),
        (lambda w, g: w[0, :3] - 1e-3 * g[0, :3] / abs(g[0, :3]), (W[:, :3], X[:, :3])),
    ],
    ids=["sgd", "shift", "same", "negated signs", "another shape", "few"],
)
def test_other_steps_are_not_taken_for_adam(step, inputs):
    assert not any("Adam" in note for note in look_at(step, step, inputs))


def test_adam_with_some_gradients_of_zero():
    g = X * (X > -0.5)
    notes = look_at(lambda w, g: adam(jnp, w, g), lambda w, g: adam(torch, w, g), (W, g))
    assert any("Adam" in note for note in notes)


@pytest.mark.parametrize("case", find_cases(["tutorial"]), ids=lambda case: case.name)
def test_few_notes_on_the_tutorials_cases(case):
    expected = {
        "tutorial/concepts/graph_tracking": (f"Input '2' {CONSTANT}",)  # ones, as a bias
    }
    assert look(case) == expected.get(case.name, ())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("orders", [("value",), ("value", "vjp", "jvp", "hvp")])
def test_nothing_is_said_of_ordinary_numbers(seed, orders):
    rng = np.random.default_rng(seed)
    inputs = ({"w": rng.normal(size=(5, 5)), "b": rng.normal(size=5)}, rng.normal(size=(7, 5)))

    def jax_fn(p, x):
        return jnp.tanh(x @ p["w"] + p["b"])

    def torch_fn(p, x):
        return torch.tanh(x @ p["w"] + p["b"])

    assert look_at(jax_fn, torch_fn, inputs, orders) == ()


@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (lambda x: x * jnp.arange(1.0), True),
        (lambda x: x * jnp.tri(1), True),  # a causal mask of one token
        (lambda x: x * jnp.arange(2.0), False),
        (lambda x: x @ jnp.eye(1), False),
        (jax.hessian(lambda x: jnp.sum(x**3)), False),
        (functional_ad.hessian(lambda x: jnp.sum(x**3)), False),
    ],
    ids=[
        "positions",
        "a mask",
        "two positions",
        "the identity",
        "the Hessian of one output",
        "ours",
    ],
)
def test_positions_along_an_axis_of_length_1(fn, said):
    assert bool(find_short_counts(trace(fn, (jnp.ones(1),)))) == said
