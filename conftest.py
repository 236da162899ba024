"""Set-up of every test and doctest, done before anything makes an array."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

# Eight devices, so that meshes are tested on a machine that has only one. XLA reads this once, when
# the first array is made; pytest-xdist's workers and the tests' subprocesses inherit it.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
)

# The workers have the cores. Threads of torch that wait for each other on a busy machine made a
# small batch norm take 45 ms in place of 0.1.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Most of the time goes into compiling the same small operations again: each run finds what an
# earlier one compiled. A folder for each worker, since JAX's files are seen while they are written.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
CACHE = Path(__file__).parent / "build/jax-cache" / WORKER
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# No deadline: the first example of a test compiles, the others do not. Half as many examples as
# usual: each new shape is compiled anew.
common = hypothesis.settings(deadline=None, max_examples=50)
hypothesis.settings.register_profile("local", common)
hypothesis.settings.register_profile("ci", common, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

ROOT = Path(__file__).parent
NEED_TORCH = (
    ROOT / "comparisons",
    ROOT / "tests/comparisons",
    ROOT / "tests/browser",
    ROOT / "tests/docs",
)


class _NeedsTorch(pytest.File):
    """Stands for a file of NEED_TORCH where torch is not installed."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs torch", allow_module_level=True)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Reports what cannot run without torch as skipped, for one reason in one wording."""
    collectors = yield
    needs_torch = any(file_path.is_relative_to(folder) for folder in NEED_TORCH)
    if collectors and needs_torch and importlib.util.find_spec("torch") is None:
        return [_NeedsTorch.from_parent(parent, path=file_path)]
    return collectors
