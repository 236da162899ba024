"""The map: it knows every name, its rows are what their cases show, and its page is up to date."""

import dataclasses
import functools
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

from comparisons._explain import find_names
from comparisons._runner import read_source, run_case
from comparisons.cases.surface import CASES, GROUPS, ROWS, SECTIONS, Row

# PyTorch's own forward mode compiles itself with what PyTorch advises against.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

DOCS = Path(__file__).parents[2] / "docs"
RUNNABLE = {row.case.name: row for row in ROWS if row.case is not None}

by_case = pytest.mark.parametrize("name", RUNNABLE)


@functools.cache
def result_of(name):
    return run_case(RUNNABLE[name].case)


# --- What is in it ----------------------------------------------------------------------------

# Public by their spelling, but neither PyTorch's own nor meant for others: what a module imports.
IMPORTED = {
    "torch.autograd": {
        *("DeviceType", "Mapping", "ProfilerActivity", "ProfilerConfig", "ProfilerEvent"),
        *("ProfilerState", "SavedTensor", "Sequence", "cast", "handle_torch_function"),
        *("has_torch_function", "is_tensor_like", "kineto_available", "overload"),
    },
}
# Modules whose names all belong to the map: what `__all__` says, else what `dir` finds.
MODULES = [
    *("torch.autograd", "torch.autograd.functional", "torch.autograd.forward_ad"),
    *("torch.autograd.graph", "torch.autograd.profiler", "torch.autograd.grad_mode"),
    *("torch.autograd.anomaly_mode", "torch.autograd.gradcheck", "torch.autograd.function"),
    *("torch.func", "torch.nn.utils", "torch.utils.checkpoint", "torch.amp"),
]
# Classes and modules of which only the names that have to do with autograd belong to it.
PARTS = {
    "torch": r"grad|inference|detach|anomaly|autocast|vmap",
    "torch.Tensor": r"grad|leaf|hook|detach|inference|output_nr|backward|^data$",
    "torch.autograd.Function": r"",
    "torch.autograd.graph.Node": r"",
    "torch.optim.Optimizer": r"",
    "torch.nn.Module": r"grad|_hook$",
    "torch.nn.modules.module": r"^register_module.*hook$",
    "torch.amp.GradScaler": r"^(scale|unscale_|step|update)$",
    "torch.nn.parallel.DistributedDataParallel": r"",
}
# PyTorch's own names that have nothing to do with autograd, though they match.
OTHER = {"torch.autograd"}


