"""The search as the runner calls it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from comparisons import ParityCase, _trees
from comparisons._backends import jax as jax_side
from comparisons._backends import torch as torch_side
from comparisons._causes import Found, find_causes
from comparisons._runner import run_case


def run_at_float64(case: ParityCase) -> tuple[Any, Any]:
    inputs = _trees.widen(_trees.prepare_inputs(case.inputs, case.dtype))
    return tuple(
        side.run(fn, inputs, "float64", case.orders)
        for side, fn in ((jax_side, case.jax), (torch_side, case.torch))
    )


def explain(case: ParityCase) -> dict[tuple[str, str], tuple[Found, ...]]:
    leaves = run_case(case).leaves
    failing = [leaf for leaf in leaves if leaf.outcome != "pass"]
    assert failing, "the pair is to differ"
    found = find_causes(case, failing, lambda case: run_case(case).leaves, run_at_float64)
    assert set(found) <= {(leaf.quantity, leaf.path) for leaf in failing}
    return {key: found.get(key, ()) for key in ((leaf.quantity, leaf.path) for leaf in failing)}


@pytest.fixture(name="explain")
def fixture_explain() -> Callable[[ParityCase], dict[tuple[str, str], tuple[Found, ...]]]:
    """The causes of every failing leaf."""
    return explain


def load(path: Path) -> ModuleType:
    """Imports a file of a user's, as the command line does."""
    spec = importlib.util.spec_from_file_location(f"users_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="load")
def fixture_load() -> Callable[[Path], ModuleType]:
    """Imports a file by its path."""
    return load


@pytest.fixture(scope="session")
def pairs() -> dict[str, Any]:
    """The pairs of pairs.py by the cause."""
    return {pair.cause: pair for pair in load(Path(__file__).with_name("pairs.py")).PAIRS}
