"""Operations, examined: planted defects are found and blamed, and choices are told from defects."""

import dataclasses

import pytest

from comparisons._atlas._examine import examine
from comparisons.cases.atlas import OPS, Op

NAMED = {op.name: op for op in OPS}
FIRST = ("value", "vjp")


def run(op, orders=FIRST):
    return examine(dataclasses.replace(op, orders=orders), ("float64",))


def find(row, quantity, axis):
    assert not row.trouble
    (cell,) = [c for c in row.cells if (c.quantity, c.axis) == (quantity, axis)]
    return cell


def test_a_wrong_gradient_is_found_and_jax_blamed():
    planted = "jnp.sin(x) + 1e-3 * (x - lax.stop_gradient(x))"
    row = run(Op("planted", "torch.sin(x)", planted, "sin(x)"))
    assert find(row, "value", "ordinary").verdict in ("AGREES", "IDENTICAL")
    cell = find(row, "vjp", "ordinary")
    assert (cell.verdict, cell.wrong) == ("MISMATCH", "JAX")
    assert cell.torch.max < 8 < 1e9 < cell.jax.max


def test_a_wrong_value_in_torch_is_found_and_torch_blamed():
    row = run(Op("planted", "torch.cos(x) + 1e-3", "jnp.cos(x)", "cos(x)"), ("value",))
    cell = find(row, "value", "ordinary")
    assert (cell.verdict, cell.wrong) == ("MISMATCH", "PyTorch")


def test_a_clamp_at_its_bound_is_a_choice_that_torch_like_makes():
    row = run(NAMED["clamp(-1, 1)"])
    assert find(row, "vjp", "ordinary").verdict == "IDENTICAL"
    assert find(row, "vjp", "edges").verdict == "CONVENTION"
    (edge,) = [e for e in row.edges if e.at == (1.0,) and e.quantity == "vjp"]
    assert (edge.torch, edge.jax, edge.below, edge.above) == (1.0, 0.5, 1.0, 0.0)
    assert edge.truth is None
    assert edge.closed


def test_i0_has_no_slope_at_0_and_jax_says_1():
    row = run(NAMED["i0"], ("vjp",))
    cell = find(row, "vjp", "edges")
    assert (cell.verdict, cell.wrong) == ("MISMATCH", "JAX")
    (edge,) = [e for e in row.edges if str(e.at) == "(0.0,)"]
    assert (edge.torch, edge.jax, edge.truth) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("jax", "dtype", "expected"),
    [
        ("jnp.where(x > 0, jnp.sqrt(x), 0.0)", "float64", ("NONFINITE", "both")),
        ("jnp.where(x > 0, jnp.sqrt(x), 0.0)", "bfloat16", ("NONFINITE", "both")),
        ("jnp.tanh(x) - x", "bfloat16", ("LESS_ACCURATE", "JAX")),
    ],
)
def test_forward_mode_is_held_against_reverse_mode(jax, dtype, expected):
    op = Op("planted", jax.replace("jnp", "torch"), jax, orders=("vjp", "jvp"))
    (cell,) = [c for c in examine(op, (dtype,)).cells if c.axis == "modes"]
    assert (cell.verdict, cell.wrong) == expected


def test_out_of_the_domain_nobody_is_to_blame_for_a_derivative():
    row = run(NAMED["logit"], ("vjp",))
    (edge,) = [e for e in row.edges if e.at == (2.0,)]
    assert (edge.jax, edge.truth, edge.wrong) == (-0.5, None, "")


def test_std_is_another_function_by_choice():
    row = run(NAMED["std"])
    for quantity in FIRST:
        assert find(row, quantity, "ordinary").verdict == "CONVENTION"


@pytest.mark.parametrize(
    ("jax", "quantity", "verdict", "wrong"),
    [
        ("nn.softmax(x, 0)", "vjp", "MISMATCH", ""),  # each gradient is that of its own values
        ("nn.softmax(x, 1) + 1e-3 * (x - lax.stop_gradient(x))", "vjp", "MISMATCH", "JAX"),
        ("nn.softmax(x, 1)[:, :2]", "value", "STRUCTURE", ""),
        ("nn.softmax(x, 1)", "vjp", None, ""),
    ],
)
def test_a_wrong_axis_and_a_wrong_gradient_of_a_whole_array(jax, quantity, verdict, wrong):
    op = Op("planted", "torch.softmax(x, 1)", jax, samples={"ordinary": "normal(3, 4)"})
    cell = find(run(op, (quantity,)), quantity, "ordinary")
    assert cell.verdict == verdict if verdict else cell.verdict in ("AGREES", "IDENTICAL")
    assert cell.wrong == wrong


def test_truth_values_are_compared_at_edges_and_a_side_that_says_no_is_found():
    (edge,) = [name for name in NAMED["all"].samples if name.startswith("edges")]
    assert find(run(NAMED["all"], ("value",)), "value", "edges").verdict == "AGREES"
    row = run(dataclasses.replace(NAMED["all"], jax="jnp.any(x > 0, 1)"), ("value",))
    cell = find(row, "value", "edges")
    assert (cell.verdict, cell.count) == ("MISMATCH", 2)
    assert [e.at for e in row.edges] == [edge]


def test_two_that_lose_a_derivative_together_are_both_wrong():
    """The root of the fourth powers is smooth, a square; that of the squares has a kink."""
    samples = {"edges: zero": "array([0.])"}
    lost = Op("planted", "torch.sqrt(x**4)", "jnp.sqrt(x**4)", samples=samples)
    cell = find(run(lost, ("vjp",)), "vjp", "edges")
    assert (cell.verdict, cell.wrong) == ("NONFINITE", "both")
    kink = Op("planted", "torch.sqrt(x**2)", "jnp.sqrt(x**2)", samples=samples)
    assert find(run(kink, ("vjp",)), "vjp", "edges").verdict == "AGREES"


def test_what_a_framework_lacks_is_a_row():
    op = Op("planted", "torch.neg(x)", "1 / 0", samples={"ordinary": "normal(2)"})
    cell = find(run(op, ("value",)), "value", "ordinary")
    assert (cell.verdict, cell.wrong) == ("MISSING", "JAX")
    assert cell.text == "JAX: ZeroDivisionError: division by zero"


def test_what_cannot_be_examined_is_a_row():
    op = Op("planted", "torch.neg(x)", "jnp.negative(x)", samples={"ordinary": "nothing(2)"})
    row = examine(op, ("float64",))
    assert row.verdict == "CRASHED"
    assert row.trouble == "CRASHED: NameError: name 'nothing' is not defined"