def resolve(name):
    """The object of a dotted name; the module gradcheck is hidden by the function."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            value = inspect.getattr_static(value, part) if part == "apply" else getattr(value, part)
        return value
    raise ImportError(name)


def list_public(space):
    """Public names of a module or class, inherited ones of a module class left out."""
    value = resolve(space)
    names = {name for name in dir(value) if not name.startswith("_")}
    if inspect.ismodule(value):
        if space not in ("torch", "torch.nn.modules.module"):
            listed = set(getattr(value, "__all__", ()))
            if space == "torch.autograd":  # its __all__ leaves out what it documents elsewhere
                listed |= names - IMPORTED[space]
            names = listed or names
        names = {name for name in names if not inspect.ismodule(getattr(value, name))}
    elif issubclass(value, torch.nn.Module) and value is not torch.nn.Module:
        names -= set(dir(torch.nn.Module))
    return names


def find_unknown(rows):
    known = {name.partition("(")[0] for row in rows for name in row.names}
    spaces = dict.fromkeys(MODULES, "") | PARTS
    wanted = {
        f"{space}.{name}"
        for space, pattern in spaces.items()
        for name in list_public(space)
        if re.search(pattern, name)
    }
    assert len(wanted) > 200
    return sorted(wanted - known - OTHER)


def test_the_map_knows_every_name_of_the_installed_torch():
    assert find_unknown(ROWS) == []


@pytest.mark.parametrize("missing", ["torch.func.jvp", "torch.optim.Optimizer.step"])
def test_a_name_that_is_not_in_the_map_is_noticed(missing):
    assert find_unknown([row for row in ROWS if missing not in row.names]) == [missing]


def test_every_name_in_the_map_is_one_of_torchs():
    missing = []
    for name in (name.partition("(")[0] for row in ROWS for name in row.names):
        try:
            resolve(name)
        except (ImportError, AttributeError):
            missing.append(name)
    assert missing == []


def test_there_are_many_rows_and_none_twice():
    names = [name for row in ROWS for name in row.names]
    assert len(names) == len(set(names))
    cases = [case.name for case in CASES]
    assert len(cases) == len(set(cases)) >= 90
    assert sum(map(len, GROUPS.values())) == len(ROWS)
    assert len(GROUPS) == len(SECTIONS), "a heading is given twice"
    folder = Path(inspect.getfile(Row)).parent
    files = {path.stem for path in folder.glob("[a-z]*.py")}
    assert files == {section.__name__.rpartition(".")[2] for section in SECTIONS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_row_is_short_and_has_its_page(row):
    assert row.change.endswith(".")
    assert "\n" not in row.change
    assert len(row.change) < 130
    assert row.docs.startswith("https://docs.pytorch.org/docs/stable/")
    assert bool(row.jax) == (row.case is not None)


# --- What its rows say ------------------------------------------------------------------------

# Gradients that are zeros on purpose.
VACUOUS = {"surface/autograd/grad-materialize_grads": r"The output '1' is zero on both sides"}


@by_case
def test_both_sides_agree(name):
    result = result_of(name)
    assert result.verdict in ("AGREES", "IDENTICAL"), result.leaves
    assert result.leaves
    pattern = VACUOUS.get(name)
    assert [note for note in result.vacuity if not pattern or not re.search(pattern, note)] == []


@by_case
def test_a_planted_wrong_row_is_caught(name, find_unnoticed):
    assert find_unnoticed(RUNNABLE[name].case) == []


def strip_comments(source):
    return re.sub(r"#.*", "", source)


def find_missing(row):
    """Names that the row gives and the sources of its case do not use."""
    module = importlib.import_module(f"comparisons.cases.surface.{row.group}")
    torch_text, jax_text = map(strip_comments, map(read_source, (row.torch_side, row.jax_side)))
    # What a side takes from its file, with what stands there: helpers, and classes.
    helpers = [
        inspect.getsource(value)
        for name, value in vars(module).items()
        if inspect.isfunction(value) or inspect.isclass(value)
        if value.__module__ == module.__name__
        if re.search(rf"\b{name}\b", torch_text + jax_text)
    ]
    plain, _, argument = row.name.partition("(")
    torch_words = {plain.rpartition(".")[2], *re.findall(r"^(\w+)=", argument)}
    jax_words = {name.rpartition(".")[2] for name in find_names(row.jax)}
    torch_text, jax_text = ("\n".join([text, *helpers]) for text in (torch_text, jax_text))
    return [
        word
        for words, text in ((torch_words, torch_text), (jax_words, jax_text))
        for word in sorted(words)
        if not re.search(rf"\b{re.escape(word)}\b", text)
    ]


@by_case
def test_the_case_uses_what_the_row_names(name):
    assert find_missing(RUNNABLE[name]) == []


def test_a_row_whose_case_is_of_something_else_is_noticed():
    (row,) = (row for row in ROWS if row.name == "torch.func.jvp")
    assert find_missing(dataclasses.replace(row, name="torch.func.jacfwd")) == ["jacfwd"]
    assert find_missing(dataclasses.replace(row, jax="jax.jacrev(fun)")) == ["jacrev"]
    same = dataclasses.replace(row, name="torch.func.jvp(strict=True)")
    assert find_missing(same) == ["strict"]


@by_case
def test_the_case_is_readable(name):
    case = RUNNABLE[name].case
    sources = read_source(case.torch), read_source(case.jax)
    for source in sources:
        assert re.match(r"(@\w+\n)?def ", source)
        assert len(source.splitlines()) < 32
        assert max(map(len, source.splitlines())) <= 56
    assert inspect.signature(case.jax).parameters.keys() == (
        inspect.signature(case.torch).parameters.keys()
    )


PACKAGES = ("jax", "jnp", "optax", "functional_ad")


@by_case
def test_the_expression_names_what_there_is(name):
    """``jax.jvp`` and the like exist; other names are variables, defined in the case."""
    for word in find_names(RUNNABLE[name].jax):
        package, _, rest = word.partition(".")
        if package in PACKAGES:
            resolve(f"{'jax.numpy' if package == 'jnp' else package}.{rest}")


# --- Its page ---------------------------------------------------------------------------------


def load_renderer():
    spec = importlib.util.spec_from_file_location("make_map", DOCS / "make_map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_the_map():
    page = (DOCS / "map.md").read_text(encoding="utf-8")
    assert page == load_renderer().render(), "python docs/make_map.py"
    for row in ROWS:
        assert row.change in page
        assert row.docs in page
