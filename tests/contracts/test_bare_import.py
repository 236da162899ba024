"""Importing is cheap and needs little: each package in a fresh interpreter, with a watch on it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Makes packages unimportable, as if they were not installed.
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())
"""
REPORT = """
import json, sys
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
NOT_NEEDED = [
    *("torch", "comparisons", "rich", "typer", "click", "matplotlib", "sklearn", "pandas"),
    *("jinja2", "markupsafe", "pygments", "orbax", "flax", "equinox", "pytest", "hypothesis"),
]


def run(code: str, *, blocked: list[str] | None = None) -> str:
    source = (f"BLOCKED = {blocked!r}\n{BLOCK}" if blocked else "") + code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find_loaded(imports: str, *, blocked: list[str] | None = None) -> set[str]:
    """Top-level modules after some imports, the standard library's left out."""
    return set(json.loads(run(imports + REPORT, blocked=blocked))) - set(sys.stdlib_module_names)


def test_functional_ad_works_where_nothing_else_is_installed():
    code = """
import functional_ad, jax
value, grads = jax.jit(functional_ad.value_and_grad(lambda p: p["a"] ** 2))({"a": 3.0, "n": 1})
print(float(value), float(grads["a"]), grads["n"])
for name in functional_ad.__all__:
    getattr(functional_ad, name)
"""
    assert run(code, blocked=NOT_NEEDED) == "9.0 6.0 None\n"


def test_functional_ad_loads_nothing_that_its_dependencies_do_not():
    # wadler_lindig is jaxtyping's, which imports it with the first annotation.
    theirs = find_loaded("import jax, jaxlib, optax, jaxtyping, wadler_lindig")
    assert find_loaded("import functional_ad") - theirs == {"functional_ad"}


def test_training_is_imported_without_what_only_its_command_line_needs():
    loaded = find_loaded("import functional_ad.training", blocked=NOT_NEEDED)
    assert "functional_ad" in loaded


def test_comparisons_is_imported_lazily():
    loaded = find_loaded("import comparisons")
    assert "comparisons" in loaded
    assert loaded.isdisjoint({*NOT_NEEDED, "jax", "functional_ad", "numpy"} - {"comparisons"})


def test_importing_initialises_no_device():
    """A library that makes an array on import takes the accelerator before its user can choose."""
    code = """
import jax, functional_ad, functional_ad.training
jax.config.update("jax_num_cpu_devices", 3)  # raises once there is a backend
print(len(jax.devices("cpu")))
"""
    environment = "import os\nos.environ.pop('XLA_FLAGS', None)\n"
    assert run(environment + code) == "3\n"


def test_the_blocker_blocks():
    code = "try:\n    import rich\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert run(code, blocked=["rich"]) == "blocked: rich\n"
    with pytest.raises(AssertionError, match="blocked: jax"):
        run("import functional_ad", blocked=["jax"])
