"""What is imported where: no private JAX, torch in few places, no package undeclared."""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ["functional_ad", "comparisons", "benchmarks", "tests", "scripts", "conftest.py"]
# Who imports the file has the package: pytest its plugin.
PROVIDED = {"_pytest_plugin.py": {"pytest"}}
MAY_IMPORT_TORCH = [
    "comparisons/_backends/torch.py",
    "comparisons/_backends/torch_casts.py",
    "comparisons/_backends/torch_training.py",
    "comparisons/cases/",
]
# Not private by name, but by JAX's own word: https://docs.jax.dev/en/latest/api_compatibility.html
PRIVATE_JAX = re.compile(
    r"(jax|jaxlib|optax|jaxtyping)\.(.+\.)?_(?!_)\w*|jax\.interpreters\b|jaxlib\."
)


def find_files(*folders: str) -> list[Path]:
    paths = [ROOT / folder for folder in folders]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    assert files
    return sorted(files)


def find_imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported: `from a import b` is "a.b"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_dotted_names(tree: ast.AST) -> Iterator[str]:
    """Attribute chains, with a name that stands for a module written out: `jnp.x` as "jax.numpy.x";
    and strings that are nothing but a module's name, as `importlib.import_module` takes them."""
    modules = {
        alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else None
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    modules |= {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            attributes = []
            while isinstance(node, ast.Attribute):
                attributes.append(node.attr)
                node = node.value
            if isinstance(node, ast.Name) and node.id in modules:
                yield ".".join([modules[node.id] or node.id, *reversed(attributes)])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value if re.fullmatch(r"[\w.]+", node.value) else ""


def find_private_jax(source: str) -> list[str]:
    tree = ast.parse(source)
    names = [*find_imports(tree), *find_dotted_names(tree)]
    return sorted({name for name in names if PRIVATE_JAX.match(name)})


@pytest.mark.parametrize(
    "source",
    [
        "import jax._src.core",
        "from jax._src import core",
        "import jax\njax._src.core.Trace",
        "import jax.numpy as jnp\njnp._x",
        "from jax import lax\nlax._y.z()",
        "from jax.interpreters import ad",
        "import jaxlib.xla_client",
        "from jaxlib import xla_client",
        "import importlib\nimportlib.import_module('jax._src.core')",
        "def f():\n    from optax._src import base",
    ],
)
def test_the_search_finds_private_jax(source):
    assert find_private_jax(source)


@pytest.mark.parametrize(
    "source", ["import jax\njax.__version__", "import jaxlib", "'jaxlib'", "x = y._src", "'a._b c'"]
)
def test_the_search_finds_nothing_else(source):
    assert not find_private_jax(source)


def test_private_jax_is_touched_by_compat_only():
    found = {
        str(path.relative_to(ROOT)): private
        for path in find_files(*CODE)
        if path.relative_to(ROOT) != Path("functional_ad/_compat.py")
        and path != Path(__file__)
        and (private := find_private_jax(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_compat_says_on_which_jax_each_entry_was_checked_and_what_would_replace_it():
    tree = ast.parse((ROOT / "functional_ad/_compat.py").read_text(encoding="utf-8"))
    entries = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert entries
    for entry in entries:
        text = ast.get_docstring(entry) or ""
        assert re.search(r"Checked on JAX \d", text), entry.name
        assert "Public way:" in text, entry.name


def read_requirements(*extras: str) -> set[str]:
    """Names of the distributions that pyproject.toml asks for, with those extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {re.split(r"[\s<>=!~\[;]", line, maxsplit=1)[0].lower() for line in wanted}


@functools.cache
def find_providers() -> Mapping[str, list[str]]:
    """The distributions of each import name; reading all that are installed takes a while."""
    return packages_distributions()


def find_third_party(path: Path) -> set[str]:
    """Distributions that a file imports; an import name if nothing installed provides it."""
    provided_by = find_providers()
    tops = {name.partition(".")[0] for name in find_imports(ast.parse(path.read_text("utf-8")))}
    tops -= {*sys.stdlib_module_names, "functional_ad", "comparisons"}
    return {provided_by.get(top, [top])[0].lower() for top in tops}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("functional_ad", ["graph"]),
        ("functional_ad/training", ["training"]),
        ("comparisons", ["compare"]),
    ],
)
def test_what_a_package_imports_is_what_it_asks_for(folder, extras):
    declared = read_requirements(*extras)
    undeclared = {
        str(path.relative_to(ROOT)): extra
        for path in find_files(folder)
        if (folder != "functional_ad" or "training" not in path.parts)
        and (extra := find_third_party(path) - declared - PROVIDED.get(path.name, set()))
    }
    assert undeclared == {}


def test_torch_is_imported_in_the_backend_and_the_cases_only():
    users = {
        path.relative_to(ROOT).as_posix()
        for path in find_files("functional_ad", "comparisons")
        if any(
            name.partition(".")[0] in {"torch", "torchvision", "torchaudio"}
            for name in find_imports(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert "comparisons/_backends/torch.py" in users
    assert [user for user in users if not user.startswith(tuple(MAY_IMPORT_TORCH))] == []
