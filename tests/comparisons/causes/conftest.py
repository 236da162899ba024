"""What a run says of the causes of a pair."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from comparisons import ParityCase
from comparisons._results import Cause
from comparisons._runner import run_case


def explain(case: ParityCase) -> dict[tuple[str, str], tuple[Cause, ...]]:
    open_leaves = [leaf for leaf in run_case(case).leaves if leaf.outcome != "pass"]
    assert open_leaves, "the pair is to differ"
    return {(leaf.quantity, leaf.path): leaf.causes for leaf in open_leaves}


@pytest.fixture(name="explain")
def fixture_explain() -> Callable[[ParityCase], dict[tuple[str, str], tuple[Cause, ...]]]:
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
