"""`comparisons explain`: which row a name means, what is printed, and what an unknown name says."""

import pytest

from comparisons import ParityCase
from comparisons._cli import CommandError, run_command
from comparisons._explain import find_rows
from comparisons.cases.surface import ROWS, Row

# PyTorch's own forward mode compiles itself with what PyTorch advises against.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

LEAF = "torch.Tensor.detach"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *[("torch.func.jvp", "torch.func.jvp"), ("TORCH.FUNC.JVP", "torch.func.jvp")],
        *[(f"{LEAF}()", LEAF), ("Tensor.detach", LEAF), ("tensor.DETACH", LEAF)],
        *[("torch.detach", LEAF), ("detach_copy", LEAF), ("no_grad", "torch.no_grad")],
        ("torch.autograd.grad", "torch.autograd.grad"),
        ("torch.autograd.grad(create_graph=True)", "torch.autograd.grad(create_graph=True)"),
        ("autograd.grad(create_graph=True)", "torch.autograd.grad(create_graph=True)"),
        *[("grad_and_value", "torch.func.grad_and_value"), ("torch.vmap", "torch.func.vmap")],
        *[("gradcheck", "torch.autograd.gradcheck"), ("GradScaler", "torch.amp.GradScaler")],
        ("optax.clip", "torch.nn.utils.clip_grad_value_"),
        ("linearize", "torch.func.linearize"),
        ("dots_saveable", "torch.utils.checkpoint.create_selective_checkpoint_contexts"),
        ("materialize_grads=True)", "torch.autograd.grad(materialize_grads=True)"),
    ],
)
def test_a_name_means_one_row(name, found):
    assert [row.name for row in find_rows(name)[0]] == [found]


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("backward", ("torch.autograd.backward", LEAF.replace("detach", "backward"))),
        ("zero_grad", ("torch.optim.Optimizer.zero_grad", "torch.nn.Module.zero_grad")),
        ("jax.jvp", ("torch.func.jvp", "torch.autograd.functional.jvp")),
        ("stop_gradient", (LEAF, "torch.Tensor.data")),
        ("backward_hook", ("torch.nn.Module.register_full_backward_hook",)),
    ],
)
def test_a_name_of_several_rows_lists_them(name, some, capsys):
    rows, _ = find_rows(name)
    assert len(rows) > 1
    assert set(some) <= {row.name for row in rows}
    assert run_command(["explain", name]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"{len(rows)} rows have to do with {name!r}; name one of them:"
    assert [line.split("  ")[1] for line in lines] == [row.name for row in rows]


def test_the_rows_of_its_arguments_are_named_beside_it():
    _, others = find_rows("torch.autograd.grad")
    assert "torch.autograd.grad(allow_unused=True)" in [row.name for row in others]
    assert all(row.name.startswith("torch.autograd.grad(") for row in others)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_name_finds_its_row(row):
    for name in row.names:
        assert row in find_rows(name)[0]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_row_is_printed_with_both_sources_and_the_verdict(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run_command(["explain", "torch.func.grad_and_value"]) == 0
    printed = capsys.readouterr().out
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[0] == "PyTorch  torch.func.grad_and_value"
    assert "JAX      value, grad = jax.value_and_grad(fun)(x)" in lines
    assert "change   The other order: in JAX the value comes first." in lines
    page = "https://docs.pytorch.org/docs/stable/generated/torch.func.grad_and_value.html"
    assert f"see      {page}" in lines
    assert "case     surface/func/grad_and_value" in lines
    both = [line for line in lines if "def grad_and_value_torch" in line and "_jax" in line]
    assert len(both) == (columns >= 100), "side by side only where there is room"
    assert "def grad_and_value_jax(x):" in printed
    assert "surface/func/grad_and_value  IDENTICAL" in printed
    assert "The one case agrees." in printed


def test_a_row_without_an_expression_says_why(capsys):
    assert run_command(["explain", "torch.optim.Optimizer.zero_grad"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "PyTorch  torch.optim.Optimizer.zero_grad",
        "JAX      nothing stands in its place",
        "reason   Every gradient is a new value: there is nothing to zero, or to forget to.",
    ]
    assert not any("case" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        *[("torch.autograd.gard", "torch.autograd.grad"), ("torch.fnuc.vmap", "torch.func.vmap")],
        *[("torch.no_gard", "torch.no_grad"), ("Tensor.bakward", "torch.Tensor.backward")],
        *[("register_hok", "torch.Tensor.register_hook"), ("jax.vpj", "jax.vjp")],
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, nearest):
    with pytest.raises(CommandError) as caught:
        run_command(["explain", name])
    assert str(caught.value) == f"no name matches {name!r}; the nearest is {nearest!r}"


def test_the_exit_status_is_1_if_the_sides_disagree(monkeypatch, capsys):
    """A planted wrong row, through the whole command."""
    (right,) = find_rows("torch.func.jvp")[0]
    wrong = Row(
        right.name, right.jax, right.change, right.torch_side,
        lambda x, v: {"y": x, "tangent": v}, inputs=right.inputs, group="func",
    )  # fmt: skip
    assert isinstance(wrong.case, ParityCase)
    monkeypatch.setattr("comparisons._explain.ROWS", (wrong,))
    assert run_command(["explain", "torch.func.jvp"]) == 1
    assert "surface/func/jvp  MISMATCH" in capsys.readouterr().out
