"""The public names: what `__all__` says is what the file re-exports, and what is there."""

import ast
import importlib
import inspect
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [
    *("functional_ad", "functional_ad.experimental", "functional_ad.training", "comparisons"),
    "functional_ad.torch_semantics",
    *(f"functional_ad.torch_semantics.{name}" for name in ("losses", "lr_scheduler", "optim")),
]


@pytest.fixture(params=PACKAGES)
def package(request):
    if request.param == "comparisons":
        pytest.importorskip("torch", reason="needs torch")
    return importlib.import_module(request.param)


def read_reexports(package):
    """The names of a package's `from ... import X as X`, wherever they stand in the file."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    return [
        alias
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package.__name__)
        for alias in node.names
    ]


def is_callable_or_class(value):
    return inspect.isroutine(value) or inspect.isclass(value)


def test_all_is_sorted_and_has_each_name_once(package):
    assert list(package.__all__) == sorted(set(package.__all__))


def test_all_is_what_is_reexported(package):
    aliases = read_reexports(package)
    assert [a.name for a in aliases if a.asname != a.name] == [], "write `X as X`"
    assert sorted(a.name for a in aliases) == list(package.__all__)


def test_all_is_what_is_there(package):
    """Submodules are private, or packages of their own; nothing else may be left lying about."""
    present = {
        name
        for name in dir(package)
        if not name.startswith("_")
        and (name in package.__all__ or not isinstance(vars(package).get(name), types.ModuleType))
        and getattr(vars(package).get(name), "__module__", None) != "typing"
        and name not in {"annotations", "TYPE_CHECKING"}
    }
    assert present == set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_a_star_import_gives_the_public_names(package):
    names = {}
    exec(f"from {package.__name__} import *", names)
    assert set(package.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=rf"module '{package.__name__}' has no .*nosuch"):
        package.nosuch  # noqa: B018 - the access is the test


def test_every_public_name_is_documented_with_an_example(package):
    lacking = []
    for name in package.__all__:
        value = getattr(package, name)
        text = value.__doc__ or ""
        if is_callable_or_class(value) and not ("Example:\n" in text and ">>> " in text):
            lacking.append(name)
    assert lacking == []


def test_public_classes_carry_their_public_name(package):
    """A traceback then shows the name that a user can import and search for."""
    wrong = {
        name: value.__module__
        for name in package.__all__
        if inspect.isclass(value := getattr(package, name))
        and value.__module__ != package.__name__
        and issubclass(value, Exception)
    }
    assert wrong == {}


def test_every_module_says_what_it_is_for():
    files = [p for name in ("functional_ad", "comparisons") for p in (ROOT / name).rglob("*.py")]
    assert len(files) > 10
    silent = [
        str(path.relative_to(ROOT))
        for path in files
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
