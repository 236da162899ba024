"""The exception trees: drawn as they are, raised on purpose, and their texts tested."""

import ast
import builtins
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ["functional_ad._errors", "functional_ad.training._errors"]
DRAWN = re.compile(r"^[\s│├└─]*(?P<name>\w+)(?: \((?P<base>\w+)\))?(?:\s+.*)?$")


def find_exceptions(module):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and value.__qualname__ == name
        and f"class {name}(" in inspect.getsource(module)
    }


def read_drawing(module):
    """{name: built-in base or None} of the tree in the module's docstring."""
    lines = [line for line in inspect.getdoc(module).splitlines() if "──" in line]
    matches = [DRAWN.match(line) for line in lines]
    assert matches
    assert all(matches)
    return {match["name"]: match["base"] for match in matches}


def find_tested():
    """Names in test functions, and their parameters, that look at the text of what is raised."""
    tested = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.unparse(node)
                if re.search(r"pytest\.raises\(.+, match=|str\(\w+\.value\)", text):
                    tested |= set(re.findall(r"\w+", text))
    return tested


@pytest.mark.parametrize("name", MODULES)
def test_the_drawing_shows_every_exception_and_its_built_in_base(name):
    module = importlib.import_module(name)
    drawn = read_drawing(module)
    there = find_exceptions(module)
    root = [n for n, error in there.items() if n not in drawn]
    assert len(root) <= 1, f"not drawn: {root}"
    assert set(drawn) | set(root) == set(there)
    for error_name, base in drawn.items():
        built_in = {
            b.__name__
            for b in there[error_name].__mro__
            if getattr(builtins, b.__name__, None) is b
        }
        assert built_in >= ({base} if base else set()), error_name
        assert base or built_in == {"Exception", "BaseException", "object"}, error_name


@pytest.mark.parametrize("name", MODULES)
def test_every_exception_has_a_test_of_its_text(name):
    exceptions = find_exceptions(importlib.import_module(name))
    bases = {error.__base__.__name__ for error in exceptions.values()}
    assert {name for name in exceptions if name not in bases} - find_tested() == set()


def test_every_exception_can_be_caught_as_the_librarys():
    base = importlib.import_module("functional_ad").FunctionalADError
    for name in MODULES:
        assert all(
            issubclass(e, base) for e in find_exceptions(importlib.import_module(name)).values()
        )


def test_the_library_raises_its_own_exceptions_in_their_one_shape():
    """`raise SomeError(explain(...))`: the rule, expected, got, one fix."""
    own = set(find_exceptions(importlib.import_module("functional_ad._errors")))
    raised, wrong = set(), []
    library = (ROOT / "functional_ad").rglob("*.py")
    for path in (path for path in library if "training" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = ast.unparse(node.exc.func)
            raised.add(name)
            arguments = [ast.unparse(a) for a in node.exc.args]
            if name not in own or not arguments or not arguments[0].startswith("explain("):
                wrong.append(f"{path.name}:{node.lineno}: raise {name}")
    assert wrong == []
    assert own - raised <= {"FunctionalADError"}, "never raised"
